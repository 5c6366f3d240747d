"""The outer loop: suggest, evaluate in processes of their own, tell; until the budget is spent."""

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import Trial

from tinypareto.errors import ExperimentError
from tinypareto.evaluation_record import Evaluation, read_evaluation
from tinypareto.experiment import (
    Experiment,
    load_experiment,
)
from tinypareto.measured_network import add_test_error
from tinypareto.study_home import StudyHome, database_errors
from tinypareto.study_plan import SearchSettings, StudyPlan, plan_of
from tinypareto.telling import tell_outcome
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import TrialProcess, TrialTask, remove_unfinished
from tinypareto.trials import History, read_history, trial_folder

POLL_SECONDS = 0.5  # how often progress is shown and Ctrl-C noticed while trials run


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
        plan = plan_of(home, loaded, reference, settings)
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


def trial_seed(study_seed: int, number: int, *repetition: int) -> int:
    """Return the seed of a trial's training, or of a repetition of it: a function of these numbers."""
    return int(np.random.SeedSequence([study_seed, number, *repetition]).generate_state(1)[0])
