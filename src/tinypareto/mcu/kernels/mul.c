/* Product of two tensors, the second perhaps one pixel that scales the channels of all others. */
#include "requantize.h"
#include "tinypareto.h"

void tp_run_mul(const tp_mul *operator)
{
    const int8_t *first = operator->first;
    int8_t *output = operator->output;
    for (uint32_t repeat = 0; repeat < operator->repeats; repeat++) {
        for (uint32_t i = 0; i < operator->count; i++) {
            int32_t factor = operator->second[i] - operator->second_zero_point;
            *output++ = tp_requantize((*first++ - operator->first_zero_point) * factor, &operator->scale, 0);
        }
    }
}
