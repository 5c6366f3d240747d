/* Blocks of bytes, and pixels one by one, from one place to another, perhaps through a table. */
#include "tinypareto.h"

static inline void move_word(int8_t *to, const int8_t *from)
{
    __builtin_memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 4);
}

/* Bytes that lie side by side: words where both sides are aligned. */
static inline void move_run(int8_t *to, const int8_t *from, uint32_t count)
{
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; count >= 16; count -= 16, to += 16, from += 16) {
            move_word(to, from);
            move_word(to + 4, from + 4);
            move_word(to + 8, from + 8);
            move_word(to + 12, from + 12);
        }
        for (; count >= 4; count -= 4, to += 4, from += 4) {
            move_word(to, from);
        }
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
}

static inline void look_up_run(int8_t *to, const int8_t *from, uint32_t count, const int8_t *table)
{
    for (const int8_t *zero = table - INT8_MIN; count > 0; count--) {
        *to++ = zero[*from++];
    }
}

static inline void move_apart(int8_t *to, const int8_t *from, const tp_move *operator)
{
    int32_t in_step = operator->in_channel, out_step = operator->out_channel;
    uint32_t count = operator->channels;
    if (operator->table) {
        const int8_t *zero = operator->table - INT8_MIN;
        for (; count > 0; count--, from += in_step, to += out_step) {
            *to = zero[*from];
        }
    }
    for (; count > 0; count--, from += in_step, to += out_step) {
        *to = *from;
    }
}

void tp_run_move(const tp_move *operator)
{
    int together = operator->in_channel == 1 && operator->out_channel == 1;
    for (uint32_t row = 0; row < operator->height; row++) {
        const int8_t *from = operator->input + (int32_t)row * operator->in_row;
        int8_t *to = operator->output + (int32_t)row * operator->out_row;
        for (uint32_t column = 0; column < operator->width; column++) {
            if (!together) {
                move_apart(to, from, operator);
            } else if (operator->table) {
                look_up_run(to, from, operator->channels, operator->table);
            } else {
                move_run(to, from, operator->channels);
            }
            from += operator->in_column, to += operator->out_column;
        }
    }
}

void tp_run_resize(const tp_resize *operator)
{
    int8_t *to = operator->output;
    uint32_t channels = operator->channels;
    for (uint32_t row = 0; row < operator->height; row++) {
        const int8_t *line = operator->input + operator->rows[row];
        for (uint32_t column = 0; column < operator->width; column++, to += channels) {
            const int8_t *pixel = line + operator->columns[column];
            if (operator->table) {
                look_up_run(to, pixel, channels, operator->table);
            } else {
                move_run(to, pixel, channels);
            }
        }
    }
}
