"""MORBO-1: what its paper says must happen."""

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from tinypareto.errors import ConfigError
from tinypareto.front import hypervolume
from tinypareto.peers.morbo import (
    centre_row,
    improvements,
    neighbourhood,
    reference_point,
    region_of,
    suggest_morbo,
)
from tinypareto.peers.trust_region import TrustRegion
from tinypareto.search.history import History
from tinypareto.space import Space

SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
NOTHING = np.empty((0, 2))
STARTUP = 5
EVEN = np.array([0.5, 0.5])


def history_of(points, values, violations=None):
    n = len(points)
    kept = np.empty((n, 0)) if violations is None else violations
    return History(
        numbers=np.arange(n), points=points, values=np.asarray(values, dtype=float), violations=kept
    )


def two_bowls(points):
    """Minima at (0.2, 0.5) and (0.8, 0.5); the front is the line between them."""
    return np.stack([np.square(points - [0.2, 0.5]).sum(1), np.square(points - [0.8, 0.5]).sum(1)], axis=1)


def dtlz2(points):
    """DTLZ2 with two objectives: the front is a quarter of the unit circle, where all x but the first are 0.5."""
    radius = 1.0 + np.square(points[:, 1:] - 0.5).sum(axis=1)
    angle = 0.5 * np.pi * points[:, 0]
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def region_after(values, violations=None):
    """Return the region after a design whose best is (1, 1) and the values given."""
    everything = np.array([[1.0, 1.0]] + [[2.0, 2.0]] * (STARTUP - 1) + list(values))
    points = np.random.default_rng(0).random((len(everything), 2))
    return region_of(SQUARE, history_of(points, everything, violations), startup=STARTUP)


def test_front_of_dtlz2_is_covered_far_better_than_by_a_random_search():
    space = Space({f"x{i}": FloatDistribution(0, 1) for i in range(4)})
    points = np.empty((0, 4))
    for number in range(35):
        known = history_of(points, dtlz2(points))
        point = suggest_morbo(space, known, points[:0], seed=0, trial_number=number).point
        points = np.concatenate([points, point[None]])
    random = [dtlz2(np.random.default_rng(seed).random((100, 4))) for seed in range(3)]
    corner = np.array([1.1, 1.1])
    found = hypervolume(dtlz2(points), corner)
    assert found > max(hypervolume(values, corner) for values in random), "35 should beat 100 random ones"


def test_centre_is_the_feasible_point_with_the_greatest_hypervolume_contribution():
    """Reference (4.4, 4.4); contributions 1 x 0.4, 1 x 2, 2 x 0.5 and 0.4 x 1.5."""
    values = [[0, 4], [1, 2], [2, 1.5], [4, 0], [3, 3]]
    own = history_of(np.zeros((5, 2)), values)
    assert centre_row(own, EVEN) == 1
    broken = np.array([[0.0], [1.0], [0.0], [0.0], [0.0]])  # without (1, 2): 2 x 0.4, 2 x 2.5, 0.4 x 1.5
    assert centre_row(history_of(np.zeros((5, 2)), values, broken), EVEN) == 2


def test_equal_contributions_are_told_apart_by_the_weights():
    own = history_of(np.zeros((2, 2)), [[1, 2], [2, 1]])
    assert centre_row(own, np.array([0.9, 0.1])) == 0
    assert centre_row(own, np.array([0.1, 0.9])) == 1


def test_without_a_feasible_point_the_centre_has_the_least_violation():
    own = history_of(np.zeros((3, 2)), [[0, 0], [1, 1], [2, 2]], np.array([[3.0], [1.0], [2.0]]))
    assert centre_row(own, EVEN) == 1


def test_reference_lies_a_tenth_of_the_observed_range_beyond_the_fronts_nadir():
    observed = np.array([[0.0, 30.0], [2.0, 10.0], [7.0, 110.0]])
    np.testing.assert_allclose(reference_point(observed[:2], observed), [2.7, 40.0])
    np.testing.assert_allclose(reference_point(observed[:1], observed[:1]), [0.1, 30.1])


def test_improvement_of_each_candidate_is_the_hypervolume_that_it_adds():
    front, corner = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0])
    candidates = np.array([[1.0, 1.0], [0.0, 2.5], [2.0, 2.0], [1.0, 2.0], [0.0, 3.5], [1.5, 1.5]])
    np.testing.assert_allclose(improvements(candidates, front, corner), [1.0, 0.5, 0.0, 0.0, 0.0, 0.25])


def test_region_shrinks_after_ten_trials_without_hypervolume_and_never_grows():
    assert region_after([[1.5, 1.5]] * 9).length == 0.8
    assert region_after([[1.5, 1.5]] * 10).length == 0.4
    better = [[1.0 - step, 1.0 + step] for step in np.linspace(0.01, 0.5, 12)]
    assert region_after(better).length == 0.8
    assert region_after([[1.5, 1.5]] * 9 + [[0.5, 1.5]] + [[1.5, 1.5]] * 9).length == 0.8


def test_same_values_again_and_failed_trials_are_no_success():
    assert region_after([[1.0, 1.0]] * 10).length == 0.4
    assert region_after([[np.nan, 0.0]] * 10).length == 0.4


def test_infeasible_point_is_no_success_unless_nothing_is_feasible_and_it_is_nearer():
    values = [[0.5, 0.5]] * 10
    kept = np.zeros((STARTUP + 10, 1))
    broken = kept + (np.arange(STARTUP + 10) >= STARTUP)[:, None]
    assert region_after(values, broken).length == 0.4
    falling = np.linspace(2.0, 1.0, STARTUP + 10)[:, None]
    assert region_after(values, falling).length == 0.8
    assert region_after(values, falling[::-1]).length == 0.4


def test_restart_goes_elsewhere_and_the_new_region_begins_there():
    """All points lie in a corner of the space and none of the last 70 adds anything: seven halvings."""
    points = 0.3 * np.random.default_rng(0).random((STARTUP + 70, 2))
    values = two_bowls(points)
    values[STARTUP:] += 10.0
    known = history_of(points, values)
    assert region_of(SQUARE, known, startup=STARTUP) == TrustRegion(length=0.8, first=75)
    suggestion = suggest_morbo(SQUARE, known, NOTHING, seed=0, trial_number=75, n_startup=STARTUP)
    assert suggestion.origin == "MORBO-1, restart"
    assert suggestion.point.max() > 0.35
    points = np.concatenate([points, suggestion.point[None]])
    known = history_of(points, np.concatenate([values, [[20.0, 20.0]]]))
    assert region_of(SQUARE, known, startup=STARTUP) == TrustRegion(length=0.8, first=75)
    following = suggest_morbo(SQUARE, known, NOTHING, seed=0, trial_number=76, n_startup=STARTUP)
    assert following.origin == "MORBO-1, region of length 0.8"
    assert (np.abs(following.point - points[75]) <= 0.4).all(), (
        "the only point of the new region is its centre"
    )


def test_restart_whose_trial_failed_is_tried_again_elsewhere():
    points = 0.3 * np.random.default_rng(0).random((STARTUP + 71, 2))
    values = np.concatenate([two_bowls(points[:STARTUP]), np.full((71, 2), np.nan)])
    suggestion = suggest_morbo(
        SQUARE, history_of(points, values), NOTHING, seed=0, trial_number=76, n_startup=STARTUP
    )
    assert suggestion.origin == "MORBO-1, restart"


def test_local_model_has_the_nearest_points_and_everything_within_the_edge():
    points = np.random.default_rng(0).random((600, 2))
    known = history_of(points, two_bowls(points))
    centre = np.array([0.5, 0.5])
    distance = np.abs(points - centre).max(axis=1)
    near = neighbourhood(known, centre, 0.05)
    assert len(near.numbers) == 250
    assert np.abs(near.points - centre).max() == np.sort(distance)[249]
    wide = neighbourhood(known, centre, 0.45)
    assert len(wide.numbers) == (distance <= 0.45).sum() > 250


def test_suggestions_lie_on_the_front_and_spread():
    points = np.random.default_rng(0).random((8, 2))
    for number in range(8, 18):
        known = history_of(points, two_bowls(points))
        point = suggest_morbo(SQUARE, known, NOTHING, seed=0, trial_number=number).point
        points = np.concatenate([points, point[None]])
    assert (np.abs(points[8:, 1] - 0.5) < 0.1).mean() >= 0.7
    assert np.ptp(points[8:, 0]) > 0.3


def test_constraint_is_learnt():
    points = np.random.default_rng(0).random((12, 2))
    for number in range(12, 18):
        known = history_of(points, two_bowls(points), points[:, :1] - 0.4)
        point = suggest_morbo(SQUARE, known, NOTHING, seed=0, trial_number=number).point
        points = np.concatenate([points, point[None]])
    assert (points[12:, 0] <= 0.41).mean() >= 0.7


def test_pending_points_gain_is_not_sought_twice():
    points = np.random.default_rng(0).random((12, 2))
    known = history_of(points, two_bowls(points))
    first = suggest_morbo(SQUARE, known, NOTHING, seed=3, trial_number=12).point
    around = first + 0.01 * np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])
    second = suggest_morbo(SQUARE, known, around, seed=3, trial_number=12).point
    assert np.abs(first - second).max() > 0.02


def test_one_objective_is_refused_with_the_name_of_another_sampler():
    points = np.random.default_rng(0).random((10, 2))
    with pytest.raises(ConfigError, match="use turbo"):
        suggest_morbo(SQUARE, history_of(points, points[:, :1]), NOTHING, seed=0, trial_number=10)
