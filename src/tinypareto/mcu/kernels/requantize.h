/* From an int32 accumulator to int8:
 *
 *     q = clamp(zero_point + ((acc * 2^shift * multiplier + 2^31) >> 32))
 *
 * The tables hold a multiplier and a shift per output channel such that acc * 2^shift fits 32 bits. There is no
 * branch: factors are values, and values must not steer the code.
 */
#ifndef TINYPARETO_REQUANTIZE_H
#define TINYPARETO_REQUANTIZE_H

#include "dsp.h"
#include "tinypareto.h"

static inline int32_t tp_clamp(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* zero_point + round(shifted * multiplier / 2^32), halves up. */
static inline int32_t tp_rescale(int32_t shifted, int32_t multiplier, int32_t zero_point)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(shifted), "r"(multiplier), "r"(zero_point));
    return result;
#else
    return zero_point + (int32_t)(((int64_t)shifted * multiplier + ((int64_t)1 << 31)) >> 32);
#endif
}

static inline int8_t tp_requantize(int32_t acc, const tp_scale *scale, uint32_t channel)
{
    int32_t shifted = acc * (1 << scale->shifts[channel]);
    int32_t value = tp_rescale(shifted, scale->multipliers[channel], scale->zero_point);
    return (int8_t)tp_clamp(value, scale->low, scale->high);
}

#if defined(__ARM_FEATURE_DSP)
/* The nearest int8, as the low byte of a word. */
static inline uint32_t tp_saturated(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point)
{
    return (uint32_t)tp_nearest_int8(tp_rescale((int32_t)((uint32_t)acc << shift), multiplier, zero_point));
}

/* The low bytes of four words. */
static inline uint32_t tp_pack_four(uint32_t byte0, uint32_t byte1, uint32_t byte2, uint32_t byte3)
{
    __asm__("bfi %0, %1, #8, #8" : "+r"(byte0) : "r"(byte1));
    __asm__("bfi %0, %1, #16, #8" : "+r"(byte0) : "r"(byte2));
    __asm__("bfi %0, %1, #24, #8" : "+r"(byte0) : "r"(byte3));
    return byte0;
}

/* Clamps four int8 at once; each bound is given four times in a word. */
static inline uint32_t tp_clamp_four(uint32_t bytes, uint32_t low, uint32_t high)
{
    uint32_t difference;
    __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2\n\tssub8 %1, %3, %0\n\tsel %0, %0, %3"
            : "+r"(bytes), "=&r"(difference) : "r"(low), "r"(high) : "cc");
    return bytes;
}

static inline uint32_t tp_four_times(int8_t value)
{
    return (uint8_t)value * 0x01010101u;
}
#endif

#endif
