/* Product of two tensors, the second perhaps one pixel that scales the channels of all others. */
#include "dsp.h"
#include "requantize.h"
#include "tinypareto.h"

#if defined(__ARM_FEATURE_DSP)
typedef struct {
    int32_t multiplier, shift, zero_point, first_zero_point, second_zero_point;
} factors;

/* The product of both words' lowest bytes, not clamped to its bounds yet. */
static inline uint32_t multiply_bytes(const factors *by, uint32_t first, uint32_t second)
{
    int32_t product = ((int8_t)first - by->first_zero_point) * ((int8_t)second - by->second_zero_point);
    return tp_saturated(product, by->multiplier, by->shift, by->zero_point);
}

/* Four values of a run at a time; returns how many that were. */
static uint32_t multiply_words(const tp_mul *operator, const int8_t *first, int8_t *output)
{
    const tp_scale *scale = &operator->scale;
    const factors by = {scale->multipliers[0], scale->shifts[0], scale->zero_point, operator->first_zero_point,
                        operator->second_zero_point};
    const int8_t *second = operator->second, *end = second + (operator->count & ~(uint32_t)3);
    uint32_t low = tp_four_times(scale->low), high = tp_four_times(scale->high);
    for (; second != end; first += 4, second += 4, output += 4) {
        uint32_t a = tp_load_four(first), b = tp_load_four(second);
        uint32_t bytes = tp_pack_four(multiply_bytes(&by, a, b), multiply_bytes(&by, a >> 8, b >> 8),
                                      multiply_bytes(&by, a >> 16, b >> 16), multiply_bytes(&by, a >> 24, b >> 24));
        bytes = tp_clamp_four(bytes, low, high);
        __builtin_memcpy(output, &bytes, sizeof bytes);
    }
    return operator->count & ~(uint32_t)3;
}
#else
static uint32_t multiply_words(const tp_mul *operator, const int8_t *first, int8_t *output)
{
    (void)operator, (void)first, (void)output;
    return 0;
}
#endif

void tp_run_mul(const tp_mul *operator)
{
    const int8_t *first = operator->first;
    int8_t *output = operator->output;
    for (uint32_t repeat = 0; repeat < operator->repeats; repeat++) {
        for (uint32_t i = multiply_words(operator, first, output); i < operator->count; i++) {
            int32_t factor = operator->second[i] - operator->second_zero_point;
            output[i] = tp_requantize((first[i] - operator->first_zero_point) * factor, &operator->scale, 0);
        }
        first += operator->count, output += operator->count;
    }
}
