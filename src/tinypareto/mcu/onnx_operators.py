"""One ONNX node -> one operator of the intermediate representation, one function per kind of node."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinypareto.mcu.graph import Convolution
from tinypareto.mcu.onnx_activations import ACTIVATIONS
from tinypareto.mcu.onnx_arithmetic import ARITHMETIC
from tinypareto.mcu.onnx_layouts import Dims
from tinypareto.mcu.onnx_moves import MOVES
from tinypareto.mcu.onnx_pools import POOLS, image_dims
from tinypareto.mcu.onnx_products import PRODUCTS, channel_scales
from tinypareto.mcu.onnx_rankings import RANKINGS
from tinypareto.mcu.onnx_values import Activation, Draft, Node, Value
from tinypareto.mcu.onnx_windows import output_shape, read_window


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
    scale = channel_scales(node, constant, channel_axis=0)
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
    return Draft(operator=operator, shape=shape, dims=image_dims(shape, len(image.dims)))


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
    old = _batched(node)
    if int(node.attributes.get("axis", 1)) not in {1, 1 - len(old)}:
        node.refuse("its axis must be 1, so that the batch stays apart.")
    return _with_dims(node, (math.prod(old[1:]),))


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


CONVERTERS: dict[str, Callable[[Node], Value | tuple[Value, ...]]] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **MOVES,
    **POOLS,
    **PRODUCTS,
    **RANKINGS,
    "Conv": _convolution,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Identity": _identity,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
