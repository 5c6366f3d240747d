import re

import numpy as np
import pytest

from tinypareto.errors import DataError
from tinypareto.network.data import MIN_SAMPLES, Data, Split, calibration_samples


def split_of(count=20, shape=(1, 4, 4), classes=4, seed=0):
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    return Split(inputs=generator.normal(size=(count, *shape)), targets=targets)


def data_of(train=None, validation=None, test=None):
    return Data(train=train or split_of(), validation=validation or split_of(), test=test or split_of())


def test_inputs_become_float32_and_class_numbers_int64():
    split = split_of()
    assert split.inputs.dtype == np.float32
    assert split.targets.dtype == np.int64
    assert len(split) == 20


def test_callers_arrays_stay_as_they_are():
    inputs = np.ones((20, 3), dtype=np.float64)
    split = Split(inputs=inputs, targets=np.zeros(20, dtype=np.int8))
    split.inputs[0] = 7
    assert inputs.dtype == np.float64
    assert (inputs == 1).all()


def test_float_targets_mean_regression():
    targets = np.linspace(0, 1, 20)
    split = Split(inputs=np.ones((20, 3)), targets=targets)
    assert split.targets.dtype == np.float32
    assert data_of(split, split, split).classes is None


def test_classes_and_sample_shape_come_from_the_training_split():
    data = data_of()
    assert data.classes == 4
    assert data.sample_shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("inputs", "targets", "remedy"),
    [
        (np.ones((MIN_SAMPLES - 1, 3)), np.zeros(MIN_SAMPLES - 1, int), "add data or split it differently"),
        (np.ones((0, 3)), np.zeros(0, int), "add data or split it differently"),
        (np.full((20, 3), np.nan), np.zeros(20, int), "20 samples hold NaN or infinity; drop or repair"),
        (np.ones(20), np.zeros(20, int), "add the missing channel axis"),
        (np.ones((20, 0)), np.zeros(20, int), "add the missing channel axis"),
        (np.ones((20, 3)), np.zeros(19, int), "drop the samples that have no target"),
        (np.ones((20, 3)), np.full(20, np.inf), "drop those samples"),
        (np.ones((20, 3)), np.full(20, "a"), "number the classes from 0"),
        (np.ones((20, 3)), np.eye(20, dtype=int), "use argmax"),
        (np.ones((20, 3)), np.arange(20) - 1, "renumber the classes"),
    ],
)
def test_unusable_split_is_rejected_with_a_remedy(inputs, targets, remedy):
    with pytest.raises(DataError, match=re.escape(remedy)):
        Split(inputs=inputs, targets=targets)


def test_one_bad_sample_is_counted_once():
    inputs = np.ones((20, 1, 4, 4))
    inputs[3] = np.inf
    with pytest.raises(DataError, match="but 1 samples"):
        Split(inputs=inputs, targets=np.zeros(20, int))


def test_splits_of_different_shapes_are_rejected_by_name():
    with pytest.raises(DataError, match=r"in test; preprocess them alike"):
        data_of(test=split_of(shape=(1, 4, 5)))


def test_splits_with_different_kinds_of_target_are_rejected():
    regression = Split(inputs=np.ones((20, 1, 4, 4)), targets=np.ones(20))
    with pytest.raises(DataError, match="in validation; use integers for classes"):
        data_of(validation=regression)


def test_class_that_training_lacks_is_rejected():
    with pytest.raises(DataError, match=r"validation holds class 4 .* split with stratification"):
        data_of(validation=split_of(classes=5))


def test_calibration_draws_different_training_samples_without_repetition():
    train = split_of(count=50)
    drawn = calibration_samples(train, 20, seed=3)
    rows = {row.tobytes() for row in train.inputs}
    assert len({row.tobytes() for row in drawn}) == 20
    assert all(row.tobytes() in rows for row in drawn)


def test_calibration_follows_the_seed():
    train = split_of(count=50)
    np.testing.assert_array_equal(calibration_samples(train, 20, 1), calibration_samples(train, 20, 1))
    assert not np.array_equal(calibration_samples(train, 20, 1), calibration_samples(train, 20, 2))


def test_calibration_takes_everything_where_too_little_is_there():
    train = split_of(count=20)
    np.testing.assert_array_equal(calibration_samples(train, 100, 0), train.inputs)
