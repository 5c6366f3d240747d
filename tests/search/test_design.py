import itertools

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.search import design
from tinypareto.search.design import seen_among, unseen_point
from tinypareto.space import Space

NAN = np.nan
SPACE = Space({
    "a": IntDistribution(0, 2),
    "b": CategoricalDistribution(["x", "y"]),
    "c": CategoricalDistribution(["p", "q", "r"]),
})
GRID = np.array([SPACE.grid_point(i) for i in range(SPACE.n_points)])
PARAMETERS = [SPACE.columns_of([name]) for name in SPACE.names]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_what_was_not_asked_for_is_the_same_as_anything():
    seen = np.array([[0.0, NAN], [1.0, 0.25]])
    points = np.array([[0.0, 0.7], [1.0, 0.7], [1.0, 0.25]])
    assert seen_among(points, seen).tolist() == [True, False, True]


def covered(point, seen):
    return any(all(np.isnan(s) or s == x for s, x in zip(row, point, strict=True)) for row in seen)


@pytest.mark.parametrize("tries", [0, 256])
def test_new_point_is_found_wherever_counting_through_the_grid_finds_one(tries, monkeypatch):
    monkeypatch.setattr(design, "N_RANDOM_TRIES", tries)
    left = []
    for seed in range(200):
        random = rng(seed)
        seen = GRID[random.integers(len(GRID), size=1 + seed % 12)]
        for row, columns in itertools.product(seen, PARAMETERS):
            row[columns & (random.random() < 0.4)] = NAN
        before = seen.copy()
        point = unseen_point(SPACE, seen, rng(seed), otherwise=np.full(SPACE.n_columns, -1.0))
        free = [row for row in GRID if not covered(row, seen)]
        left.append(len(free))
        assert any(np.array_equal(point, row) for row in free) if free else (point == -1.0).all()
        assert np.array_equal(before, seen, equal_nan=True)
    assert min(left) == 0
    assert max(left) > 10


@pytest.mark.parametrize("branch", ["a", "z"])
def test_last_free_point_of_a_grid_too_large_to_count_through_is_found(branch):
    """Each of three branches has a parameter with 200 values of its own: 600 points, a grid of 24 million."""
    names = ["m", "n", "o"]
    space = Space({branch: CategoricalDistribution(names)} | {n: IntDistribution(0, 199) for n in names})
    seen = []
    for name, value in itertools.product(names, range(200)):
        point = space.encode({branch: name, **dict.fromkeys(names, value)})
        point[~space.columns_of([branch, name])] = NAN
        seen.append(point)
    nothing = np.full(space.n_columns, -1.0)
    last = seen.pop(321)
    found = unseen_point(space, np.array(seen), rng(), otherwise=nothing)
    assert seen_among(found[None], last[None])[0]
    assert unseen_point(space, np.array([*seen, last]), rng(), otherwise=nothing) is nothing


def test_space_with_a_continuous_parameter_has_new_points_unless_none_matters():
    space = Space({"a": IntDistribution(0, 1), "x": FloatDistribution(0, 1)})
    low, high = (space.encode({"a": a, "x": 0.0}) * [1.0, NAN] for a in (0, 1))
    nothing = np.full(2, -1.0)
    assert space.decode(unseen_point(space, low[None], rng(), otherwise=nothing))["a"] == 1
    assert unseen_point(space, np.array([low, high]), rng(), otherwise=nothing) is nothing
