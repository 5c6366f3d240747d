/* Two pixels times a run of output channels, two channels at a time, so that each byte loaded is used twice. */
#include "multiply.h"
#include "requantize.h"

#if defined(__ARM_FEATURE_DSP)
static inline void store(const tp_scale *scale, uint32_t channel, tp_tile acc, int8_t *const outputs[2])
{
    const int32_t *multiplier = scale->multipliers + channel;
    const int8_t *shift = scale->shifts + channel;
    int32_t zero = scale->zero_point;
    uint32_t bytes = tp_pack_four(tp_saturated(acc.x0w0, multiplier[0], shift[0], zero),
                                  tp_saturated(acc.x0w1, multiplier[1], shift[1], zero),
                                  tp_saturated(acc.x1w0, multiplier[0], shift[0], zero),
                                  tp_saturated(acc.x1w1, multiplier[1], shift[1], zero));
    bytes = tp_clamp_four(bytes, tp_four_times(scale->low), tp_four_times(scale->high));
    uint16_t first = (uint16_t)bytes, second = (uint16_t)(bytes >> 16);
    __builtin_memcpy(outputs[1] + channel, &second, sizeof second);
    __builtin_memcpy(outputs[0] + channel, &first, sizeof first);
}
#else
static inline void store(const tp_scale *scale, uint32_t channel, tp_tile acc, int8_t *const outputs[2])
{
    outputs[1][channel] = tp_requantize(acc.x1w0, scale, channel);
    outputs[1][channel + 1] = tp_requantize(acc.x1w1, scale, channel + 1);
    outputs[0][channel] = tp_requantize(acc.x0w0, scale, channel);
    outputs[0][channel + 1] = tp_requantize(acc.x0w1, scale, channel + 1);
}
#endif

void tp_multiply_pair(const tp_channels *channels, tp_range range, const int8_t *patches, int8_t *const outputs[2])
{
    const int8_t *weights = channels->weights + range.first * range.depth;
    uint32_t channel = range.first, end = range.first + range.count;
    for (; channel + 2 <= end; channel += 2, weights += 2 * range.depth) {
        const int32_t *bias = channels->biases + channel;
        tp_tile acc = {bias[0], bias[1], bias[0], bias[1]};
        store(&channels->scale, channel, tp_multiply_pairs(acc, patches, weights, range.depth), outputs);
    }
    if (channel < end) {
        int32_t acc[2] = {channels->biases[channel], channels->biases[channel]};
        tp_multiply_single(acc, weights, patches, range.depth);
        outputs[1][channel] = tp_requantize(acc[1], &channels->scale, channel);
        outputs[0][channel] = tp_requantize(acc[0], &channels->scale, channel);
    }
}
