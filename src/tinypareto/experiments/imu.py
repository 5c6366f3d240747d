"""Generated windows of a worn motion sensor, five activities, and a small MobileNetV3: minutes on one core."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from tinypareto.datasets.generated_imu import CHANNELS, MOVEMENTS, generate_windows
from tinypareto.experiment import Experiment
from tinypareto.experiments.mobilenetv3_daliac import MobileNetV3, Row
from tinypareto.network.data import Data, Split

DATA_SEED = 0  # fixed: every trial of every study sees the same people
SUBJECTS = {"train": range(16), "validation": range(16, 24), "test": range(24, 32)}  # nobody is in two splits
PER_ACTIVITY = 8  # windows of each person

ROWS = (
    Row(3, 16, 16, excited=False, swish=False, stride=2),
    Row(5, 48, 24, excited=False, swish=True, stride=2),
    Row(5, 72, 24, excited=True, swish=True, stride=1),
)

SPACE: dict[str, BaseDistribution] = {
    "width": FloatDistribution(0.5, 2.0, step=0.5),
    "epochs": IntDistribution(4, 12),
    "batch_size": CategoricalDistribution([32, 64, 128]),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "sparsity_stem": FloatDistribution(0.0, 0.9),
    "sparsity_blocks.stage1": FloatDistribution(0.0, 0.9),
    "sparsity_blocks.stage2": FloatDistribution(0.0, 0.9),
    "sparsity_head": FloatDistribution(0.0, 0.9),
    "pruning_start": FloatDistribution(0.1, 0.6),
    "pruning_steps": IntDistribution(1, 6),
    "pruning_schedule": CategoricalDistribution(["agp", "one-shot"]),
    "pruning_heuristic": CategoricalDistribution(["l1", "l2", "taylor", "fpgm", "apoz"]),
    "per_channel": CategoricalDistribution([True, False]),
}


def build_model(parameters: Mapping[str, Any]) -> nn.Module:
    """Build the network whose channels are multiplied by ``width``."""
    width = float(parameters["width"])
    return MobileNetV3(width, channels=CHANNELS, classes=len(MOVEMENTS), rows=ROWS, wide=96, dense=64)


def load_data() -> Data:
    """Generate the windows of 32 people, normalised by what those of the training show."""
    drawn = {
        name: [generate_windows(s, PER_ACTIVITY, DATA_SEED) for s in own] for name, own in SUBJECTS.items()
    }
    inputs = {name: np.concatenate([windows for windows, _ in own]) for name, own in drawn.items()}
    mean, std = (f(inputs["train"], axis=(0, 2), keepdims=True) for f in (np.mean, np.std))
    return Data(**{
        name: Split(inputs=(inputs[name] - mean) / std, targets=np.concatenate([labels for _, labels in own]))
        for name, own in drawn.items()
    })


experiment = Experiment(
    name="imu",
    space=SPACE,
    build_model=build_model,
    load_data=load_data,
    target="cortex-m4",
    objectives=("error", "rom_bytes", "ram_bytes", "flops"),
    limits={"rom_bytes": 40 * 1024, "ram_bytes": 3 * 1024},
)
