/* Depthwise convolution: each channel has a kernel of its own. Four channels at a time, one tap after the other. */
#include "dsp.h"
#include "requantize.h"
#include "tinypareto.h"

/* Where each tap of the pixel's window lies, in bytes from the input's start; a tap outside the input
 * points to a row of zero points in the scratch memory, which lies in the same arena. */
static void locate_taps(const tp_depthwise *operator, int32_t *offsets, const int8_t *outside, int32_t y, int32_t x)
{
    const tp_window *window = &operator->window;
    for (int32_t ky = 0; ky < window->kernel_height; ky++, y += window->dilation_height) {
        int32_t column = x;
        for (int32_t kx = 0; kx < window->kernel_width; kx++, column += window->dilation_width) {
            int hit = y >= 0 && y < window->in_height && column >= 0 && column < window->in_width;
            *offsets++ = hit ? (y * window->in_width + column) * window->in_channels
                             : (int32_t)(outside - operator->input);
        }
    }
}

static inline int32_t one_channel(const tp_depthwise *operator, const int32_t *offsets, int32_t taps, int32_t channel)
{
    int32_t acc = operator->channels.biases[channel];
    const int8_t *input = operator->input + channel;
    const int8_t *weight = operator->channels.weights + channel;
    for (int32_t tap = 0; tap < taps; tap++, weight += operator->window.in_channels) {
        acc += input[offsets[tap]] * *weight;
    }
    return acc;
}

#if defined(__ARM_FEATURE_DSP)
static inline void four_channels(const tp_depthwise *operator, const int32_t *offsets, int32_t taps,
                                 int32_t channel, int32_t acc[4])
{
    const int8_t *input = operator->input + channel;
    const int8_t *weight = operator->channels.weights + channel;
    const int32_t *bias = operator->channels.biases + channel;
    int32_t acc0 = bias[0], acc1 = bias[1], acc2 = bias[2], acc3 = bias[3];
    for (int32_t tap = 0; tap < taps; tap++, weight += operator->window.in_channels) {
        uint32_t x = tp_load_four(input + offsets[tap]), w = tp_load_four(weight);
        int16x2_t x_even = tp_even_bytes(x), x_odd = tp_odd_bytes(x);
        int16x2_t w_even = tp_even_bytes(w), w_odd = tp_odd_bytes(w);
        acc0 = __smlabb(x_even, w_even, acc0);
        acc1 = __smlabb(x_odd, w_odd, acc1);
        acc2 = __smlatt(x_even, w_even, acc2);
        acc3 = __smlatt(x_odd, w_odd, acc3);
    }
    acc[0] = acc0, acc[1] = acc1, acc[2] = acc2, acc[3] = acc3;
}
#else
static inline void four_channels(const tp_depthwise *operator, const int32_t *offsets, int32_t taps,
                                 int32_t channel, int32_t acc[4])
{
    for (int32_t i = 0; i < 4; i++) {
        acc[i] = one_channel(operator, offsets, taps, channel + i);
    }
}
#endif

static void convolve_pixel(const tp_depthwise *operator, const int32_t *offsets, int8_t *output)
{
    const tp_scale *scale = &operator->channels.scale;
    int32_t taps = operator->window.kernel_height * operator->window.kernel_width;
    int32_t channels = operator->window.in_channels, channel = 0;
    for (; channel + 4 <= channels; channel += 4) {
        int32_t acc[4];
        four_channels(operator, offsets, taps, channel, acc);
        for (int32_t i = 0; i < 4; i++) {
            output[channel + i] = tp_requantize(acc[i], scale, (uint32_t)(channel + i));
        }
    }
    for (; channel < channels; channel++) {
        output[channel] = tp_requantize(one_channel(operator, offsets, taps, channel), scale, (uint32_t)channel);
    }
}

void tp_run_depthwise(const tp_depthwise *operator)
{
    const tp_window *window = &operator->window;
    int32_t *offsets = (int32_t *)(void *)operator->scratch;
    int8_t *outside = operator->scratch + 4 * window->kernel_height * window->kernel_width;
    int8_t *output = operator->output;
    for (int32_t channel = 0; channel < window->in_channels; channel++) {
        outside[channel] = operator->in_zero_point;
    }
    for (int32_t y = 0; y < window->out_height; y++) {
        for (int32_t x = 0; x < window->out_width; x++, output += window->out_channels) {
            locate_taps(operator, offsets, outside, y * window->stride_height - window->pad_top,
                        x * window->stride_width - window->pad_left);
            convolve_pixel(operator, offsets, output);
        }
    }
}
