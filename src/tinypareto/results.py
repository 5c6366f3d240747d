"""What a study has found: its front as rows, one trial's artefacts in a folder of their own."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import json_to_distribution

from tinypareto.calibration import gain_of
from tinypareto.choice import choose
from tinypareto.errors import StudyError
from tinypareto.experiment import load_experiment
from tinypareto.measured_network import add_test_error
from tinypareto.space import Space
from tinypareto.study_home import existing_study
from tinypareto.trials import FinishedTrial, FoundNetwork, History, read_history, read_metrics


def open_history(folder: Path) -> History:
    """Return the history of the study in ``folder``; nothing is changed.

    Raises:
        StudyError: If there is none, or its database cannot be read.
    """
    with existing_study(folder) as (home, description, study):
        return read_history(study, description, home.trials_folder)


def front_rows(folder: Path, pick: str | None = None) -> list[dict[str, Any]]:
    """Return the feasible Pareto networks, by trial, as ``tinypareto front --json`` prints them.

    The test split is run for those that have no test error yet, as after an interrupted search.

    Args:
        folder: The study's folder.
        pick: "knee" or an objective: return only the network that `choose` takes, and with it ``why``.

    Raises:
        ConfigError: If ``pick`` is something else.
    """
    history = open_history(folder)
    if pick is not None:
        choice = choose(history, pick)
        if choice is None:
            return []
        return [{**_row(choice.network, _test_error(folder, history, choice.network)), "why": choice.why}]
    networks = history.front()
    return [_row(network, _test_error(folder, history, network)) for network in networks]


def explain_network(folder: Path, name: str) -> dict[str, Any]:
    """Return why a trial was made and what came of it, as ``tinypareto explain --json`` prints it.

    Args:
        folder: The study's folder.
        name: Of the trial, 12; or of a network that its training passed through, 12.3: predicted was the trial's end.

    Raises:
        StudyError: If there is no such finished trial or step, or its sampler gave no reasons.
    """
    history = open_history(folder)
    trial, network = _finished_trial(history, name)
    reasons = trial.reasons
    if reasons is None:
        raise StudyError(
            f"the sampler {history.description.sampler} gave no reasons for trial {name}; ars and poster give them."
        )
    names = history.description.objectives
    space = Space({name: json_to_distribution(text) for name, text in history.description.space.items()})
    path = np.array(reasons["path"])
    measured = network.objectives if network else {}
    intervals = dict(zip(names, reasons.get("interval", ()), strict=False))
    gain = gain_of(history, trial)
    predictions = {
        name: {
            "mean": mean,
            "std": std,
            "interval": intervals.get(name),
            "measured": measured.get(name),
        }
        for name, mean, std in zip(names, reasons["mean"], reasons["std"], strict=False)
        if mean is not None  # of another core, before the study was retargeted
    }
    return {
        "trial": trial.number,
        "step": network.step if network else None,
        "origin": reasons["origin"],
        "policy": reasons["policy"],
        "start": space.decode(path[0]) if len(path) else None,
        "moves": max(len(path) - 1, 0),
        "parameters": dict(network.parameters if network else trial.parameters),
        "objectives": predictions,
        "reward": reasons["reward"],
        "feasibility": reasons["feasibility"],
        "gain": {"promised": gain.promised, "came": gain.came} if gain else None,
        "harvested": [one.name for one in trial.harvested],
        "failure": trial.failure,
    }


def _finished_trial(history: History, name: str) -> tuple[FinishedTrial, FoundNetwork | None]:
    """Return the trial of that name and its network, None if it failed.

    Raises:
        StudyError: If there is none.
    """
    for trial in history.trials:
        if name == str(trial.number) and trial.objectives is None:
            return trial, None
        for network in trial.networks:
            if name == network.name:
                return trial, network
    raise StudyError(
        f"trial {name} must be one that ended, of which there are {len(history.trials)}, or a step of one that was "
        "harvested; choose another."
    )


def _row(network: FoundNetwork, test_error: float | None) -> dict[str, Any]:
    return {
        "trial": network.number,
        "step": network.step,
        "parameters": dict(network.parameters),
        "objectives": dict(network.objectives),
        "test_error": test_error,
        "folder": str(network.folder),
    }


def _test_error(folder: Path, history: History, network: FoundNetwork) -> float | None:
    known = read_metrics(network.folder).get("test_error")
    reference = history.description.reference
    if known is not None or reference is None:
        return known
    path = history.description.data_location(folder)
    return add_test_error(load_experiment(reference), network.folder, path)


def export_network(folder: Path, name: str, to: Path) -> Path:
    """Copy the artefacts of trial ``name``, 12 or 12.3, to the new folder ``to`` and return it.

    Raises:
        StudyError: If there is no such network, or ``to`` exists already.
    """
    network = open_history(folder).network(name)
    if to.exists():
        raise StudyError(f"{to} exists already; give a folder that does not.")
    shutil.copytree(network.folder, to, ignore=shutil.ignore_patterns("step*"))
    return to
