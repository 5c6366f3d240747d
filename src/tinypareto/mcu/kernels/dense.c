/* Fully connected layer: all input values times two output channels at a time. */
#include "multiply.h"
#include "requantize.h"

void tp_multiply_dense(const tp_dense *operator)
{
    const tp_channels *channels = &operator->channels;
    const int8_t *weights = channels->weights;
    uint32_t depth = (operator->in_count + 3) & ~(uint32_t)3, channel = 0;
    for (; channel + 2 <= operator->out_count; channel += 2, weights += 2 * depth) {
        int32_t acc[2] = {channels->biases[channel], channels->biases[channel + 1]};
        tp_multiply_single(acc, operator->input, weights, depth);
        operator->output[channel] = tp_requantize(acc[0], &channels->scale, channel);
        operator->output[channel + 1] = tp_requantize(acc[1], &channels->scale, channel + 1);
    }
    if (channel < operator->out_count) {
        int32_t acc = channels->biases[channel];
        for (uint32_t i = 0; i < operator->in_count; i++) {
            acc += operator->input[i] * weights[i];
        }
        operator->output[channel] = tp_requantize(acc, &channels->scale, channel);
    }
}

void tp_run_dense(const tp_dense *operator)
{
    tp_multiply_dense(operator);
}
