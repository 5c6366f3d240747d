/* The index of the largest value along one axis, the first of equals; 0 is stored as -128. */
#include "requantize.h"
#include "tinypareto.h"

void tp_run_arg_max(const tp_arg_max *operator)
{
    const int8_t *run = operator->input;
    int8_t *output = operator->output;
    for (uint32_t i = 0; i < operator->outer; i++, run += operator->count * operator->inner) {
        for (uint32_t j = 0; j < operator->inner; j++) {
            const int8_t *value = run + j;
            int32_t largest = *value, index = 0;
            for (uint32_t k = 1; k < operator->count; k++) {
                value += operator->inner;
                if (*value > largest) {
                    largest = *value, index = (int32_t)k;
                }
            }
            *output++ = (int8_t)tp_clamp(INT8_MIN + index, operator->low, operator->high);
        }
    }
}
