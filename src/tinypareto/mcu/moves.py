"""What operators compute that only move values: concatenation, slices, padding, resizing, transposition."""

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import (
    INT8_MAX,
    INT8_MIN,
    Concat,
    Graph,
    Int8Array,
    Move,
    Pad,
    Resize,
    Slice,
    Transpose,
)

IDENTITY = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)


def move(graph: Graph, operator: Move, sources: list[Int8Array]) -> Int8Array:
    """Return the operator's output, n x H x W x C, for its inputs."""
    shape = graph.tensors[operator.output].shape
    parts = [
        x if table is None else table[x.astype(np.int16) - INT8_MIN]
        for x, table in zip(sources, clamped_tables(operator), strict=True)
    ]
    return _moved(operator, parts, shape)


def _moved(operator: Move, parts: list[Int8Array], shape: tuple[int, int, int]) -> Int8Array:
    x = parts[0]
    match operator:
        case Concat():
            return np.concatenate(parts, axis=operator.axis + 1)
        case Slice():
            spans = [
                slice(start, start + step * (size - 1) + 1, step)
                for start, step, size in zip(operator.start, operator.step, shape, strict=True)
            ]
            return x[:, spans[0], spans[1], spans[2]]
        case Pad():
            output = np.full((len(x), *shape), padding_value(operator), np.int8)
            top, left, front = operator.before
            height, width, channels = x.shape[1:]
            output[:, top : top + height, left : left + width, front : front + channels] = x
            return output
        case Resize():
            return x[:, list(operator.rows)][:, :, list(operator.columns)]
        case Transpose():
            return x.reshape(len(x), -1)[:, permutation(operator)].reshape(-1, *shape)
        case _:
            raise TypeError(f"no reference for {type(operator).__name__}")


def clamped_tables(operator: Move) -> tuple[Int8Array | None, ...]:
    """Return for each input what its values become, None where they stay."""
    tables = operator.tables or (None,) * len(operator.inputs)
    if operator.clamp == (INT8_MIN, INT8_MAX):
        return tables
    return tuple(np.clip(IDENTITY if table is None else table, *operator.clamp) for table in tables)


def padding_value(operator: Pad) -> int:
    """Return what lies around the input, clamped as all of the output is."""
    return min(max(operator.value, operator.clamp[0]), operator.clamp[1])


def keeps_values(operator: Move) -> bool:
    """Say whether every value arrives as it was."""
    return all(table is None for table in clamped_tables(operator))


def permutation(operator: Transpose) -> npt.NDArray[np.intp]:
    """Return for each byte of the output, in memory order, the place of the input's byte that it gets."""
    view = operator.view
    places: npt.NDArray[np.intp] = np.arange(view[0] * view[1] * view[2]).reshape(view)
    return places.transpose(operator.axes).ravel()


def stays_in_place(operator: Move) -> bool:
    """Say whether output and input hold the same bytes in the same order."""
    if not isinstance(operator, Transpose) or not keeps_values(operator):
        return False
    order = permutation(operator)
    return bool((order == np.arange(order.size)).all())
