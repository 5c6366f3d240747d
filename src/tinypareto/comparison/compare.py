"""Samplers x seeds on one experiment, in parallel; one CSV; then pictures and tables."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from tinypareto.comparison.arm_process import ArmProcess
from tinypareto.comparison.arm_run import ArmTask
from tinypareto.comparison.arms import ARMS, check_arms
from tinypareto.comparison.figures import draw_figures
from tinypareto.comparison.outcome import Outcome
from tinypareto.comparison.results_file import ResultsFile, writing
from tinypareto.comparison.rows import Row, Subject
from tinypareto.comparison.summary import summary_text
from tinypareto.errors import ConfigError, StudyError
from tinypareto.evaluation_record import VERSIONS_OF
from tinypareto.experiment import load_experiment
from tinypareto.provenance import provenance
from tinypareto.scales import objective_scales
from tinypareto.threads import use_one_thread

RESULTS = "comparison.csv"
SUMMARY = "comparison.md"
PEERS_NEED = ("botorch", "gpytorch", "scipy", "numpy")
POLL_SECONDS = 0.5  # how often Ctrl-C is noticed while nothing ends


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What is compared.

    Args:
        samplers: Names of `tinypareto.comparison.arms.ARMS`.
        seeds: Studies of each sampler: seeds 0 .. seeds - 1.
        trials: Trainings of each study, those of earlier runs included.
        jobs: Studies that run at the same time, one thread each.
        data_path: Given to the experiment's ``load_data``.

    Raises:
        ConfigError: If a number is below 1.
    """

    samplers: tuple[str, ...]
    seeds: int = 5
    trials: int = 150
    jobs: int = 1
    data_path: Path | None = None

    def __post_init__(self) -> None:
        for name in ("seeds", "trials", "jobs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it.")


@dataclass(frozen=True, kw_only=True)
class ComparisonProgress:
    """How a comparison stands after a training.

    ``seconds_left`` is reckoned from this run's trainings; None before the first of them. ``row`` is None at the start.
    """

    done: int
    total: int
    row: Row | None
    seconds_left: float | None


def compare(
    experiment: str,
    out: Path,
    settings: ComparisonSettings,
    on_progress: Callable[[ComparisonProgress], None] = lambda progress: None,
) -> Outcome:
    """Run every sampler with every seed, or go on where the CSV in ``out`` ends; then draw and tabulate.

    Writes ``comparison.csv``, which is all that a later call needs, ``hypervolume`` and ``fronts`` as PNG and SVG, and
    ``comparison.md``. Evaluations are kept in ``out/cache``, so that none is made twice.

    Args:
        experiment: What `load_experiment` takes.
        out: The comparison's folder.
        settings: Samplers, seeds, trials and parallelism.
        on_progress: Called at the beginning and after every training.

    Raises:
        ConfigError: If a sampler is unknown, or what it needs is not installed.
        StudyError: If ``out`` holds another comparison or one that runs, the disk is full, or a study failed.
        DataError: If the data cannot be loaded.
        ExperimentError: If the experiment cannot be loaded.
    """
    use_one_thread()
    loaded = load_experiment(experiment)
    arms = check_arms(settings.samplers, loaded.space)
    data = loaded.read_data(settings.data_path)  # wrong data is said before the first trial
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        path = out / RESULTS
        if path.exists() and path.stat().st_size > 0:
            file = ResultsFile(path)
            file.subject.refuse_other(Subject.of(loaded, file.subject.scales), path)
        else:
            with TemporaryDirectory() as scratch:
                scales = objective_scales(loaded, data, Path(scratch))
            ResultsFile.begin(path, Subject.of(loaded, scales))
            file = ResultsFile(path)
        _Comparison(experiment, out, settings, arms, file, on_progress).run()
        return _results(out, settings, arms, file)


def _results(out: Path, settings: ComparisonSettings, arms: tuple[str, ...], file: ResultsFile) -> Outcome:
    places = {arm: place for place, arm in enumerate(ARMS)}
    file.sort(lambda row: (places.get(row.arm, len(places)), row.seed, row.trial))
    outcome = Outcome.of(file, arms, range(settings.seeds), settings.trials)
    with writing(out):
        draw_figures(outcome, out)
        (out / SUMMARY).write_text(summary_text(outcome), encoding="utf-8")
    return outcome


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out / "comparison.lock", blocking=False)
    try:
        with lock:
            yield
    except Timeout as error:
        if error.lock_file != lock.lock_file:
            raise
        raise StudyError(
            f"another comparison is running in {out}; wait for it, or give another --out."
        ) from error


class _Comparison:
    def __init__(
        self,
        experiment: str,
        out: Path,
        settings: ComparisonSettings,
        arms: tuple[str, ...],
        file: ResultsFile,
        on_progress: Callable[[ComparisonProgress], None],
    ) -> None:
        self.experiment, self.out, self.settings, self.file = experiment, out, settings, file
        self.on_progress = on_progress
        self.studies = [(arm, seed) for seed in range(settings.seeds) for arm in arms]
        rows = {study: file.of(*study, settings.trials) for study in self.studies}
        self.open = {study: found for study, found in rows.items() if len(found) < settings.trials}
        self.total = len(self.studies) * settings.trials
        self.begun_with = self.done = sum(map(len, rows.values()))
        self.begun = time.monotonic()

    def run(self) -> None:
        """Do what is not done yet.

        Raises:
            StudyError: If studies failed; the others are done before that is said, unless the disk is full.
        """
        self._tell(None)
        if not self.open:
            return
        versions = provenance(*VERSIONS_OF, *PEERS_NEED)
        run = self.file.number_of_run(versions)
        work = self.out / "work"
        rmtree(work, ignore_errors=True)  # of a run that was killed
        waiting = [self._task(*study, run, versions, work) for study in self.open]
        try:
            failures = self._work_off(waiting)
        finally:
            _remove(work)
        if failures:
            raise StudyError(
                f"{len(failures)} of {len(self.studies)} studies stopped early: {'; '.join(failures)} The same command "
                "tries again from there."
            )

    def _work_off(self, waiting: list[ArmTask]) -> list[str]:
        running: list[ArmProcess] = []
        failures: list[str] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.settings.jobs:
                    running.append(ArmProcess(waiting.pop(0)))
                for process in ArmProcess.wait_for_any(running, POLL_SECONDS):
                    for row in process.rows():
                        self.file.append(row)
                        self._tell(row)
                    if process.has_ended:
                        running.remove(process)
                        failures += [f"{process.name}: {process.failure}"] if process.failure else []
        finally:
            for process in running:  # Ctrl-C, or a full disk: what they are training is lost, no more
                process.stop()
        return failures

    def _task(self, arm: str, seed: int, run: int, versions: Mapping[str, Any], work: Path) -> ArmTask:
        return ArmTask(
            arm=arm,
            seed=seed,
            trials=self.settings.trials,
            experiment=self.experiment,
            data_path=self.settings.data_path,
            subject=self.file.subject,
            rows=tuple(self.open[arm, seed]),
            run=run,
            versions=versions,
            work=work,
            cache=self.out / "cache",
        )

    def _tell(self, row: Row | None) -> None:
        self.done += row is not None
        here = self.done - self.begun_with
        each = (time.monotonic() - self.begun) / here if here else None
        left = None if each is None else each * (self.total - self.done)
        self.on_progress(ComparisonProgress(done=self.done, total=self.total, row=row, seconds_left=left))


def _remove(folder: Path) -> None:
    """Remove a folder in which trials that were stopped may write for a moment yet."""
    for _ in range(50):
        rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
