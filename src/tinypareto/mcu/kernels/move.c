/* A block of bytes from one place to another, perhaps through a table. */
#include "tinypareto.h"

void tp_run_move(const tp_move *operator)
{
    const int8_t *zero = operator->table ? operator->table - INT8_MIN : 0;
    int32_t in_step = operator->in_channel, out_step = operator->out_channel;
    for (uint32_t row = 0; row < operator->height; row++) {
        const int8_t *input = operator->input + (int32_t)row * operator->in_row;
        int8_t *output = operator->output + (int32_t)row * operator->out_row;
        for (uint32_t column = 0; column < operator->width; column++) {
            const int8_t *from = input;
            int8_t *to = output;
            for (uint32_t i = 0; i < operator->channels; i++, from += in_step, to += out_step) {
                *to = zero ? zero[*from] : *from;
            }
            input += operator->in_column, output += operator->out_column;
        }
    }
}
