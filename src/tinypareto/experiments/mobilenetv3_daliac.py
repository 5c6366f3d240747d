"""MobileNetV3 for series, about 2.3 million parameters, for DaLiAc's windows of 1,024 samples of 24 sensor channels.

The blocks are those of MobileNetV3-Small (Howard et al. 2019, table 2) in one dimension; its channels are multiplied by
``width``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

CHANNELS, CLASSES = 24, 13
WIDTH = 1.25


@dataclass(frozen=True, slots=True)
class _Row:
    """One block: kernel, channels inside and behind it, squeeze-and-excite, hard swish instead of ReLU, stride."""

    kernel: int
    inner: int
    channels: int
    excited: bool
    swish: bool
    stride: int


_ROWS = (
    _Row(3, 16, 16, True, False, 2),
    _Row(3, 72, 24, False, False, 2),
    _Row(3, 88, 24, False, False, 1),
    _Row(5, 96, 40, True, True, 2),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 120, 48, True, True, 1),
    _Row(5, 144, 48, True, True, 1),
    _Row(5, 288, 96, True, True, 2),
    _Row(5, 576, 96, True, True, 1),
    _Row(5, 576, 96, True, True, 1),
)


class SqueezeExcite(nn.Module):
    """Scales each channel by a factor in 0..1 that is computed from all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _scaled(channels, 1 / 4)
        self.squeeze = nn.Conv1d(channels, squeezed, 1)
        self.excite = nn.Conv1d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a series of x's shape, n x C x L."""
        means = x.mean(2, keepdim=True)  # n x C x 1
        return x * nn.functional.hardsigmoid(self.excite(torch.relu(self.squeeze(means))))


class InvertedResidual(nn.Module):
    """Widens a series, filters each channel alone and narrows it again, beside a shortcut where shapes allow."""

    def __init__(self, channels_in: int, row: _Row, width: float) -> None:
        super().__init__()
        inner, channels = _scaled(row.inner, width), _scaled(row.channels, width)
        self.has_shortcut = row.stride == 1 and channels_in == channels
        self.widen = _layer(channels_in, inner, kernel=1, swish=row.swish)
        self.filter = _layer(
            inner, inner, kernel=row.kernel, swish=row.swish, stride=row.stride, groups=inner
        )
        self.excite: nn.Module = SqueezeExcite(inner) if row.excited else nn.Identity()
        self.narrow = nn.Sequential(nn.Conv1d(inner, channels, 1, bias=False), nn.BatchNorm1d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x channels x L / stride."""
        y: torch.Tensor = self.narrow(self.excite(self.filter(self.widen(x))))
        return x + y if self.has_shortcut else y


class MobileNetV3(nn.Module):
    """A stem, eleven blocks, a wide pointwise layer and two dense layers on its means."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = _scaled(16, width)
        self.stem = _layer(CHANNELS, channels, kernel=3, swish=True, stride=2)
        blocks: list[nn.Module] = []
        for row in _ROWS:
            blocks.append(InvertedResidual(channels, row, width))
            channels = _scaled(row.channels, width)
        self.blocks = nn.Sequential(*blocks)
        wide, dense = _scaled(576, width), _scaled(1024, width)
        self.head = _layer(channels, wide, kernel=1, swish=True)
        self.dense = nn.Linear(wide, dense)
        self.classifier = nn.Linear(dense, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x 13 scores for n x 24 x 1024 series."""
        means = self.head(self.blocks(self.stem(x))).mean(2)
        scores: torch.Tensor = self.classifier(nn.functional.hardswish(self.dense(means)))
        return scores


def build_model(parameters: Mapping[str, Any]) -> nn.Module:
    """Build the network whose channels are ``width`` times those of MobileNetV3-Small, by default 1.25."""
    return MobileNetV3(float(parameters.get("width", WIDTH)))


def _scaled(channels: int, factor: float) -> int:
    """Return channels times factor, rounded to a multiple of 8 that is not below nine tenths of it."""
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * factor else rounded + 8


def _layer(
    channels_in: int, channels: int, *, kernel: int, swish: bool, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    convolution = nn.Conv1d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    activation: nn.Module = nn.Hardswish() if swish else nn.ReLU()
    return nn.Sequential(convolution, nn.BatchNorm1d(channels), activation)
