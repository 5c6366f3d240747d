/* 1 x 1 convolution: each pixel's channels already lie side by side. */
#include "patch.h"
#include "tinypareto.h"

void tp_run_pointwise(const tp_pointwise *operator)
{
    uint32_t depth = (operator->in_channels + 3u) & ~3u;
    tp_range range = {0, operator->out_channels, depth};
    uint32_t pixels = (uint32_t)operator->out_height * operator->out_width;
    uint32_t step = (uint32_t)operator->stride_width * operator->in_channels;
    /* From the start of one output row to that of the next. */
    uint32_t row = (uint32_t)operator->stride_height * operator->in_width * operator->in_channels;
    const int8_t *line = operator->input, *input = line;
    int8_t *output = operator->output;
    uint32_t x = 0, channels = operator->out_channels;
    for (uint32_t pixel = 0; pixel < pixels; pixel++) {
        uint32_t second = pixel & 1;
        tp_copy(operator->scratch + 4 * second, input, operator->in_channels);
        input += step;
        if (++x == operator->out_width) {
            x = 0, line += row, input = line;
        }
        if (second || pixel + 1 == pixels) {
            int8_t *values = tp_values(operator->skip, output);
            int8_t *const outputs[2] = {values, values + second * channels};
            tp_multiply_pair(&operator->channels, range, operator->scratch, outputs);
            tp_add_skip(operator->skip, output, (uint32_t)(output - operator->output), channels + second * channels);
            output += channels + second * channels;
        }
    }
}
