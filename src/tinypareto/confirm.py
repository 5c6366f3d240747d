"""Chosen trials trained again with other seeds: how much of a front's low errors was luck.

Of many trials those with lucky seeds are on the front, so their errors are too low (the winner's curse). Sizes follow
from the hyperparameters and do not change. A training that was done is not done again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinypareto.errors import StudyError
from tinypareto.evaluation_record import Evaluation, read_evaluation
from tinypareto.results import open_history
from tinypareto.study import trial_seed
from tinypareto.trial_process import TrialProcess, TrialTask
from tinypareto.trials import FinishedTrial, FoundNetwork, History

FOLDER = "confirmed"  # of a study: one folder for each new training
POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What new trainings of one trial's hyperparameters gave; errors are those of the validation split."""

    trial: str  # 12, or 12.3 for a network that the training passed through
    searched: float  # the error in the search
    errors: tuple[float, ...]
    failures: tuple[str, ...]

    @property
    def mean(self) -> float | None:
        """Mean of the new errors."""
        return float(np.mean(self.errors)) if self.errors else None

    @property
    def std(self) -> float | None:
        """Their standard deviation; None of fewer than two."""
        return float(np.std(self.errors, ddof=1)) if len(self.errors) > 1 else None


def confirm_trials(
    folder: Path,
    *,
    seeds: int = 3,
    names: Sequence[str] = (),
    jobs: int = 1,
    on_training: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> list[Confirmation]:
    """Train trials again and return what came out, by number.

    Args:
        folder: The study's folder.
        seeds: New trainings of each trial.
        names: Which trials, 12 or 12.3; empty means the feasible front.
        jobs: Trainings at the same time, one thread each.
        on_training: Called after each with how many are done, how many there are, and a line about it.

    Raises:
        StudyError: If there is no study or no such trial, or the experiment came as an object and not by name.
    """
    history = open_history(folder)
    if history.description.reference is None:
        raise StudyError(
            f"the study in {folder} was begun with an experiment object; begin it with a reference such as "
            "path/to/file.py:name, so that its trials can be trained again."
        )
    networks = [history.network(name) for name in dict.fromkeys(names)] or history.front()
    trials = {trial.number: trial for trial in history.trials}
    numbers = sorted({network.number for network in networks})
    tasks = [task for number in numbers for task in _tasks(folder, history, trials[number], seeds)]
    outcomes: dict[Path, Evaluation | str] = {}
    for task, outcome in _evaluated(tasks, jobs):
        outcomes[task.folder] = outcome
        said = outcome if isinstance(outcome, str) else f"error {outcome.measured['error']:.4g}"
        on_training(len(outcomes), len(tasks), f"trial {task.number}, seed {task.seed}: {said}")
    return [
        _confirmation(network, [outcomes[t.folder] for t in tasks if t.number == network.number])
        for network in networks
    ]


def _tasks(folder: Path, history: History, trial: FinishedTrial, seeds: int) -> Iterator[TrialTask]:
    assert history.description.reference is not None
    path = history.description.data_location(folder)
    for repetition in range(1, seeds + 1):
        yield TrialTask(
            number=trial.number,
            parameters=trial.parameters,
            seed=trial_seed(history.description.seed, trial.number, repetition),
            experiment=history.description.reference,
            data_path=path,
            folder=folder / FOLDER / f"{trial.number:04d}-{repetition}",
            harvest=tuple(network.step for network in trial.harvested if network.step is not None),
        )


def _evaluated(tasks: Sequence[TrialTask], jobs: int) -> Iterator[tuple[TrialTask, Evaluation | str]]:
    """Yield what each training gave, as they end; those of an earlier run first."""
    waiting = []
    for task in tasks:
        known = read_evaluation(task.folder, task.parameters, task.seed)
        if known is None:
            waiting.append(task)
        else:
            yield task, known
    running: list[TrialProcess] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(TrialProcess(waiting.pop(0)))
            for process in TrialProcess.wait_for_any(running, POLL_SECONDS):
                running.remove(process)
                yield process.task, process.result()
    finally:
        for process in running:
            process.stop()


def _confirmation(network: FoundNetwork, outcomes: Sequence[Evaluation | str]) -> Confirmation:
    found = [outcome if isinstance(outcome, str) else _error(network, outcome) for outcome in outcomes]
    return Confirmation(
        trial=network.name,
        searched=network.objectives.get("error", float("nan")),
        errors=tuple(error for error in found if not isinstance(error, str)),
        failures=tuple(failure for failure in found if isinstance(failure, str)),
    )


def _error(network: FoundNetwork, outcome: Evaluation) -> float | str:
    """Return the error of the same network in another training, or why there is none."""
    for evaluation in (outcome, *outcome.harvested):
        if evaluation.step == network.step:
            return float(evaluation.measured["error"])
    return "a later network of the same training was better in everything."
