"""One ONNX node -> one operator of the intermediate representation, one function per kind of node."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinypareto.mcu.graph import AveragePool, Convolution, Dense, FloatArray, MaxPool, Window
from tinypareto.mcu.onnx_activations import ACTIVATIONS
from tinypareto.mcu.onnx_arithmetic import ARITHMETIC
from tinypareto.mcu.onnx_moves import MOVES
from tinypareto.mcu.onnx_rankings import RANKINGS
from tinypareto.mcu.onnx_values import (
    Activation,
    Dims,
    Draft,
    Node,
    QuantizedConstant,
    Shape,
    Value,
)
from tinypareto.mcu.onnx_windows import inside_counts, output_shape, reach, read_window


def convert(node: Node) -> Value | tuple[Value, ...]:
    """Return what ``node`` makes of its inputs; a tuple if it has several outputs.

    Raises:
        UnsupportedModelError: If the operator, or the way in which the node uses it, is not supported.
    """
    converter = CONVERTERS.get(node.kind)
    if converter is None:
        node.refuse(f"supported operators are {', '.join(sorted(CONVERTERS))}.")
    return converter(node)


def _convolution(node: Node) -> Draft:
    image, constant = node.image(0), node.weight(1)
    weight = constant.values  # cout x cin/groups x kernel
    if weight.ndim != len(image.dims) + 1:
        node.refuse(f"weights of shape {weight.shape} do not match the input {image.dims}; export it again.")
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    scale = _channel_scales(node, constant, channel_axis=0)
    window = read_window(node, image, kernel=weight.shape[2:])
    operator = Convolution(
        name=node.name,
        inputs=(image.tensor.name,),
        output="",
        window=window,
        weight=np.ascontiguousarray(weight.transpose(0, 2, 3, 1)),
        bias=node.bias(2, image.tensor.scale * scale),
        weight_scale=scale,
        groups=int(node.attributes.get("group", 1)),
    )
    if weight.shape[1] * operator.groups != image.tensor.shape[2] or len(weight) % operator.groups:
        node.refuse(
            f"weights of shape {constant.values.shape} in {operator.groups} groups do not match the input "
            f"{image.dims}; export it again."
        )
    shape = output_shape(node, image, window, channels=len(weight))
    return Draft(operator=operator, shape=shape, dims=_chw(shape, len(image.dims)))


def _gemm(node: Node) -> Draft:
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if any(node.attributes.get(key, value) != value for key, value in plain.items()):
        node.refuse("alpha and beta must be 1 and transA 0; fold the factors into the weights.")
    return _dense(node, transposed=bool(node.attributes.get("transB", 0)))


def _dense(node: Node, *, transposed: bool = False) -> Draft:
    vector, constant = node.activation(0), node.weight(1)
    weight = constant.values if transposed else constant.values.T  # cout x cin
    if len(vector.dims) != 1 or weight.ndim != 2 or weight.shape[1] != vector.dims[0]:
        node.refuse(
            f"{weight.shape[1:]} weights per output do not match the input {vector.dims}; flatten it."
        )
    scale = _channel_scales(node, constant, channel_axis=0 if transposed else 1)
    height, width, channels = vector.tensor.shape
    hwc_weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    product_scale = vector.tensor.scale * scale
    operator = Dense(
        name=node.name,
        inputs=(vector.tensor.name,),
        output="",
        weight=np.ascontiguousarray(hwc_weight).reshape(weight.shape),
        bias=node.bias(2, product_scale),
        weight_scale=scale,
    )
    awaited = None if node.input(2) is not None else product_scale
    outputs = len(weight)
    return Draft(operator=operator, shape=(1, 1, outputs), dims=(outputs,), product_scale=awaited)


def _max_pool(node: Node) -> Draft:
    image = node.image(0)
    window = read_window(node, image, kernel=tuple(node.attributes["kernel_shape"]))
    return _pool(node, image, MaxPool(name=node.name, inputs=(image.tensor.name,), output="", window=window))


def _average_pool(node: Node) -> Draft:
    image = node.image(0)
    window = read_window(node, image, kernel=tuple(node.attributes["kernel_shape"]))
    count_padding = bool(node.attributes.get("count_include_pad", 0))
    if not all(inside_counts(image, window, axis).min() for axis in (0, 1)):
        node.refuse(f"window {window.kernel} must always see a part of the input; use less padding.")
    operator = AveragePool(
        name=node.name,
        inputs=(image.tensor.name,),
        output="",
        window=window,
        count_padding=count_padding,
    )
    return _pool(node, image, operator)


def _pool(node: Node, image: Activation, operator: MaxPool | AveragePool) -> Draft:
    window = operator.window
    if any(pad >= reach(window, side % 2) for side, pad in enumerate(window.padding)):
        node.refuse(f"padding {window.padding} must be smaller than the window {window.kernel}.")
    shape = output_shape(node, image, window, channels=image.tensor.shape[2])
    return Draft(operator=operator, shape=shape, dims=_chw(shape, len(image.dims)))


def _global_max_pool(node: Node) -> Draft:
    image = node.image(0)
    window = Window(kernel=image.tensor.shape[:2])
    return _pool(node, image, MaxPool(name=node.name, inputs=(image.tensor.name,), output="", window=window))


def _global_average_pool(node: Node) -> Draft:
    rank = len(node.image(0).dims)
    return _mean(node, axes=tuple(range(2, rank + 1)), keep=True)


def _reduce_mean(node: Node) -> Draft:
    return _mean(node, axes=_reduced_axes(node), keep=bool(node.attributes.get("keepdims", 1)))


def _reduce_max(node: Node) -> Draft:
    axes, keep = _reduced_axes(node), bool(node.attributes.get("keepdims", 1))
    mean = _mean(node, axes=axes, keep=keep)
    assert isinstance(mean.operator, AveragePool)
    operator = MaxPool(name=node.name, inputs=mean.operator.inputs, output="", window=mean.operator.window)
    return replace(mean, operator=operator)


def _reduced_axes(node: Node) -> tuple[int, ...]:
    return tuple(node.integers(1, "axes") or ())


def _mean(node: Node, *, axes: tuple[int, ...], keep: bool) -> Draft:
    """Reduce spatial axes to their mean; ``axes`` count the batch axis as 0, as the file does."""
    image = node.image(0)
    rank = len(image.dims) + 1
    reduced = {axis % rank for axis in axes}
    if not reduced or not reduced <= set(range(2, rank)):
        node.refuse(f"it must go over spatial axes (2..{rank - 1}) only, not {sorted(reduced)}.")
    height, width, channels = image.tensor.shape
    kernel = (height if rank == 4 and 2 in reduced else 1, width if rank - 1 in reduced else 1)
    operator = AveragePool(
        name=node.name, inputs=(image.tensor.name,), output="", window=Window(kernel=kernel, stride=kernel)
    )
    shape = (height // kernel[0], width // kernel[1], channels)
    kept = tuple(1 if axis in reduced else size for axis, size in enumerate(image.dims, start=1))
    left = tuple(size for axis, size in enumerate(image.dims, start=1) if axis not in reduced)
    return Draft(operator=operator, shape=shape, dims=kept if keep else left)


def _reshape(node: Node) -> Value:
    target = [int(size) for size in node.array(1)]
    old = _batched(node)
    if not node.attributes.get("allowzero", 0):
        target = [old[axis] if size == 0 else size for axis, size in enumerate(target)]
    if target[0] not in {-1, 1}:
        node.refuse(f"{target} must keep the batch apart; export with a dynamic batch axis.")
    rest = target[1:]
    if rest.count(-1) == 1:
        rest[rest.index(-1)] = math.prod(old[1:]) // -math.prod(rest)
    return _with_dims(node, tuple(rest))


def _flatten(node: Node) -> Value:
    if node.attributes.get("axis", 1) != 1:
        node.refuse("its axis must be 1, so that the batch stays apart.")
    return _with_dims(node, (math.prod(_batched(node)[1:]),))


def _squeeze(node: Node) -> Value:
    old = _batched(node)
    given = node.array(1) if node.input(1) is not None else node.attributes.get("axes", (0,))
    axes = {int(axis) % len(old) for axis in given}
    if 0 in axes:
        node.refuse("it must name axes other than 0, so that the batch stays apart.")
    return _with_dims(node, tuple(size for axis, size in enumerate(old[1:], start=1) if axis not in axes))


def _unsqueeze(node: Node) -> Value:
    dims = list(_batched(node))
    given = node.array(1) if node.input(1) is not None else node.attributes["axes"]
    rank = len(dims) + len(given)
    for axis in sorted(int(axis) % rank for axis in given):
        if axis == 0:
            node.refuse("it must name axes other than 0, so that the batch stays first.")
        dims.insert(axis, 1)
    return _with_dims(node, tuple(dims[1:]))


def _identity(node: Node) -> Value:
    value = node.input(0)
    return value if isinstance(value, Draft) else node.activation(0)


def _batched(node: Node) -> Dims:
    """Return the dims of input 0 with a batch of 1 before them."""
    value = _identity(node)
    assert isinstance(value, Activation | Draft)
    return (1, *value.dims)


def _with_dims(node: Node, dims: Dims) -> Value:
    value = _identity(node)
    assert isinstance(value, Activation | Draft)
    if not dims or math.prod(dims) != math.prod(value.dims):
        node.refuse(f"a sample of shape {value.dims} must keep its size, not become {dims}.")
    return replace(value, dims=dims)


def _channel_scales(node: Node, constant: QuantizedConstant, channel_axis: int) -> FloatArray:
    """Return one scale per output channel from a scale per channel or per tensor."""
    channels = constant.values.shape[channel_axis]
    if constant.scale.size == 1:
        return np.full(channels, constant.scale.reshape(-1)[0])
    if constant.axis % constant.values.ndim != channel_axis or constant.scale.size != channels:
        node.refuse("its weights must be quantised per tensor or per output channel.")
    return constant.scale


def _chw(shape: Shape, rank: int) -> Dims:
    """Return the file's shape of an image or, at rank 2, of a series."""
    height, width, channels = shape
    return (channels, height, width) if rank == 3 else (channels, width)


CONVERTERS: dict[str, Callable[[Node], Value | tuple[Value, ...]]] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **MOVES,
    **RANKINGS,
    "AveragePool": _average_pool,
    "Conv": _convolution,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "Identity": _identity,
    "MatMul": _dense,
    "MaxPool": _max_pool,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
