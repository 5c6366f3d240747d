/* Four bytes at a time, on cores that have DSP instructions; clang and gcc both compile it. */
#ifndef TINYPARETO_DSP_H
#define TINYPARETO_DSP_H

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#include <stdint.h>

static inline uint32_t tp_load_four(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

/* Bytes 0 and 2 of a word as two int16. */
static inline int16x2_t tp_even_bytes(uint32_t word)
{
    return __sxtb16((int8x4_t)word);
}

/* Bytes 1 and 3. The rotation is written out, since gcc's arm_acle.h has no __ror. */
static inline int16x2_t tp_odd_bytes(uint32_t word)
{
    return __sxtb16((int8x4_t)(word >> 8 | word << 24));
}

/* Not __ssat, which gcc's arm_acle.h makes a conversion that -Wconversion warns of. */
static inline int32_t tp_nearest_int8(int32_t value)
{
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return result;
}
#endif

#endif
