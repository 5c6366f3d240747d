"""CIFAR-10: 60,000 colour images of 32 x 32 in ten classes, from its python or its binary files.

Source: Krizhevsky, Learning multiple layers of features from tiny images (2009).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

from tinypareto.datasets.files import Open, archive_errors, open_files
from tinypareto.datasets.normal_form import Part, Parts, normal_form
from tinypareto.datasets.places import Publication
from tinypareto.datasets.restricted_pickle import load_restricted
from tinypareto.errors import DataError
from tinypareto.network.data import Data

CLASSES, SHAPE = 10, (3, 32, 32)
PIXELS = 3 * 32 * 32
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
VALIDATION_SHARE, SPLIT_SEED = 0.1, 0  # of the training images; every trial of every study sees the same

PUBLICATION = Publication(
    title="CIFAR-10",
    place="cifar-10-python.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    published_md5={
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    },
    instructions=(
        "Fetch https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz (170,498,071 bytes, MD5 "
        "c58f30108f718f92721af3b95e74349a)."
    ),
)


def load_cifar10(path: Path | None = None) -> Data:
    """Return CIFAR-10: a tenth of the training images validates, the test images are the published ones.

    Each colour is normalised by its mean and spread in what is left for training.

    Args:
        path: A folder or archive with ``data_batch_1`` .. ``data_batch_5`` and ``test_batch``, or the same with
            the ending ``.bin``; None means the published archive, fetched if it is not in the cache.

    Raises:
        DataError: If the data is not there, damaged or of another form.
    """
    source = PUBLICATION.locate(path)
    return normal_form("cifar10", source, lambda: read_cifar10(source))


def read_cifar10(source: Path) -> Parts:
    """Return the images as they are, n x 3 x 32 x 32 of 0..255, in three splits.

    Raises:
        DataError: As `load_cifar10`.
    """
    PUBLICATION.check(source)
    with open_files(source) as files, archive_errors(source):
        ending = ".bin" if TEST not in files and f"{TEST}.bin" in files else ""
        missing = [name + ending for name in (*TRAINING, TEST) if name + ending not in files]
        if missing:
            raise DataError(
                f"{source} must hold CIFAR-10's files, but {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing. {PUBLICATION.help()}"
            )
        batches = [_batch(files, name + ending, f"{source}: {name}{ending}") for name in (*TRAINING, TEST)]
    images = np.concatenate([batch.inputs for batch in batches[:-1]])
    labels = np.concatenate([batch.targets for batch in batches[:-1]])
    return {**_split(source, images, labels), "test": [batches[-1]]}


def _split(source: Path, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> dict[str, list[Part]]:
    """Set every tenth image of each class aside for validation.

    Raises:
        DataError: If there are too few of a class.
    """
    try:
        train, validation = train_test_split(
            np.arange(len(labels)), test_size=VALIDATION_SHARE, random_state=SPLIT_SEED, stratify=labels
        )
    except ValueError as error:
        raise DataError(
            f"{source} must hold enough training images of every class to set a tenth aside, got {len(labels)} "
            f"({error}); fetch the whole data set."
        ) from error
    chosen = {"train": np.sort(train), "validation": np.sort(validation)}
    return {name: [Part(inputs=images[own], targets=labels[own])] for name, own in chosen.items()}


def _batch(files: Mapping[str, Open], name: str, said: str) -> Part:
    """Return a file's images.

    Raises:
        DataError: If it is damaged or of another form.
    """
    with files[name]() as file:
        if name.endswith(".bin"):
            pixels, labels = _from_binary(file.read(), said)
        else:
            pixels, labels = _from_pickle(load_restricted(file, said), said)
    if not len(labels) or labels.min() < 0 or labels.max() >= CLASSES:
        raise DataError(
            f"{said} must hold images of the classes 0..{CLASSES - 1}, got {sorted(set(labels.tolist()))[:12]}; fetch "
            "CIFAR-10, not CIFAR-100 or other data."
        )
    return Part(inputs=pixels.reshape(-1, *SHAPE), targets=labels)


def _from_pickle(batch: Any, said: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return pixels n x 3072 and labels n of a batch as its pickle holds it.

    Raises:
        DataError: If it is of another form.
    """
    names = (
        {key.decode() if isinstance(key, bytes) else key: key for key in batch}
        if isinstance(batch, dict)
        else {}
    )
    if not {"data", "labels"} <= set(names):
        raise DataError(
            f"{said} must be a dict with data and labels, got {sorted(map(str, names)) or type(batch).__name__}; fetch "
            "CIFAR-10's python version."
        )
    pixels, labels = batch[names["data"]], np.asarray(batch[names["labels"]])
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(labels), PIXELS)
    ):
        found = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise DataError(
            f"{said} must hold {PIXELS} bytes for each of its {len(labels)} labels, got {found}; fetch it again."
        )
    return pixels, labels


def _from_binary(content: bytes, said: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return pixels n x 3072 and labels n of records of one label and the pixels.

    Raises:
        DataError: If the last record is not whole.
    """
    if len(content) % (PIXELS + 1):
        raise DataError(
            f"{said} must hold records of {PIXELS + 1} bytes, got {len(content)} bytes, which is no multiple; it may "
            "have been cut off: fetch it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)
