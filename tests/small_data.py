"""Small data sets in the original formats of CIFAR-10 and DaLiAc, written byte for byte as their publishers do."""

import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np

PIXELS = 3072
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
SUBJECTS = range(1, 20)


def cifar_batches(images=40, seed=0):
    """Random pixels and labels of every batch, each class as often as the others."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.integers(0, 256, (images, PIXELS), np.uint8), rng.permutation(np.arange(images) % 10))
        for name in BATCHES
    }


def python2_pickle(pixels, labels):
    """What Python 2 and the NumPy of 2009 wrote: protocol 2, texts as byte strings."""
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"".join(b"J" + struct.pack("<i", length) for length in pixels.shape) + b"\x86"
    content = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + kind + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + listed + b"U\x0bbatch_labelU\x04someu."


def write_cifar_python(folder, batches):
    inner = folder / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    for name, (pixels, labels) in batches.items():
        (inner / name).write_bytes(python2_pickle(pixels, labels))
    return folder


def write_cifar_binary(folder, batches):
    inner = folder / "cifar-10-batches-bin"
    inner.mkdir(parents=True)
    for name, (pixels, labels) in batches.items():
        records = np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1)
        (inner / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def daliac_series(subject):
    """One person's lines, moments x 24, and activities: subject 1 does all, the others one for some windows."""
    if subject == 1:
        activities = np.repeat(np.arange(1, 14), 1024)
    else:
        lines = 1024 if subject < 15 else 3584 if subject < 18 else 4608
        activities = np.full(lines, subject % 13 + 1)
    values = np.random.default_rng(subject).normal(subject, 1 + subject / 10, (len(activities), 24))
    return np.round(values, 2), activities


def write_daliac(folder, series=daliac_series):
    folder.mkdir(parents=True)
    for subject in SUBJECTS:
        values, activities = series(subject)
        lines = (
            ",".join(map(repr, row)) + f",{activity}\n"
            for row, activity in zip(values.tolist(), activities, strict=True)
        )
        (folder / f"dataset_{subject}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def as_tar(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname=".")
    return archive


def as_zip(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    return archive
