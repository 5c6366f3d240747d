"""Graph, input -> output in exact integers: the specification of every kernel.

Slow and obvious on purpose. The generated C gives the same bytes; onnxruntime, which rescales in float,
may differ by one step per operator.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ShapeError
from tinypareto.mcu.fixed_point import (
    folded_bias,
    pair_multiplier,
    requantization,
    requantize,
    requantize_sum,
)
from tinypareto.mcu.graph import (
    INT8_MIN,
    Add,
    ArgMax,
    AveragePool,
    Convolution,
    ConvolutionAdd,
    Dense,
    Graph,
    Int8Array,
    Lookup,
    MaxPool,
    Move,
    Mul,
    Operator,
    Relu,
    Softmax,
    Sub,
    Window,
)
from tinypareto.mcu.means import mean_requantization, mean_varies
from tinypareto.mcu.moves import move
from tinypareto.mcu.rankings import arg_max, softmax
from tinypareto.mcu.samples import split_samples

Int64Array = npt.NDArray[np.int64]


def run_reference(graph: Graph, inputs: Int8Array) -> Int8Array:
    """Return the network's output, n x Ho x Wo x Co, for quantised inputs, n x H x W x C.

    A network with several inputs takes n x bytes: those of each input, one behind the other. One with
    several outputs gives n x bytes likewise.

    Raises:
        ShapeError: If the inputs do not have the shape of the graph's inputs.
    """
    tensors = run_reference_tensors(graph, inputs)
    if len(graph.outputs) == 1:
        return tensors[graph.outputs[0]]
    return np.concatenate([tensors[name].reshape(len(inputs), -1) for name in graph.outputs], axis=1)


def run_reference_tensors(graph: Graph, inputs: Int8Array) -> dict[str, Int8Array]:
    """Return every tensor of the network by name, each n x H x W x C.

    Raises:
        ShapeError: If the inputs are not int8 of the shape of the graph's inputs.
    """
    if inputs.dtype != np.int8 or inputs.shape[1:] != graph.input_shape:
        raise ShapeError(
            f"Inputs must be int8 of shape n x {' x '.join(map(str, graph.input_shape))}, got {inputs.dtype} "
            f"of shape {inputs.shape}; pass what quantize_input returns."
        )
    tensors = split_samples(graph, graph.inputs, inputs)
    for operator in graph.operators:
        sources = [tensors[name].astype(np.int64) for name in operator.inputs]
        tensors[operator.output] = _run(graph, operator, sources)
    return tensors


def _run(graph: Graph, operator: Operator, sources: list[Int64Array]) -> Int8Array:
    if isinstance(operator, ConvolutionAdd):
        convolution, add = operator.parts()
        inner = graph.with_tensor(operator.middle)
        middle = _run(inner, convolution, sources[:1])
        return _run(inner, add, [middle.astype(np.int64), sources[1]])
    source = graph.tensors[operator.inputs[0]]
    output = graph.tensors[operator.output]
    if isinstance(operator, Move):
        return move(graph, operator, [x.astype(np.int8) for x in sources])
    if isinstance(operator, Add | Sub):
        first, second = _centred(graph, operator, sources)
        signed = -second if isinstance(operator, Sub) else second
        pair = pair_multiplier(graph, operator)
        return requantize_sum(first, signed, pair, output.zero_point, *operator.clamp)
    x = sources[0]
    if isinstance(operator, Softmax):
        return softmax(graph, operator, x)
    if isinstance(operator, ArgMax):
        return arg_max(operator, x)
    if isinstance(operator, Lookup):
        return np.clip(operator.table[x - INT8_MIN], *operator.clamp)
    if isinstance(operator, Convolution):
        acc = _convolve(operator, x, source.zero_point)
    elif isinstance(operator, Dense):
        acc = _product(x.reshape(len(x), 1, 1, -1), operator.weight)
        acc = acc + folded_bias(operator, source.zero_point)
    elif isinstance(operator, MaxPool):
        acc = np.maximum.reduce(list(_taps(x, operator.window, INT8_MIN))) - source.zero_point
    elif isinstance(operator, AveragePool):
        acc = np.add.reduce(list(_taps(x - source.zero_point, operator.window, 0)))
    elif isinstance(operator, Relu):
        acc = np.maximum(x - source.zero_point, 0)
    elif isinstance(operator, Mul):
        first, second = _centred(graph, operator, sources)
        acc = first * second
    else:
        raise TypeError(f"no reference for {type(operator).__name__}")
    if isinstance(operator, AveragePool) and mean_varies(operator):
        ones = np.ones_like(x[:1, :, :, :1])
        counts = np.add.reduce(list(_taps(ones, operator.window, 0)))  # 1 x ho x wo x 1
        multiplier, shift = (factors[counts - 1] for factors in mean_requantization(graph, operator))
    else:
        multiplier, shift = requantization(graph, operator)
    result = requantize(acc, multiplier, shift, output.zero_point, *operator.clamp)
    return result.reshape(len(x), *output.shape)  # a dense layer may write any shape


def _centred(graph: Graph, operator: Operator, sources: list[Int64Array]) -> list[Int64Array]:
    """Return the inputs without their zero points."""
    return [x - graph.tensors[name].zero_point for x, name in zip(sources, operator.inputs, strict=True)]


def _convolve(operator: Convolution, x: Int64Array, zero_point: int) -> Int64Array:
    """Return the accumulators n x ho x wo x cout; borders are filled with the input's zero point."""
    groups = operator.groups
    cout, kernel_height, kernel_width, _ = operator.weight.shape
    by_group = operator.weight.reshape(groups, cout // groups, kernel_height * kernel_width, -1)
    parts = []
    for group, part in enumerate(np.split(x, groups, axis=-1)):
        taps = _taps(part, operator.window, zero_point)
        products = [_product(tap, by_group[group, :, i]) for i, tap in enumerate(taps)]
        parts.append(np.sum(products, axis=0, dtype=np.int64))
    return np.concatenate(parts, axis=-1, dtype=np.int64) + folded_bias(operator, zero_point)


def _product(x: Int64Array, weight: Int8Array) -> Int64Array:
    """Return x @ weight.T; in float64, which holds these integers exactly and is fast."""
    return (x.astype(np.float64) @ weight.astype(np.float64).T).astype(np.int64)


def _taps(x: Int64Array, window: Window, fill: int) -> Iterator[Int64Array]:
    """Walk over the window's positions in row order.

    Yields:
        The values under one position, n x ho x wo x c; outside the image they are ``fill``.
    """
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    reach = [step * (size - 1) for step, size in zip(window.dilation, window.kernel, strict=True)]
    height, width = padded.shape[1] - reach[0], padded.shape[2] - reach[1]
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            y, x_ = row * window.dilation[0], column * window.dilation[1]
            yield padded[:, y : y + height : window.stride[0], x_ : x_ + width : window.stride[1]]
