import hashlib

import pytest
from small_data import as_tar, as_zip

from tinypareto.datasets.files import check_md5, open_files
from tinypareto.errors import DataError


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "files" / "inner"
    inner.mkdir(parents=True)
    (inner / "one.txt").write_bytes(b"one" * 5000)
    (inner / "two.txt").write_bytes(b"two")
    return tmp_path / "files"


def contents(path):
    with open_files(path) as files:
        return {name: read(opener) for name, opener in files.items()}


def read(opener):
    with opener() as file:
        return file.read()


def test_folder_tar_and_zip_hold_the_same_files(folder, tmp_path):
    expected = {"one.txt": b"one" * 5000, "two.txt": b"two"}
    assert contents(folder) == expected
    assert contents(as_tar(folder, tmp_path / "all.tar.gz")) == expected
    assert contents(as_zip(folder, tmp_path / "all.zip")) == expected


def test_archive_is_read_and_not_unpacked(folder, tmp_path):
    archive = as_tar(folder, tmp_path / "all.tar.gz")
    before = sorted(tmp_path.rglob("*"))
    contents(archive)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("write", [as_tar, as_zip])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_archive_is_one_line_that_names_it(write, share, folder, tmp_path):
    archive = write(folder, tmp_path / "cut_off")
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(DataError, match=r"cut_off must be .* fetch it again") as caught:
        contents(archive)
    assert "\n" not in str(caught.value)


def test_other_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(DataError, match="tar or zip"):
        contents(tmp_path / "notes.txt")


def test_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no"):
        contents(tmp_path / "nothing")


def test_wrong_sum_says_both_sums_and_what_to_do(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"something")
    right = hashlib.md5(b"something").hexdigest()
    check_md5(path, right)
    with pytest.raises(DataError, match=f"{'0' * 32}, but has {right}; fetch it again, or rename it"):
        check_md5(path, "0" * 32)
