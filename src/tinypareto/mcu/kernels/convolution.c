/* Convolution of any window and group count: the bytes under the window are gathered into a patch, two pixels at
 * a time, and then multiplied in one run. */
#include "patch.h"
#include "tinypareto.h"

/* Copies `pixels` neighbours from column `x` on, `depth` bytes of each; what lies outside the row is filled. */
static int8_t *copy_pixels(const tp_convolution *operator, int8_t *to, const int8_t *row, int32_t x,
                           int32_t pixels, uint32_t depth)
{
    const tp_window *window = &operator->window;
    int32_t left = x < 0 ? -x : 0;
    int32_t right = x + pixels - window->in_width;
    left = left < pixels ? left : pixels;
    right = right > 0 ? (right < pixels ? right : pixels) : 0;
    to = tp_fill(to, operator->in_zero_point, (uint32_t)left * depth);
    to = tp_copy(to, row + (x + left) * window->in_channels, (uint32_t)(pixels - left - right) * depth);
    return tp_fill(to, operator->in_zero_point, (uint32_t)right * depth);
}

static void gather(const tp_convolution *operator, int8_t *to, int32_t y, int32_t x, uint32_t group)
{
    const tp_window *window = &operator->window;
    uint32_t depth = (uint32_t)window->in_channels / operator->groups;
    /* Neighbouring taps are neighbouring bytes only if nothing is left out between them. */
    int32_t run = operator->groups == 1 && window->dilation_width == 1 ? window->kernel_width : 1;
    for (int32_t ky = 0; ky < window->kernel_height; ky++, y += window->dilation_height) {
        if (y < 0 || y >= window->in_height) {
            to = tp_fill(to, operator->in_zero_point, window->kernel_width * depth);
            continue;
        }
        const int8_t *row = operator->input + y * window->in_width * window->in_channels + group * depth;
        for (int32_t kx = 0; kx < window->kernel_width; kx += run) {
            to = copy_pixels(operator, to, row, x + kx * window->dilation_width, run, depth);
        }
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
