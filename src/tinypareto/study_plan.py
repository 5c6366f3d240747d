"""What a study is of: its settings, who proposes its trials, and what is known, harvested and stopped."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.samplers import BaseSampler

from tinypareto.early_stopping import EarlyStopping
from tinypareto.errors import ConfigError, ExperimentError, StudyError, UnknownFootprintError
from tinypareto.experiment import Experiment, Parameters, train_and_prune
from tinypareto.harvest import Harvest
from tinypareto.hosts.earlier import EarlierTask
from tinypareto.hosts.optuna import ARSSampler
from tinypareto.known_sizes import KnownSizes, known_sizes
from tinypareto.known_training import updates_since_pruning
from tinypareto.network.data import Data
from tinypareto.network.device import check_device
from tinypareto.samplers import make_sampler
from tinypareto.scales import objective_scales
from tinypareto.search.config import SearchConfig
from tinypareto.search.known import InputFunction
from tinypareto.stop_rule import ERROR
from tinypareto.study_description import StudyDescription
from tinypareto.study_home import StudyHome
from tinypareto.warm_start import earlier_task

KNOWING = "ars"  # the sampler that can be told which outcomes are known


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
        early_stop: Whether a training ends when nothing that it has still to pass through could improve the front.
            None: if sizes are known and the experiment allows it.
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


def plan_of(
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
        return _with_sampler(experiment, description, data, sizes, home.earlier_tasks(experiment.name))
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
    return _with_sampler(experiment, description, data, sizes, earlier)


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
    data: Data,
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
            known_inputs=_known_inputs(experiment, data) if sizes else None,
            config=_config(experiment),
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


def _known_inputs(experiment: Experiment, data: Data) -> dict[str, InputFunction]:
    """Return what else is known of the experiment's trainings."""
    if experiment.train is not train_and_prune:
        return {}
    return {"updates since pruning": updates_since_pruning(data)}


def _config(experiment: Experiment) -> SearchConfig:
    """Return the default settings, with what is known of errors: none is negative, and each training's is another."""
    errors = tuple(place for place, name in enumerate(experiment.objectives) if name == ERROR)
    return replace(SearchConfig.preset("default"), log_objectives=errors, noisy_objectives=errors)


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
