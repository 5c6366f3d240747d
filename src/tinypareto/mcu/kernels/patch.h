/* Filling the patch of two pixels, which are interleaved word by word (multiply.h). A position is the address of a
 * pixel's next byte; behind each of its words lies one of the other pixel's. */
#ifndef TINYPARETO_PATCH_H
#define TINYPARETO_PATCH_H

#include "tinypareto.h"

static inline int tp_inside_word(const int8_t *position)
{
    return ((uintptr_t)position & 3) != 0;
}

/* Copies `count` bytes and returns the position behind them. */
static inline int8_t *tp_copy(int8_t *to, const int8_t *from, uint32_t count)
{
    while (tp_inside_word(to) && count > 0) {
        *to++ = *from++, count--;
        to += tp_inside_word(to) ? 0 : 4;
    }
    for (; count >= 16; count -= 16, to += 32, from += 16) {
        uint32_t words[4];
        __builtin_memcpy(words, from, sizeof words);
        for (uint32_t i = 0; i < 4; i++) {
            __builtin_memcpy(__builtin_assume_aligned(to + 8 * i, 4), words + i, 4);
        }
    }
    for (; count >= 4; count -= 4, to += 8, from += 4) {
        __builtin_memcpy(to, from, 4);
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
    return to;
}

/* The same with one value `count` times. */
static inline int8_t *tp_fill(int8_t *to, int8_t value, uint32_t count)
{
    for (; count > 0; count--) {
        *to++ = value;
        to += tp_inside_word(to) ? 0 : 4;
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
