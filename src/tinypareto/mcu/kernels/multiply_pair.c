/* The inner product of all matrix kernels: two pixels times two output channels at a time, so that each
 * byte loaded is used twice. */
#include "requantize.h"
#include "tinypareto.h"

typedef struct {
    int32_t x0w0, x0w1, x1w0, x1w1;
} tile;

static inline tile multiply_bytes(tile acc, const int8_t *x0, const int8_t *x1, const int8_t *w0,
                                  const int8_t *w1, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        acc.x0w0 += x0[i] * w0[i];
        acc.x0w1 += x0[i] * w1[i];
        acc.x1w0 += x1[i] * w0[i];
        acc.x1w1 += x1[i] * w1[i];
    }
    return acc;
}

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>

static inline uint32_t load_four(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

/* Bytes 0 and 2, or 1 and 3, of a word as two int16: the order cancels out, since both factors have it. */
static inline int16x2_t even_bytes(uint32_t word)
{
    return __sxtb16((int8x4_t)word);
}

static inline int16x2_t odd_bytes(uint32_t word)
{
    return __sxtb16((int8x4_t)__ror(word, 8));
}

static inline tile multiply(tile acc, const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
                            uint32_t depth)
{
    const int8_t *end = x0 + (depth & ~(uint32_t)3);
    while (x0 != end) {
        uint32_t word = load_four(x0);
        int16x2_t x0_even = even_bytes(word), x0_odd = odd_bytes(word);
        word = load_four(x1);
        int16x2_t x1_even = even_bytes(word), x1_odd = odd_bytes(word);
        word = load_four(w0);
        int16x2_t w_even = even_bytes(word), w_odd = odd_bytes(word);
        acc.x0w0 = __smlad(x0_even, w_even, acc.x0w0);
        acc.x1w0 = __smlad(x1_even, w_even, acc.x1w0);
        acc.x0w0 = __smlad(x0_odd, w_odd, acc.x0w0);
        acc.x1w0 = __smlad(x1_odd, w_odd, acc.x1w0);
        /* Both channels' weights at once need two registers more than there are: 8 % more instructions. */
        __asm__ volatile("" ::: "memory");
        word = load_four(w1);
        w_even = even_bytes(word), w_odd = odd_bytes(word);
        acc.x0w1 = __smlad(x0_even, w_even, acc.x0w1);
        acc.x1w1 = __smlad(x1_even, w_even, acc.x1w1);
        acc.x0w1 = __smlad(x0_odd, w_odd, acc.x0w1);
        acc.x1w1 = __smlad(x1_odd, w_odd, acc.x1w1);
        x0 += 4, x1 += 4, w0 += 4, w1 += 4;
    }
    return multiply_bytes(acc, x0, x1, w0, w1, depth & 3);
}
#else
static inline tile multiply(tile acc, const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1,
                            uint32_t depth)
{
    return multiply_bytes(acc, x0, x1, w0, w1, depth);
}
#endif

/* Both values are computed before one is stored: after a store the compiler would load the factors anew. */
static inline void store(const tp_scale *scale, uint32_t channel, int32_t first, int32_t second,
                         int8_t *const outputs[2])
{
    int8_t value0 = tp_requantize(first, scale, channel);
    int8_t value1 = tp_requantize(second, scale, channel);
    outputs[0][channel] = value0;
    outputs[1][channel] = value1;
}

void tp_multiply_pair(const tp_channels *channels, tp_range range, const int8_t *const inputs[2],
                      int8_t *const outputs[2])
{
    uint32_t last = range.first + range.count - 1;
    for (uint32_t i = range.first; i <= last; i += 2) {
        uint32_t j = i < last ? i + 1 : i; /* an odd last channel is computed twice */
        tile acc = {channels->biases[i], channels->biases[j], channels->biases[i], channels->biases[j]};
        acc = multiply(acc, inputs[0], inputs[1], channels->weights + i * range.depth,
                       channels->weights + j * range.depth, range.depth);
        store(&channels->scale, i, acc.x0w0, acc.x1w0, outputs);
        store(&channels->scale, j, acc.x0w1, acc.x1w1, outputs);
    }
}
