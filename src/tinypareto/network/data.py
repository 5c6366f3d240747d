"""Real data in three parts: training chooses the weights, validation the hyperparameters, test reports.

Axes: n samples; then C x H x W (images), C x L (series) or F (features).
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.errors import DataError

FloatArray = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]

MIN_SAMPLES = 16  # per split: the simulated core is compared with the host on this many
CHECKED_SAMPLES = 1024  # at a time
FINGERPRINT_SAMPLES = 64  # of each split


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Samples and what is known of them.

    Whatever arrives is turned into contiguous arrays of the types below; the caller's stay as they are.

    Args:
        inputs: n x C x H x W, n x C x L or n x F, float32, scaled as the network shall see them.
        targets: n class numbers from 0 (integers), or n or n x k real values (regression).

    Raises:
        DataError: If there are too few samples, lengths differ, a value is not finite or the axes are wrong.
    """

    inputs: FloatArray
    targets: Targets

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _checked_inputs(self.inputs))
        object.__setattr__(self, "targets", _checked_targets(self.targets))
        if len(self.inputs) != len(self.targets):
            raise DataError(
                f"inputs and targets must have the same length, got {len(self.inputs)} and "
                f"{len(self.targets)}; drop the samples that have no target."
            )

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """The three splits of one data set.

    Raises:
        DataError: If the splits differ in the shape of a sample or the kind of target, or hold a class
            that the training split lacks.
    """

    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            self._check_against_training(name, getattr(self, name))

    def _check_against_training(self, name: str, split: Split) -> None:
        if split.inputs.shape[1:] != self.train.inputs.shape[1:]:
            raise DataError(
                f"all splits must hold samples of one shape, got {self.train.inputs.shape[1:]} in train and "
                f"{split.inputs.shape[1:]} in {name}; preprocess them alike."
            )
        if (split.targets.dtype, split.targets.shape[1:]) != (
            self.train.targets.dtype,
            self.train.targets.shape[1:],
        ):
            raise DataError(
                f"all splits must hold one kind of target, got {self.train.targets.dtype} "
                f"{self.train.targets.shape} in train and {split.targets.dtype} {split.targets.shape} in "
                f"{name}; use integers for classes and floats for regression in every split."
            )
        if self.classes is not None and int(split.targets.max()) >= self.classes:
            raise DataError(
                f"train must hold the highest class number, but {name} holds class {split.targets.max()} and "
                f"train ends at {self.classes - 1}; split with stratification."
            )

    @property
    def classes(self) -> int | None:
        """Number of classes; None if the targets are real values."""
        if not np.issubdtype(self.train.targets.dtype, np.integer):
            return None
        return int(self.train.targets.max()) + 1

    def fingerprint(self) -> str:
        """Return a text that differs between data sets: of their shapes, some of their samples and all targets."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            digest.update(repr((split.inputs.shape, split.targets.shape)).encode())
            some = np.linspace(0, len(split) - 1, FINGERPRINT_SAMPLES).astype(np.int64)
            digest.update(split.inputs[some].tobytes())
            digest.update(split.targets.tobytes())
        return digest.hexdigest()[:16]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the axis n."""
        return tuple(self.train.inputs.shape[1:])


def calibration_samples(train: Split, count: int, seed: int) -> FloatArray:
    """Return ``count`` inputs of the training split, drawn without replacement; all if fewer exist."""
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(train), size=min(count, len(train)), replace=False)
    return train.inputs[np.sort(chosen)]


def _checked_inputs(inputs: Any) -> FloatArray:
    array = np.ascontiguousarray(inputs, dtype=np.float32)
    if array.ndim not in {2, 3, 4} or 0 in array.shape[1:]:
        raise DataError(
            f"inputs must be n x C x H x W, n x C x L or n x F, got shape {array.shape}; "
            "add the missing channel axis."
        )
    if len(array) < MIN_SAMPLES:
        raise DataError(
            f"a split needs at least {MIN_SAMPLES} samples, got {len(array)}; add data or split it "
            "differently."
        )
    # Block by block, since the data may be larger than the memory that is free.
    blocks = range(0, len(array), CHECKED_SAMPLES)
    if not all(np.isfinite(array[begin : begin + CHECKED_SAMPLES]).all() for begin in blocks):
        bad = int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
        raise DataError(
            f"inputs must be finite, but {bad} samples hold NaN or infinity; drop or repair them."
        )
    return array


def _checked_targets(targets: Any) -> Targets:
    array = np.asarray(targets)
    if np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        return _checked_classes(array)
    if not np.issubdtype(array.dtype, np.floating) or array.ndim not in {1, 2}:
        raise DataError(
            f"targets must be n integers, or n or n x k floats, got {array.dtype} of shape {array.shape}; "
            "number the classes from 0."
        )
    if not np.isfinite(array).all():
        raise DataError("targets must be finite, but some are NaN or infinite; drop those samples.")
    return np.ascontiguousarray(array, dtype=np.float32)


def _checked_classes(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if array.ndim != 1:
        raise DataError(
            f"class numbers must be one per sample, got shape {array.shape}; use argmax on one-hot targets."
        )
    if len(array) and int(array.min()) < 0:
        raise DataError(f"class numbers start at 0, got {array.min()}; renumber the classes.")
    return np.ascontiguousarray(array, dtype=np.int64)
