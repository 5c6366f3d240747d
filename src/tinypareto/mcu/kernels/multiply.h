/* The layout of matrix kernels' factors, and the product of one vector and a pair.
 *
 * Vectors come in pairs, interleaved word by word: four bytes of the first, four of the second, and so on, on a
 * multiple of 4. `depth` is the bytes of one vector, a multiple of 4: whatever stands in a patch behind the last value
 * meets a weight of zero. */
#ifndef TINYPARETO_MULTIPLY_H
#define TINYPARETO_MULTIPLY_H

#include "dsp.h"
#include "tinypareto.h"

#if defined(__ARM_FEATURE_DSP)
/* acc[i] += single . pair[i] */
static inline void tp_multiply_single(int32_t acc[2], const int8_t *single, const int8_t *pair, uint32_t depth)
{
    int32_t acc0 = acc[0], acc1 = acc[1];
    for (const int8_t *end = single + depth; single != end; single += 4, pair += 8) {
        uint32_t s = tp_load_four(single), words[2];
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
