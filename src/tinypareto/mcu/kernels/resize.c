/* Nearest neighbours, whose places stand in tables. */
#include "tinypareto.h"

void tp_run_resize(const tp_resize *operator)
{
    const int8_t *zero = operator->table ? operator->table - INT8_MIN : 0;
    int8_t *output = operator->output;
    for (uint32_t row = 0; row < operator->height; row++) {
        const int8_t *line = operator->input + operator->rows[row];
        for (uint32_t column = 0; column < operator->width; column++) {
            const int8_t *pixel = line + operator->columns[column];
            for (uint32_t channel = 0; channel < operator->channels; channel++) {
                *output++ = zero ? zero[pixel[channel]] : pixel[channel];
            }
        }
    }
}
