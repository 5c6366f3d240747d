"""The box that grows, shrinks and restarts, and the points that are drawn from it."""

from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.peers.trust_region import RegionRules, TrustRegion, candidates, global_candidates, half_edges
from tinypareto.space import Space

RULES = RegionRules(to_shrink=4)
SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
MIXED = Space({
    "c": CategoricalDistribution(["x", "y", "z"]),
    "f": FloatDistribution(1e-4, 1.0, log=True),
    "n": IntDistribution(1, 256, log=True),
    "two": CategoricalDistribution([False, True]),
})


def follow(outcomes, rules=RULES, start=None):
    region = start or TrustRegion(length=rules.initial)
    for number, success in enumerate(outcomes):
        region = region.after(number, success, rules)
    return region


def drawn(space, centre, length, stretch=None, seen=None, seed=0):
    stretch = np.ones(space.n_free) if stretch is None else stretch
    seen = np.empty((0, space.n_columns)) if seen is None else seen
    return candidates(space, centre, length, stretch, seen, np.random.default_rng(seed))


def test_three_successes_in_a_row_double_the_edge_up_to_the_longest():
    assert follow([True, True]).length == 0.8
    assert follow([True] * 3).length == 1.6
    assert follow([True] * 9).length == 1.6


def test_one_failure_makes_the_successes_begin_anew():
    assert follow([True, True, False, True, True]).length == 0.8


def test_failures_in_a_row_halve_the_edge_and_one_success_makes_them_begin_anew():
    assert follow([False] * 3).length == 0.8
    assert follow([False] * 4).length == 0.4
    assert follow([False] * 3 + [True] + [False] * 3).length == 0.8


def test_region_that_has_become_too_small_ends_and_another_begins_with_the_next_trial():
    last = follow([False] * 27)  # 0.8 halved six times is 0.0125, still above 1/128
    assert last == TrustRegion(length=0.0125, failures=3)
    assert follow([False] * 28) == TrustRegion(length=0.8, first=28)


def test_region_without_growth_stays_as_long_as_it_succeeds():
    assert follow([True] * 9, replace(RULES, to_grow=None)).length == 0.8


def test_edges_follow_the_lengthscales_and_keep_the_volume():
    np.testing.assert_allclose(half_edges(0.8, np.array([1.0, 4.0])), [0.2, 0.8])
    np.testing.assert_allclose(half_edges(0.8, np.array([10.0, 40.0])), [0.2, 0.8])


def test_candidates_fill_the_stretched_box_cut_to_the_cube():
    points = drawn(SQUARE, np.array([0.5, 0.9]), 0.4, np.array([4.0, 1.0]))
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(low, [0.1, 0.8], atol=0.02)
    np.testing.assert_allclose(high, [0.9, 1.0], atol=0.02)
    assert len(points) == 200


def test_of_many_parameters_twenty_change_on_average_and_always_one():
    space = Space({f"x{i:02d}": FloatDistribution(0, 1) for i in range(80)})
    centre = np.full(80, 0.5)
    n_changed = (drawn(space, centre, 0.8) != centre).sum(axis=1)
    assert len(n_changed) == 5000
    assert n_changed.mean() == pytest.approx(20, abs=0.5)
    assert n_changed.min() >= 1


def test_candidates_are_values_of_the_space_and_a_category_changes_with_the_regions_length():
    centre = MIXED.encode({"c": "y", "f": 0.01, "n": 16, "two": False})
    wide, narrow = drawn(MIXED, centre, 0.8), drawn(MIXED, centre, 0.1)
    for points in (wide, narrow):
        np.testing.assert_array_equal(points, MIXED.round_points(points))
    shares = [np.mean([MIXED.decode(p)["c"] != "y" for p in points]) for points in (wide, narrow)]
    assert shares[0] == pytest.approx(0.8 * 2 / 3, abs=0.1)
    assert 0 < shares[1] < 0.15
    assert {MIXED.decode(p)["two"] for p in wide} == {False, True}


def test_no_candidate_was_seen_before():
    space = Space({"n": IntDistribution(0, 3), "k": IntDistribution(0, 3)})
    seen = np.array([space.grid_point(i) for i in range(0, 16, 2)])
    points = drawn(space, seen[0], 1.6, seen=seen)
    assert len(points) == 8
    assert not any((seen == point).all(axis=1).any() for point in points)


def test_region_between_the_points_of_a_grid_offers_the_centres_new_neighbours():
    space = Space({"n": IntDistribution(0, 3), "k": IntDistribution(0, 3)})
    centre = space.encode({"n": 1, "k": 1})
    known = space.encode({"n": 2, "k": 1})
    found = drawn(space, centre, 0.01, seen=np.array([centre, known]))
    assert sorted((space.decode(p)["n"], space.decode(p)["k"]) for p in found) == [
        (0, 1), (1, 0), (1, 2), (1, 3), (3, 1),
    ]  # fmt: skip


def test_nothing_is_offered_where_everything_was_seen():
    space = Space({"n": IntDistribution(0, 1)})
    seen = np.array([space.grid_point(0), space.grid_point(1)])
    assert drawn(space, seen[0], 0.8, seen=seen).shape == (0, 1)
    assert global_candidates(space, seen, np.random.default_rng(0)).shape == (0, 1)
