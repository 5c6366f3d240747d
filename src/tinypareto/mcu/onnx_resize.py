"""Which input position a nearest-neighbour Resize node reads for each output position.

Computed in float32 where onnxruntime does so, that halves fall on the same side; a position within 1e-6 of one is
taken for one there.

Source: ONNX operator specification, Resize.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.onnx_layouts import Dims
from tinypareto.mcu.onnx_values import Node

Float32Array = npt.NDArray[np.float32]
RealArray = npt.NDArray[np.floating[Any]]

ONE, HALF = np.float32(1), np.float32(0.5)
NEARLY_HALF = np.float64(0.5 + 1e-6)

_ROUND: dict[bytes, Callable[[Float32Array], RealArray]] = {
    b"round_prefer_floor": lambda x: np.ceil(x - NEARLY_HALF),
    b"round_prefer_ceil": lambda x: np.floor(x + NEARLY_HALF),
    b"floor": np.floor,
    b"ceil": np.ceil,
}


def source_indices(node: Node, dims: Dims) -> list[tuple[int, ...]]:
    """Return the input's index of each output row and column (a series has columns only).

    Raises:
        UnsupportedModelError: If the node does anything but pick neighbours along spatial axes.
    """
    mode = bytes(node.attributes.get("mode", b"nearest"))
    policy = bytes(node.attributes.get("keep_aspect_ratio_policy", b"stretch"))
    if mode != b"nearest" or policy != b"stretch":
        node.refuse(f"mode {mode.decode(errors='replace')} must be nearest and stretch; export it so.")
    result, scaled = [], _scaled(node, dims)
    if tuple(size for size, _ in scaled) == dims:  # onnxruntime copies then, whatever the scales are
        return [tuple(range(size)) for size in dims[1:]]
    for axis, (size, scale) in enumerate(scaled):
        if axis == 0 and (size != dims[0] or scale != 1):
            node.refuse("it must resize height and width only; keep the channels.")
        if axis:
            result.append(_nearest(node, dims[axis], size, scale))
    return result


def _scaled(node: Node, dims: Dims) -> list[tuple[int, np.float32]]:
    """Return the output's size and the scale of each axis of ``dims``."""
    rank = len(dims)
    scales, sizes = node.input(2), node.input(3)
    by_size = sizes is not None
    given = node.array(3) if by_size else node.array(2) if scales is not None else np.zeros(0)
    axes = [int(axis) for axis in node.attributes.get("axes", range(rank + 1))]
    if len(given) != len(axes) or not (np.isfinite(given) & (given > 0)).all():
        node.refuse(f"its scales or sizes must be constants above 0, one for each of {len(axes)} axes.")
    result = [(size, ONE) for size in dims]
    for index, value in zip(axes, given, strict=True):
        if index == 0:
            if value != 1:
                node.refuse("it must keep the batch as it is; give axis 0 the scale 1.")
            continue
        axis = node.axis(index, rank)
        before = dims[axis]
        if by_size:
            result[axis] = (int(value), np.float32(value) / np.float32(before))
        else:
            scale = np.float32(value)
            result[axis] = (int(np.floor(np.float32(before) * scale)), scale)
    return result


def _nearest(node: Node, before: int, after: int, scale: np.float32) -> tuple[int, ...]:
    if not 1 <= after <= 1 << 16:
        node.refuse(f"an axis must have 1 to 65536 values after it, not {after}; change its scales.")
    mode = bytes(node.attributes.get("coordinate_transformation_mode", b"half_pixel"))
    rounding = _ROUND.get(bytes(node.attributes.get("nearest_mode", b"round_prefer_floor")))
    x = np.arange(after, dtype=np.float32)
    centred = (x + HALF) / scale - HALF
    places = {
        b"half_pixel": centred,
        b"half_pixel_symmetric": _symmetric(before, after, scale),
        b"pytorch_half_pixel": centred if after > 1 else np.zeros(1, np.float32),
        b"asymmetric": x / scale,
        b"align_corners": x * np.float32(before - 1) / np.float32(max(after - 1, 1)),
    }
    if mode not in places or rounding is None:
        node.refuse(
            f"coordinate_transformation_mode must be one of {_names(places)}, and so its nearest_mode."
        )
    indices = np.clip(rounding(places[mode]), 0, before - 1)
    return tuple(int(index) for index in indices)


def _symmetric(before: int, after: int, scale: np.float32) -> Float32Array:
    """Return half pixels about the middle of the size that the scale asks for, before it was rounded down.

    onnxruntime computes the shift in float32, but adds it in double.
    """
    shift = np.float32(before) / np.float32(2) * (ONE - np.float32(after) / (np.float32(before) * scale))
    places = (np.arange(after) + 0.5) / np.float64(scale) - 0.5 + np.float64(shift)
    return places.astype(np.float32)


def _names(modes: dict[bytes, Float32Array]) -> str:
    return ", ".join(mode.decode() for mode in modes)
