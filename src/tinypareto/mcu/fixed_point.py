"""Requantisation in integers: real multiplier <-> 31-bit integer and shift.

This file defines what every kernel computes; the C sources repeat these formulas.

    q = clamp(zero_point + ((acc * multiplier + 2**(shift - 1)) >> shift), low, high)

with a 64-bit product and an arithmetic shift, so halves round towards plus infinity. ``acc`` is any
int32; multiplier is 0 or in [2**30, 2**31) and shift in 1..62, so the sum stays below 2**63. The
clamp must see the 64-bit value: with a shift below 31 it need not fit 32 bits.

For shift >= 33 (every real multiplier below 1/4, that is, nearly every channel of a sane network)
the low word never matters and one high-word multiplication gives the same bits:

    (acc * multiplier + 2**(shift - 1)) >> shift
        == (high32(acc * multiplier) + 2**(shift - 33)) >> (shift - 32)

The sum of two tensors fits 32 bits throughout, because its two multipliers share a shift and have at
most 21 bits:

    q = clamp(zero_point + (((a - za) * ma + (b - zb) * mb + 2**(shift - 1)) >> shift), low, high)

with ma, mb in [0, 2**21) and shift in 1..31. A difference subtracts the second product.
"""

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
    Relu,
    Sub,
)

Int64Array = npt.NDArray[np.int64]

MULTIPLIER_BITS, PAIR_BITS = 31, 21
MAX_SHIFT, MAX_PAIR_SHIFT = 62, 31
ZERO_SHIFT = 33  # of the multiplier 0: any shift would do, this one suits the high-word form


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMultiplier:
    """The integers of a sum or difference: ``first`` and ``second`` in [0, 2**21), one ``shift`` in 1..31."""

    first: int
    second: int
    shift: int


def fixed_point(real_multiplier: npt.ArrayLike) -> tuple[Int32Array, Int8Array]:
    """Return integers with real_multiplier = multiplier / 2**shift, rounded to 31 bits.

    The multiplier lies in [2**30, 2**31); it is 0 where the real one is 0 or below 2**-32, which no
    int32 accumulator can lift to one half.

    Args:
        real_multiplier: Any shape, 0 <= values < 2**29.

    Returns:
        multiplier (int32) and shift (int8, 1..62), shaped like the argument.

    Raises:
        UnsupportedModelError: If a value is negative, not finite or too large.

    Example:
        >>> multiplier, shift = fixed_point([0.5, 0.75 / 1024, 0.0])
        >>> multiplier.tolist(), shift.tolist()
        ([1073741824, 1610612736, 0], [31, 41, 33])
    """
    real = np.asarray(real_multiplier, dtype=np.float64)
    _check_multipliers(real, 2.0**29)
    mantissa, exponent = np.frexp(real)  # real = mantissa * 2**exponent, mantissa in [0.5, 1)
    multiplier = np.rint(np.ldexp(mantissa, MULTIPLIER_BITS)).astype(np.int64)
    carried = multiplier == 1 << MULTIPLIER_BITS  # rounding reached the next power of two
    multiplier = np.where(carried, multiplier >> 1, multiplier)
    shift = MULTIPLIER_BITS - exponent - carried
    vanishes = (multiplier == 0) | (shift > MAX_SHIFT)
    multiplier = np.where(vanishes, 0, multiplier)
    shift = np.where(vanishes, ZERO_SHIFT, shift)
    return multiplier.astype(np.int32), shift.astype(np.int8)


def requantize(
    acc: npt.ArrayLike,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    zero_point: int,
    low: int,
    high: int,
) -> Int8Array:
    """Return clamp(zero_point + ((acc * multiplier + 2**(shift - 1)) >> shift), low, high).

    Args:
        acc: int32 values; multiplier and shift broadcast against their last axis.
        multiplier: From :func:`fixed_point`.
        shift: From :func:`fixed_point`.
        zero_point: Of the output.
        low: Smallest output, at least -128.
        high: Largest output, at most 127.

    Example:
        >>> requantize([10, -10, 1], 1 << 30, 31, zero_point=3, low=-128, high=127).tolist()
        [8, -2, 4]
    """
    product = np.asarray(acc, dtype=np.int64) * np.asarray(multiplier, dtype=np.int64)
    wide_shift = np.asarray(shift, dtype=np.int64)
    rounded = (product + (np.int64(1) << (wide_shift - 1))) >> wide_shift
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


def pair_multiplier(graph: Graph, operator: Add | Sub) -> PairMultiplier:
    """Return the integers with which ``operator`` adds or subtracts its two inputs."""
    first, second = (graph.tensors[name].scale for name in operator.inputs)
    out = graph.tensors[operator.output].scale
    return fixed_point_pair(first / out, second / out)


def folded_bias(operator: Convolution | Dense, input_zero_point: int) -> Int32Array:
    """Return the bias with the input's zero point folded in: bias - zero_point * sum(weights), cout.

    With it the kernel multiplies raw int8 inputs. Exact at borders too, if positions outside the
    input are filled with the input's zero point.

    Raises:
        UnsupportedModelError: If some input could drive the accumulator, or a partial sum of it in
            any order, out of 32 bits.
    """
    weight = operator.weight.reshape(operator.weight.shape[0], -1).astype(np.int64)  # cout x k
    folded: Int64Array = operator.bias.astype(np.int64) - input_zero_point * weight.sum(axis=1)
    reach = np.abs(folded) + 128 * np.abs(weight).sum(axis=1)  # |int8| <= 128
    if (reach >= 1 << 31).any():
        channel = int(np.argmax(reach))
        raise UnsupportedModelError(
            f"{operator.name} must accumulate within 32 bits, but output channel {channel} can reach "
            f"{int(reach[channel])}; calibrate with more representative data or split the layer."
        )
    return folded.astype(np.int32)


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
