/* 1 x 1 convolution: each pixel's channels already lie side by side, so nothing is gathered. */
#include "tinypareto.h"

void tp_run_pointwise(const tp_pointwise *operator)
{
    tp_range range = {0, operator->out_channels, operator->in_channels};
    uint32_t pixels = (uint32_t)operator->out_height * operator->out_width;
    uint32_t step = (uint32_t)operator->stride_width * operator->in_channels;
    /* From the end of one output row to the start of the next. */
    uint32_t row = (uint32_t)operator->stride_height * operator->in_width * operator->in_channels;
    const int8_t *input = operator->input, *inputs[2];
    int8_t *output = operator->output, *outputs[2];
    uint32_t x = 0, waiting = 0;
    const int8_t *line = input;
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        inputs[waiting] = input, outputs[waiting] = output;
        waiting++;
        input += step, output += operator->out_channels;
        if (++x == operator->out_width) {
            x = 0, line += row, input = line;
        }
        if (pixel + 1 == pixels && waiting == 1) {
            inputs[1] = inputs[0], outputs[1] = outputs[0], waiting = 2;
        }
        if (waiting == 2) {
            tp_multiply_pair(&operator->channels, range, inputs, outputs);
            waiting = 0;
        }
    }
}
