import os

import numpy as np
import pytest

from tinypareto.datasets.normal_form import Part, normal_form
from tinypareto.errors import DataError


def parts(train=1.0, test=1.0):
    """Two channels; the training samples lie in two parts of other sizes."""
    rng = np.random.default_rng(0)
    targets = np.arange(20) % 3

    def part(count, factor):
        return Part(
            inputs=factor * rng.normal([[5.0], [-3.0]], [[2.0], [0.5]], (count, 2, 8)),
            targets=targets[:count],
        )

    return {
        "train": [part(20, train), part(17, train)],
        "validation": [part(18, 1.0)],
        "test": [part(16, test)],
    }


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_text("as it was")
    return path


def test_training_samples_have_mean_0_and_spread_1_in_each_channel(source):
    data = normal_form("small", source, parts)
    assert data.train.inputs.shape == (37, 2, 8)
    np.testing.assert_allclose(data.train.inputs.mean((0, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.inputs.std((0, 2)), 1, atol=1e-6)


def test_other_splits_are_normalised_by_the_training_samples_alone(source):
    found, raw = normal_form("small", source, parts), parts()
    train = np.concatenate([part.inputs for part in raw["train"]])
    mean, std = train.mean((0, 2))[:, None], train.std((0, 2))[:, None]
    for name in ("validation", "test"):
        expected = (raw[name][0].inputs - mean) / std
        np.testing.assert_allclose(getattr(found, name).inputs, expected, rtol=1e-5, atol=1e-5)


def test_training_samples_do_not_depend_on_the_test_samples(source, tmp_path):
    other = tmp_path / "other"
    other.touch()
    one = normal_form("small", source, parts)
    two = normal_form("small", other, lambda: parts(test=1000.0))
    np.testing.assert_array_equal(one.train.inputs, two.train.inputs)
    np.testing.assert_array_equal(one.validation.inputs, two.validation.inputs)
    assert two.test.inputs.std() > 100 * one.test.inputs.std()


def test_second_time_the_files_are_mapped_and_not_read(source):
    one = normal_form("small", source, parts)

    def read():
        raise AssertionError("read again")

    two = normal_form("small", source, read)
    np.testing.assert_array_equal(one.train.inputs, two.train.inputs)
    base = two.train.inputs
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


def test_what_is_written_to_the_arrays_does_not_reach_the_cache(source):
    normal_form("small", source, parts).train.inputs[:] = 7
    assert not (normal_form("small", source, parts).train.inputs == 7).any()


def test_changed_files_are_read_anew_and_the_old_form_goes(source, cache):
    normal_form("small", source, parts)
    source.write_text("as it is now")
    os.utime(source, (1, 1))
    data = normal_form("small", source, lambda: {**parts(), "test": parts()["validation"]})
    assert len(data.test) == 18
    assert sum(path.is_dir() for path in cache.iterdir()) == 1


@pytest.mark.parametrize("name", ["train_inputs.npy", "test_targets.npy"])
def test_damaged_cache_is_built_anew(name, source, cache):
    whole = normal_form("small", source, parts)
    inputs, targets = whole.train.inputs.copy(), whole.test.targets.copy()
    (path,) = cache.rglob(name)
    path.write_bytes(path.read_bytes()[:140])
    again = normal_form("small", source, parts)
    np.testing.assert_array_equal(again.train.inputs, inputs)
    np.testing.assert_array_equal(again.test.targets, targets)


def test_nothing_is_left_of_a_build_that_failed(source, cache):
    def read():
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        normal_form("small", source, read)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_channel_that_never_changes_becomes_zero(source):
    still = {name: [Part(inputs=np.full((20, 1, 4), 0.1), targets=np.arange(20) % 2)] for name in parts()}
    data = normal_form("small", source, lambda: still)
    np.testing.assert_allclose(data.test.inputs, 0, atol=1e-6)


def test_cache_that_cannot_be_written_says_how_to_choose_another(source, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYPARETO_CACHE", str(source / "below_a_file"))
    with pytest.raises(DataError, match="TINYPARETO_CACHE"):
        normal_form("small", source, parts)
