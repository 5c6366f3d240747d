"""The outer loop: suggest, evaluate in processes of their own, tell; until the budget is spent."""

import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from tinypareto.early_stopping import EarlyStopping
from tinypareto.errors import ConfigError, ExperimentError, StudyError, UnknownFootprintError
from tinypareto.evaluation import Evaluation, add_test_error, read_evaluation
from tinypareto.experiment import (
    Experiment,
    Parameters,
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
from tinypareto.network.device import check_device
from tinypareto.network.train import TrainingConfig
from tinypareto.samplers import make_sampler
from tinypareto.scales import objective_scales
from tinypareto.study_home import StudyDescription, StudyHome, database_errors
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import TrialProcess, TrialTask, remove_unfinished
from tinypareto.trials import FAILURE, STOPPED_AT, History, read_history, trial_folder
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
        data_path: Given to the experiment's ``load_data``; None continues with the study's own.
        known_sizes: Whether ROM, RAM and FLOPs are computed before training instead of learnt, so that no training
            breaks a limit of theirs. None: if the sampler is ``ars`` and the experiment allows it.
        harvest: Whether networks that a training passes through between its pruning steps are measured too. None: if
            the sampler is ``ars`` and the experiment allows it.
        early_stop: Whether a training ends when nothing that it has still to pass through could join the front. None:
            if sizes are known and the experiment allows it.
        device: Where trials train: ``auto`` (CUDA where it is there and the network large enough), ``cpu`` or ``cuda``.
        warm_start: Folders of earlier studies with the same space and objectives, as prior knowledge. What they showed
            is kept with the new study, so they may change or go.

    Raises:
        ConfigError: If a number is out of range, the device cannot be used, or a sampler other than ``ars`` shall know
            sizes or earlier studies.
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
    early_stop: bool | None = None
    device: str = "auto"
    warm_start: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        check_device(self.device)
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
    stopped: int
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
        home.describe(plan.description)
        search = _Search(loaded, reference, home, study, plan, settings, on_progress)
        search.run(begun)
        history = search.history()
        for network in history.front():
            add_test_error(loaded, network.folder, plan.data_path)
        return SearchSummary(
            trials=settings.trials,
            finished=len(history.trials),
            failed=sum(trial.failure is not None for trial in history.trials),
            stopped=sum(trial.stopped for trial in history.trials),
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
class StudyPlan:
    """What a study is of, who proposes its trials, and what is done with these."""

    description: StudyDescription
    sampler: BaseSampler
    harvest: Harvest | None
    early_stopping: EarlyStopping | None
    earlier: tuple[EarlierTask, ...] = ()

    @property
    def data_path(self) -> Path | None:
        """Where the data lies."""
        return Path(self.description.data_path) if self.description.data_path else None

    def harvested_steps(self, parameters: Parameters) -> tuple[int, ...]:
        """Return the steps of a training's path whose networks shall be measured too."""
        return tuple(at.step for at in self.harvest.steps(parameters)) if self.harvest else ()


def _plan(
    home: StudyHome, experiment: Experiment, reference: str | None, settings: SearchSettings
) -> StudyPlan:
    """Return the plan of a new study, or of the one there."""
    description = home.description(experiment.name)
    if description is not None:
        names = ("sampler", "seed", "known_sizes", "harvest", "early_stop")
        asked = {name: getattr(settings, name) for name in names}
        description.refuse_other(experiment, {**asked, "warm_start": _folders(settings) or None})
        description, data = _same_data(home, experiment, description, settings.data_path)
        sizes = known_sizes(experiment, data, description.scales) if description.known_sizes else None
        return _with_sampler(experiment, description, sizes, home.earlier_tasks(experiment.name))
    data = experiment.read_data(settings.data_path)  # wrong data is said before the first trial
    with tempfile.TemporaryDirectory() as scratch:
        scales = objective_scales(experiment, data, Path(scratch))
    return new_plan(experiment, reference, settings, data, scales)


def new_plan(
    experiment: Experiment,
    reference: str | None,
    settings: SearchSettings,
    data: Data,
    scales: Mapping[str, float],
) -> StudyPlan:
    """Return the plan of a study that does not exist yet.

    Args:
        experiment: What the study is of.
        reference: Names the experiment on the command line; None if it came as an object.
        settings: Sampler and seed, and what it shall know and harvest.
        data: The experiment's data; only shapes matter.
        scales: Value of each objective at which it counts as hopeless.

    Raises:
        ConfigError: If the sampler is unknown, or what it needs is not installed.
        UnknownFootprintError: If sizes shall be known and cannot be.
    """
    earlier = tuple(earlier_task(folder, experiment) for folder in settings.warm_start)
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
        early_stop=_stops_early(experiment, sizes, settings.early_stop),
        data_fingerprint=data.fingerprint(),
        warm_start=_folders(settings),
    )
    return _with_sampler(experiment, description, sizes, earlier)


def _same_data(
    home: StudyHome, experiment: Experiment, description: StudyDescription, given: Path | None
) -> tuple[StudyDescription, Data]:
    """Return a study's data, read from where it was or from its new place, and the description with that place.

    Raises:
        StudyError: If it is not there any more, or the new place holds other data.
    """
    data = experiment.read_data(given or description.data_location(home.folder))
    known = description.data_fingerprint
    if known is not None and data.fingerprint() != known:
        raise StudyError(
            f"the study in {home.folder} was begun with other data than there is at "
            f"{given or description.data_path or 'its place'} now; its trials cannot be compared with new ones: give "
            "the same data, or another --out."
        )
    place = str(given.resolve()) if given else description.data_path
    return replace(description, data_path=place), data


def _folders(settings: SearchSettings) -> tuple[str, ...]:
    return tuple(str(folder.resolve()) for folder in settings.warm_start)


def _with_sampler(
    experiment: Experiment,
    description: StudyDescription,
    sizes: KnownSizes | None,
    earlier: tuple[EarlierTask, ...],
) -> StudyPlan:
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
    stopping = EarlyStopping(experiment=experiment, sizes=sizes) if sizes and description.early_stop else None
    return StudyPlan(
        description=description, sampler=sampler, harvest=harvest, early_stopping=stopping, earlier=earlier
    )


def _stops_early(experiment: Experiment, sizes: KnownSizes | None, wanted: bool | None) -> bool:
    """Return whether trainings may be stopped: unless it is not wanted or, unless asked for, not possible.

    Raises:
        ExperimentError: If it is asked for and not possible.
    """
    if wanted is False:
        return False
    try:
        if sizes is None:
            raise ExperimentError(
                "trainings are stopped early by what is known of sizes; search with known sizes, or without early "
                "stopping."
            )
        EarlyStopping(experiment=experiment, sizes=sizes)
    except ExperimentError:
        if wanted:
            raise
        return False
    return True


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
    plan: StudyPlan
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
        stopping = self.plan.early_stopping
        task = TrialTask(
            number=trial.number,
            parameters=parameters,
            seed=trial_seed(self.plan.description.seed, trial.number),
            experiment=self.reference or self.experiment,
            data_path=self.plan.data_path,
            device=self.settings.device,
            folder=trial_folder(self.home.trials_folder, trial.number),
            stop=stopping.rule(parameters, self.history()) if stopping else None,
            harvest=self.plan.harvested_steps(parameters),
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
            tell_outcome(self.study, trial, self.experiment, outcome, self.plan.early_stopping)


def tell_outcome(
    study: optuna.Study,
    trial: Trial,
    experiment: Experiment,
    outcome: Evaluation | str,
    stopping: EarlyStopping | None = None,
) -> None:
    """End a running trial with what its training gave: values and excesses of limits, or why it has none."""
    if isinstance(outcome, str):
        trial.set_user_attr(FAILURE, outcome[:1000])
        study.tell(trial, state=TrialState.FAIL)
        return
    seen = [_observation(experiment, trial, one) for one in outcome.harvested]
    if outcome.stopped:
        assert stopping is not None
        last = stopping.observation(outcome)
        if all(one.fidelity != last.fidelity for one in seen):
            seen.append(last)
            trial.set_user_attr(STOPPED_AT, last.fidelity)
    for name, excess in experiment.excesses(outcome.objectives).items() if not outcome.stopped else ():
        if name not in trial.constraints:  # set before a kill: the same value
            trial.set_constraint(name, excess)
    if seen:
        add_observations(trial, seen)
    if outcome.stopped:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, _values(experiment, outcome))


def _values(experiment: Experiment, outcome: Evaluation) -> list[float]:
    return [outcome.objectives[name] for name in experiment.objectives]


def _observation(experiment: Experiment, trial: Trial, harvested: Evaluation) -> Observation:
    """Return what the sampler shall learn of a network on the way: its sparsity, and how far the training was."""
    at = next(at for at in training_path(trial.params) if at.step == harvested.step)
    return Observation(
        step=at.step,
        fidelity=at.epochs / TrainingConfig.from_parameters(trial.params).epochs,
        parameters=parameters_at(trial.params, at),
        values=tuple(_values(experiment, harvested)),
        constraints=experiment.excesses(harvested.objectives),
    )


def trial_seed(study_seed: int, number: int, *repetition: int) -> int:
    """Return the seed of a trial's training, or of a repetition of it: a function of these numbers."""
    return int(np.random.SeedSequence([study_seed, number, *repetition]).generate_state(1)[0])
