"""Requantisation in integers: real multiplier <-> 31-bit integer and shift.

This file defines what every kernel computes; the C sources repeat these formulas.

    q = clamp(zero_point + ((acc * 2**shift * multiplier + 2**31) >> 32), low, high)

with a 64-bit product and an arithmetic shift, so halves round towards plus infinity. The multiplier is
real * 2**(32 - shift), an integer in [0, 2**31); shift is 0 for every real multiplier below 1/2, that is,
for nearly every channel of a sane network, and at most 9: from 2**8 on any accumulator but 0 saturates.
The accumulator's reach is known from the weights, and reach * 2**shift < 2**31 is required, so that the
shifted accumulator fits 32 bits and the result is one high word: on cores with DSP instructions two
instructions. The multiplier is off by at most 1/2, hence q by less than 1/4 step besides its own rounding.

The sum of two tensors fits 32 bits throughout, because its two multipliers share a shift and have at
most 21 bits:

    q = clamp(zero_point + (((a - za) * ma + (b - zb) * mb + 2**(shift - 1)) >> shift), low, high)

with ma, mb in [0, 2**21) and shift in 1..31. A difference subtracts the second product.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import (
    Add,
    AveragePool,
    Convolution,
    Dense,
    FloatArray,
    Graph,
    Int8Array,
    Int32Array,
    MaxPool,
    Mul,
    Operator,
    Relu,
    Sub,
)

Int64Array = npt.NDArray[np.int64]

MULTIPLIER_BITS, PAIR_BITS = 31, 21
HIGH_WORD = 32  # bits below the result
MAX_SHIFT, MAX_PAIR_SHIFT = 9, 31
EASY_REACH = (1 << (31 - MAX_SHIFT)) - 1  # of accumulators for which every shift will do


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMultiplier:
    """The integers of a sum or difference: ``first`` and ``second`` in [0, 2**21), one ``shift`` in 1..31."""

    first: int
    second: int
    shift: int


def fixed_point(
    real_multiplier: npt.ArrayLike, reach: npt.ArrayLike = EASY_REACH
) -> tuple[Int32Array, Int8Array]:
    """Return integers with real_multiplier = multiplier * 2**(shift - 32), rounded.

    From 2**8 on the result is 2**8, which saturates just so.

    Args:
        real_multiplier: Any shape, 0 <= values < 2**29.
        reach: Largest magnitude of each accumulator, broadcast against the multipliers.

    Returns:
        multiplier (int32) and shift (int8, 0..9), shaped like the first argument.

    Raises:
        UnsupportedModelError: If a value is negative, not finite or too large for its accumulator.

    Example:
        >>> multiplier, shift = fixed_point([0.25, 0.75, 0.75 / 1024])
        >>> multiplier.tolist(), shift.tolist()
        ([1073741824, 1610612736, 3145728], [0, 1, 0])
    """
    real = np.asarray(real_multiplier, dtype=np.float64)
    _check_multipliers(real, 2.0**29)
    capped = np.minimum(real, 2.0 ** (MAX_SHIFT - 1))
    shift = np.clip(np.frexp(capped)[1] + 1, 0, MAX_SHIFT)
    scaled = np.rint(np.ldexp(capped, HIGH_WORD - shift)).astype(np.int64)
    carried = (scaled == 1 << MULTIPLIER_BITS) & (shift < MAX_SHIFT)  # rounding reached a power of two
    shift = shift + carried
    multiplier = np.minimum(np.where(carried, scaled >> 1, scaled), (1 << MULTIPLIER_BITS) - 1)
    _check_reach(real, np.broadcast_to(np.asarray(reach, dtype=np.int64), real.shape), shift)
    return multiplier.astype(np.int32), shift.astype(np.int8)


def requantize(
    acc: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    low: int,
    high: int,
) -> Int8Array:
    """Return clamp(zero_point + ((acc * 2**shift * multiplier + 2**31) >> 32), low, high).

    Args:
        acc: Values within their reach; multiplier and shift broadcast against their last axis.
        multiplier: From :func:`fixed_point`.
        shift: From :func:`fixed_point`.
        zero_point: Of the output.
        low: Smallest output, at least -128.
        high: Largest output, at most 127.

    Example:
        >>> requantize([10, -10, 1], 1 << 30, 1, zero_point=3, low=-128, high=127).tolist()
        [8, -2, 4]
    """
    shifted = np.asarray(acc, dtype=np.int64) << np.asarray(shift, dtype=np.int64)
    product = shifted * np.asarray(multiplier, dtype=np.int64)
    rounded = (product + (np.int64(1) << (HIGH_WORD - 1))) >> HIGH_WORD
    clamped: Int8Array = np.clip(rounded + zero_point, low, high).astype(np.int8)
    return clamped


def fixed_point_pair(first: float, second: float) -> PairMultiplier:
    """Return two multipliers with a common shift such that a sum of products fits 32 bits.

    The larger one has 21 bits: 2 * 255 * 2**21 + 2**30 < 2**31. Below 2**-10 both have fewer, and
    then the sum's weight is less than half a step of the output.

    Args:
        first: Scale of the first input over the output's, 0 <= first < 2**19.
        second: The same for the second input.

    Raises:
        UnsupportedModelError: If a value is negative, not finite or too large.

    Example:
        >>> fixed_point_pair(0.5, 0.25)
        PairMultiplier(first=1048576, second=524288, shift=21)
    """
    real = np.array([first, second], dtype=np.float64)
    _check_multipliers(real, 2.0**19)
    exponent = int(np.frexp(real.max())[1])
    shift = min(PAIR_BITS - exponent, MAX_PAIR_SHIFT)
    if np.rint(np.ldexp(real.max(), shift)) >= 1 << PAIR_BITS:  # rounding reached the next power of two
        shift -= 1
    scaled = np.rint(np.ldexp(real, shift))
    return PairMultiplier(first=int(scaled[0]), second=int(scaled[1]), shift=shift)


def requantize_sum(
    a: npt.ArrayLike, b: npt.ArrayLike, pair: PairMultiplier, zero_point: int, low: int, high: int
) -> Int8Array:
    """Return the clamped, rescaled sum of two tensors whose own zero points are subtracted already.

    Example:
        >>> requantize_sum([4, 5], [8, 8], fixed_point_pair(0.5, 0.25), 0, -128, 127).tolist()
        [4, 5]
    """
    product = np.asarray(a, dtype=np.int64) * pair.first + np.asarray(b, dtype=np.int64) * pair.second
    rounded = (product + (1 << (pair.shift - 1))) >> pair.shift
    clamped: Int8Array = np.clip(rounded + zero_point, low, high).astype(np.int8)
    return clamped


def output_multiplier(
    graph: Graph, operator: Convolution | Dense | AveragePool | MaxPool | Mul | Relu
) -> FloatArray:
    """Return the real factor from ``operator``'s accumulator to its output's steps.

    The accumulator is the sum of products plus bias (convolution, dense: one factor per output
    channel), the sum of ``q - zero_point`` under the window (average pooling) or a single
    ``q - zero_point`` (maximum pooling, ReLU) or the product of two (multiplication): one factor
    each, shape 1.
    """
    ratio = graph.tensors[operator.inputs[0]].scale / graph.tensors[operator.output].scale
    if isinstance(operator, Convolution | Dense):
        return ratio * operator.weight_scale
    if isinstance(operator, AveragePool):
        height, width = operator.window.kernel
        return np.array([ratio / (height * width)])
    if isinstance(operator, Mul):
        return np.array([ratio * graph.tensors[operator.inputs[1]].scale])
    return np.array([ratio])


def requantization(
    graph: Graph, operator: Convolution | Dense | AveragePool | MaxPool | Mul | Relu
) -> tuple[Int32Array, Int8Array]:
    """Return multiplier and shift from ``operator``'s accumulator to its output, as in `fixed_point`.

    Raises:
        UnsupportedModelError: If a factor cannot be a scale or is too large for its accumulator.
    """
    with _naming(operator):
        return fixed_point(output_multiplier(graph, operator), _reach(graph, operator))


def pair_multiplier(graph: Graph, operator: Add | Sub) -> PairMultiplier:
    """Return the integers with which ``operator`` adds or subtracts its two inputs.

    Raises:
        UnsupportedModelError: If a factor cannot be a scale or is too large.
    """
    first, second = (graph.tensors[name].scale for name in operator.inputs)
    out = graph.tensors[operator.output].scale
    with _naming(operator):
        return fixed_point_pair(first / out, second / out)


@contextmanager
def _naming(operator: Operator) -> Iterator[None]:
    """Say which operator it is whose factors cannot be used.

    Raises:
        UnsupportedModelError: As it was raised, with the operator's name.
    """
    try:
        yield
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"Operator '{operator.name}' cannot be compiled: {error}") from error


def folded_bias(operator: Convolution | Dense, input_zero_point: int) -> Int32Array:
    """Return the bias with the input's zero point folded in: bias - zero_point * sum(weights), cout.

    With it the kernel multiplies raw int8 inputs. Exact at borders too, if positions outside the
    input are filled with the input's zero point.

    Raises:
        UnsupportedModelError: If some input could drive the accumulator, or a partial sum of it in
            any order, out of 32 bits.
    """
    folded, reach = _folded(operator, input_zero_point)
    if (reach >= 1 << 31).any():
        channel = int(np.argmax(reach))
        raise UnsupportedModelError(
            f"{operator.name} must accumulate within 32 bits, but output channel {channel} can reach "
            f"{int(reach[channel])}; calibrate with more representative data or split the layer."
        )
    return folded.astype(np.int32)


def _folded(operator: Convolution | Dense, input_zero_point: int) -> tuple[Int64Array, Int64Array]:
    """Return the folded bias and the largest magnitude of any partial sum, each cout."""
    weight = operator.weight.reshape(operator.weight.shape[0], -1)  # cout x k
    total = weight.sum(axis=1, dtype=np.int64)
    positive = np.maximum(weight, 0).sum(axis=1, dtype=np.int64)
    folded: Int64Array = operator.bias.astype(np.int64) - input_zero_point * total
    return folded, np.abs(folded) + 128 * (2 * positive - total)  # |int8| <= 128


def _reach(graph: Graph, operator: Convolution | Dense | AveragePool | MaxPool | Mul | Relu) -> Int64Array:
    """Return the largest magnitude of the accumulator, cout or 1; q - zero_point is at most 255."""
    if isinstance(operator, Convolution | Dense):
        return _folded(operator, graph.tensors[operator.inputs[0]].zero_point)[1]
    if isinstance(operator, AveragePool):
        height, width = operator.window.kernel
        return np.array([255 * height * width])
    return np.array([255 * 255 if isinstance(operator, Mul) else 255])


def _check_reach(real: FloatArray, reach: Int64Array, shift: npt.NDArray[np.int_]) -> None:
    """Refuse a shift that could drive an accumulator out of 32 bits.

    Raises:
        UnsupportedModelError: If there is one.
    """
    bad = (shift > 0) & (reach >= 1 << (31 - shift))
    if bad.any():
        raise UnsupportedModelError(
            f"A rescaling factor of 1/2 or more must have a small accumulator, but {real[bad].flat[0]:g} has "
            f"one that can reach {int(reach[bad].flat[0])}; calibrate with more representative data, since "
            "nearly every output saturates."
        )


def _check_multipliers(real: FloatArray, limit: float) -> None:
    """Refuse factors that cannot be scales or that would need a shift below 1.

    Raises:
        UnsupportedModelError: If one is negative, not finite or not below ``limit``.
    """
    bad = ~((real >= 0) & (real < limit))  # also true for nan
    if bad.any():
        raise UnsupportedModelError(
            f"A rescaling factor must lie in [0, {limit:.0f}), got {real[bad].flat[0]:g}; "
            "calibrate again, since an output's range is vanishingly small or a scale is not finite."
        )
