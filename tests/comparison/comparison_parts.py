"""A subject and rows made by a formula instead of trainings; files in which a comparison's times are left out."""

import csv
import os
from pathlib import Path

import numpy as np
from small_experiments import stepwise, stepwise_pair

from tinypareto.comparison.arm_run import ArmTask, run_arm
from tinypareto.comparison.rows import TIMES, Row, Subject
from tinypareto.evaluation_record import Evaluation

EXPERIMENTS = Path(__file__).resolve().parent.parent / "small_experiments.py"
STEPWISE = f"{EXPERIMENTS}:stepwise"
SUBJECT = Subject.of(stepwise, {"error": 2 / 3, "rom_bytes": 16384.0, "ram_bytes": 1024.0, "flops": 1e4})
PAIR = Subject.of(stepwise_pair, {"error": 2 / 3, "flops": 1e4})
PARAMETERS = {
    "width": 20,
    "sparsity": 0.1 + 0.5,
    "learning_rate": 1 / 30,
    "epochs": 6,
    "batch_size": 32,
    "pruning_steps": 3,
}


def values(error, rom=600.0, ram=70.0, flops=100.0):
    return {"error": error, "rom_bytes": rom, "ram_bytes": ram, "flops": flops}


def row(arm="ars", seed=0, trial=0, objectives=None, on_way=None, hypervolume=0.25, failure=None):
    objectives = values(1 / 3) if objectives is None and failure is None else objectives
    return Row(
        run=1,
        arm=arm,
        seed=seed,
        trial=trial,
        parameters=PARAMETERS,
        objectives=objectives,
        feasible=objectives is not None and SUBJECT.is_feasible(objectives),
        hypervolume=hypervolume,
        seconds=2.5,
        suggest_seconds=0.25,
        on_way=on_way or {},
        failure=failure,
    )


def formula(number, parameters, seed, harvest):
    """Objectives that depend on the parameters and, as in a training, on the seed; every seventh trial fails."""
    if number % 7 == 6:
        return "out of memory."
    luck = np.random.default_rng(seed).uniform(0, 0.05)

    def given(share):
        left = parameters["width"] * (1 - parameters["sparsity"] * share)
        error = luck + 1 / left + abs(np.log10(parameters["learning_rate"]) + 1.5) / 4
        return values(float(error), float(int(400 + 9 * left)), float(int(60 + left)), float(int(30 * left)))

    def evaluation(share, **more):
        return Evaluation(
            parameters=dict(parameters),
            seed=seed,
            objectives=given(share),
            measured={},
            breakdown={},
            warnings=(),
            seconds={"train": 1.0},
            **more,
        )

    harvested = tuple(evaluation((step + 1) / 4, step=step) for step in harvest)
    return evaluation(1.0, harvested=harvested)


def run_formula(arm, seed, trials, rows, folder):
    """Return the rows of a study that goes on after ``rows``."""
    task = ArmTask(
        arm=arm,
        seed=seed,
        trials=trials,
        experiment=f"{EXPERIMENTS}:stepwise_pair",
        data_path=None,
        subject=PAIR,
        rows=tuple(rows),
        run=1,
        versions={},
        work=folder / "work",
        cache=folder / "cache",
    )
    new = []
    run_arm(task, new.append, formula)
    return [*rows, *new]


def timeless(path):
    """The lines of a CSV without its times."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [line for line in lines if line.startswith("# ")]
    cells = list(csv.reader(line for line in lines if not line.startswith("# ")))
    kept = [place for place, name in enumerate(cells[0]) if name not in TIMES]
    return heads, [[line[place] for place in kept] for line in cells]


def environment():
    """That of a command under test."""
    return {**os.environ, "COLUMNS": "200"}
