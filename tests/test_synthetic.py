import numpy as np
import pytest
from scipy.optimize import minimize

from tinypareto.errors import ShapeError
from tinypareto.synthetic import (
    BUMPS,
    EDGE,
    GLOBAL_MINIMUM,
    GLOBAL_MINIMUM_AT,
    bumps,
    bumps_prior,
    bumps_space,
)


def test_no_grid_point_lies_below_the_stated_minimum_and_its_neighbourhood_reaches_it():
    axis = np.linspace(0.0, EDGE, 641)  # every 0.05
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = bumps(grid)
    assert values.min() >= GLOBAL_MINIMUM - 1e-6
    assert tuple(grid[values.argmin()]) == pytest.approx(GLOBAL_MINIMUM_AT)


def test_the_minimum_is_stationary_at_15_5_and_its_value_is_known_to_one_millionth():
    end = minimize(lambda x: bumps(x[None])[0], x0=[15.3, 4.6], tol=1e-14)
    assert end.fun == pytest.approx(GLOBAL_MINIMUM, abs=1e-6)
    assert end.x == pytest.approx(GLOBAL_MINIMUM_AT, abs=1e-3)


def test_a_point_equals_the_sum_of_its_bumps_written_out():
    x, y = 7.0, 11.0
    expected = sum(h * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * w * w)) for h, a, b, w in BUMPS)
    assert bumps([[x, y], [0.0, 0.0]])[0] == pytest.approx(expected, rel=1e-12)


def test_the_prior_lies_in_the_upper_left_is_seeded_and_far_from_the_minimum():
    prior = bumps_prior(3)
    assert prior.shape == (5, 2)
    assert ((prior[:, 0] < 10) & (prior[:, 1] > 15) & (prior[:, 1] < 25)).all()
    assert np.array_equal(prior, bumps_prior(3))
    assert not np.array_equal(prior, bumps_prior(4))
    assert np.linalg.norm(prior - GLOBAL_MINIMUM_AT, axis=1).min() > 10


def test_the_space_is_the_square_of_the_picture():
    assert {name: (d.low, d.high) for name, d in bumps_space().items()} == {
        "theta_0": (0.0, 32.0),
        "theta_1": (0.0, 32.0),
    }


def test_points_of_another_shape_are_rejected_with_a_remedy():
    with pytest.raises(ShapeError, match=r"write one point as \[\[x, y\]\]"):
        bumps([15.0, 5.0])
