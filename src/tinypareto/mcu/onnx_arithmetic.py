"""One ONNX node of arithmetic between two values -> an operator, or a part of the one before it."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, TypeAlias

from tinypareto.mcu.graph import Add, Convolution, Dense, FloatArray, Mul, Sub
from tinypareto.mcu.onnx_activations import bounded_levels, elementwise, input_levels, lookup
from tinypareto.mcu.onnx_broadcasts import with_constants
from tinypareto.mcu.onnx_layouts import is_neutral
from tinypareto.mcu.onnx_values import Activation, Draft, Node, Value

Operation: TypeAlias = Callable[..., Any]  # of real values x and one number c


def _add(node: Node) -> Draft:
    for index in (0, 1):
        product = node.input(index)
        if isinstance(product, Draft) and product.product_scale is not None:
            return _add_bias(node, product, product.product_scale, 1 - index)
    return (
        _with_number(node, lambda x, c: x + c, lambda x, c: c + x) or with_constants(node) or _sum(node, Add)
    )


def _add_bias(node: Node, product: Draft, scale: FloatArray, bias_index: int) -> Draft:
    """Take the constant that follows a matrix product (torch's Linear, not fused to Gemm) as its bias."""
    assert isinstance(product.operator, Convolution | Dense)
    operator = replace(product.operator, bias=node.bias(bias_index, scale))
    return replace(product, operator=operator, product_scale=None)


def _sub(node: Node) -> Draft:
    return (
        _with_number(node, lambda x, c: x - c, lambda x, c: c - x) or with_constants(node) or _sum(node, Sub)
    )


def _div(node: Node) -> Draft:
    draft = _with_number(node, lambda x, c: x / c, lambda x, c: c / x) or with_constants(node)
    if draft is None:
        node.refuse("it must divide by constants or divide one number; multiply by the inverse instead.")
    return draft


def _with_number(node: Node, second: Operation, first: Operation) -> Draft | None:
    """Return arithmetic with one constant number as a table, None if no input is one.

    Args:
        node: With two inputs.
        second: The operation on the value and the number c if the number is the second input.
        first: The same if it is the first.
    """
    for index, operation in ((1, second), (0, first)):
        other, number = node.input(1 - index), node.real_constant(index)
        if number is None or number.size != 1 or not isinstance(other, Activation | Draft):
            continue
        if number.ndim <= len(other.dims) + 1 and not (isinstance(other, Draft) and other.levels is None):
            return lookup(node, partial(operation, c=float(number.reshape(()))), 1 - index)
    return None


def _sum(node: Node, make: type[Add | Sub]) -> Draft:
    first, second = node.activation(0), node.activation(1)
    if first.dims != second.dims:
        node.refuse(f"both inputs must have one shape, not {first.dims} and {second.dims}; do not broadcast.")
    first, second = _side_by_side(node, first, second)
    operator = make(name=node.name, inputs=(first.tensor.name, second.tensor.name), output="")
    return elementwise(first, operator)


def _side_by_side(node: Node, first: Activation, second: Activation) -> tuple[Activation, Activation]:
    """Return two values of equal dims in tensors in which they lie alike."""
    neutral = is_neutral(first.tensor.shape)
    if first.tensor.shape == second.tensor.shape and (neutral or first.channels_last == second.channels_last):
        return first, second
    last = first.channels_last or second.channels_last
    return node.ordered(0, channels_last=last), node.ordered(1, channels_last=last)


def _mul(node: Node) -> Draft:
    for index in (0, 1):
        gated = _gated(node.input(index), node.input(1 - index))
        if gated is not None:
            return gated
    scaled = _with_number(node, lambda x, c: x * c, lambda x, c: c * x)
    if scaled is not None:
        return scaled
    constant = with_constants(node)
    if constant is not None:
        return constant
    first, second = node.activation(0), node.activation(1)
    if first.dims == second.dims:
        first, second = _side_by_side(node, first, second)
    else:
        first, second = _by_channel(node, 0) or _by_channel(node, 1) or _refuse_factors(node)
    operator = Mul(name=node.name, inputs=(first.tensor.name, second.tensor.name), output="")
    return elementwise(first, operator)


def _refuse_factors(node: Node) -> NoReturn:
    node.refuse(
        "both inputs must have one shape, or one must hold a factor per channel (C x 1 x 1 or C x 1), "
        f"not {node.activation(0).dims} and {node.activation(1).dims}; do not broadcast otherwise."
    )


def _by_channel(node: Node, index: int) -> tuple[Activation, Activation] | None:
    """Return a value and the factors of its channels, which are its first or its last axis; None if they are not."""
    dims, factors = node.activation(index).dims, node.activation(1 - index).dims
    ones = (1,) * (len(dims) - 1)
    for last, wanted in ((False, (*dims[:1], *ones)), (True, (*ones, *dims[-1:]))):
        if factors == wanted and (last or len(dims) <= 3):
            return node.ordered(index, channels_last=last), node.ordered(1 - index, channels_last=last)
    return None


def _gated(gate: Value | None, value: Value | None) -> Draft | None:
    """Return x * f(x), if f(x) is a table that is not rounded yet, as one table (hard swish, SiLU)."""
    if not isinstance(gate, Draft) or not isinstance(value, Activation):
        return None
    levels = bounded_levels(gate)
    if levels is None or gate.operator.inputs != (value.tensor.name,) or gate.dims != value.dims:
        return None
    return replace(gate, levels=levels * input_levels(value.tensor), low=-math.inf, high=math.inf)


ARITHMETIC: dict[str, Callable[[Node], Draft]] = {"Add": _add, "Div": _div, "Mul": _mul, "Sub": _sub}
