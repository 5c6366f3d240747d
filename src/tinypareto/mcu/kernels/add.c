/* Sum or difference of two tensors with scales of their own. */
#include "requantize.h"
#include "tinypareto.h"

void tp_run_add(const tp_add *operator)
{
    const int8_t *first = operator->first, *second = operator->second;
    int8_t *output = operator->output;
    for (uint32_t i = 0; i < operator->count; i++) {
        int32_t acc = operator->offset + first[i] * operator->first_multiplier
                      + second[i] * operator->second_multiplier;
        output[i] = (int8_t)tp_clamp(operator->zero_point + (acc >> operator->shift), operator->low, operator->high);
    }
}
