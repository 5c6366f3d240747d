/* Two pixels times a run of output channels, two channels at a time, so that each byte loaded is used twice. */
#include "multiply.h"
#include "requantize.h"

#if defined(__ARM_FEATURE_DSP)
/* What multiply_tiles keeps in memory, since its inner loop takes all registers; its offsets are written out there. */
typedef struct {
    const int8_t *patches, *single_steps_end, *patches_end; /* 0, 4, 8 */
    const int8_t *weights_end;                               /* 12 */
    const int32_t *biases, *multipliers;                     /* 16, 20 */
    const int8_t *shifts;                                    /* 24 */
    int32_t zero_point;                                      /* 28 */
    uint32_t low, high;                                      /* 32, 36: four times the bound */
    int8_t *outputs[2];                                      /* 40, 44 */
} tiles;

/* Four values of both pixels (from r1) times four of both channels (from r0): 16 products. Bytes 0 and 2, then 1 and 3,
 * become two int16: the order cancels out, since both factors have it. */
#define STEP                             \
    "ldrd r2, r3, [r1], #8\n\t"          \
    "ldrd r10, r11, [r0], #8\n\t"        \
    "sxtb16 r8, r2\n\t"                  \
    "sxtb16 r2, r2, ror #8\n\t"          \
    "sxtb16 r9, r3\n\t"                  \
    "sxtb16 r3, r3, ror #8\n\t"          \
    "sxtb16 r12, r10\n\t"                \
    "sxtb16 r10, r10, ror #8\n\t"        \
    "smlad r4, r8, r12, r4\n\t"          \
    "smlad r6, r9, r12, r6\n\t"          \
    "smlad r4, r2, r10, r4\n\t"          \
    "smlad r6, r3, r10, r6\n\t"          \
    "sxtb16 r12, r11\n\t"                \
    "sxtb16 r11, r11, ror #8\n\t"        \
    "smlad r5, r8, r12, r5\n\t"          \
    "smlad r7, r9, r12, r7\n\t"          \
    "smlad r5, r2, r11, r5\n\t"          \
    "smlad r7, r3, r11, r7\n\t"

/* Computes tiles of two pixels x two channels until the weights end. r4..r7 accumulate pixel 0 channel 0, pixel 0
 * channel 1, pixel 1 channel 0, pixel 1 channel 1. Written out, since a compiler runs short of registers. */
__attribute__((naked, noinline)) static void multiply_tiles(const int8_t *weights __attribute__((unused)),
                                                            tiles *job __attribute__((unused)))
{
    __asm__(
        "push {r1, r4-r11, lr}\n"
        "0:\n\t"
        "ldr lr, [sp]\n\t"
        "ldr r2, [lr, #16]\n\t"
        "ldrd r4, r5, [r2], #8\n\t"
        "str r2, [lr, #16]\n\t"
        "mov r6, r4\n\t"
        "mov r7, r5\n\t"
        "ldr r1, [lr]\n\t"
        "ldr lr, [lr, #4]\n\t"
        "cmp r1, lr\n\t"
        "beq 2f\n"
        "1:\n\t" STEP
        "cmp r1, lr\n\t"
        "bne 1b\n"
        "2:\n\t"
        "ldr lr, [sp]\n\t"
        "ldr lr, [lr, #8]\n\t"
        "cmp r1, lr\n\t"
        "beq 4f\n"
        "3:\n\t" STEP STEP STEP STEP
        "cmp r1, lr\n\t"
        "bne 3b\n"
        "4:\n\t"
        /* requantize.h: shift, multiply, saturate. */
        "ldr lr, [sp]\n\t"
        "ldrd r2, r3, [lr, #20]\n\t"
        "ldrd r8, r9, [r2], #8\n\t"
        "ldrb r10, [r3], #1\n\t"
        "ldrb r11, [r3], #1\n\t"
        "strd r2, r3, [lr, #20]\n\t"
        "ldr r12, [lr, #28]\n\t"
        "lsl r4, r4, r10\n\t"
        "lsl r5, r5, r11\n\t"
        "lsl r6, r6, r10\n\t"
        "lsl r7, r7, r11\n\t"
        "smmlar r4, r4, r8, r12\n\t"
        "smmlar r5, r5, r9, r12\n\t"
        "smmlar r6, r6, r8, r12\n\t"
        "smmlar r7, r7, r9, r12\n\t"
        "ssat r4, #8, r4\n\t"
        "ssat r5, #8, r5\n\t"
        "ssat r6, #8, r6\n\t"
        "ssat r7, #8, r7\n\t"
        /* All four as bytes of r4, clamped at once, stored as two halfwords. */
        "bfi r4, r5, #8, #8\n\t"
        "bfi r4, r6, #16, #8\n\t"
        "bfi r4, r7, #24, #8\n\t"
        "ldrd r2, r3, [lr, #32]\n\t"
        "ssub8 r5, r4, r2\n\t"
        "sel r4, r4, r2\n\t"
        "ssub8 r5, r3, r4\n\t"
        "sel r4, r4, r3\n\t"
        "ldrd r2, r3, [lr, #40]\n\t"
        "lsr r5, r4, #16\n\t"
        "strh r5, [r3], #2\n\t"
        "strh r4, [r2], #2\n\t"
        "strd r2, r3, [lr, #40]\n\t"
        "ldr r2, [lr, #12]\n\t"
        "cmp r0, r2\n\t"
        "bne 0b\n\t"
        "pop {r1, r4-r11, pc}\n");
}

/* The channels in pairs; `weights_end` is where theirs end. */
static void multiply_pairs(const tp_channels *channels, tp_range range, const int8_t *weights,
                           const int8_t *weights_end, const int8_t *patches, int8_t *const outputs[2])
{
    const tp_scale *scale = &channels->scale;
    tiles job = {
        .patches = patches,
        .single_steps_end = patches + 2 * (range.depth & 12),
        .patches_end = patches + 2 * range.depth,
        .weights_end = weights_end,
        .biases = channels->biases + range.first,
        .multipliers = scale->multipliers + range.first,
        .shifts = scale->shifts + range.first,
        .zero_point = scale->zero_point,
        .low = tp_four_times(scale->low),
        .high = tp_four_times(scale->high),
        .outputs = {outputs[0] + range.first, outputs[1] + range.first},
    };
    multiply_tiles(weights, &job);
}
#else
/* Sums of two pixels x two channels. */
typedef struct {
    int32_t x0w0, x0w1, x1w0, x1w1;
} tile;

/* Value `i` of both pixels times that of both channels. */
static inline tile multiply_values(tile acc, const int8_t *x, const int8_t *w, uint32_t i)
{
    int32_t x0 = x[i], x1 = x[i + 4], w0 = w[i], w1 = w[i + 4];
    tile sum = {acc.x0w0 + x0 * w0, acc.x0w1 + x0 * w1, acc.x1w0 + x1 * w0, acc.x1w1 + x1 * w1};
    return sum;
}

/* The channels in pairs; `weights_end` is where theirs end. */
static void multiply_pairs(const tp_channels *channels, tp_range range, const int8_t *weights,
                           const int8_t *weights_end, const int8_t *patches, int8_t *const outputs[2])
{
    const tp_scale *scale = &channels->scale;
    for (uint32_t channel = range.first; weights != weights_end; channel += 2) {
        const int32_t *bias = channels->biases + channel;
        tile acc = {bias[0], bias[1], bias[0], bias[1]};
        for (const int8_t *x = patches; x != patches + 2 * range.depth; x += 8, weights += 8) {
            acc = multiply_values(acc, x, weights, 0);
            acc = multiply_values(acc, x, weights, 1);
            acc = multiply_values(acc, x, weights, 2);
            acc = multiply_values(acc, x, weights, 3);
        }
        outputs[1][channel] = tp_requantize(acc.x1w0, scale, channel);
        outputs[1][channel + 1] = tp_requantize(acc.x1w1, scale, channel + 1);
        outputs[0][channel] = tp_requantize(acc.x0w0, scale, channel);
        outputs[0][channel + 1] = tp_requantize(acc.x0w1, scale, channel + 1);
    }
}
#endif

void tp_multiply_pair(const tp_channels *channels, tp_range range, const int8_t *patches, int8_t *const outputs[2])
{
    const int8_t *weights = channels->weights + range.first * range.depth;
    const int8_t *weights_end = weights + (range.count & ~(uint32_t)1) * range.depth;
    if (weights != weights_end) {
        multiply_pairs(channels, range, weights, weights_end, patches, outputs);
    }
    if (range.count & 1) {
        uint32_t channel = range.first + range.count - 1;
        int32_t acc[2] = {channels->biases[channel], channels->biases[channel]};
        tp_multiply_single(acc, weights_end, patches, range.depth);
        outputs[1][channel] = tp_requantize(acc[1], &channels->scale, channel);
        outputs[0][channel] = tp_requantize(acc[0], &channels->scale, channel);
    }
}
