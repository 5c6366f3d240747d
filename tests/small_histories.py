"""Finished trials of a made-up study with an error and a ROM that may be 2 KB."""

import dataclasses
from pathlib import Path

from tinypareto.study_description import StudyDescription
from tinypareto.trials import FinishedTrial, History

ROM_LIMIT = 2048.0

DESCRIPTION = StudyDescription(
    experiment="digits", space={}, objectives=("error", "rom_bytes"), limits={"rom_bytes": ROM_LIMIT},
    target="cortex-m4", sampler="ars", seed=0, scales={"error": 1.0, "rom_bytes": ROM_LIMIT},
    reference="digits", data_path=None,
)  # fmt: skip


def finished_trial(number, error, rom, failure=None):
    return FinishedTrial(
        number=number,
        parameters={"width": 4, "kind": "<b>"},
        objectives=None if failure else {"error": error, "rom_bytes": rom},
        failure=failure,
        feasible=failure is None and rom <= ROM_LIMIT,
        folder=Path("nowhere"),
        reasons=None,
        seconds=1.0,
    )


def predicted(trial, error, interval, feasibility=1.0):
    """A trial whose sampler predicted an error and its 90 % interval, and knew that the ROM would be 1 KB."""
    reasons = {"mean": [error, 1024.0], "std": [0.0, 0.0], "interval": [interval, [1024.0, 1024.0]]}
    return dataclasses.replace(trial, reasons={**reasons, "feasibility": feasibility})


def history_of(*trials):
    return History(description=DESCRIPTION, trials=trials)
