/* Kernels of tinypareto: int8 operators on tensors in height x width x channels order.
 *
 * Each operator is one constant descriptor and one function. Shapes steer the code; weights, zero
 * points and requantisation factors are only ever data, so that size, stack and instruction count
 * follow from the shapes alone. Nothing is allocated; scratch memory comes with the descriptor.
 *
 * Input zero points are folded into the biases: a kernel multiplies raw int8 values and fills positions
 * outside the input with the input's zero point.
 */
#ifndef TINYPARETO_H
#define TINYPARETO_H

#include <stdint.h>

/* What turns accumulators into int8: one multiplier and shift per output channel (requantize.h). */
typedef struct {
    const int32_t *multipliers;
    const int8_t *shifts;
    int8_t zero_point;
    int8_t low;
    int8_t high;
} tp_scale;

/* The output channels of a layer. The weights of a matrix product are `depth` bytes for each channel: they are padded
 * with zeros to a multiple of 4, and two channels are interleaved word by word (multiply.h); a last odd one, in each
 * group, stands alone. */
typedef struct {
    const int8_t *weights;
    const int32_t *biases;
    tp_scale scale;
} tp_channels;

/* A sliding window over an input of in_height x in_width x in_channels. */
typedef struct {
    uint16_t in_height, in_width, in_channels;
    uint16_t out_height, out_width, out_channels;
    uint16_t kernel_height, kernel_width;
    uint16_t stride_height, stride_width;
    uint16_t dilation_height, dilation_width;
    uint16_t pad_top, pad_left;
} tp_window;

/* clamp(zero_point + ((first * first_multiplier + second * second_multiplier + offset) >> shift)); the offset holds
 * both zero points and the rounding half. A difference has a negative second_multiplier. */
typedef struct {
    int32_t first_multiplier, second_multiplier, offset;
    int8_t shift;
    int8_t zero_point, low, high;
} tp_sum;

/* A tensor that a convolution adds to its own values, which lie in `values`, two pixels of them, until then. The output
 * may be the tensor's buffer. `add` is tp_add_values; only layers with a sum refer to it, so others need not link it. */
typedef struct {
    void (*add)(const tp_sum *sum, const int8_t *first, const int8_t *second, int8_t *output, uint32_t count);
    const int8_t *tensor;
    int8_t *values;
    tp_sum sum;
} tp_skip;

/* Weights: out_channels x kernel_height x kernel_width x (in_channels / groups).
 * scratch: 2 * depth bytes on a multiple of 4. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    int8_t *scratch;
    tp_channels channels;
    tp_window window;
    const tp_skip *skip; /* or null */
    uint16_t groups;
    int8_t in_zero_point;
} tp_convolution;

/* Weights: kernel_height x kernel_width x channels. Output pixels are computed in runs of `columns`, from a strip of
 * `strip_width` columns of the input.
 * scratch: 8 * kernel_height * (2 * kernel_width + strip_width) bytes on a multiple of 4. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    int8_t *scratch;
    tp_channels channels;
    tp_window window;
    uint16_t columns, strip_width;
    int8_t in_zero_point;
} tp_depthwise;

/* A 1 x 1 convolution without padding; weights: out_channels x in_channels.
 * scratch: 2 * depth bytes on a multiple of 4. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    int8_t *scratch;
    tp_channels channels;
    const tp_skip *skip; /* or null */
    uint16_t in_width, in_channels;
    uint16_t out_height, out_width, out_channels;
    uint16_t stride_height, stride_width;
} tp_pointwise;

/* Weights: out_count x in_count. The input lies on a multiple of 4, and up to 3 bytes behind it are read. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    tp_channels channels;
    uint32_t in_count, out_count;
} tp_dense;

/* Sum or difference of two tensors. The output may be an input's buffer. */
typedef struct {
    const int8_t *first;
    const int8_t *second;
    int8_t *output;
    uint32_t count;
    tp_sum sum;
} tp_add;

/* Products of `repeats` runs of first with the one run of second, `count` values each, requantised by the only
 * entry of scale. The output may be first's buffer, and second's if it is read once. */
typedef struct {
    const int8_t *first;
    const int8_t *second;
    int8_t *output;
    tp_scale scale;
    uint32_t count, repeats;
    int8_t first_zero_point, second_zero_point;
} tp_mul;

/* Largest value or sum under the window, requantised by the only entry of scale; if the divisor varies, a sum of n
 * values inside the input by entry n - 1. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    tp_scale scale;
    tp_window window;
    int8_t in_zero_point;
    uint8_t divisor_varies;
} tp_pool;

/* Requantised copy; the clamp makes it a ReLU. The output may be the input's buffer. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    tp_scale scale;
    uint32_t count;
    int8_t in_zero_point;
} tp_relu;

/* output = table[input + 128]. The output may be the input's buffer. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *table;
    uint32_t count;
} tp_lookup;

/* A block of height x width x channels bytes, whose neighbours lie in_row, in_column and in_channel bytes apart in
 * the input and likewise in the output; through table[input + 128] if there is a table. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *table;
    uint32_t height, width, channels;
    int32_t in_row, in_column, in_channel;
    int32_t out_row, out_column, out_channel;
} tp_move;

/* output[0 .. count - 1] = value. */
typedef struct {
    int8_t *output;
    uint32_t count;
    int8_t value;
} tp_padding;

/* Each output pixel is the input's pixel at rows[y] + columns[x], both in bytes; through a table as in tp_move. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *table;
    const int32_t *rows, *columns;
    uint32_t height, width, channels;
} tp_resize;

/* Shares along an axis: `outer` times `inner` runs of `count` values each, which lie `inner` bytes apart. The table
 * holds exp(-distance from the largest) in steps of 1/65535, scale's only entry belongs to a share in steps of
 * 2^-15. The output may be the input's buffer. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    const uint16_t *exponentials;
    tp_scale scale;
    uint32_t outer, count, inner;
} tp_softmax;

/* The index of the largest value of each run, less 128; runs as in tp_softmax. */
typedef struct {
    const int8_t *input;
    int8_t *output;
    uint32_t outer, count, inner;
    int8_t low, high;
} tp_arg_max;

void tp_run_convolution(const tp_convolution *operator);
void tp_run_depthwise(const tp_depthwise *operator);
void tp_run_pointwise(const tp_pointwise *operator);
void tp_run_dense(const tp_dense *operator);
void tp_run_dense_fours(const tp_dense *operator);
void tp_run_add(const tp_add *operator);
void tp_run_mul(const tp_mul *operator);
void tp_run_max_pool(const tp_pool *operator);
void tp_run_average_pool(const tp_pool *operator);
void tp_run_relu(const tp_relu *operator);
void tp_run_lookup(const tp_lookup *operator);
void tp_run_softmax(const tp_softmax *operator);
void tp_run_arg_max(const tp_arg_max *operator);
void tp_run_move(const tp_move *operator);
void tp_run_padding(const tp_padding *operator);
void tp_run_resize(const tp_resize *operator);

/* What both kernels of dense layers end with. */
void tp_multiply_dense(const tp_dense *operator);

/* Adds `count` values of first and second. The output may be either of them. */
void tp_add_values(const tp_sum *sum, const int8_t *first, const int8_t *second, int8_t *output, uint32_t count);

/* A run of output channels, first .. first + count - 1, and the bytes of their weights, a multiple of 4. */
typedef struct {
    uint32_t first, count, depth;
} tp_range;

/* Fills outputs[0] and outputs[1], two pixels, with the dot products of both patches and each channel's weights. The
 * patches are interleaved like weights. The first pixel is stored last: where it is alone, both outputs are its own. */
void tp_multiply_pair(const tp_channels *channels, tp_range range, const int8_t *patches, int8_t *const outputs[2]);

#endif
