"""One sampler with one seed: its study rebuilt from rows of the CSV, then trial by trial to the end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.trial import Trial

from tinypareto.comparison.arms import ARMS
from tinypareto.comparison.cache import EvaluationCache, origin_of
from tinypareto.comparison.rows import Row, Subject
from tinypareto.errors import StudyError
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, Parameters, load_experiment
from tinypareto.front import normalised_hypervolume
from tinypareto.hosts.optuna import PureSampler
from tinypareto.study import trial_seed
from tinypareto.study_plan import StudyPlan, new_plan
from tinypareto.telling import tell_outcome
from tinypareto.trial_process import DISK_FULL, TrialProcess, TrialTask


@dataclass(frozen=True, kw_only=True)
class ArmTask:
    """What a process needs to know to run one sampler with one seed.

    Attributes:
        arm: A name of `tinypareto.comparison.arms.ARMS`.
        seed: Of the study.
        trials: Its total number of trainings.
        experiment: A reference for `load_experiment`.
        data_path: For the experiment's loader.
        subject: What is compared on.
        rows: Trainings that are done, by number.
        run: Number of the run, for new rows.
        versions: What the run is made with.
        work: A folder for what is being trained.
        cache: The folder of evaluations.
    """

    arm: str
    seed: int
    trials: int
    experiment: str
    data_path: Path | None
    subject: Subject
    rows: tuple[Row, ...]
    run: int
    versions: Mapping[str, Any]
    work: Path
    cache: Path


class Evaluate(Protocol):
    """One set of hyperparameters -> what came of it, or why nothing did."""

    def __call__(
        self, number: int, parameters: Parameters, seed: int, harvest: tuple[int, ...]
    ) -> Evaluation | str:
        """Return what a trial gives."""


def run_arm(task: ArmTask, emit: Callable[[Row], None], evaluate: Evaluate | None = None) -> None:
    """Do the trainings that are not done yet.

    Args:
        task: What to do.
        emit: Called with each new row.
        evaluate: Stands in for `Training`.

    Raises:
        StudyError: If the rows are not what the sampler would have made, or the disk is full.
    """
    experiment = load_experiment(task.experiment)
    data = experiment.read_data(task.data_path)
    settings = ARMS[task.arm].settings(seed=task.seed, trials=task.trials, data_path=task.data_path)
    plan = new_plan(experiment, task.experiment, settings, data, task.subject.scales)
    run = _ArmRun(task, experiment, plan, evaluate or Training(task, experiment))
    run.rebuild()
    while run.done < task.trials:
        emit(run.next_row())


class Training:
    """Trains in a process for each trial, unless the same training was done already."""

    def __init__(self, task: ArmTask, experiment: Experiment) -> None:
        self._task = task
        self._folder = task.work / f"{task.arm}-{task.seed}"
        origin = origin_of(task.subject, experiment, task.data_path, task.versions)
        self._cache = EvaluationCache(task.cache, task.work / "locks", origin)

    def __call__(
        self, number: int, parameters: Parameters, seed: int, harvest: tuple[int, ...]
    ) -> Evaluation | str:
        """Return what a trial gives.

        Raises:
            StudyError: If the disk is full, which is not the trial's failure.
        """
        trial = TrialTask(
            number=number,
            parameters=parameters,
            seed=seed,
            experiment=self._task.experiment,
            data_path=self._task.data_path,
            folder=self._folder / f"{number:04d}",
            harvest=harvest,
        )
        outcome = self._cache.get(parameters, seed, harvest, lambda: TrialProcess(trial).result())
        rmtree(trial.folder, ignore_errors=True)
        if isinstance(outcome, str) and outcome.startswith(DISK_FULL):
            raise StudyError(f"{outcome} All that was finished is saved.")
        return outcome


class _ArmRun:
    def __init__(self, task: ArmTask, experiment: Experiment, plan: StudyPlan, evaluate: Evaluate) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.task, self.experiment, self.plan, self.evaluate = task, experiment, plan, evaluate
        self.study = optuna.create_study(
            sampler=plan.sampler, directions=["minimize"] * len(experiment.objectives)
        )
        self.feasible: list[list[float]] = []  # objective values of every feasible network
        self.done = 0

    def rebuild(self) -> None:
        """Bring study and sampler to where they were after the rows.

        A pure sampler looks at the trials alone. Any other is asked again for what it suggested, which brings its
        random numbers and memories to where they were.

        Raises:
            StudyError: If it would not suggest the same again.
        """
        for row in self.task.rows:
            if isinstance(self.plan.sampler, PureSampler):
                self.study.enqueue_trial(dict(row.parameters))
            trial, _ = self._ask()
            if trial.params != row.parameters:
                raise StudyError(
                    f"trial {row.trial} of {row.arm}, seed {row.seed}, would not be suggested like this now, so other "
                    "versions made it than are installed; use those of the CSV's `# run` lines, or remove this study's "
                    "rows."
                )
            self._tell(trial, _outcome(row))

    def next_row(self) -> Row:
        """Do one training."""
        trial, suggest_seconds = self._ask()
        begun = time.monotonic()
        seed = trial_seed(self.task.seed, trial.number)
        outcome = self.evaluate(trial.number, trial.params, seed, self.plan.harvested_steps(trial.params))
        passed = time.monotonic() - begun
        self._tell(trial, outcome)
        if isinstance(outcome, str):
            given = _Given(objectives=None, seconds=passed, failure=outcome)
        else:
            seconds = sum(outcome.seconds.values())
            given = _Given(objectives=outcome.objectives, seconds=seconds, on_way=_on_way(outcome))
        return self._row(trial, suggest_seconds, given)

    def _row(self, trial: Trial, suggest_seconds: float, given: "_Given") -> Row:
        values = given.objectives
        return Row(
            run=self.task.run,
            arm=self.task.arm,
            seed=self.task.seed,
            trial=trial.number,
            parameters=trial.params,
            objectives=values,
            feasible=values is not None and self.task.subject.is_feasible(values),
            hypervolume=self._hypervolume(),
            seconds=given.seconds,
            suggest_seconds=suggest_seconds,
            on_way=given.on_way,
            failure=given.failure,
        )

    def _ask(self) -> tuple[Trial, float]:
        begun = time.monotonic()
        trial = self.study.ask()
        for name, kind in self.experiment.space.items():
            trial._suggest(name, kind)
        return trial, time.monotonic() - begun

    def _tell(self, trial: Trial, outcome: Evaluation | str) -> None:
        tell_outcome(self.study, trial, self.experiment, outcome)
        self.done += 1
        if isinstance(outcome, str):
            return
        for objectives in (*_on_way(outcome).values(), outcome.objectives):
            if self.task.subject.is_feasible(objectives):
                self.feasible.append([objectives[name] for name in self.experiment.objectives])

    def _hypervolume(self) -> float:
        scales = [self.task.subject.scales[name] for name in self.experiment.objectives]
        return normalised_hypervolume(np.array(self.feasible).reshape(-1, len(scales)), scales)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What a row holds of an outcome."""

    objectives: Mapping[str, float] | None
    seconds: float
    on_way: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    failure: str | None = None


def _on_way(outcome: Evaluation) -> dict[int, Mapping[str, float]]:
    return {one.step: one.objectives for one in outcome.harvested if one.step is not None}


def _outcome(row: Row) -> Evaluation | str:
    """Return what a study is told of a row."""
    if row.objectives is None:
        return row.failure or "unknown"
    harvested = tuple(_bare(row, objectives, step) for step, objectives in row.on_way.items())
    return _bare(row, row.objectives, None, harvested)


def _bare(
    row: Row, objectives: Mapping[str, float], step: int | None, harvested: tuple[Evaluation, ...] = ()
) -> Evaluation:
    return Evaluation(
        parameters=row.parameters,
        seed=trial_seed(row.seed, row.trial),
        objectives=objectives,
        measured={},
        breakdown={},
        warnings=(),
        seconds={},
        step=step,
        harvested=harvested,
    )
