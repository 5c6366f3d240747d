import json

import numpy as np
import optuna
import pytest
from optuna.samplers import GPSampler, RandomSampler
from rejecting import Rejecting
from trainings_tables import curves_of, hypervolume_table, stopping_table, summary

from tinypareto.experiments import digits
from tinypareto.known_sizes import KnownSizes


def row(arm, seed, curve, **values):
    given = {
        "predicted": 10,
        "held": 9,
        "trials": len(curve),
        "over_a_limit": 0,
        "stopped": 4,
        "regretted": 1,
    }
    given |= {"training_seconds": 60.0, "unstopped_seconds": 100.0}
    text = {name: str(value) for name, value in (given | values).items()}
    return {"arm": arm, "seed": str(seed), "hypervolumes": json.dumps(curve), **text}


ROWS = [
    row("full", 0, [0.1, 0.5, 0.7], held=8),
    row("full", 1, [0.2, 0.6, 0.8]),
    row("full", 2, [0.3, 0.7, 0.9]),
    row("harvest", 0, [0.1, 0.6, 0.75], training_seconds=90.0, unstopped_seconds=90.0),
    row("tight, full", 0, [0.9, 0.9, 0.9], over_a_limit=2),
]
BOXES = {"ars": np.array([[0.1, 0.2, 0.3, *[0.5] * 147], [0.1, 0.2, 0.3, *[0.7] * 147]])}


def test_curves_are_those_of_the_seeds():
    np.testing.assert_array_equal(
        curves_of(ROWS)["full"], [[0.1, 0.5, 0.7], [0.2, 0.6, 0.8], [0.3, 0.7, 0.9]]
    )


def test_an_arm_is_as_good_when_its_median_reaches_that_of_the_best_black_box():
    lines = {
        line.split("|")[1].strip(): line.split("|")[2:-1]
        for line in hypervolume_table(ROWS, BOXES).splitlines()
    }
    assert [cell.strip() for cell in lines["full"]][-1] == "2"  # 0.6 after two trainings, as ars after 150
    assert [cell.strip() for cell in lines["harvest"]][-1] == "2"
    assert [cell.strip() for cell in lines["ars"]] == ["2", "0.6000", *["0.6000"] * 5, "4"]
    assert [cell.strip() for cell in lines["tight, full"]][-1] == ""  # of another hypervolume


def test_what_is_saved_is_the_share_of_the_time_that_all_trainings_would_have_taken():
    _, _, line = stopping_table(ROWS).splitlines()  # seed 0 alone has both arms
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        "0", "60", "100", "40%", "0.7000", "0.7500", "4", "1"
    ]  # fmt: skip


def test_limits_and_intervals_are_counted_over_all_arms_that_know_sizes():
    assert "Of 15 trainings that knew sizes 2 broke a limit" in summary(ROWS)
    assert "44 of 50 errors lay in their 90 % intervals, 88%" in summary(ROWS)


@pytest.mark.parametrize("make", [RandomSampler, GPSampler])
def test_peers_are_kept_from_what_is_known_to_break_a_limit(make):
    narrow = KnownSizes(objectives={}, constraints={"width": lambda p: p["width"] - 8})
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=Rejecting(make(seed=0), digits.experiment, narrow, 0)
    )
    for _ in range(14):  # GPSampler's first ten are random
        trial = study.ask(dict(digits.experiment.space))
        study.tell(trial, [trial.params["learning_rate"], float(trial.params["epochs"])])
    assert {trial.params["width"] for trial in study.trials} == {8}
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 14
