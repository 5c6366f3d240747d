/* Each value's share of the sum of exponentials, along one axis; integers only (mcu/rankings.py). */
#include "requantize.h"
#include "tinypareto.h"

#define SHARE_BITS 15

static void share_out(const tp_softmax *operator, const int8_t *input, int8_t *output)
{
    uint32_t step = operator->inner, size = operator->count * step, sum = 0;
    int32_t largest = INT8_MIN;
    for (uint32_t i = 0; i < size; i += step) {
        largest = input[i] > largest ? input[i] : largest;
    }
    for (uint32_t i = 0; i < size; i += step) {
        sum += operator->exponentials[largest - input[i]];
    }
    for (uint32_t i = 0; i < size; i += step) {
        uint32_t power = operator->exponentials[largest - input[i]];
        uint32_t share = ((power << SHARE_BITS) + sum / 2) / sum;
        output[i] = tp_requantize((int32_t)share, &operator->scale, 0);
    }
}

void tp_run_softmax(const tp_softmax *operator)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < operator->outer; i++, start += operator->count * operator->inner) {
        for (uint32_t j = 0; j < operator->inner; j++) {
            share_out(operator, operator->input + start + j, operator->output + start + j);
        }
    }
}
