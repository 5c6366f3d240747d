from types import SimpleNamespace

import numpy as np
from search_tables import mean_ranks, normalised_gaps, paired, significance

VOLUMES = {
    ("A", "ars", 0): "2 4", ("A", "ars", 1): "2 5", ("A", "random", 0): "1 2", ("A", "random", 1): "1 3",
    ("B", "ars", 0): "0 1", ("B", "ars", 1): "0 2", ("B", "random", 0): "0 6", ("B", "random", 1): "0 8",
}  # fmt: skip
ROWS = [
    {"problem": problem, "sampler": sampler, "seed": str(seed), "hypervolumes": volumes}
    for (problem, sampler, seed), volumes in VOLUMES.items()
]
KNOWN = {"A": SimpleNamespace(best=4.0), "B": SimpleNamespace(best=10.0)}


def test_gap_is_measured_from_the_best_that_is_known_or_was_found():
    gaps = normalised_gaps(ROWS, KNOWN)
    np.testing.assert_allclose(gaps["A", "ars"], [[0.6, 0.2], [0.6, 0.0]])  # 5 was found, above the known 4
    np.testing.assert_allclose(gaps["B", "random"], [[1.0, 0.4], [1.0, 0.2]])


def test_ranks_of_a_table_solved_by_hand():
    gaps = normalised_gaps(ROWS, KNOWN)
    assert mean_ranks(gaps, 2) == {"ars": 1.5, "random": 1.5}  # each wins one problem
    assert mean_ranks(gaps, 1) == {"ars": 1.25, "random": 1.75}  # a tie on B


def test_unpaired_runs_are_left_out():
    kept = paired(ROWS[:-1])
    assert {(row["problem"], row["seed"]) for row in kept} == {("A", "0"), ("A", "1"), ("B", "0")}
    assert len(kept) == 6


def test_sampler_that_wins_everywhere_is_significantly_better_and_not_the_other_way_round():
    rng = np.random.default_rng(0)
    gaps = {}
    for number in range(11):
        base = rng.random((3, 2))
        gaps[str(number), "ars"], gaps[str(number), "peer"] = base, base + 0.1
    assert significance(gaps, 2)["peer"] < 0.001
    turned = {
        (name, {"ars": "peer", "peer": "ars"}[sampler]): curves for (name, sampler), curves in gaps.items()
    }
    assert significance(turned, 2)["peer"] > 0.9
