import numpy as np
import pytest

from tinypareto.errors import ShapeError
from tinypareto.front import feasible_front, front_ranks, hypervolume, normalised_hypervolume, pick_knee


def slow_front(values):
    def dominates(a, b):
        return (a <= b).all() and (a < b).any()

    return [i for i, row in enumerate(values) if not any(dominates(other, row) for other in values)]


def test_front_equals_the_slow_definition():
    values = np.random.default_rng(0).integers(0, 5, size=(40, 3)).astype(float)
    assert feasible_front(values).tolist() == slow_front(values)


def test_infeasible_points_neither_belong_nor_dominate():
    values = [[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]]
    assert feasible_front(values, [[0.0], [0.0], [0.1]]).tolist() == [0, 1]


def test_hypervolume_equals_monte_carlo():
    rng = np.random.default_rng(1)
    values = rng.random((6, 3))
    samples = rng.random((200_000, 3))
    covered = (values[None, :, :] <= samples[:, None, :]).all(2).any(1).mean()
    assert hypervolume(values, np.ones(3)) == pytest.approx(covered, abs=0.005)


def test_dominated_point_changes_nothing_and_points_beyond_the_reference_count_zero():
    base = hypervolume([[0.2, 0.5], [0.5, 0.2]], [1, 1])
    assert hypervolume([[0.2, 0.5], [0.5, 0.2], [0.6, 0.6]], [1, 1]) == pytest.approx(base)
    assert hypervolume([[0.2, 0.5], [0.5, 0.2], [0.0, 1.5]], [1, 1]) == pytest.approx(base)
    assert hypervolume(np.empty((0, 2)), [1, 1]) == 0


def test_normalised_hypervolume_counts_feasible_points_only():
    values, scales = [[0.5, 5.0], [0.0, 0.0]], [1.0, 10.0]
    assert normalised_hypervolume(values, scales, [[-1.0], [1.0]]) == pytest.approx(0.25)
    assert normalised_hypervolume(values, scales) == pytest.approx(1.0)


def test_ranks_are_the_layers():
    assert front_ranks([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 2.0]]).tolist() == [0, 0, 1, 2]


def test_knee_does_not_depend_on_units():
    values = np.array([[0.0, 10.0], [0.1, 2.0], [1.0, 0.0]])
    assert pick_knee(values) == pick_knee(values * [1e-6, 1e6]) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: hypervolume([1.0, 2.0], [3.0]),
        lambda: hypervolume([[1.0, 2.0]], [3.0]),
        lambda: feasible_front([[1.0], [2.0]], [[0.0]]),
        lambda: normalised_hypervolume([[1.0]], [0.0]),
        lambda: pick_knee(np.empty((0, 2))),
    ],
)
def test_shapes_that_do_not_fit_are_rejected(call):
    with pytest.raises(ShapeError):
        call()
