/* Maximum and average pooling; positions outside the input take no part. */
#include "requantize.h"
#include "tinypareto.h"

/* The taps of one axis that lie inside the input: `count` from position `first` on, `step` apart. */
typedef struct {
    int32_t first, count;
} taps;

static taps inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size)
{
    taps found = {start, 0};
    for (int32_t tap = 0; tap < kernel; tap++, start += dilation) {
        if (start < 0) {
            found.first = start + dilation;
        } else if (start < size) {
            found.count++;
        }
    }
    return found;
}

static inline int32_t gather(const tp_pool *operator, taps rows, taps columns, int32_t channel, int maximum)
{
    const tp_window *window = &operator->window;
    int32_t acc = maximum ? INT8_MIN : 0;
    int32_t step = window->dilation_width * window->in_channels;
    for (int32_t i = 0; i < rows.count; i++) {
        int32_t y = rows.first + i * window->dilation_height;
        const int8_t *from = operator->input + (y * window->in_width + columns.first) * window->in_channels + channel;
        for (int32_t j = 0; j < columns.count; j++, from += step) {
            acc = maximum ? (*from > acc ? *from : acc) : acc + *from;
        }
    }
    return acc - operator->in_zero_point * (maximum ? 1 : rows.count * columns.count);
}

static inline void pool(const tp_pool *operator, int maximum)
{
    const tp_window *window = &operator->window;
    int8_t *output = operator->output;
    for (int32_t y = 0; y < window->out_height; y++) {
        taps rows = inside(y * window->stride_height - window->pad_top, window->kernel_height,
                           window->dilation_height, window->in_height);
        for (int32_t x = 0; x < window->out_width; x++) {
            taps columns = inside(x * window->stride_width - window->pad_left, window->kernel_width,
                                  window->dilation_width, window->in_width);
            uint32_t factor = operator->divisor_varies ? (uint32_t)(rows.count * columns.count - 1) : 0;
            for (int32_t channel = 0; channel < window->in_channels; channel++) {
                int32_t acc = gather(operator, rows, columns, channel, maximum);
                *output++ = tp_requantize(acc, &operator->scale, factor);
            }
        }
    }
}

void tp_run_max_pool(const tp_pool *operator)
{
    pool(operator, 1);
}

void tp_run_average_pool(const tp_pool *operator)
{
    pool(operator, 0);
}
