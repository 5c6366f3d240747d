"""The outer loop: suggest, evaluate in processes of their own, tell; until the budget is spent."""

import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from tinypareto.errors import ConfigError, ExperimentError, UnknownFootprintError
from tinypareto.evaluation import Evaluation, add_test_error, read_evaluation
from tinypareto.experiment import (
    Experiment,
    load_experiment,
    parameters_at,
    train_and_prune,
    training_path,
)
from tinypareto.harvest import Harvest
from tinypareto.hosts.earlier import EarlierTask
from tinypareto.hosts.observations import Observation, add_observations
from tinypareto.hosts.optuna import ARSSampler
from tinypareto.known_sizes import KnownSizes, known_sizes
from tinypareto.network.data import Data
from tinypareto.network.train import TrainingConfig
from tinypareto.samplers import make_sampler
from tinypareto.scales import objective_scales
from tinypareto.study_home import StudyDescription, StudyHome, database_errors
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import TrialProcess, TrialTask, remove_unfinished
from tinypareto.trials import FAILURE, History, read_history, trial_folder
from tinypareto.warm_start import earlier_task

KNOWING = "ars"  # the sampler that can be told which outcomes are known
POLL_SECONDS = 0.5  # how often progress is shown and Ctrl-C noticed while trials run


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a study is run.

    Args:
        trials: The study's total number of trainings, those of earlier runs included.
        sampler: A name of `tinypareto.samplers`; None continues with the study's own, or ``ars``.
        seed: None continues with the study's own, or 0.
        jobs: Trials that run at the same time, one thread each.
        storage: An Optuna storage URL; None for SQLite in the study's folder.
        time_limit: Seconds after which no further trial is begun.
        data_path: Given to the experiment's ``load_data``.
        known_sizes: Whether ROM, RAM and FLOPs are computed before training instead of learnt, so that no training
            breaks a limit of theirs. None: if the sampler is ``ars`` and the experiment allows it.
        harvest: Whether networks that a training passes through between its pruning steps are measured too. None: if
            the sampler is ``ars`` and the experiment allows it.
        warm_start: Folders of earlier studies with the same space and objectives, as prior knowledge. What they showed
            is kept with the new study, so they may change or go.

    Raises:
        ConfigError: If a number is out of range, or a sampler other than ``ars`` shall know sizes or earlier studies.
    """

    trials: int
    sampler: str | None = None
    seed: int | None = None
    jobs: int = 1
    storage: str | None = None
    time_limit: float | None = None
    data_path: Path | None = None
    known_sizes: bool | None = None
    harvest: bool | None = None
    warm_start: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.known_sizes and self.sampler not in {None, KNOWING}:
            raise ConfigError(
                f"only the sampler {KNOWING} makes use of known sizes, got {self.sampler}; leave one of the two out."
            )
        if self.warm_start and self.sampler not in {None, KNOWING}:
            raise ConfigError(
                f"only the sampler {KNOWING} makes use of earlier studies, got {self.sampler}; leave one out."
            )
        for name in ("trials", "jobs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it.")
        if self.time_limit is not None and self.time_limit <= 0:
            raise ConfigError(
                f"time_limit must be positive, got {self.time_limit}; raise it or leave it out."
            )
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {self.seed}; give another.")


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """What a progress display needs."""

    total: int
    running: int
    history: History


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """How a study stands; all counts are trainings."""

    trials: int
    finished: int
    failed: int
    feasible: int
    hypervolume: float
    seconds: float


def run_search(
    experiment: Experiment | str,
    out: Path,
    settings: SearchSettings,
    on_progress: Callable[[SearchProgress], None] = lambda progress: None,
) -> SearchSummary:
    """Begin a study in ``out``, or continue the one there, until it has ``settings.trials`` trials.

    The same call continues a study that was interrupted in any way: trials that a dead process left
    running are evaluated again under their own number, parameters and seed. With one job the
    suggestions are those of an uninterrupted study.

    Args:
        experiment: An experiment or what `load_experiment` takes. An experiment object must be
            importable by name in a new process, so no lambdas.
        out: The study's folder.
        settings: Budget, sampler and parallelism.
        on_progress: Called after every change and at least every half second.

    Raises:
        StudyError: If ``out`` holds another study or its database cannot be used.
        DataError: If the data cannot be loaded.
        ExperimentError: If the experiment cannot be loaded.
    """
    use_one_thread()
    begun = time.monotonic()
    reference = experiment if isinstance(experiment, str) else None
    loaded = load_experiment(experiment) if isinstance(experiment, str) else _portable(experiment)
    with StudyHome(out, settings.storage) as home:
        plan = _plan(home, loaded, reference, settings)
        study = home.open(plan.description, plan.sampler, plan.earlier)
        search = _Search(loaded, reference, home, study, plan, settings, on_progress)
        search.run(begun)
        history = search.history()
        for network in history.front():
            add_test_error(loaded, network.folder, settings.data_path)
        return SearchSummary(
            trials=settings.trials,
            finished=len(history.trials),
            failed=len(history.trials) - len(history.complete),
            feasible=len(history.feasible),
            hypervolume=history.hypervolume(),
            seconds=time.monotonic() - begun,
        )


def _portable(experiment: Experiment) -> Experiment:
    try:
        pickle.dumps(experiment)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ExperimentError(
            f"experiment {experiment.name!r} must reach other processes, but {error}; define its functions at "
            "the top of a module, or pass a reference such as path/to/file.py:name."
        ) from error
    return experiment


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a study is of, who proposes its trials, and what is done with these."""

    description: StudyDescription
    sampler: BaseSampler
    harvest: Harvest | None
    earlier: tuple[EarlierTask, ...] = ()


def _plan(home: StudyHome, experiment: Experiment, reference: str | None, settings: SearchSettings) -> _Plan:
    """Return the plan of a new study, or of the one there."""
    data = experiment.read_data(settings.data_path)  # wrong data is said before the first trial
    description = home.description(experiment.name)
    if description is not None:
        asked = {name: getattr(settings, name) for name in ("sampler", "seed", "known_sizes", "harvest")}
        description.refuse_other(experiment, {**asked, "warm_start": _folders(settings) or None})
        sizes = known_sizes(experiment, data, description.scales) if description.known_sizes else None
        return _with_sampler(experiment, description, sizes, home.earlier_tasks(experiment.name))
    earlier = tuple(earlier_task(folder, experiment) for folder in settings.warm_start)
    with tempfile.TemporaryDirectory() as scratch:
        scales = objective_scales(experiment, data, Path(scratch))
    name = settings.sampler or KNOWING
    sizes = _known_sizes(experiment, data, scales, settings.known_sizes) if name == KNOWING else None
    harvest = settings.harvest
    if harvest is None:
        harvest = name == KNOWING and experiment.train is train_and_prune
    description = StudyDescription.of(
        experiment,
        sampler=name,
        seed=settings.seed or 0,
        scales=scales,
        reference=reference,
        data_path=str(settings.data_path.resolve()) if settings.data_path else None,
        known_sizes=sizes is not None,
        harvest=harvest,
        warm_start=_folders(settings),
    )
    return _with_sampler(experiment, description, sizes, earlier)


def _folders(settings: SearchSettings) -> tuple[str, ...]:
    return tuple(str(folder.resolve()) for folder in settings.warm_start)


def _with_sampler(
    experiment: Experiment,
    description: StudyDescription,
    sizes: KnownSizes | None,
    earlier: tuple[EarlierTask, ...],
) -> _Plan:
    harvest = None
    if description.harvest:
        harvest = Harvest(experiment=experiment, known_constraints=sizes.constraints if sizes else {})
    if description.sampler == KNOWING:
        sampler: BaseSampler = ARSSampler(
            description.seed,
            search_space=experiment.space,
            known=sizes.objectives if sizes else None,
            known_constraints=sizes.constraints if sizes else None,
            trace=harvest.trace if harvest else None,
            reference_point=[description.scales[name] for name in experiment.objectives] if sizes else None,
            warm_start=earlier,
        )
    else:
        sampler = make_sampler(description.sampler, description.seed, experiment.space)
    return _Plan(description=description, sampler=sampler, harvest=harvest, earlier=earlier)


def _known_sizes(
    experiment: Experiment, data: Data, scales: Mapping[str, float], wanted: bool | None
) -> KnownSizes | None:
    """Return what is known before training; None if it is not wanted or, unless asked for, cannot be known.

    Raises:
        UnknownFootprintError: If it is asked for and cannot be known.
    """
    if wanted is False:
        return None
    try:
        return known_sizes(experiment, data, scales)
    except UnknownFootprintError:
        if wanted:
            raise
        return None


@dataclass
class _Search:
    """One run of the loop."""

    experiment: Experiment
    reference: str | None
    home: StudyHome
    study: optuna.Study
    plan: _Plan
    settings: SearchSettings
    on_progress: Callable[[SearchProgress], None]

    def history(self) -> History:
        with database_errors(self.home.url):
            return read_history(self.study, self.plan.description, self.home.trials_folder)

    def run(self, begun: float) -> None:
        if self.home.others_running() == 0:
            remove_unfinished(self.home.trials_folder)
        running: dict[TrialProcess, Trial] = {}
        try:
            while True:
                in_time = (
                    self.settings.time_limit is None or time.monotonic() - begun < self.settings.time_limit
                )
                while in_time and len(running) < self.settings.jobs and self._start(running):
                    self._show(running)
                if not running:
                    return
                for process in TrialProcess.wait_for_any(list(running), POLL_SECONDS):
                    self._tell(running.pop(process), process.result())
                self._show(running)
        finally:
            for (
                process
            ) in running:  # Ctrl-C or an error of ours: the trials stay RUNNING and are taken up later
                process.stop()

    def _show(self, running: dict[TrialProcess, Trial]) -> None:
        progress = SearchProgress(total=self.settings.trials, running=len(running), history=self.history())
        self.on_progress(progress)

    def _start(self, running: dict[TrialProcess, Trial]) -> bool:
        """Begin the next trial; return False if the study has all of its trials."""
        trial = self.home.next_trial(self.settings.trials)
        if trial is None:
            return False
        with database_errors(self.home.url):
            parameters = {name: trial._suggest(name, kind) for name, kind in self.experiment.space.items()}
        harvest = self.plan.harvest
        task = TrialTask(
            number=trial.number,
            parameters=parameters,
            seed=trial_seed(self.plan.description.seed, trial.number),
            experiment=self.reference or self.experiment,
            data_path=self.settings.data_path,
            folder=trial_folder(self.home.trials_folder, trial.number),
            harvest=tuple(at.step for at in harvest.steps(parameters)) if harvest else (),
        )
        # A search that was killed between a trial's end and its entry left the whole folder.
        known = read_evaluation(task.folder, parameters, task.seed)
        if known is not None:
            self._tell(trial, known)
        else:
            running[TrialProcess(task)] = trial
        return True

    def _tell(self, trial: Trial, outcome: Evaluation | str) -> None:
        with database_errors(self.home.url):
            if isinstance(outcome, str):
                trial.set_user_attr(FAILURE, outcome[:1000])
                self.study.tell(trial, state=TrialState.FAIL)
                return
            for name, excess in self.experiment.excesses(outcome.objectives).items():
                if name not in trial.constraints:  # set before a kill: the same value
                    trial.set_constraint(name, excess)
            if outcome.harvested:
                add_observations(trial, [self._observation(trial, one) for one in outcome.harvested])
            self.study.tell(trial, self._values(outcome))

    def _values(self, outcome: Evaluation) -> list[float]:
        return [outcome.objectives[name] for name in self.experiment.objectives]

    def _observation(self, trial: Trial, harvested: Evaluation) -> Observation:
        """Return what the sampler shall learn of a network on the way: its sparsity, and how far the training was."""
        at = next(at for at in training_path(trial.params) if at.step == harvested.step)
        return Observation(
            step=at.step,
            fidelity=at.epochs / TrainingConfig.from_parameters(trial.params).epochs,
            parameters=parameters_at(trial.params, at),
            values=tuple(self._values(harvested)),
            constraints=self.experiment.excesses(harvested.objectives),
        )


def trial_seed(study_seed: int, number: int, *repetition: int) -> int:
    """Return the seed of a trial's training, or of a repetition of it: a function of these numbers."""
    return int(np.random.SeedSequence([study_seed, number, *repetition]).generate_state(1)[0])
