"""A data set's lasting form: normalised by what its TRAINING split shows, in arrays that processes share.

Axes: n samples; then C channels x H x W or C x L. Trials map the files into memory, so that many of them
on one machine hold the data once.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from tinypareto.datasets.places import cache_folder
from tinypareto.errors import DataError
from tinypareto.network.data import Data, Split

FORM = 1  # raise it whenever the files' meaning changes: older ones are then built anew
SPLITS = ("train", "validation", "test")
_BLOCK = 512  # samples that are normalised at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Samples of a split that lie together, as they were read: n x C x ..., of any real type, and n classes."""

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]


Parts = Mapping[str, Sequence[Part]]  # by split


def normal_form(name: str, source: Path, read: Callable[[], Parts]) -> Data:
    """Return a data set, from the cache if it was read from the same files before.

    Args:
        name: Of the data set.
        source: Folder or archive that ``read`` reads; a change of a file's size or time makes it be read anew.
        read: Returns the parts of every split.

    Raises:
        DataError: As ``read`` raises it, or if the cache cannot be written.
    """
    family = f"{name}-{_digest(str(source.resolve()))}"
    folder = cache_folder() / f"{family}-{_digest([FORM, _state(source)])}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{family}.lock")):
            data = _mapped(folder)
            if data is None:
                for older in (*folder.parent.glob(f"{family}-*"), *folder.parent.glob(f".{family}-*")):
                    shutil.rmtree(older)  # of files as they were before, or left by a build that was killed
                _build(folder, read())
                data = Data(**{split: _mapped_split(folder, split) for split in SPLITS})
    except OSError as error:
        raise DataError(
            f"{name} is kept in {folder.parent} once it was read, but that cannot be written ({error}); make room "
            "there or set TINYPARETO_CACHE to another folder."
        ) from error
    return data


def _state(source: Path) -> list[tuple[str, int, int]]:
    """Return what changes when a folder's or archive's files do."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _mapped(folder: Path) -> Data | None:
    """Return what a folder holds, or None if it is not there or damaged."""
    try:
        return Data(**{split: _mapped_split(folder, split) for split in SPLITS})
    except (OSError, ValueError):  # a DataError is a ValueError too
        return None


def _mapped_split(folder: Path, split: str) -> Split:
    # Copy-on-write: PyTorch wants arrays that it could write to, and what is written never reaches the file.
    inputs = np.load(folder / f"{split}_inputs.npy", mmap_mode="c")
    return Split(inputs=inputs, targets=np.load(folder / f"{split}_targets.npy"))


def _build(folder: Path, parts: Parts) -> None:
    """Write the form whole or not at all."""
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        mean, std = _statistics(parts["train"])
        for split in SPLITS:
            _write_split(work, split, parts[split], mean, std)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _statistics(parts: Sequence[Part]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and standard deviation of each channel, C, over samples and positions."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for part in parts:
        for begin in range(0, len(part.inputs), _BLOCK):
            block = part.inputs[begin : begin + _BLOCK].astype(np.float64)
            axes = (0, *range(2, block.ndim))
            count += block.size // block.shape[1]
            total, squares = total + block.sum(axes), squares + np.square(block).sum(axes)
    mean = total / count
    variance = np.maximum(squares / count - np.square(mean), 0)
    # A sensor that never moved has no spread to divide by: rounding may leave 1e-12 of its square.
    still = variance <= 1e-9 * np.square(mean)
    return mean, np.where(still, 1.0, np.sqrt(variance))


def _write_split(
    folder: Path,
    split: str,
    parts: Sequence[Part],
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
) -> None:
    shape = (sum(len(part.inputs) for part in parts), *parts[0].inputs.shape[1:])
    by_channel = (slice(None), *(None,) * (len(shape) - 2))
    path = folder / f"{split}_inputs.npy"
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    place = 0
    for part in parts:
        for begin in range(0, len(part.inputs), _BLOCK):
            block = part.inputs[begin : begin + _BLOCK]
            written[place : place + len(block)] = (block - mean[by_channel]) / std[by_channel]
            place += len(block)
    written.flush()
    np.save(
        folder / f"{split}_targets.npy", np.concatenate([part.targets for part in parts]).astype(np.int64)
    )
