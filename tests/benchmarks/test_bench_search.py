import dataclasses
import math

import bench_search
import numpy as np
import optuna
import pytest
from bench_search import (
    append_row,
    complete,
    curve,
    initial_design,
    key,
    read_rows,
    run,
    sampler_for,
    write_rows,
)
from problems import problems

from tinypareto.front import hypervolume
from tinypareto.hosts.suggestions import read_suggestion
from tinypareto.samplers import SAMPLERS

KNOWN = problems()


def row(problem="A", sampler="ars", seed=0, volumes="1 2"):
    empty = dict.fromkeys(bench_search.FIELDS, "0")
    return {**empty, "problem": problem, "sampler": sampler, "seed": str(seed), "hypervolumes": volumes}


@pytest.mark.parametrize("sampler", ["ars", "nsga2", "random", "tpe"])
def test_every_sampler_begins_with_the_same_design(sampler):
    problem, seen = KNOWN["BraninCurrin"], []

    def evaluate(parameters):
        seen.append(dict(parameters))
        return problem.evaluate(parameters)

    watched = dataclasses.replace(problem, evaluate=evaluate)
    run(watched, sampler_for(sampler, problem, 3), seed=3, evaluations=problem.design_size + 1)
    assert seen[:-1] == initial_design(problem, 3)
    assert seen[-1] not in seen[:-1]
    assert initial_design(problem, 4) != initial_design(problem, 3)


def test_interrupted_run_ends_with_the_rows_of_an_uninterrupted_one(tmp_path):
    results = []
    for name, parts in {"whole.csv": [2], "parts.csv": [1, 2]}.items():
        for seeds in parts:
            complete(["BraninCurrin", "MW7"], ["random"], seeds, tmp_path / name, evaluations=20)
        results.append([(key(row), row["hypervolumes"]) for row in read_rows(tmp_path / name)])
    assert results[0] == results[1]
    assert len(results[0]) == 4


def test_second_process_does_not_repeat_a_row(tmp_path):
    path = tmp_path / "rows.csv"
    write_rows([row()], path)
    append_row(row(volumes="9 9"), path)
    append_row(row(seed=1), path)
    assert [(key(found), found["hypervolumes"]) for found in read_rows(path)] == [
        (("A", "ars", 0), "1 2"),
        (("A", "ars", 1), "1 2"),
    ]


def test_infeasible_points_add_no_hypervolume_and_it_never_falls():
    problem = KNOWN["C2DTLZ2"]
    values = [[0.5, 0.5], [0.1, 0.1], [0.9, 0.9], [0.2, 0.9]]
    volumes = curve(problem, values, [True, False, True, True])
    expected = [hypervolume(values[:1], problem.reference)] * 3
    assert volumes[:3] == pytest.approx(expected)
    assert volumes[3] == pytest.approx(hypervolume([values[0], values[3]], problem.reference))


def test_no_sampler_is_told_the_reference_point():
    for problem in KNOWN.values():
        for name in SAMPLERS:
            if name not in {"qnehvi", "qparego"}:
                told = vars(sampler_for(name, problem, 0))
                assert told.get("reference_point") is None
                assert not any(
                    value is problem.reference or value == problem.reference for value in told.values()
                )


@pytest.mark.parametrize("sampler", ["turbo", "morbo"])
def test_trust_region_of_a_peer_begins_after_the_common_design(sampler):
    """Its own design is shorter, and points of the common one would be failures of the first region."""
    problem = KNOWN["BraninCurrin"]
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_for(sampler, problem, 0))
    for _ in range(problem.design_size):
        trial = study.ask(dict(problem.space))
        study.tell(trial, [1.0, 1.0])
    assert [read_suggestion(trial)["origin"] for trial in study.trials] == ["latin hypercube"] * 6
    following = study.ask(dict(problem.space))
    assert "region of length 0.8" in read_suggestion(study.trials[following.number])["origin"]


@pytest.mark.parametrize(("sampler", "trials"), [("gp", 14), ("tpe", 30), ("nsga2", 30)])
def test_peers_of_the_host_read_the_constraints_that_trials_report(sampler, trials):
    """Left half feasible, better values on the right: who reads constraints stays left most of the time."""
    space = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "y": optuna.distributions.FloatDistribution(0, 1),
    }
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def share_of_feasible(constrained):
        study = optuna.create_study(
            directions=["minimize"] * 2, sampler=sampler_for(sampler, KNOWN["BraninCurrin"], 0)
        )
        kept = []
        for _ in range(trials):
            trial = study.ask(space)
            x, y = trial.params["x"], trial.params["y"]
            if constrained:
                trial.set_constraint("left", x - 0.5)
            study.tell(trial, [-x + y, -2 * x - y])
            kept.append(x <= 0.5)
        return np.mean(kept[8:])

    assert share_of_feasible(True) > share_of_feasible(False) + 0.2


def test_pressure_vessel_solved_by_hand():
    values, constraints = KNOWN["PressureVessel"].evaluate({
        "shell": 16,
        "head": 8,
        "radius": 50.0,
        "length": 100.0,
    })
    # 1 inch and half an inch thick
    assert values[0] == pytest.approx(0.6224 * 5000 + 1.7781 * 0.5 * 2500 + 3.1661 * 100 + 19.84 * 50)
    assert values[1] == pytest.approx(-(math.pi * 250_000 + 4 / 3 * math.pi * 125_000))
    assert constraints == pytest.approx([0.0193 * 50 - 1, 0.00954 * 50 - 0.5])


@pytest.mark.parametrize("problem", list(KNOWN.values()), ids=list(KNOWN))
def test_no_random_front_is_better_than_the_best_that_is_known(problem):
    volumes, _, _ = run(problem, sampler_for("random", problem, 0), seed=0, evaluations=25)
    assert volumes[-1] < problem.best
