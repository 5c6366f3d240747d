"""DaLiAc: 19 people, 13 activities of daily life, 24 channels of four sensor nodes at 204.8 Hz.

A node holds an accelerometer and a gyroscope of three axes each. One text file for each person: a line is a moment,
24 values and the activity's number, 1..13, with commas between.

Source: Leutheuser, Schuldhaus and Eskofier, Hierarchical, multi-sensor based classification of daily life activities
(PLoS ONE 8(10), 2013).
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tinypareto.datasets.files import Open, archive_errors, open_files
from tinypareto.datasets.normal_form import Part, Parts, normal_form
from tinypareto.datasets.places import Publication
from tinypareto.errors import DataError
from tinypareto.network.data import Data

CHANNELS, ACTIVITIES = 24, 13
WINDOW, STEP = 1024, 512  # samples: 5 s, half of which the next window shares
SUBJECTS: Mapping[str, range] = {
    "train": range(1, 15),
    "validation": range(15, 18),
    "test": range(18, 20),
}  # nobody is in two splits: a network shall know activities, not people

PUBLICATION = Publication(
    title="DaLiAc",
    place="daliac",
    url=None,  # its address has changed, and no sum of it was published
    published_md5={},
    instructions=(
        'Fetch the "Daily Life Activities (DaLiAc)" data set from the pages of the Machine Learning and Data Analytics '
        "Lab, FAU Erlangen-Nuernberg: dataset_1.txt .. dataset_19.txt, in a folder or an archive."
    ),
)


def load_daliac(path: Path | None = None) -> Data:
    """Return DaLiAc's windows of 1,024 samples, subjects 1-14 for training, 15-17 for validation, 18 and 19 for test.

    Windows in which the activity changes are left out. Each channel is normalised by its mean and spread in the
    training windows.

    Args:
        path: A folder or archive with ``dataset_1.txt`` .. ``dataset_19.txt``; None means the cache.

    Raises:
        DataError: If the data is not there, damaged or of another form; file and line are named.
    """
    source = PUBLICATION.locate(path)
    return normal_form("daliac", source, lambda: read_daliac(source))


def read_daliac(source: Path) -> Parts:
    """Return the windows as they are, n x 24 x 1024, in three splits.

    Raises:
        DataError: As `load_daliac`.
    """
    with open_files(source) as files, archive_errors(source):
        names = {subject: f"dataset_{subject}.txt" for own in SUBJECTS.values() for subject in own}
        missing = [name for name in names.values() if name not in files]
        if missing:
            raise DataError(
                f"{source} must hold a file for each of {len(names)} subjects, but {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing. {PUBLICATION.help()}"
            )
        return {
            split: [_windows(files[names[subject]], f"{source}: {names[subject]}") for subject in own]
            for split, own in SUBJECTS.items()
        }


def _windows(open_file: Open, said: str) -> Part:
    """Return one subject's windows and their activities from 0.

    Raises:
        DataError: If there is none, or a line is wrong.
    """
    values = _series(open_file, said)
    labels = values[:, CHANNELS].astype(np.int64) - 1
    series = np.ascontiguousarray(values[:, :CHANNELS].T)  # C x L
    starts = np.arange(0, len(labels) - WINDOW + 1, STEP)
    changes = np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])  # up to each sample
    starts = starts[changes[starts] == changes[starts + WINDOW - 1]]
    if not len(starts):
        raise DataError(
            f"{said} must hold at least one window of {WINDOW} lines of one activity, got {len(labels)} lines; "
            "fetch it again."
        )
    every = np.lib.stride_tricks.sliding_window_view(series, WINDOW, axis=1).transpose(1, 0, 2)
    return Part(inputs=every[starts], targets=labels[starts])


def _series(open_file: Open, said: str) -> npt.NDArray[np.float32]:
    """Return one subject's file, moments x 25.

    Raises:
        DataError: If a line is wrong.
    """
    try:
        with open_file() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file is said below
            values = np.loadtxt(file, np.float32, delimiter=",", comments=None, ndmin=2, encoding="utf-8")
    except ValueError:
        values = np.empty((0, 0), np.float32)
    if values.shape[1] != CHANNELS + 1 or not _is_sound(values):
        with open_file() as file:
            raise DataError(f"{said}{_first_fault(file)}; mend that line or fetch the file again.")
    return values


def _is_sound(values: npt.NDArray[Any]) -> bool:
    labels = values[:, CHANNELS]
    return bool(np.isfinite(values).all() and np.isin(labels, np.arange(1, ACTIVITIES + 1)).all())


def _first_fault(file: IO[bytes]) -> str:
    """Return the first line that is wrong, and why."""
    number = 0
    for number, line in enumerate(file, 1):
        fields = line.decode("utf-8", "replace").strip().split(",")
        where = f", line {number}"
        if fields == [""]:
            continue  # as the reader does
        if len(fields) != CHANNELS + 1:
            return f"{where}, must have {CHANNELS + 1} columns, got {len(fields)}"
        for column, text in enumerate(fields, 1):
            fault = _fault_of(text, is_label=column > CHANNELS)
            if fault:
                return f"{where}, column {column}, must be {fault}, got {text.strip()[:40]!r}"
    return f" must hold lines of {CHANNELS + 1} numbers, got {number} lines"


def _fault_of(text: str, *, is_label: bool) -> str | None:
    """Return what a field should be, or None if it is that."""
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not abs(value) <= np.finfo(np.float32).max:
        return "a finite number"
    if is_label and value not in range(1, ACTIVITIES + 1):
        return f"an activity, 1..{ACTIVITIES}"
    return None
