"""Settings of the default training loop."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tinypareto.errors import ConfigError
from tinypareto.network.augment import AUGMENTATIONS

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Settings of the default training loop."""

    epochs: int = 12
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 0.03  # at the start
    momentum: float = 0.9  # sgd only; adam keeps PyTorch's betas
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # of the learning rate, batch by batch down to 0; or "constant"
    augmentation: str = "none"  # of images also "shift-and-mirror"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it.")
        if self.learning_rate <= 0 or not math.isfinite(self.learning_rate):
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate}; raise it.")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must lie in [0, 1), got {self.momentum}; lower it.")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay must not be negative, got {self.weight_decay}; set 0 for none.")
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augmentation", tuple(AUGMENTATIONS)),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} must be one of {allowed}, got {getattr(self, name)!r}; pick one of them."
                )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainingConfig":
        """Read this class's fields from a trial's parameters; the rest keep their defaults.

        Example:
            >>> TrainingConfig.from_parameters({"epochs": 3, "width": 8}).epochs
            3
        """
        return cls(**{item.name: parameters[item.name] for item in fields(cls) if item.name in parameters})
