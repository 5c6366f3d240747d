"""One ONNX activation node -> a clamp of the layer before it, a Relu or a table of 256 outputs."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinypareto.mcu.graph import INT8_MAX, INT8_MIN, FloatArray, Int8Array, Lookup, Operator, Relu, Tensor
from tinypareto.mcu.onnx_values import Activation, Draft, Node

RealFunction = Callable[[FloatArray], FloatArray]


def input_levels(tensor: Tensor) -> FloatArray:
    """Return the 256 real values that ``tensor`` can hold, ascending."""
    return tensor.scale * (np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.float64) - tensor.zero_point)


def lookup_table(levels: FloatArray, output: Tensor) -> Int8Array:
    """Return real outputs in steps of ``output``; halves to even, as QuantizeLinear rounds."""
    steps = np.rint(levels / output.scale) + output.zero_point
    table: Int8Array = np.clip(steps, INT8_MIN, INT8_MAX).astype(np.int8)
    return table


def bounded_levels(draft: Draft) -> FloatArray | None:
    """Return a Lookup's real outputs within the draft's bounds; None if it drafts another operator."""
    return None if draft.levels is None else np.clip(draft.levels, draft.low, draft.high)


def lookup(node: Node, function: RealFunction, index: int = 0) -> Draft:
    """Draft a table of ``function``; behind another table that is not rounded yet, one table of both."""
    value = node.input(index)
    if isinstance(value, Draft) and (levels := bounded_levels(value)) is not None:
        draft = replace(value, low=-math.inf, high=math.inf)
    else:
        source = node.activation(index)
        levels, draft = input_levels(source.tensor), _unfinished_lookup(node, source)
    with np.errstate(all="ignore"):  # what is not finite is refused below
        results = function(levels)
    if not np.isfinite(results).all():
        node.refuse("its outputs must be finite; check its attributes and the scale of its input.")
    return replace(draft, levels=results)


def _unfinished_lookup(node: Node, source: Activation) -> Draft:
    operator = Lookup(
        name=node.name, inputs=(source.tensor.name,), output="", table=np.zeros(256, dtype=np.int8)
    )
    return elementwise(source, operator, levels=input_levels(source.tensor))


def elementwise(source: Activation, operator: Operator, **settings: Any) -> Draft:
    """Draft an operator that changes values where they lie."""
    return Draft(
        operator=operator,
        shape=source.tensor.shape,
        dims=source.dims,
        channels_last=source.channels_last,
        **settings,
    )


def _relu(node: Node) -> Draft:
    return _clamped(node, 0.0, math.inf)


def _clip(node: Node) -> Draft:
    low, high = (
        node.number(index) if node.input(index) is not None else default
        for index, default in (
            (1, node.attributes.get("min", -math.inf)),  # attributes in operator sets before 11
            (2, node.attributes.get("max", math.inf)),
        )
    )
    if math.isnan(low) or math.isnan(high):
        node.refuse("its bounds must be numbers, not nan; export it with the bounds that you mean.")
    return _clamped(node, low, high)


def _clamped(node: Node, low: float, high: float) -> Draft:
    value = node.input(0)
    if isinstance(value, Draft):  # clamping twice clamps the first clamp's bounds
        bounds = [min(max(bound, low), high) for bound in (value.low, value.high)]
        return replace(value, low=bounds[0], high=bounds[1], product_scale=None)
    source = node.activation(0)
    if low < 0.0:  # no ReLU: without a layer to clamp, a table of the input itself is clamped
        return replace(_unfinished_lookup(node, source), low=low, high=high)
    operator = Relu(name=node.name, inputs=(source.tensor.name,), output="")
    return elementwise(source, operator, low=low, high=high)


def _leaky_relu(node: Node) -> Draft:
    slope = float(node.attributes.get("alpha", 0.01))
    return lookup(node, lambda x: np.where(x < 0, slope * x, x))


def _hard_sigmoid(node: Node) -> Draft:
    slope, offset = float(node.attributes.get("alpha", 0.2)), float(node.attributes.get("beta", 0.5))
    return lookup(node, lambda x: np.clip(slope * x + offset, 0.0, 1.0))


def _hard_swish(node: Node) -> Draft:
    return lookup(node, lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0))


def _sigmoid(node: Node) -> Draft:
    return lookup(node, lambda x: np.exp(-np.logaddexp(0.0, -x)))  # exp(-x) alone overflows


def _tanh(node: Node) -> Draft:
    return lookup(node, np.tanh)


ACTIVATIONS: dict[str, Callable[[Node], Draft]] = {
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
}
