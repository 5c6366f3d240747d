/* From an int32 accumulator to int8.
 *
 * Specified is q = clamp(zero_point + ((acc * multiplier + 2^(shift - 1)) >> shift)) in 64 bits, with a
 * multiplier of 0 or in [2^30, 2^31). The tables hold exponent = min(33 - shift, 16) in place of shift, and then 32 bits do:
 *
 * - exponent <= 0: floor((v + 2^(s-1)) / 2^s) = (floor(v / 2^(s-1)) + 1) >> 1, and floor(v / 2^(s-1)) is
 *   the product's high word shifted right by -exponent.
 * - exponent > 0 (a factor of at least 1/4): the accumulator is shifted left by it first. An accumulator beyond
 *   15 bits ends outside int8 in any case, so it may be clamped there, and the left shift cannot overflow.
 *   For the same reason an exponent above 16 changes nothing.
 *
 * There is no branch: factors are values, and values must not steer the code.
 */
#ifndef TINYPARETO_REQUANTIZE_H
#define TINYPARETO_REQUANTIZE_H

#include "tinypareto.h"

static inline int32_t tp_clamp(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

static inline int32_t tp_high_word(int32_t first, int32_t second)
{
    return (int32_t)(((int64_t)first * second) >> 32);
}

static inline int8_t tp_requantize(int32_t acc, const tp_scale *scale, uint32_t channel)
{
    int32_t exponent = scale->exponents[channel];
    int32_t left = exponent > 0 ? exponent : 0;
    int32_t narrow = tp_clamp(acc, -(1 << 14), (1 << 14) - 1);
    int32_t shifted = (exponent > 0 ? narrow : acc) * (1 << left);
    int32_t twice = tp_high_word(shifted, scale->multipliers[channel]) >> (left - exponent);
    return (int8_t)tp_clamp(scale->zero_point + ((twice + 1) >> 1), scale->low, scale->high);
}

#endif
