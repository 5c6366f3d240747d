"""MobileNetV3 for series, about 2.3 million parameters, for DaLiAc's windows of 1,024 samples of 24 sensor channels.

The blocks are those of MobileNetV3-Small (Howard et al. 2019, table 2) in one dimension; its channels are multiplied by
``width``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from tinypareto.datasets.daliac import ACTIVITIES, CHANNELS, load_daliac
from tinypareto.experiment import Experiment

WIDTH = 1.25

SPACE: dict[str, BaseDistribution] = {
    "epochs": IntDistribution(10, 40),
    "batch_size": CategoricalDistribution([32, 64, 128]),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "sparsity_blocks.stage1": FloatDistribution(0.0, 0.9),
    "sparsity_blocks.stage2": FloatDistribution(0.0, 0.9),
    "sparsity_blocks.stage3": FloatDistribution(0.0, 0.9),
    "sparsity_blocks.stage4": FloatDistribution(0.0, 0.9),
    "sparsity_head": FloatDistribution(0.0, 0.9),
    "sparsity_dense": FloatDistribution(0.0, 0.9),
    "pruning_start": FloatDistribution(0.1, 0.6),
    "pruning_steps": IntDistribution(1, 6),
    "pruning_schedule": CategoricalDistribution(["agp", "one-shot"]),
    "pruning_heuristic": CategoricalDistribution(["l1", "l2", "taylor", "fpgm", "apoz"]),
    "per_channel": CategoricalDistribution([True, False]),
    "calibration_method": CategoricalDistribution(["minmax", "percentile"]),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One block: kernel, channels inside and behind it, squeeze-and-excite, hard swish instead of ReLU, stride."""

    kernel: int
    inner: int
    channels: int
    excited: bool
    swish: bool
    stride: int


ROWS = (
    Row(3, 16, 16, excited=True, swish=False, stride=2),
    Row(3, 72, 24, excited=False, swish=False, stride=2),
    Row(3, 88, 24, excited=False, swish=False, stride=1),
    Row(5, 96, 40, excited=True, swish=True, stride=2),
    Row(5, 240, 40, excited=True, swish=True, stride=1),
    Row(5, 240, 40, excited=True, swish=True, stride=1),
    Row(5, 120, 48, excited=True, swish=True, stride=1),
    Row(5, 144, 48, excited=True, swish=True, stride=1),
    Row(5, 288, 96, excited=True, swish=True, stride=2),
    Row(5, 576, 96, excited=True, swish=True, stride=1),
    Row(5, 576, 96, excited=True, swish=True, stride=1),
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

    def __init__(self, channels_in: int, row: Row, width: float) -> None:
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
    """A stem, blocks in stages that begin where the series is halved, a wide pointwise layer and two dense layers.

    Args:
        width: Multiplies all channels but those of the input and the classes.
        channels: Of the input.
        classes: Of the output.
        rows: The blocks.
        wide: Channels of the pointwise layer, before they are multiplied.
        dense: Of the first dense layer, likewise.
    """

    def __init__(
        self,
        width: float,
        *,
        channels: int = CHANNELS,
        classes: int = ACTIVITIES,
        rows: Sequence[Row] = ROWS,
        wide: int = 576,
        dense: int = 1024,
    ) -> None:
        super().__init__()
        inner = _scaled(16, width)
        self.stem = _layer(channels, inner, kernel=3, swish=True, stride=2)
        self.blocks, inner = _stages(rows, inner, width)
        self.head = _layer(inner, _scaled(wide, width), kernel=1, swish=True)
        self.dense = nn.Linear(_scaled(wide, width), _scaled(dense, width))
        self.classifier = nn.Linear(_scaled(dense, width), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x 13 scores for n x 24 x 1024 series."""
        means = self.head(self.blocks(self.stem(x))).mean(2)
        scores: torch.Tensor = self.classifier(nn.functional.hardswish(self.dense(means)))
        return scores


def _stages(rows: Sequence[Row], channels: int, width: float) -> tuple[nn.Sequential, int]:
    """Return the blocks in stages, ``stage1`` and so on, and the channels behind them."""
    stages = nn.Sequential()
    for row in rows:
        if row.stride > 1:
            stages.add_module(f"stage{len(stages) + 1}", nn.Sequential())
        block = InvertedResidual(channels, row, width)
        stages[-1].append(block)  # type: ignore[operator]
        channels = _scaled(row.channels, width)
    return stages, channels


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


experiment = Experiment(
    name="mobilenetv3_daliac",
    space=SPACE,
    build_model=build_model,
    load_data=load_daliac,
    target="cortex-m4",
    objectives=("error", "rom_bytes", "ram_bytes", "flops"),
    limits={"rom_bytes": 1000 * 1024, "ram_bytes": 256 * 1024, "flops": 1e9},
)
