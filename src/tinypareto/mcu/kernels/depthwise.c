/* Depthwise convolution: each channel has a kernel of its own. Four channels at a time, their values unpacked once to
 * int16 in a strip of the input that is as high as the window and slides down over the image. */
#include "dsp.h"
#include "requantize.h"
#include "tinypareto.h"

/* One value of four channels as int16. */
typedef struct {
#if defined(__ARM_FEATURE_DSP)
    uint32_t even, odd; /* 0 and 2, 1 and 3, as two instructions unpack them */
#else
    int16_t channels[4];
#endif
} four;

/* Factors of four channels, and where a run of output pixels lies. The offsets are written out in multiply_pairs. */
typedef struct {
    int32_t biases[4];                     /* 0 */
    int32_t factors[4][2];                 /* 16: multiplier, shift */
    int32_t zero_point;                    /* 48 */
    uint32_t low, high;                    /* 52, 56: four times the bound */
    const four *weights, *weights_end;     /* 60, 64: in the order of the strip's rows */
    int32_t row_step;                      /* 68: bytes from behind a row's three taps to the next row */
    int8_t *output;                        /* 72 */
    int32_t output_step;                   /* 76: bytes from pixel to pixel */
    const four *strip, *strip_end;         /* 80, 84 */
    four outside;                          /* zero points */
} run;

#if defined(__ARM_FEATURE_DSP)
static inline four load_four(const int8_t *from)
{
    uint32_t word = tp_load_four(from);
    four unpacked = {(uint32_t)tp_even_bytes(word), (uint32_t)tp_odd_bytes(word)};
    return unpacked;
}

/* *to = load_four(from), one instruction shorter than the compiler's. */
static inline four *unpack(four *to, const int8_t *from)
{
    uint32_t even, odd;
    __asm__ volatile("ldr %1, [%3]\n\tsxtb16 %2, %1\n\tsxtb16 %1, %1, ror #8\n\tstrd %2, %1, [%0], #8"
                     : "+r"(to), "=&r"(odd), "=&r"(even) : "r"(from) : "memory");
    return to;
}

static inline void multiply_four(int32_t acc[4], const four *x, const four *w)
{
    acc[0] = __smlabb((int16x2_t)x->even, (int16x2_t)w->even, acc[0]);
    acc[1] = __smlabb((int16x2_t)x->odd, (int16x2_t)w->odd, acc[1]);
    acc[2] = __smlatt((int16x2_t)x->even, (int16x2_t)w->even, acc[2]);
    acc[3] = __smlatt((int16x2_t)x->odd, (int16x2_t)w->odd, acc[3]);
}

static inline void store_four(const run *job, const int32_t acc[4])
{
    uint32_t bytes = tp_pack_four(tp_saturated(acc[0], job->factors[0][0], job->factors[0][1], job->zero_point),
                                  tp_saturated(acc[1], job->factors[1][0], job->factors[1][1], job->zero_point),
                                  tp_saturated(acc[2], job->factors[2][0], job->factors[2][1], job->zero_point),
                                  tp_saturated(acc[3], job->factors[3][0], job->factors[3][1], job->zero_point));
    bytes = tp_clamp_four(bytes, job->low, job->high);
    __builtin_memcpy(job->output, &bytes, sizeof bytes);
}

#define TAP                        \
    "ldrd r12, lr, [r0], #8\n\t"   \
    "ldrd r2, r3, [r1], #8\n\t"    \
    "smlabb r4, r2, r12, r4\n\t"   \
    "smlatt r6, r2, r12, r6\n\t"   \
    "smlabb r5, r3, lr, r5\n\t"    \
    "smlatt r7, r3, lr, r7\n\t"    \
    "ldrd r2, r3, [r1]\n\t"        \
    "smlabb r8, r2, r12, r8\n\t"   \
    "smlatt r10, r2, r12, r10\n\t" \
    "smlabb r9, r3, lr, r9\n\t"    \
    "smlatt r11, r3, lr, r11\n\t"

/* requantize.h for a channel of both pixels: shift, multiply, saturate. */
#define RESCALE(FACTORS, FIRST, SECOND)             \
    "ldrd r12, lr, [r2, #" FACTORS "]\n\t"          \
    "lsl " FIRST ", " FIRST ", lr\n\t"              \
    "lsl " SECOND ", " SECOND ", lr\n\t"            \
    "smmlar " FIRST ", " FIRST ", r12, r3\n\t"      \
    "smmlar " SECOND ", " SECOND ", r12, r3\n\t"    \
    "ssat " FIRST ", #8, " FIRST "\n\t"             \
    "ssat " SECOND ", #8, " SECOND "\n\t"

/* All neighbours of a run, two at a time, where the window is three wide and moves and spreads by one. r4..r7 and
 * r8..r11 accumulate four channels of two pixels. Written out, since a compiler runs short of registers. */
__attribute__((naked, noinline)) static void multiply_pairs(run *job __attribute__((unused)))
{
    __asm__(
        "push {r0, r4-r11, lr}\n\t"
        "ldrd r2, r3, [r0, #64]\n\t"
        "push {r2, r3}\n"
        "0:\n\t"
        "ldr r2, [sp, #8]\n\t"
        "ldr r0, [r2, #60]\n\t"
        "ldr r1, [r2, #80]\n\t"
        "ldm r2, {r4-r7}\n\t"
        "mov r8, r4\n\t"
        "mov r9, r5\n\t"
        "mov r10, r6\n\t"
        "mov r11, r7\n"
        "1:\n\t" TAP TAP TAP
        "ldrd r2, r3, [sp]\n\t"
        "add r1, r1, r3\n\t"
        "cmp r0, r2\n\t"
        "bne 1b\n\t"
        "ldr r2, [sp, #8]\n\t"
        "ldr r3, [r2, #48]\n\t"
        RESCALE("16", "r4", "r8")
        RESCALE("24", "r5", "r9")
        RESCALE("32", "r6", "r10")
        RESCALE("40", "r7", "r11")
        "bfi r4, r5, #8, #8\n\t"
        "bfi r4, r6, #16, #8\n\t"
        "bfi r4, r7, #24, #8\n\t"
        "bfi r8, r9, #8, #8\n\t"
        "bfi r8, r10, #16, #8\n\t"
        "bfi r8, r11, #24, #8\n\t"
        "ldrd r12, lr, [r2, #52]\n\t"
        "ssub8 r5, r4, r12\n\t"
        "sel r4, r4, r12\n\t"
        "ssub8 r5, lr, r4\n\t"
        "sel r4, r4, lr\n\t"
        "ssub8 r5, r8, r12\n\t"
        "sel r8, r8, r12\n\t"
        "ssub8 r5, lr, r8\n\t"
        "sel r8, r8, lr\n\t"
        "ldrd r5, r6, [r2, #72]\n\t"
        "str r4, [r5]\n\t"
        "str r8, [r5, r6]\n\t"
        "add r5, r5, r6, lsl #1\n\t"
        "str r5, [r2, #72]\n\t"
        "ldrd r5, r6, [r2, #80]\n\t"
        "add r5, r5, #16\n\t"
        "str r5, [r2, #80]\n\t"
        "cmp r5, r6\n\t"
        "bne 0b\n\t"
        "add sp, sp, #8\n\t"
        "pop {r0, r4-r11, pc}\n");
}

/* Tells whether it has computed the run. Of an odd number of pixels the last but one is computed twice. */
static int run_in_pairs(const tp_window *window, run *job, int32_t pixels)
{
    if (window->kernel_width != 3 || window->stride_width != 1 || window->dilation_width != 1 || pixels < 2) {
        return 0;
    }
    job->strip_end = job->strip + (pixels & ~1);
    multiply_pairs(job);
    if (pixels & 1) {
        job->strip--, job->strip_end++;
        job->output -= job->output_step;
        multiply_pairs(job);
    }
    return 1;
}
#else
static inline four load_four(const int8_t *from)
{
    four unpacked = {{from[0], from[1], from[2], from[3]}};
    return unpacked;
}

static inline four *unpack(four *to, const int8_t *from)
{
    *to = load_four(from);
    return to + 1;
}

static inline void multiply_four(int32_t acc[4], const four *x, const four *w)
{
    acc[0] += x->channels[0] * w->channels[0];
    acc[1] += x->channels[1] * w->channels[1];
    acc[2] += x->channels[2] * w->channels[2];
    acc[3] += x->channels[3] * w->channels[3];
}

static inline void store_one(const run *job, int32_t acc, uint32_t channel)
{
    int32_t shifted = acc * (1 << job->factors[channel][1]);
    int32_t value = tp_rescale(shifted, job->factors[channel][0], job->zero_point);
    job->output[channel] = (int8_t)tp_clamp(value, (int8_t)job->low, (int8_t)job->high);
}

static inline void store_four(const run *job, const int32_t acc[4])
{
    store_one(job, acc[0], 0);
    store_one(job, acc[1], 1);
    store_one(job, acc[2], 2);
    store_one(job, acc[3], 3);
}

static int run_in_pairs(const tp_window *window, run *job, int32_t pixels)
{
    (void)window, (void)job, (void)pixels;
    return 0;
}
#endif

/* Any window, one pixel at a time. */
static void run_pixels(const tp_window *window, run *job, int32_t pixels)
{
    int32_t width = window->kernel_width, step = window->dilation_width;
    int32_t next_row = job->row_step / (int32_t)sizeof(four) + width * (1 - step);
    for (; pixels > 0; pixels--, job->strip += window->stride_width, job->output += job->output_step) {
        int32_t acc[4] = {job->biases[0], job->biases[1], job->biases[2], job->biases[3]};
        const four *x = job->strip, *weight = job->weights;
        for (const four *end = job->weights_end; weight != end; x += next_row) {
            const four *row_end = weight + width;
            for (; weight != row_end; weight++, x += step) {
                multiply_four(acc, x, weight);
            }
        }
        store_four(job, acc);
    }
}

/* Unpacks a row of the input, or of zero points where it has none, into one of the strip. */
static inline void fill_row(const tp_depthwise *operator, four *to, int32_t y, int32_t x, uint32_t channel, four outside)
{
    const tp_window *window = &operator->window;
    int32_t width = operator->strip_width, end = window->in_width - x;
    int32_t left = x < 0 ? -x : 0, column = 0;
    end = end < width ? end : width;
    if (y < 0 || y >= window->in_height) {
        end = 0;
    }
    int32_t step = window->in_channels;
    const int8_t *from = operator->input + (y * window->in_width + x + left) * step + channel;
    for (; column < left && column < end; column++) {
        *to++ = outside;
    }
    for (; column < end; column++, from += step) {
        to = unpack(to, from);
    }
    for (; column < width; column++) {
        *to++ = outside;
    }
}

/* One strip's width of output pixels, from the top of the image to its bottom. The strip is a ring of rows, of which
 * `first` is the window's top one: a step down replaces only the rows that the window leaves. */
static void run_down(const tp_depthwise *operator, run *job, int32_t x, uint32_t channel)
{
    const tp_window *window = &operator->window;
    four *weights = (four *)(void *)operator->scratch, *strip = weights + 2 * window->kernel_height * window->kernel_width;
    int32_t rows = window->kernel_height, first = 0;
    int32_t left = window->out_width - x, pixels = left < operator->columns ? left : operator->columns;
    int32_t kept = window->dilation_height == 1 ? rows - window->stride_height : 0;
    for (int32_t y = 0; y < window->out_height; y++) {
        int32_t top = y * window->stride_height - window->pad_top;
        int32_t row = y > 0 && kept > 0 ? kept : 0;
        first = row > 0 ? first + window->stride_height : 0;
        first -= first >= rows ? rows : 0;
        for (; row < rows; row++) {
            int32_t slot = first + row < rows ? first + row : first + row - rows;
            fill_row(operator, strip + slot * operator->strip_width, top + row * window->dilation_height,
                     x * window->stride_width - window->pad_left, channel, job->outside);
        }
        job->strip = strip;
        job->weights = weights + (first > 0 ? rows - first : 0) * window->kernel_width;
        job->weights_end = job->weights + rows * window->kernel_width;
        job->output = operator->output + (y * window->out_width + x) * job->output_step + channel;
        if (!run_in_pairs(window, job, pixels)) {
            run_pixels(window, job, pixels);
        }
    }
}

/* Four channels; their weights are unpacked twice, one behind the other, to be read from any row on. */
static void run_channels(const tp_depthwise *operator, uint32_t channel)
{
    const tp_window *window = &operator->window;
    const tp_scale *scale = &operator->channels.scale;
    uint32_t taps = (uint32_t)window->kernel_height * window->kernel_width;
    four *weights = (four *)(void *)operator->scratch;
    for (uint32_t tap = 0; tap < taps; tap++) {
        weights[tap] = load_four(operator->channels.weights + tap * window->in_channels + channel);
        weights[taps + tap] = weights[tap];
    }
    int8_t zero = operator->in_zero_point;
    const int8_t zeros[4] = {zero, zero, zero, zero};
    run job = {
        .outside = load_four(zeros),
        .zero_point = scale->zero_point,
        .low = (uint8_t)scale->low * 0x01010101u,
        .high = (uint8_t)scale->high * 0x01010101u,
        .row_step = (operator->strip_width - window->kernel_width) * (int32_t)sizeof(four),
        .output_step = window->out_channels,
    };
    for (uint32_t i = 0; i < 4; i++) {
        job.biases[i] = operator->channels.biases[channel + i];
        job.factors[i][0] = scale->multipliers[channel + i];
        job.factors[i][1] = scale->shifts[channel + i];
    }
    for (int32_t x = 0; x < window->out_width; x += operator->columns) {
        run_down(operator, &job, x, channel);
    }
}

void tp_run_depthwise(const tp_depthwise *operator)
{
    uint32_t channels = operator->window.in_channels;
    for (uint32_t channel = 0; channel < channels; channel += 4) {
        /* The last four of an odd count overlap those before: some are computed twice. */
        run_channels(operator, channel + 4 <= channels ? channel : channels - 4);
    }
}
