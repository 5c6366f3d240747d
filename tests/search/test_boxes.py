import numpy as np
import pytest

from tinypareto.front import hypervolume
from tinypareto.search.boxes import nondominated_boxes


def sphere_front(n, m, seed=0):
    points = np.abs(np.random.default_rng(seed).normal(size=(n, m)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def volume(lower, upper, floor):
    return np.prod(np.clip(upper - np.maximum(lower, floor), 0.0, None), axis=1).sum()


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("n", [0, 1, 7, 30])
def test_boxes_and_dominated_region_fill_the_whole(m, n):
    front = sphere_front(n, m)[: 1 if m == 1 else n]
    reference = np.full(m, 1.1)
    lower, upper = nondominated_boxes(front, reference)
    whole = 2.1**m  # from -1 to 1.1
    assert volume(lower, upper, -1.0) + hypervolume(front, reference) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_each_point_lies_in_one_box_unless_it_is_dominated(m):
    front, reference = sphere_front(12, m), np.full(m, 1.1)
    lower, upper = nondominated_boxes(front, reference)
    for point in np.random.default_rng(1).uniform(-0.2, 1.1, size=(300, m)):
        inside = ((lower < point) & (point < upper)).all(axis=1).sum()
        assert inside == (0 if (front <= point).all(axis=1).any() else 1)


def test_two_points_by_hand():
    lower, upper = nondominated_boxes(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    assert sorted(zip(lower.tolist(), upper.tolist(), strict=True)) == [
        ([-np.inf, -np.inf], [3.0, 1.0]),
        ([-np.inf, 1.0], [2.0, 2.0]),
        ([-np.inf, 2.0], [1.0, 3.0]),
    ]


@pytest.mark.parametrize("m", [2, 3, 4])
def test_dominated_and_repeated_points_change_nothing(m):
    front, reference = sphere_front(8, m), np.full(m, 1.5)
    more = np.concatenate([front, front[:3], front[:2] + 0.1])
    base, other = (nondominated_boxes(points, reference) for points in (front, more))
    assert volume(*base, -1.0) == pytest.approx(volume(*other, -1.0), rel=1e-12)


def test_front_stays_as_it_is():
    front = sphere_front(9, 3)
    before = front.copy()
    nondominated_boxes(front, np.full(3, 1.1))
    np.testing.assert_array_equal(front, before)
