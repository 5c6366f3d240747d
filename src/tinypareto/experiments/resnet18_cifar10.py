"""ResNet18 cut to three residual stages, about 1.6 million parameters, for CIFAR-10's images of 32 x 32."""

from collections.abc import Mapping
from typing import Any

import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from tinypareto.datasets.cifar10 import CLASSES, load_cifar10
from tinypareto.experiment import Experiment
from tinypareto.experiments.digits import ResidualBlock

WIDTH = 48  # filters of stage 1; stages 2 and 3 have 2 and 4 times as many

SPACE: dict[str, BaseDistribution] = {
    "epochs": IntDistribution(10, 60),
    "batch_size": CategoricalDistribution([64, 128, 256]),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "augmentation": CategoricalDistribution(["none", "shift-and-mirror"]),
    "sparsity_stage1": FloatDistribution(0.0, 0.9),  # the stem too: its sum with the stage's is one
    "sparsity_stage2": FloatDistribution(0.0, 0.9),
    "sparsity_stage3": FloatDistribution(0.0, 0.9),
    "pruning_start": FloatDistribution(0.1, 0.6),
    "pruning_steps": IntDistribution(1, 6),
    "pruning_schedule": CategoricalDistribution(["agp", "one-shot"]),
    "pruning_heuristic": CategoricalDistribution(["l1", "l2", "taylor", "fpgm", "apoz"]),
    "per_channel": CategoricalDistribution([True, False]),
    "calibration_method": CategoricalDistribution(["minmax", "percentile"]),
}


class ResNet18(nn.Module):
    """A stem, three stages of two residual blocks and a linear classifier."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stage1 = _stage(width, width, stride=1)
        self.stage2 = _stage(width, 2 * width, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, stride=2)
        self.classifier = nn.Linear(4 * width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x 10 scores for n x 3 x 32 x 32 images."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        scores: torch.Tensor = self.classifier(x.mean((2, 3)))
        return scores


def build_model(parameters: Mapping[str, Any]) -> nn.Module:
    """Build the network of the given ``width``, by default 48."""
    return ResNet18(int(parameters.get("width", WIDTH)))


def _stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(channels_in, channels, stride)
    return nn.Sequential(first, ResidualBlock(channels, channels, stride=1))


experiment = Experiment(
    name="resnet18_cifar10",
    space=SPACE,
    build_model=build_model,
    load_data=load_cifar10,
    target="cortex-m4",
    objectives=("error", "rom_bytes", "ram_bytes", "flops"),
    limits={"rom_bytes": 1000 * 1024, "ram_bytes": 256 * 1024, "flops": 1e9},
)
