"""Attributes of a convolution or pooling node -> the window that slides over its image."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import Window
from tinypareto.mcu.onnx_layouts import Shape
from tinypareto.mcu.onnx_values import Activation, Node

Int64Array = npt.NDArray[np.int64]


def read_window(node: Node, image: Activation, kernel: tuple[int, ...]) -> Window:
    """Return the window of a convolution or pooling node; a series has height 1.

    Args:
        node: With the attributes strides, dilations, pads, auto_pad and ceil_mode, or their defaults.
        image: The node's input.
        kernel: Spatial size, two values or, for a series, one.

    Raises:
        UnsupportedModelError: If rounding up adds a partial window to anything but a maximum.
    """
    spatial = len(image.dims) - 1
    stride = _pair(node.attributes.get("strides", [1] * spatial), filler=1)
    dilation = _pair(node.attributes.get("dilations", [1] * spatial), filler=1)
    size = _pair(kernel, filler=1)
    begin, end = _padding(node, image, size, stride, dilation)
    window = Window(kernel=size, stride=stride, padding=(*begin, *end), dilation=dilation)
    return _ceiled(node, image, window) if node.attributes.get("ceil_mode", 0) else window


def output_shape(node: Node, image: Activation, window: Window, channels: int) -> Shape:
    """Return height x width x channels of what the window makes of ``image``.

    Raises:
        UnsupportedModelError: If the window is larger than the padded image.
    """
    sizes = []
    for axis in (0, 1):
        span = image.tensor.shape[axis] + window.padding[axis] + window.padding[axis + 2]
        surplus = span - reach(window, axis)
        if surplus < 0:
            node.refuse(f"its window {window.kernel} is larger than the padded input {image.dims}.")
        sizes.append(surplus // window.stride[axis] + 1)
    return sizes[0], sizes[1], channels


def reach(window: Window, axis: int) -> int:
    """Return how many positions the window spans, gaps of the dilation included."""
    return window.dilation[axis] * (window.kernel[axis] - 1) + 1


def inside_counts(image: Activation, window: Window, axis: int) -> Int64Array:
    """Return how many of the window's rows (axis 0) or columns (1) lie in the image, for each place of it."""
    size = image.tensor.shape[axis]
    span = size + window.padding[axis] + window.padding[axis + 2] - reach(window, axis)
    first = np.arange(0, span + 1, window.stride[axis])[:, None] - window.padding[axis]
    taps = first + window.dilation[axis] * np.arange(window.kernel[axis])
    counts: Int64Array = ((taps >= 0) & (taps < size)).sum(axis=1)
    return counts


def _padding(
    node: Node,
    image: Activation,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before (top, left) and behind (bottom, right) the image."""
    mode = bytes(node.attributes.get("auto_pad", b"NOTSET"))
    if mode in {b"NOTSET", b"VALID"}:
        pads = node.attributes.get("pads", []) if mode == b"NOTSET" else []
        half = len(pads) // 2
        return _pair((0, *pads[:half]), 0), _pair((0, *pads[half:]), 0)
    total = [
        max((math.ceil(size / step) - 1) * step + gap * (taps - 1) + 1 - size, 0)
        for size, taps, step, gap in zip(image.tensor.shape[:2], kernel, stride, dilation, strict=True)
    ]
    small, large = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
    begin, end = (small, large) if mode == b"SAME_UPPER" else (large, small)
    return _pair(begin, 0), _pair(end, 0)


def _ceiled(node: Node, image: Activation, window: Window) -> Window:
    """Pad behind the image until rounding up and down agree; a maximum and a mean without padding stay the same."""
    behind = list(window.padding[2:])
    for axis in (0, 1):
        inside = image.tensor.shape[axis] + window.padding[axis]
        steps, rest = divmod(inside + behind[axis] - reach(window, axis), window.stride[axis])
        if rest and (steps + 1) * window.stride[axis] < inside:  # else the window would see padding only
            behind[axis] += window.stride[axis] - rest
    padding_counts = node.kind != "MaxPool" and node.attributes.get("count_include_pad", 0)
    if tuple(behind) != window.padding[2:] and padding_counts:
        node.refuse("ceil_mode adds a partial window here; set ceil_mode=False or count_include_pad=0.")
    return replace(window, padding=(*window.padding[:2], behind[0], behind[1]))


def _pair(values: Any, filler: int) -> tuple[int, int]:
    """Return (height, width) of one or two spatial values; a series has height ``filler``."""
    height, width = (filler, *(int(value) for value in values))[-2:]
    return height, width
