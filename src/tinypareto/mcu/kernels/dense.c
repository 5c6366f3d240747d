/* Fully connected layer: one pixel, every input value in one run. */
#include "tinypareto.h"

void tp_run_dense(const tp_dense *operator)
{
    tp_range range = {0, operator->out_count, operator->in_count};
    const int8_t *const inputs[2] = {operator->input, operator->input};
    int8_t *const outputs[2] = {operator->output, operator->output};
    tp_multiply_pair(&operator->channels, range, inputs, outputs);
}
