"""TuRBO-1: what its paper says must happen."""

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from tinypareto.peers.trust_region import TrustRegion
from tinypareto.peers.turbo import region_of, suggest_turbo
from tinypareto.search.design import latin_hypercube
from tinypareto.search.history import History
from tinypareto.space import Space

SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
NOTHING = np.empty((0, 2))
STARTUP = 5


def history_of(points, values, violations=None):
    n = len(points)
    kept = np.empty((n, 0)) if violations is None else violations
    return History(numbers=np.arange(n), points=points, values=values, violations=kept)


def ackley(points):
    """Minimum 0 at 0.4 in the unit cube, with many local ones around it."""
    z = 15.0 * (points - 0.4)
    near, waves = np.sqrt(np.square(z).mean(axis=1)), np.cos(2 * np.pi * z).mean(axis=1)
    return (-20 * np.exp(-0.2 * near) - np.exp(waves) + 20 + np.e)[:, None]


def run(space, function, n, seed):
    """Return n suggestions in a row, n x d."""
    points = np.empty((0, space.n_columns))
    for number in range(n):
        suggestion = suggest_turbo(
            space, history_of(points, function(points)), points[:0], seed=seed, trial_number=number
        )
        points = np.concatenate([points, suggestion.point[None]])
    return points


def region_after(values):
    """Return the region after a design of five values of 10 and the values given."""
    column = np.array([10.0] * STARTUP + list(values))[:, None]
    points = np.random.default_rng(0).random((len(column), 2))
    return region_of(SQUARE, history_of(points, column), seed=0, startup=STARTUP)


def test_ten_dimensional_ackley_is_descended_far_below_a_random_search():
    space = Space({f"x{i}": FloatDistribution(0, 1) for i in range(10)})
    found = ackley(run(space, ackley, 40, seed=0)).min()
    random = [ackley(np.random.default_rng(seed).random((6000, 10))).min() for seed in range(3)]
    assert found < min(random), "40 evaluations should beat 6,000 random ones"


def test_region_grows_after_three_better_points_and_shrinks_after_as_many_failures_as_parameters():
    assert region_after([9, 8]).length == 0.8
    assert region_after([9, 8, 7]).length == 1.6
    assert region_after([10]).length == 0.8
    assert region_after([10, 11]).length == 0.4
    assert region_after([10, 9, 11]).length == 0.8


def test_trial_that_failed_is_a_failure_of_the_region():
    assert region_after([np.nan, np.nan]).length == 0.4


def test_points_of_the_design_are_neither_successes_nor_failures():
    points = np.random.default_rng(0).random((5, 2))
    assert region_of(SQUARE, history_of(points, np.arange(5.0)[:, None]), seed=0, startup=5) == TrustRegion(
        length=0.8
    )


def test_region_restarts_below_the_shortest_length_with_a_design_of_its_own():
    values = np.full((STARTUP + 14, 1), 10.0)  # seven times two failures
    points = np.random.default_rng(0).random((len(values), 2))
    known = history_of(points, values)
    assert region_of(SQUARE, known, seed=0, startup=STARTUP) == TrustRegion(length=0.8, first=19)
    suggestion = suggest_turbo(SQUARE, known, NOTHING, seed=0, trial_number=19)
    assert suggestion.origin == "latin hypercube"
    assert not np.allclose(suggestion.point, latin_hypercube(SQUARE, STARTUP, 0, 0))
    assert not np.allclose(suggestion.point, latin_hypercube(SQUARE, STARTUP, 0, 19))


def test_restarted_region_knows_nothing_of_what_was_found_before():
    """A better point of the first region would be the centre, were it not forgotten."""
    rng = np.random.default_rng(0)
    points, values = rng.random((26, 2)), np.full((26, 1), 10.0)
    values[19:] = np.square(points[19:] - 0.8).sum(axis=1, keepdims=True)
    suggestions = []
    for elsewhere in (0.1, 0.5):
        points[0], values[0] = elsewhere, -100.0
        suggestions.append(
            suggest_turbo(SQUARE, history_of(points, values), NOTHING, seed=0, trial_number=26)
        )
    assert suggestions[0].origin.startswith("TuRBO-1")
    np.testing.assert_array_equal(suggestions[0].point, suggestions[1].point)


def test_small_region_keeps_suggestions_near_the_best_point():
    points = np.random.default_rng(1).random((5 + 12, 2))
    values = np.square(points).sum(axis=1, keepdims=True) + 1.0
    points[3], values[3] = [0.7, 0.6], 0.0  # the best, of the design; twelve failures follow: 0.8 / 2^6
    suggestion = suggest_turbo(SQUARE, history_of(points, values), NOTHING, seed=0, trial_number=17)
    assert suggestion.origin == "TuRBO-1, region of length 0.0125"
    offset = np.abs(suggestion.point - points[3])
    assert 0 < offset.max()
    assert offset.prod() <= 0.00625**2 + 1e-12  # edges are stretched, the area is not


def test_several_objectives_share_the_region_and_suggestions_spread_over_the_front():
    def two_bowls(points):
        return np.stack(
            [np.square(points - [0.2, 0.5]).sum(1), np.square(points - [0.8, 0.5]).sum(1)], axis=1
        )

    points = run(SQUARE, two_bowls, 20, seed=0)[8:]
    assert (np.abs(points[:, 1] - 0.5) < 0.1).mean() > 0.7
    assert np.ptp(points[:, 0]) > 0.3


@pytest.mark.parametrize("several", [False, True])
def test_constraint_is_learnt_and_the_best_feasible_point_is_sought(several):
    points = np.random.default_rng(0).random((12, 2))
    for number in range(12, 22):
        values = points[:, [0, 0]] if several else points[:, :1]
        known = history_of(points, values + 0.2 * points[:, 1:], 0.5 - points[:, :1])
        suggestion = suggest_turbo(SQUARE, known, NOTHING, seed=0, trial_number=number)
        points = np.concatenate([points, suggestion.point[None]])
    assert (points[12:, 0] >= 0.49).mean() >= 0.7
    kept = points[points[:, 0] >= 0.5]
    assert kept[:, 0].min() < 0.53


def test_without_a_feasible_point_the_violation_falls():
    points = 0.5 * np.random.default_rng(0).random((8, 2))
    for number in range(8, 20):
        known = history_of(points, points[:, :1], 0.9 - points.mean(axis=1, keepdims=True))
        suggestion = suggest_turbo(SQUARE, known, NOTHING, seed=0, trial_number=number)
        points = np.concatenate([points, suggestion.point[None]])
    assert (points.mean(axis=1) >= 0.9).any()
