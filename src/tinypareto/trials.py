"""A study's trials as values: what was tried, what came out, which of them form the front."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from tinypareto.front import feasible_front, normalised_hypervolume
from tinypareto.hosts.optuna import read_suggestion
from tinypareto.study_home import StudyDescription

FAILURE = "tinypareto:failure"  # a trial's user attribute: why it failed


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """A trial that ended: ``objectives`` is None, and ``failure`` a line, if it failed."""

    number: int
    parameters: Mapping[str, Any]
    objectives: Mapping[str, float] | None
    failure: str | None
    feasible: bool
    folder: Path
    seconds: float
    reasons: Mapping[str, Any] | None  # why the sampler chose it: `read_suggestion`


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

    def front(self) -> tuple[FinishedTrial, ...]:
        """Return the feasible trials that no feasible trial dominates; of equal ones, the first."""
        trials = self.feasible
        values = self._values(trials)
        _, first = np.unique(values, axis=0, return_index=True)
        return tuple(trials[row] for row in feasible_front(values) if row in first)

    def hypervolume(self, count: int | None = None) -> float:
        """Return the normalised hypervolume (0 bad, 1 ideal) of the first ``count`` finished trials."""
        trials = [trial for trial in self.trials[:count] if trial.feasible]
        scales = [self.description.scales[name] for name in self.description.objectives]
        return normalised_hypervolume(self._values(trials), scales)

    def _values(self, trials: Sequence[FinishedTrial]) -> np.ndarray[Any, np.dtype[np.float64]]:
        names = self.description.objectives
        rows = [[trial.objectives[name] for name in names] for trial in trials if trial.objectives]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def read_history(study: optuna.Study, description: StudyDescription, trials_folder: Path) -> History:
    """Return the finished trials of ``study`` as values."""
    frozen = study.get_trials(deepcopy=False)
    finished = [_finished(trial, description, trials_folder) for trial in frozen if trial.state.is_finished()]
    return History(description=description, trials=tuple(finished))


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
    return FinishedTrial(
        number=trial.number,
        parameters={name: trial.params[name] for name in description.space if name in trial.params},
        objectives=dict(zip(description.objectives, trial.values, strict=True)) if done else None,
        failure=None if done else str(trial.user_attrs.get(FAILURE, "unknown")),
        feasible=done and all(value <= 0 for value in trial.constraints.values()),
        folder=trial_folder(trials_folder, trial.number),
        seconds=duration.total_seconds() if duration else 0.0,
        reasons=read_suggestion(trial),
    )
