/* Fully connected layer whose weights are so many that more code pays: four output channels at a time. */
#include "dsp.h"
#include "requantize.h"
#include "tinypareto.h"

#if defined(__ARM_FEATURE_DSP)
/* Four input values times those of two pairs of channels, 16 products. An asm block, as the compiler would keep count of
 * each pointer. */
#define STEP                                  \
    "ldr %[s], [%[x]], #4\n\t"                \
    "ldrd %[p], %[q], [%[w]], #8\n\t"         \
    "sxtb16 %[e], %[s]\n\t"                   \
    "sxtb16 %[s], %[s], ror #8\n\t"           \
    "sxtb16 %[t], %[p]\n\t"                   \
    "sxtb16 %[p], %[p], ror #8\n\t"           \
    "smlad %[acc0], %[t], %[e], %[acc0]\n\t"  \
    "smlad %[acc0], %[p], %[s], %[acc0]\n\t"  \
    "sxtb16 %[t], %[q]\n\t"                   \
    "sxtb16 %[q], %[q], ror #8\n\t"           \
    "smlad %[acc1], %[t], %[e], %[acc1]\n\t"  \
    "smlad %[acc1], %[q], %[s], %[acc1]\n\t"  \
    "ldrd %[p], %[q], [%[v]], #8\n\t"         \
    "sxtb16 %[t], %[p]\n\t"                   \
    "sxtb16 %[p], %[p], ror #8\n\t"           \
    "smlad %[acc2], %[t], %[e], %[acc2]\n\t"  \
    "smlad %[acc2], %[p], %[s], %[acc2]\n\t"  \
    "sxtb16 %[t], %[q]\n\t"                   \
    "sxtb16 %[q], %[q], ror #8\n\t"           \
    "smlad %[acc3], %[t], %[e], %[acc3]\n\t"  \
    "smlad %[acc3], %[q], %[s], %[acc3]\n\t"

/* Four channels from `channel` on; `end` lies in memory, as registers are few. */
static void four_channels(const tp_dense *operator, uint32_t channel, const int8_t *w, uint32_t depth)
{
    const tp_scale *scale = &operator->channels.scale;
    const int32_t *bias = operator->channels.biases + channel, *multiplier = scale->multipliers + channel;
    const int8_t *x = operator->input, *v = w + 2 * depth, *end = x + depth, *shift = scale->shifts + channel;
    int32_t acc0 = bias[0], acc1 = bias[1], acc2 = bias[2], acc3 = bias[3], s, e, p, q, t, zero = scale->zero_point;
    __asm__ volatile("0:\n\t" STEP "ldr %[s], %[end]\n\tcmp %[x], %[s]\n\tbne 0b"
                     : [acc0] "+r"(acc0), [acc1] "+r"(acc1), [acc2] "+r"(acc2), [acc3] "+r"(acc3), [x] "+r"(x),
                       [w] "+r"(w), [v] "+r"(v), [s] "=&r"(s), [e] "=&r"(e), [p] "=&r"(p), [q] "=&r"(q), [t] "=&r"(t)
                     : [end] "m"(end)
                     : "cc", "memory");
    uint32_t bytes = tp_pack_four(tp_saturated(acc0, multiplier[0], shift[0], zero),
                                  tp_saturated(acc1, multiplier[1], shift[1], zero),
                                  tp_saturated(acc2, multiplier[2], shift[2], zero),
                                  tp_saturated(acc3, multiplier[3], shift[3], zero));
    bytes = tp_clamp_four(bytes, tp_four_times(scale->low), tp_four_times(scale->high));
    __builtin_memcpy(operator->output + channel, &bytes, sizeof bytes);
}
#endif

void tp_run_dense_fours(const tp_dense *operator)
{
    tp_dense rest = *operator;
#if defined(__ARM_FEATURE_DSP)
    uint32_t depth = (operator->in_count + 3) & ~(uint32_t)3, done = operator->out_count & ~(uint32_t)3;
    for (uint32_t channel = 0; channel < done; channel += 4) {
        four_channels(operator, channel, operator->channels.weights + channel * depth, depth);
    }
    rest.channels.weights += done * depth, rest.channels.biases += done;
    rest.channels.scale.multipliers += done, rest.channels.scale.shifts += done;
    rest.output += done, rest.out_count -= done;
#endif
    tp_multiply_dense(&rest);
}
