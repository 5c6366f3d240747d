"""The files of a data set: in a folder, or inside an archive that is read and never unpacked."""

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tinypareto.errors import DataError, reason

Open = Callable[[], IO[bytes]]

# What Python's readers of archives raise over damaged ones.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)
_CHUNK = 1 << 20  # bytes


@contextmanager
def open_files(path: Path) -> Iterator[dict[str, Open]]:
    """Yield what opens each file at ``path``, by its name without folders.

    Args:
        path: A folder, a tar archive (also compressed) or a zip archive.

    Raises:
        DataError: If nothing is there, it is neither, or it is damaged.
    """
    if path.is_dir():
        yield _in_folder(path)
    elif not path.exists():
        raise DataError(f"there is no {path}; give the folder or archive that holds the data set.")
    elif zipfile.is_zipfile(path):
        with archive_errors(path), zipfile.ZipFile(path) as archive:
            yield _in_zip(path, archive)
    else:
        with archive_errors(path), tarfile.open(path) as archive:
            yield _in_tar(path, archive)


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into one line.

    Raises:
        DataError: In place of the readers' own errors.
    """
    try:
        yield
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(
            f"{path} must be a folder or a whole tar or zip archive, but it cannot be read ({reason(error)}); "
            "it may have been cut off: fetch it again."
        ) from error


def check_md5(path: Path, md5: str) -> None:
    """Check that a file is the published one.

    Raises:
        DataError: If it is another, or cut off.
    """
    digest = hashlib.md5(usedforsecurity=False)  # what the publisher gives; it tells damage, not malice
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != md5:
        raise DataError(
            f"{path} ({path.stat().st_size:,} bytes) must have the published MD5 sum {md5}, but has "
            f"{digest.hexdigest()}; fetch it again, or rename it if it is data of your own in the same form."
        )


def _in_folder(path: Path) -> dict[str, Open]:
    def opener(file: Path) -> Open:
        return lambda: file.open("rb")

    return {file.name: opener(file) for file in sorted(path.rglob("*")) if file.is_file()}


def _in_zip(path: Path, archive: zipfile.ZipFile) -> dict[str, Open]:
    def opener(member: zipfile.ZipInfo) -> Open:
        return lambda: archive.open(member)

    members = [member for member in archive.infolist() if not member.is_dir()]
    return {PurePosixPath(member.filename).name: opener(member) for member in members}


def _in_tar(path: Path, archive: tarfile.TarFile) -> dict[str, Open]:
    def opener(member: tarfile.TarInfo) -> Open:
        return lambda: cast(IO[bytes], archive.extractfile(member))  # of a regular file it is never None

    members = [member for member in archive.getmembers() if member.isfile()]
    return {PurePosixPath(member.name).name: opener(member) for member in members}
