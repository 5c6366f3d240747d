/* Sum or difference of two tensors with scales of their own. */
#include "dsp.h"
#include "requantize.h"
#include "tinypareto.h"

static inline int32_t add(const tp_sum *sum, int32_t first, int32_t second)
{
    int32_t acc = sum->offset + first * sum->first_multiplier + second * sum->second_multiplier;
    return sum->zero_point + (acc >> sum->shift);
}

#if defined(__ARM_FEATURE_DSP)
/* The sum of both words' lowest bytes, not clamped to its bounds yet. */
static inline uint32_t add_bytes(const tp_sum *sum, uint32_t first, uint32_t second)
{
    return (uint32_t)tp_nearest_int8(add(sum, (int8_t)first, (int8_t)second));
}

/* Four values at a time; returns how many that were. */
static uint32_t add_words(tp_sum sum, const int8_t *first, const int8_t *second, int8_t *output, uint32_t count)
{
    uint32_t low = tp_four_times(sum.low), high = tp_four_times(sum.high);
    for (const int8_t *end = first + (count & ~(uint32_t)3); first != end; first += 4, second += 4, output += 4) {
        uint32_t a = tp_load_four(first), b = tp_load_four(second);
        uint32_t bytes = tp_pack_four(add_bytes(&sum, a, b), add_bytes(&sum, a >> 8, b >> 8),
                                      add_bytes(&sum, a >> 16, b >> 16), add_bytes(&sum, a >> 24, b >> 24));
        bytes = tp_clamp_four(bytes, low, high);
        __builtin_memcpy(output, &bytes, sizeof bytes);
    }
    return count & ~(uint32_t)3;
}
#endif

void tp_add_values(const tp_sum *sum, const int8_t *first, const int8_t *second, int8_t *output, uint32_t count)
{
    uint32_t i = 0;
#if defined(__ARM_FEATURE_DSP)
    i = add_words(*sum, first, second, output, count);
#endif
    for (; i < count; i++) {
        output[i] = (int8_t)tp_clamp(add(sum, first[i], second[i]), sum->low, sum->high);
    }
}

void tp_run_add(const tp_add *operator)
{
    tp_add_values(&operator->sum, operator->first, operator->second, operator->output, operator->count);
}
