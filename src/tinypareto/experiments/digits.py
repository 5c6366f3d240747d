"""scikit-learn's handwritten digits: 1,797 real images of 8 x 8, and a residual network for them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from torch import nn

from tinypareto.experiment import Experiment
from tinypareto.network.data import Data, Split

SPLIT_SEED = 0  # fixed: every trial of every study sees the same three splits

SPACE: dict[str, BaseDistribution] = {
    "width": IntDistribution(8, 24, step=4),  # filters of stage 1; stages 2 and 3 have 2 and 4 times as many
    "epochs": IntDistribution(6, 16),
    "batch_size": CategoricalDistribution([32, 64, 128]),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "sparsity_stage1": FloatDistribution(0.0, 0.9),
    "sparsity_stage2": FloatDistribution(0.0, 0.9),
    "sparsity_stage3": FloatDistribution(0.0, 0.9),
    "pruning_start": FloatDistribution(0.1, 0.6),
    "pruning_steps": IntDistribution(1, 6),
    "pruning_schedule": CategoricalDistribution(["agp", "one-shot"]),
    "pruning_heuristic": CategoricalDistribution(["l1", "l2", "taylor", "fpgm", "apoz"]),
    "per_channel": CategoricalDistribution([True, False]),
}


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x channels x H / stride x W / stride."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet8(nn.Module):
    """A stem, three residual stages and a linear classifier; 8 layers deep, shortcuts not counted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stage1 = ResidualBlock(width, width, stride=1)
        self.stage2 = ResidualBlock(width, 2 * width, stride=2)
        self.stage3 = ResidualBlock(2 * width, 4 * width, stride=2)
        self.classifier = nn.Linear(4 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return n x 10 scores for n x 1 x 8 x 8 images."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        scores: torch.Tensor = self.classifier(x.mean((2, 3)))
        return scores


def build_model(parameters: Mapping[str, Any]) -> nn.Module:
    """Build the network of the given ``width``."""
    return ResNet8(int(parameters["width"]))


def load_data() -> Data:
    """Load the digits, grey values in 0..1, split 60 / 20 / 20 with equal shares of every digit."""
    images, labels = load_digits(return_X_y=True)
    inputs = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)  # 4-bit grey values, 0..16
    everything = np.arange(len(labels))
    train, rest = train_test_split(everything, test_size=0.4, random_state=SPLIT_SEED, stratify=labels)
    validation, test = train_test_split(rest, test_size=0.5, random_state=SPLIT_SEED, stratify=labels[rest])
    return Data(
        train=Split(inputs=inputs[train], targets=labels[train]),
        validation=Split(inputs=inputs[validation], targets=labels[validation]),
        test=Split(inputs=inputs[test], targets=labels[test]),
    )


# Of a random sample of the space, about a third needs more ROM and a fifth more RAM than this.
experiment = Experiment(
    name="digits",
    space=SPACE,
    build_model=build_model,
    load_data=load_data,
    target="cortex-m4",
    objectives=("error", "rom_bytes", "ram_bytes", "flops"),
    limits={"rom_bytes": 40 * 1024, "ram_bytes": 3 * 1024},
)
