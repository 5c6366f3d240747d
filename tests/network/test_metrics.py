import numpy as np
import pytest

from tinypareto.errors import ShapeError
from tinypareto.network.metrics import balanced_error, error, mean_squared_error, never_predicted


def random_case(seed):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(60, 5)).astype(np.float32), generator.integers(0, 5, 60)


@pytest.mark.parametrize("seed", range(5))
def test_error_equals_counting_by_hand(seed):
    outputs, targets = random_case(seed)
    wrong = sum(
        max(range(5), key=lambda c: row[c]) != target for row, target in zip(outputs, targets, strict=True)
    )
    assert error(outputs, targets) == pytest.approx(wrong / 60)


@pytest.mark.parametrize("seed", range(5))
def test_balanced_error_equals_the_mean_over_classes(seed):
    outputs, targets = random_case(seed)
    per_class = [
        error(outputs[targets == label], targets[targets == label]) for label in set(targets.tolist())
    ]
    assert balanced_error(outputs, targets) == pytest.approx(sum(per_class) / len(per_class))


def test_repeating_a_class_changes_the_error_but_not_the_balanced_error():
    outputs = np.array([[1, 0], [1, 0]], dtype=np.float32)
    targets = np.array([0, 1])
    more, more_targets = outputs[[0, 0, 0, 1]], targets[[0, 0, 0, 1]]
    assert error(more, more_targets) < error(outputs, targets)
    assert balanced_error(more, more_targets) == balanced_error(outputs, targets) == 0.5


def test_right_answers_have_no_error():
    outputs = np.eye(4, dtype=np.float32)
    assert error(outputs, np.arange(4)) == balanced_error(outputs, np.arange(4)) == 0


def test_mean_squared_error_does_not_broadcast_a_column_against_a_row():
    outputs = np.array([[1.0], [2.0]], dtype=np.float32)
    assert mean_squared_error(outputs, np.array([1.0, 4.0], dtype=np.float32)) == 2.0


def test_mean_squared_error_averages_over_all_outputs():
    assert mean_squared_error(np.zeros((2, 2), np.float32), np.array([[1, 1], [1, 3]], np.float32)) == 3.0


def test_never_predicted_names_the_silent_classes():
    outputs = np.array([[9, 0, 0, 0], [0, 0, 5, 0], [7, 0, 0, 0]], dtype=np.float32)
    assert never_predicted(outputs, 4) == (1, 3)
    assert never_predicted(np.eye(4, dtype=np.float32), 4) == ()


def test_outputs_that_are_not_scores_are_rejected():
    with pytest.raises(ShapeError, match="one row of scores per sample"):
        error(np.zeros(3, np.float32), np.zeros(3, int))
    with pytest.raises(ShapeError, match="one row of scores per sample"):
        balanced_error(np.zeros((2, 4), np.float32), np.zeros(3, int))


def test_regression_outputs_of_another_size_are_rejected():
    with pytest.raises(ShapeError, match="one output per target value"):
        mean_squared_error(np.zeros((3, 2), np.float32), np.zeros(3, np.float32))


def test_mean_squared_error_takes_one_value_per_sample_in_either_shape():
    column, row = np.array([[1.0], [2.0]], np.float32), np.array([1.0, 2.0], np.float32)
    assert mean_squared_error(row, column) == mean_squared_error(column, row) == 0
