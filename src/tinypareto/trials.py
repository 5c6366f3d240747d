"""A study's trials as values: what was tried, what came out, which of them form the front."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from tinypareto.errors import StudyError
from tinypareto.evaluation_record import step_folder
from tinypareto.front import feasible_front, normalised_hypervolume
from tinypareto.hosts.observations import Observation, observations
from tinypareto.hosts.suggestions import read_suggestion
from tinypareto.study_description import StudyDescription

# A trial's user attributes: why it failed, and the share of its epochs after which it was stopped.
FAILURE = "tinypareto:failure"
STOPPED_AT = "tinypareto:stopped_at"


@dataclass(frozen=True, kw_only=True)
class FoundNetwork:
    """A network with a firmware: the one that a trial ended with, or one that its training passed through.

    ``step`` is None for the end of a trial, else how many pruning steps had been done.
    """

    number: int  # of the trial
    step: int | None
    parameters: Mapping[str, Any]
    objectives: Mapping[str, float]
    feasible: bool
    folder: Path

    @property
    def name(self) -> str:
        """What commands call it: 12 or, on the way of trial 12, 12.3."""
        return str(self.number) if self.step is None else f"{self.number}.{self.step}"


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """A trial that ended: ``objectives`` is None if it failed, and ``failure`` a line, or if it was stopped early."""

    number: int
    parameters: Mapping[str, Any]
    objectives: Mapping[str, float] | None
    failure: str | None
    feasible: bool
    folder: Path
    seconds: float
    reasons: Mapping[str, Any] | None  # why the sampler chose it: `read_suggestion`
    stopped: bool = False  # early
    harvested: tuple[FoundNetwork, ...] = ()  # what its training passed through

    @property
    def networks(self) -> tuple[FoundNetwork, ...]:
        """The networks that were found: those on the way, then the last one, unless the trial failed."""
        if self.objectives is None:
            return self.harvested
        last = FoundNetwork(
            number=self.number,
            step=None,
            parameters=self.parameters,
            objectives=self.objectives,
            feasible=self.feasible,
            folder=self.folder,
        )
        return (*self.harvested, last)


@dataclass(frozen=True, kw_only=True)
class History:
    """All finished trials of a study, by number, and what they are measured against."""

    description: StudyDescription
    trials: tuple[FinishedTrial, ...]

    @property
    def complete(self) -> tuple[FinishedTrial, ...]:
        """The trials that have objective values."""
        return tuple(trial for trial in self.trials if trial.objectives is not None)

    @property
    def feasible(self) -> tuple[FinishedTrial, ...]:
        """The trials within all limits."""
        return tuple(trial for trial in self.trials if trial.feasible)

    def networks(self, count: int | None = None) -> tuple[FoundNetwork, ...]:
        """Return the networks that the first ``count`` finished trials found, harvested ones included."""
        return tuple(network for trial in self.trials[:count] for network in trial.networks)

    def network(self, name: str) -> FoundNetwork:
        """Return the network called ``name``: 12 or 12.3.

        Raises:
            StudyError: If there is none.
        """
        found = {network.name: network for network in self.networks()}
        if name in found:
            return found[name]
        failures = {str(trial.number): trial.failure for trial in self.trials}
        stopped = {str(trial.number): "it was stopped early" for trial in self.trials if trial.stopped}
        why = {**failures, **stopped}.get(name.partition(".")[0]) or "there is no such finished trial or step"
        raise StudyError(f"trial {name} has no firmware ({why}); `tinypareto front` lists those that do.")

    def front(self) -> tuple[FoundNetwork, ...]:
        """Return the feasible networks that no feasible one dominates; of equal ones, the first."""
        networks = [network for network in self.networks() if network.feasible]
        values = self._values(networks)
        _, first = np.unique(values, axis=0, return_index=True)
        return tuple(networks[row] for row in feasible_front(values) if row in first)

    def hypervolume(self, count: int | None = None) -> float:
        """Return the normalised hypervolume (0 bad, 1 ideal) of what the first ``count`` finished trials found."""
        networks = [network for network in self.networks(count) if network.feasible]
        scales = [self.description.scales[name] for name in self.description.objectives]
        return normalised_hypervolume(self._values(networks), scales)

    def _values(self, networks: Sequence[FoundNetwork]) -> np.ndarray[Any, np.dtype[np.float64]]:
        names = self.description.objectives
        rows = [[network.objectives[name] for name in names] for network in networks]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def read_history(study: optuna.Study, description: StudyDescription, trials_folder: Path) -> History:
    """Return the finished trials of ``study`` as values."""
    frozen = study.get_trials(deepcopy=False)
    finished = [_finished(trial, description, trials_folder) for trial in frozen if trial.state.is_finished()]
    return History(description=description, trials=tuple(finished))


def deployable(trial: FrozenTrial) -> tuple[Observation, ...]:
    """Return what was observed of firmwares on a trial's way, without what a stopped training showed and would show."""
    return tuple(
        seen for seen in observations(trial) if seen.fidelity < trial.user_attrs.get(STOPPED_AT, 1.0)
    )


def trial_folder(trials_folder: Path, number: int) -> Path:
    """Return where a trial's artefacts are."""
    return trials_folder / f"{number:04d}"


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return a trial's ``metrics.json``, or an empty dict if it has none."""
    path = folder / "metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return metrics


def _finished(trial: FrozenTrial, description: StudyDescription, trials_folder: Path) -> FinishedTrial:
    done = trial.state == TrialState.COMPLETE
    duration = trial.duration
    folder = trial_folder(trials_folder, trial.number)
    return FinishedTrial(
        number=trial.number,
        parameters={name: trial.params[name] for name in description.space if name in trial.params},
        objectives=dict(zip(description.objectives, trial.values, strict=True)) if done else None,
        failure=None
        if done or trial.state == TrialState.PRUNED
        else str(trial.user_attrs.get(FAILURE, "unknown")),
        feasible=done and all(value <= 0 for value in trial.constraints.values()),
        folder=folder,
        seconds=duration.total_seconds() if duration else 0.0,
        stopped=trial.state == TrialState.PRUNED,
        reasons=read_suggestion(trial),
        harvested=tuple(
            FoundNetwork(
                number=trial.number,
                step=seen.step,
                parameters=_with_epochs(seen.parameters, seen.fidelity),
                objectives=dict(zip(description.objectives, seen.values, strict=True)),
                feasible=all(value <= 0 for value in seen.constraints.values()),
                folder=step_folder(folder, seen.step),
            )
            for seen in deployable(trial)
        ),
    )


def _with_epochs(parameters: Mapping[str, Any], fidelity: float) -> dict[str, Any]:
    """Return the parameters with the epochs that a network on the way was trained for, if they are among them."""
    epochs = {"epochs": round(fidelity * parameters["epochs"])} if "epochs" in parameters else {}
    return {**parameters, **epochs}
