"""Means whose divisor varies: at a border that does not count, the window sees fewer values."""

from dataclasses import replace

import numpy as np

from tinypareto.mcu.fixed_point import requantization
from tinypareto.mcu.graph import AveragePool, Graph, Int8Array, Int32Array


def mean_varies(operator: AveragePool) -> bool:
    """Say whether the divisor is the number of values inside the input instead of the window's size."""
    return any(operator.window.padding) and not operator.count_padding


def windows_by_count(operator: AveragePool) -> list[AveragePool]:
    """Return means of 1, 2, ... values, up to the window's size."""
    height, width = operator.window.kernel
    windows = [replace(operator.window, kernel=(1, count)) for count in range(1, height * width + 1)]
    return [replace(operator, window=window) for window in windows]


def mean_requantization(graph: Graph, operator: AveragePool) -> tuple[Int32Array, Int8Array]:
    """Return multipliers and shifts from a sum of 1, 2, ... values to the output's steps."""
    factors = [requantization(graph, mean) for mean in windows_by_count(operator)]
    multipliers, shifts = zip(*factors, strict=True)
    return np.concatenate(multipliers), np.concatenate(shifts)
