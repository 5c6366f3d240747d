/* Filling the patch of two pixels, which are interleaved word by word (multiply.h). A position is the address of a
 * pixel's next byte; behind each of its words lies one of the other pixel's. */
#ifndef TINYPARETO_PATCH_H
#define TINYPARETO_PATCH_H

#include "tinypareto.h"

static inline int tp_inside_word(const int8_t *position)
{
    return ((uintptr_t)position & 3) != 0;
}

static inline void tp_copy_word(int8_t *to, const int8_t *from)
{
    __builtin_memcpy(__builtin_assume_aligned(to, 4), from, 4);
}

/* Copies `count` bytes and returns the position behind them. */
static inline int8_t *tp_copy(int8_t *to, const int8_t *from, uint32_t count)
{
    while (tp_inside_word(to) && count > 0) {
        *to++ = *from++, count--;
        to += tp_inside_word(to) ? 0 : 4;
    }
    for (; count >= 16; count -= 16, to += 32, from += 16) {
        tp_copy_word(to, from);
        tp_copy_word(to + 8, from + 4);
        tp_copy_word(to + 16, from + 8);
        tp_copy_word(to + 24, from + 12);
    }
    for (; count >= 4; count -= 4, to += 8, from += 4) {
        tp_copy_word(to, from);
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
    return to;
}

/* Where the values of pixels at `output` go for now: there, unless something is to be added to them. */
static inline int8_t *tp_values(const tp_skip *skip, int8_t *output)
{
    return skip ? skip->values : output;
}

/* Adds what is to be added to the `count` values of pixels at `output`, which lies `offset` bytes into its tensor. */
static inline void tp_add_skip(const tp_skip *skip, int8_t *output, uint32_t offset, uint32_t count)
{
    if (skip) {
        skip->add(&skip->sum, skip->values, skip->tensor + offset, output, count);
    }
}

#endif
