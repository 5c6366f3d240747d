import shutil

import numpy as np
import pytest
from small_data import as_zip, daliac_series, write_daliac

from tinypareto.datasets.daliac import load_daliac, read_daliac
from tinypareto.errors import DataError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_daliac(tmp_path_factory.mktemp("daliac") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "daliac", copy_function=shutil.copy)


def edit(folder, subject, line, change):
    path = folder / f"dataset_{subject}.txt"
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


def test_windows_are_1024_moments_and_overlap_by_half(whole):
    parts = read_daliac(whole)
    for split, subject, place in (("train", 3, 2), ("validation", 15, 0), ("test", 19, 1)):
        values, activities = daliac_series(subject)
        part = parts[split][place]
        starts = range(0, len(values) - 1023, 512)
        assert part.inputs.shape == (len(starts), 24, 1024)
        for window, start in zip(part.inputs, starts, strict=True):
            np.testing.assert_allclose(window, values[start : start + 1024].T, rtol=1e-6)
        assert set(part.targets) == {activities[0] - 1}


def test_windows_in_which_the_activity_changes_are_left_out(whole):
    first = read_daliac(whole)["train"][0]
    assert first.targets.tolist() == list(range(13))
    np.testing.assert_allclose(first.inputs[1], daliac_series(1)[0][1024:2048].T, rtol=1e-6)


def test_subjects_are_split_as_documented(whole):
    data = load_daliac(whole)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [26, 18, 16]
    assert (data.sample_shape, data.classes) == ((24, 1024), 13)
    assert set(data.validation.targets) == {15 % 13, 16 % 13, 17 % 13}
    assert set(data.test.targets) == {18 % 13, 19 % 13}


def test_channels_are_normalised_by_the_training_subjects_alone(whole, tmp_path):
    def louder(subject):
        values, activities = daliac_series(subject)
        return (values * 50 if subject > 17 else values), activities

    one, two = load_daliac(whole), load_daliac(write_daliac(tmp_path / "louder", louder))
    np.testing.assert_allclose(one.train.inputs.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(one.train.inputs.std((0, 2)), 1, atol=1e-5)
    np.testing.assert_array_equal(one.train.inputs, two.train.inputs)
    np.testing.assert_array_equal(one.validation.inputs, two.validation.inputs)
    assert two.test.inputs.std() > 10 * one.test.inputs.std()


def test_archive_gives_what_the_folder_gives(whole, tmp_path):
    assert load_daliac(as_zip(whole, tmp_path / "all.zip")).fingerprint() == load_daliac(whole).fingerprint()


def test_missing_subjects_are_named(folder):
    (folder / "dataset_7.txt").unlink()
    (folder / "dataset_19.txt").unlink()
    with pytest.raises(
        DataError, match=r"19 subjects, but dataset_7\.txt, dataset_19\.txt are missing.*--data"
    ):
        load_daliac(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda line: line.replace(",", ",nan,", 1).rpartition(",")[0],
            "line 700, column 2, must be a finite number",
        ),
        (
            lambda line: "inf" + line[line.index(",") :],
            "line 700, column 1, must be a finite number, got 'inf'",
        ),
        (
            lambda line: "oops" + line[line.index(",") :],
            "line 700, column 1, must be a finite number, got 'oops'",
        ),
        (lambda line: line.rpartition(",")[0], "line 700, must have 25 columns, got 24"),
        (lambda line: f"{line},1", "line 700, must have 25 columns, got 26"),
        (
            lambda line: f"{line.rpartition(',')[0]},14",
            r"line 700, column 25, must be an activity, 1\.\.13, got '14'",
        ),
        (lambda line: f"{line.rpartition(',')[0]},1.5", r"line 700, column 25, must be an activity, 1\.\.13"),
        (lambda line: "# a remark", "line 700, must have 25 columns, got 1"),
    ],
)
def test_wrong_line_is_named_with_its_file(change, said, folder):
    edit(folder, 16, 700, change)
    with pytest.raises(DataError, match=rf"dataset_16\.txt, {said}"):
        load_daliac(folder)


def test_every_line_too_short_names_the_first(folder):
    path = folder / "dataset_2.txt"
    path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in path.read_text().splitlines()))
    with pytest.raises(DataError, match=r"dataset_2\.txt, line 1, must have 25 columns, got 24"):
        load_daliac(folder)


def test_file_that_was_cut_off_in_a_line_is_named(folder):
    path = folder / "dataset_18.txt"
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:3000], text[3000][:20]]))
    with pytest.raises(DataError, match=r"dataset_18\.txt, line 3001, must have 25 columns"):
        load_daliac(folder)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "got 0 lines"), (b"\xff\xfe\x00PK", "line 1, must have 25")]
)
def test_file_that_is_none_of_its_kind_is_named(content, said, folder):
    (folder / "dataset_4.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"dataset_4\.txt.*{said}"):
        load_daliac(folder)


def test_subject_without_a_whole_window_is_named(folder):
    path = folder / "dataset_4.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:1000]))
    with pytest.raises(DataError, match=r"dataset_4\.txt must hold at least one window of 1024 lines"):
        load_daliac(folder)


def test_without_data_it_says_what_to_fetch_and_where_to_put_it(cache):
    with pytest.raises(
        DataError, match=r"dataset_1\.txt \.\. dataset_19\.txt.*--data PATH, or put it at"
    ) as caught:
        load_daliac()
    assert str(cache / "daliac") in str(caught.value)


def test_folder_in_the_cache_is_taken(folder, cache):
    shutil.copytree(folder, cache / "daliac")
    assert len(load_daliac().test) == 16
