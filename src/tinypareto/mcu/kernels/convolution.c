/* Convolution of any window and group count: the bytes under the window are gathered into a patch, two pixels at
 * a time, and then multiplied in one run. */
#include "patch.h"
#include "tinypareto.h"

/* Writes `value` `count` times and returns the position behind. */
__attribute__((noinline)) static int8_t *fill(int8_t *to, int8_t value, uint32_t count)
{
    for (; count >= 4 && !tp_inside_word(to); count -= 4, to += 8) {
        const int8_t word[4] = {value, value, value, value};
        tp_copy_word(to, word);
    }
    for (; count > 0; count--) {
        *to++ = value;
        to += tp_inside_word(to) ? 0 : 4;
    }
    return to;
}

static int32_t between(int32_t value, int32_t most)
{
    return value < 0 ? 0 : value < most ? value : most;
}

/* Copies from each row of the window `pixels` neighbours from column `x` on, which lie side by side; what lies outside the
 * input is filled. */
static void gather_rows(const tp_convolution *operator, int8_t *to, int32_t y, int32_t x, int32_t pixels)
{
    const tp_window *window = &operator->window;
    int32_t depth = window->in_channels, row = window->in_width * depth;
    int32_t left = between(-x, pixels) * depth, right = between(x + pixels - window->in_width, pixels) * depth;
    int32_t all = pixels * depth, inside = all - left - right;
    const int8_t *from = operator->input + y * row + x * depth + left;
    int8_t zero = operator->in_zero_point;
    for (int32_t ky = 0; ky < window->kernel_height; ky++, y += window->dilation_height) {
        int hit = y >= 0 && y < window->in_height;
        if (!hit || left > 0) {
            to = fill(to, zero, (uint32_t)(hit ? left : all));
        }
        if (hit) {
            to = tp_copy(to, from, (uint32_t)inside);
        }
        if (hit && right > 0) {
            to = fill(to, zero, (uint32_t)right);
        }
        from += window->dilation_height * row;
    }
}

/* Copies the channels of one group, tap by tap. */
static void gather_taps(const tp_convolution *operator, int8_t *to, int32_t y, int32_t x, uint32_t group)
{
    const tp_window *window = &operator->window;
    uint32_t depth = (uint32_t)window->in_channels / operator->groups;
    for (int32_t ky = 0; ky < window->kernel_height; ky++, y += window->dilation_height) {
        int32_t column = x;
        for (int32_t kx = 0; kx < window->kernel_width; kx++, column += window->dilation_width) {
            int hit = y >= 0 && y < window->in_height && column >= 0 && column < window->in_width;
            const int8_t *pixel = operator->input + (y * window->in_width + column) * window->in_channels;
            to = hit ? tp_copy(to, pixel + group * depth, depth) : fill(to, operator->in_zero_point, depth);
        }
    }
}

static void gather(const tp_convolution *operator, int8_t *to, int32_t y, int32_t x, uint32_t group)
{
    if (operator->groups == 1 && operator->window.dilation_width == 1) {
        gather_rows(operator, to, y, x, operator->window.kernel_width);
    } else {
        gather_taps(operator, to, y, x, group);
    }
}

/* One pair of pixels; the second is the first again where the count is odd. */
static void convolve_pair(const tp_convolution *operator, const int32_t y[2], const int32_t x[2],
                          int8_t *const outputs[2])
{
    const tp_window *window = &operator->window;
    uint32_t taps = (uint32_t)window->kernel_height * window->kernel_width;
    uint32_t depth = (taps * (window->in_channels / operator->groups) + 3) & ~(uint32_t)3;
    uint32_t count = (uint32_t)window->out_channels / operator->groups;
    for (uint32_t group = 0; group < operator->groups; group++) {
        for (uint32_t i = 0; i < 2; i++) {
            gather(operator, operator->scratch + 4 * i, y[i] * window->stride_height - window->pad_top,
                   x[i] * window->stride_width - window->pad_left, group);
        }
        tp_range range = {group * count, count, depth};
        tp_multiply_pair(&operator->channels, range, operator->scratch, outputs);
    }
}

void tp_run_convolution(const tp_convolution *operator)
{
    const tp_window *window = &operator->window;
    int8_t *output = operator->output;
    int32_t pixels = window->out_height * window->out_width;
    int32_t y[2] = {0, 0}, x[2] = {0, 0};
    for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
        y[1] = y[0], x[1] = x[0];
        if (pixel + 1 < pixels && ++x[1] == window->out_width) {
            x[1] = 0, y[1]++;
        }
        uint32_t second = pixel + 1 < pixels ? window->out_channels : 0;
        int8_t *values = tp_values(operator->skip, output);
        int8_t *const outputs[2] = {values, values + second};
        convolve_pair(operator, y, x, outputs);
        tp_add_skip(operator->skip, output, (uint32_t)(output - operator->output), second + window->out_channels);
        y[0] = y[1], x[0] = x[1] + 1;
        if (x[0] == window->out_width) {
            x[0] = 0, y[0]++;
        }
        output += second + window->out_channels;
    }
}
