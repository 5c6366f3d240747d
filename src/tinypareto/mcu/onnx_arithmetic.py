"""One ONNX node of arithmetic between two values -> an operator, or a part of the one before it."""

import math
from collections.abc import Callable
from dataclasses import replace

from tinypareto.mcu.graph import Add, Dense, FloatArray, Mul, Sub
from tinypareto.mcu.onnx_activations import bounded_levels, input_levels
from tinypareto.mcu.onnx_values import Activation, Draft, Node, Value, hwc_shape


def _add(node: Node) -> Draft:
    for index in (0, 1):
        product = node.input(index)
        if isinstance(product, Draft) and product.product_scale is not None:
            return _add_bias(node, product, product.product_scale, 1 - index)
    return _sum(node, Add)


def _add_bias(node: Node, product: Draft, scale: FloatArray, bias_index: int) -> Draft:
    """Take the constant that follows a matrix product (torch's Linear, not fused to Gemm) as its bias."""
    assert isinstance(product.operator, Dense)
    operator = replace(product.operator, bias=node.bias(bias_index, scale))
    return replace(product, operator=operator, product_scale=None)


def _sub(node: Node) -> Draft:
    return _sum(node, Sub)


def _sum(node: Node, make: type[Add | Sub]) -> Draft:
    first, second = node.activation(0), node.activation(1)
    if not _equal_shapes(first, second):
        node.refuse(f"both inputs must have one shape, not {first.dims} and {second.dims}; do not broadcast.")
    operator = make(name=node.name, inputs=(first.tensor.name, second.tensor.name), output="")
    return Draft(operator=operator, shape=first.tensor.shape, dims=first.dims)


def _mul(node: Node) -> Draft:
    for index in (0, 1):
        gated = _gated(node.input(index), node.input(1 - index))
        if gated is not None:
            return gated
    first, second = node.activation(0), node.activation(1)
    equal = _equal_shapes(first, second)
    if not equal and _scales_channels(second, first):
        first, second = second, first
    if not equal and not _scales_channels(first, second):
        node.refuse(
            "both inputs must have one shape, or one must hold a factor per channel (C x 1 x 1 or C x 1), "
            f"not {first.dims} and {second.dims}; do not broadcast otherwise."
        )
    operator = Mul(name=node.name, inputs=(first.tensor.name, second.tensor.name), output="")
    return Draft(operator=operator, shape=first.tensor.shape, dims=first.dims)


def _gated(gate: Value | None, value: Value | None) -> Draft | None:
    """Return x * f(x), if f(x) is a table that is not rounded yet, as one table (hard swish, SiLU)."""
    if not isinstance(gate, Draft) or not isinstance(value, Activation):
        return None
    levels = bounded_levels(gate)
    if levels is None or gate.operator.inputs != (value.tensor.name,) or gate.dims != value.dims:
        return None
    return replace(gate, levels=levels * input_levels(value.tensor), low=-math.inf, high=math.inf)


def _equal_shapes(first: Activation, second: Activation) -> bool:
    return first.dims == second.dims and first.tensor.shape == second.tensor.shape


def _scales_channels(image: Activation, factors: Activation) -> bool:
    """Say whether ``factors`` holds one value per channel of ``image``, both as they were computed."""
    channels = image.dims[0]
    return (
        factors.dims == (channels, *[1] * (len(image.dims) - 1))
        and factors.tensor.shape == (1, 1, channels)
        and len(image.dims) <= 3
        and image.tensor.shape == hwc_shape(image.dims)
    )


ARITHMETIC: dict[str, Callable[[Node], Draft]] = {"Add": _add, "Mul": _mul, "Sub": _sub}
