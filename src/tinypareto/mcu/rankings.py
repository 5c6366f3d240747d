"""What operators compute that compare values along one axis: softmax and the index of the largest.

Softmax takes no float and no logarithm. A table holds exp(-scale * d) for each distance d of a value from the
largest one, in steps of 1/65535; the share of a value is

    share = (table[largest - q] * 2**15 + sum // 2) // sum, in steps of 2**-15

and is requantised as any accumulator is. All of it fits 32 bits without a sign for up to 65,536 values.
"""

import math

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.fixed_point import fixed_point, requantize
from tinypareto.mcu.graph import INT8_MIN, ArgMax, Graph, Int8Array, Int32Array, Softmax

Int64Array = npt.NDArray[np.int64]

SHARE_BITS = 15
LARGEST_EXPONENTIAL = 65535  # fits uint16
MAX_CLASSES = 256  # an index fits int8 then


def softmax(graph: Graph, operator: Softmax, x: Int64Array) -> Int8Array:
    """Return the shares, n x H x W x C."""
    table = exponentials(graph, operator).astype(np.int64)
    axis = operator.axis + 1
    powers = table[x.max(axis=axis, keepdims=True) - x]
    total = powers.sum(axis=axis, keepdims=True)
    shares = ((powers << SHARE_BITS) + total // 2) // total
    multiplier, shift = share_requantization(graph, operator)
    zero_point = graph.tensors[operator.output].zero_point
    return requantize(shares, multiplier, shift, zero_point, *operator.clamp)


def exponentials(graph: Graph, operator: Softmax) -> Int32Array:
    """Return exp(-scale * d) for d = 0..255 in steps of 1/65535."""
    scale = graph.tensors[operator.inputs[0]].scale
    values: Int32Array = np.rint(np.exp(-scale * np.arange(256.0)) * LARGEST_EXPONENTIAL).astype(np.int32)
    return values


def share_requantization(graph: Graph, operator: Softmax) -> tuple[Int32Array, Int8Array]:
    """Return multiplier and shift from a share to the output's steps, as in `fixed_point`."""
    factor = 2.0**-SHARE_BITS / graph.tensors[operator.output].scale
    return fixed_point(np.array([factor]), np.array([1 << SHARE_BITS]))


def arg_max(operator: ArgMax, x: Int64Array) -> Int8Array:
    """Return the index of the largest value, the first of equals, n x H x W x C with one value on the axis."""
    index = x.argmax(axis=operator.axis + 1, keepdims=True) + INT8_MIN
    clamped: Int8Array = np.clip(index, *operator.clamp).astype(np.int8)
    return clamped


def runs(shape: tuple[int, int, int], axis: int) -> tuple[int, int, int]:
    """Return how many runs of values there are, how many values a run has and how far apart they lie."""
    inner = math.prod(shape[axis + 1 :])
    return math.prod(shape[:axis]), shape[axis], inner
