"""One ONNX node of arithmetic between two values -> an operator, or a part of the one before it."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tinypareto.mcu.graph import Add, Dense, FloatArray, Mul, Sub
from tinypareto.mcu.onnx_activations import bounded_levels, input_levels, lookup
from tinypareto.mcu.onnx_values import Activation, Draft, Node, Value, hwc_shape

Operation: TypeAlias = Callable[..., Any]  # of real values x and one number c


def _add(node: Node) -> Draft:
    for index in (0, 1):
        product = node.input(index)
        if isinstance(product, Draft) and product.product_scale is not None:
            return _add_bias(node, product, product.product_scale, 1 - index)
    return _with_number(node, lambda x, c: x + c, lambda x, c: c + x) or _sum(node, Add)


def _add_bias(node: Node, product: Draft, scale: FloatArray, bias_index: int) -> Draft:
    """Take the constant that follows a matrix product (torch's Linear, not fused to Gemm) as its bias."""
    assert isinstance(product.operator, Dense)
    operator = replace(product.operator, bias=node.bias(bias_index, scale))
    return replace(product, operator=operator, product_scale=None)


def _sub(node: Node) -> Draft:
    return _with_number(node, lambda x, c: x - c, lambda x, c: c - x) or _sum(node, Sub)


def _div(node: Node) -> Draft:
    draft = _with_number(node, lambda x, c: x / c, lambda x, c: c / x)
    if draft is None:
        node.refuse("it must divide by one number or divide one; multiply by the inverse instead.")
    return draft


def _with_number(node: Node, second: Operation, first: Operation) -> Draft | None:
    """Return arithmetic with one constant number as a table, None if no input is one.

    Args:
        node: With two inputs.
        second: The operation on the value and the number c if the number is the second input.
        first: The same if it is the first.
    """
    for index, operation in ((1, second), (0, first)):
        other, number = node.input(1 - index), node.input(index)
        if (
            not isinstance(number, np.ndarray)
            or number.size != 1
            or not isinstance(other, Activation | Draft)
        ):
            continue
        if number.ndim <= len(other.dims) + 1 and not (isinstance(other, Draft) and other.levels is None):
            return lookup(node, partial(operation, c=node.number(index)), 1 - index)
    return None


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
    scaled = _with_number(node, lambda x, c: x * c, lambda x, c: c * x)
    if scaled is not None:
        return scaled
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


ARITHMETIC: dict[str, Callable[[Node], Draft]] = {"Add": _add, "Div": _div, "Mul": _mul, "Sub": _sub}
