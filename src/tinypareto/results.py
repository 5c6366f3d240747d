"""What a study has found: its front as rows, one trial's artefacts in a folder of their own."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import json_to_distribution

from tinypareto.errors import StudyError
from tinypareto.evaluation import add_test_error
from tinypareto.experiment import load_experiment
from tinypareto.front import pick_knee
from tinypareto.space import Space
from tinypareto.study_home import StudyHome, database_errors
from tinypareto.trials import FinishedTrial, History, read_history, read_metrics


def open_history(folder: Path) -> History:
    """Return the history of the study in ``folder``; nothing is changed.

    Raises:
        StudyError: If there is none, or its database cannot be read.
    """
    if not (folder / "trials").is_dir():
        raise StudyError(
            f"there is no study in {folder}; begin one with `tinypareto search ... --out {folder}`."
        )
    with StudyHome(folder) as home:
        description = home.description()
        if description is None:
            raise StudyError(f"the study in {folder} has no trial yet; run `tinypareto search` first.")
        study = home.open(description, optuna.samplers.RandomSampler())
        with database_errors(home.url):
            return read_history(study, description, home.trials_folder)


def front_rows(folder: Path, only_knee: bool = False) -> list[dict[str, Any]]:
    """Return the feasible Pareto trials, by number, as ``tinypareto front --json`` prints them.

    The test split is run for those that have no test error yet, as after an interrupted search.

    Args:
        folder: The study's folder.
        only_knee: Return only the trial that `pick_knee` takes.
    """
    history = open_history(folder)
    trials = history.front()
    if only_knee and trials:
        names = history.description.objectives
        values = [[trial.objectives[name] for name in names] for trial in trials if trial.objectives]
        trials = (trials[pick_knee(values)],)
    return [_row(trial, _test_error(history, trial)) for trial in trials]


def explain_trial(folder: Path, number: int) -> dict[str, Any]:
    """Return why a trial was made and what came of it, as ``tinypareto explain --json`` prints it.

    Args:
        folder: The study's folder.
        number: Of the trial.

    Raises:
        StudyError: If there is no such finished trial, or its sampler gave no reasons.
    """
    history = open_history(folder)
    trial = _finished_trial(history, number)
    reasons = trial.reasons
    if reasons is None:
        raise StudyError(
            f"the sampler {history.description.sampler} gave no reasons for trial {number}; ars and poster give them."
        )
    names = history.description.objectives
    space = Space({name: json_to_distribution(text) for name, text in history.description.space.items()})
    path = np.array(reasons["path"])
    predictions = {
        name: {"mean": mean, "std": std, "measured": (trial.objectives or {}).get(name)}
        for name, mean, std in zip(names, reasons["mean"], reasons["std"], strict=False)
    }
    return {
        "trial": number,
        "origin": reasons["origin"],
        "policy": reasons["policy"],
        "start": space.decode(path[0]) if len(path) else None,
        "moves": max(len(path) - 1, 0),
        "parameters": dict(trial.parameters),
        "objectives": predictions,
        "reward": reasons["reward"],
        "feasibility": reasons["feasibility"],
        "failure": trial.failure,
    }


def _finished_trial(history: History, number: int) -> FinishedTrial:
    trials = {trial.number: trial for trial in history.trials}
    if number not in trials:
        raise StudyError(
            f"trial {number} must be one that ended, of which there are {len(trials)}; choose another number."
        )
    return trials[number]


def _row(trial: FinishedTrial, test_error: float | None) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "step": None,
        "parameters": dict(trial.parameters),
        "objectives": dict(trial.objectives or {}),
        "test_error": test_error,
        "folder": str(trial.folder),
    }


def _test_error(history: History, trial: FinishedTrial) -> float | None:
    known = read_metrics(trial.folder).get("test_error")
    reference = history.description.reference
    if known is not None or reference is None:
        return known
    path = history.description.data_path
    return add_test_error(load_experiment(reference), trial.folder, Path(path) if path else None)


def export_trial(folder: Path, number: int, to: Path) -> Path:
    """Copy the artefacts of trial ``number`` to the new folder ``to`` and return it.

    Raises:
        StudyError: If there is no such finished trial, or ``to`` exists already.
    """
    trials = {trial.number: trial for trial in open_history(folder).trials}
    if number not in trials or trials[number].failure is not None:
        why = trials[number].failure if number in trials else "there is no such finished trial"
        raise StudyError(
            f"trial {number} has no firmware ({why}); `tinypareto front {folder}` lists those that do."
        )
    if to.exists():
        raise StudyError(f"{to} exists already; give a folder that does not.")
    shutil.copytree(trials[number].folder, to)
    return to
