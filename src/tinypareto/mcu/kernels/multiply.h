/* The inner products of all matrix kernels.
 *
 * Vectors come in pairs, interleaved word by word: four bytes of the first, four of the second, and so on, on a
 * multiple of 4. `depth` is the bytes of one vector, a multiple of 4: whatever stands in a patch behind the last value
 * meets a weight of zero. */
#ifndef TINYPARETO_MULTIPLY_H
#define TINYPARETO_MULTIPLY_H

#include "dsp.h"
#include "tinypareto.h"

/* Products of two pixels x and two channels w. */
typedef struct {
    int32_t x0w0, x0w1, x1w0, x1w1;
} tp_tile;

#if defined(__ARM_FEATURE_DSP) && defined(__OPTIMIZE__) /* unoptimised code has too few registers left */
/* Four values of each vector, 16 products. Bytes 0 and 2, then 1 and 3, become two int16: the order cancels out, since
 * both factors have it. An asm block, as the compiler would spend two registers and 8 % more instructions. */
#define TP_STEP                                                                                         \
    "ldrd %[a], %[b], [%[x]], #8\n\t"                                                                   \
    "ldrd %[e], %[f], [%[w]], #8\n\t"                                                                   \
    "sxtb16 %[c], %[a]\n\t"                                                                             \
    "sxtb16 %[a], %[a], ror #8\n\t"                                                                     \
    "sxtb16 %[d], %[b]\n\t"                                                                             \
    "sxtb16 %[b], %[b], ror #8\n\t"                                                                     \
    "sxtb16 %[g], %[e]\n\t"                                                                             \
    "sxtb16 %[e], %[e], ror #8\n\t"                                                                     \
    "smlad %[x0w0], %[c], %[g], %[x0w0]\n\t"                                                            \
    "smlad %[x1w0], %[d], %[g], %[x1w0]\n\t"                                                            \
    "smlad %[x0w0], %[a], %[e], %[x0w0]\n\t"                                                            \
    "smlad %[x1w0], %[b], %[e], %[x1w0]\n\t"                                                            \
    "sxtb16 %[g], %[f]\n\t"                                                                             \
    "sxtb16 %[f], %[f], ror #8\n\t"                                                                     \
    "smlad %[x0w1], %[c], %[g], %[x0w1]\n\t"                                                            \
    "smlad %[x1w1], %[d], %[g], %[x1w1]\n\t"                                                            \
    "smlad %[x0w1], %[a], %[f], %[x0w1]\n\t"                                                            \
    "smlad %[x1w1], %[b], %[f], %[x1w1]\n\t"

/* Repeats STEPS until x reaches `end`, which lies in memory: all registers are taken. */
#define TP_LOOP(STEPS)                                                                                  \
    __asm__ volatile("0:\n\t" STEPS "ldr %[a], %[end]\n\tcmp %[x], %[a]\n\tbne 0b"                      \
                     : [x0w0] "+r"(acc.x0w0), [x0w1] "+r"(acc.x0w1), [x1w0] "+r"(acc.x1w0),             \
                       [x1w1] "+r"(acc.x1w1), [x] "+r"(x), [w] "+r"(w), [a] "=&r"(a), [b] "=&r"(b),     \
                       [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e), [f] "=&r"(f), [g] "=&r"(g)             \
                     : [end] "m"(end)                                                                   \
                     : "cc", "memory")

static inline tp_tile tp_multiply_pairs(tp_tile acc, const int8_t *x, const int8_t *w, uint32_t depth)
{
    int32_t a, b, c, d, e, f, g;
    const int8_t *end = x + 2 * (depth & 12);
    if (x != end) {
        TP_LOOP(TP_STEP);
    }
    end = x + 2 * (depth & ~(uint32_t)15);
    if (x != end) {
        TP_LOOP(TP_STEP TP_STEP TP_STEP TP_STEP);
    }
    return acc;
}

/* acc[i] += single . pair[i] */
static inline void tp_multiply_single(int32_t acc[2], const int8_t *single, const int8_t *pair, uint32_t depth)
{
    int32_t acc0 = acc[0], acc1 = acc[1];
    for (const int8_t *end = single + depth; single != end; single += 4, pair += 8) {
        uint32_t s, words[2];
        __builtin_memcpy(&s, single, sizeof s);
        __builtin_memcpy(words, __builtin_assume_aligned(pair, 4), sizeof words);
        int16x2_t even = tp_even_bytes(s), odd = tp_odd_bytes(s);
        acc0 = __smlad(tp_even_bytes(words[0]), even, acc0);
        acc1 = __smlad(tp_even_bytes(words[1]), even, acc1);
        acc0 = __smlad(tp_odd_bytes(words[0]), odd, acc0);
        acc1 = __smlad(tp_odd_bytes(words[1]), odd, acc1);
    }
    acc[0] = acc0, acc[1] = acc1;
}
#else
static inline tp_tile tp_multiply_pairs(tp_tile acc, const int8_t *x, const int8_t *w, uint32_t depth)
{
    for (const int8_t *end = x + 2 * depth; x != end; x += 8, w += 8) {
        for (uint32_t i = 0; i < 4; i++) {
            acc.x0w0 += x[i] * w[i];
            acc.x0w1 += x[i] * w[i + 4];
            acc.x1w0 += x[i + 4] * w[i];
            acc.x1w1 += x[i + 4] * w[i + 4];
        }
    }
    return acc;
}

/* acc[i] += single . pair[i] */
static inline void tp_multiply_single(int32_t acc[2], const int8_t *single, const int8_t *pair, uint32_t depth)
{
    for (const int8_t *end = single + depth; single != end; single += 4, pair += 8) {
        for (uint32_t i = 0; i < 4; i++) {
            acc[0] += single[i] * pair[i];
            acc[1] += single[i] * pair[i + 4];
        }
    }
}
#endif

#endif
