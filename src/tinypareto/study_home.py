"""Where a study lives: its folder, its database, and which process each running trial belongs to."""

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import sqlalchemy.exc
from filelock import FileLock, Timeout
from optuna.exceptions import OptunaError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from tinypareto.errors import StudyError
from tinypareto.hosts.attributes import joined, pieces
from tinypareto.hosts.earlier import EarlierTask
from tinypareto.study_description import StudyDescription

OWNER = "tinypareto:owner"  # a trial's system attribute: the search that runs it
EARLIER = "tinypareto:earlier"  # the study's system attribute: what earlier studies showed
DESCRIPTION = "tinypareto:study"  # the study's user attribute: what it is a study of


@contextlib.contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Turn what a damaged, locked, full or read-only database raises into one line.

    Raises:
        StudyError: In place of the database library's own errors.
    """
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OptunaError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        cause = getattr(cause, "orig", None) or cause
        line = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        raise StudyError(
            f"the study's database {url} cannot be used ({line}); make it readable and writable, "
            "restore it from a copy, or give another --out or --storage."
        ) from error


class StudyHome:
    """A study's folder and database, opened.

    Args:
        folder: The study's folder, made if missing.
        storage: An Optuna storage URL in place of ``folder/study.db``.

    Raises:
        StudyError: If the folder cannot be written or the database cannot be read.
    """

    def __init__(self, folder: Path, storage: str | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own progress says it better
        self.folder = folder
        self.trials_folder = folder / "trials"
        self._owners = folder / "owners"
        self.study: optuna.Study | None = None
        try:
            self._owners.mkdir(parents=True, exist_ok=True)
            self.trials_folder.mkdir(exist_ok=True)
            self.url = self._remembered_url(storage)
            home = self._owners / "home"  # tells this folder from one on another machine, same storage
            if not home.exists():
                home.write_text(uuid.uuid4().hex, encoding="utf-8")
            self._home = home.read_text(encoding="utf-8")
        except OSError as error:
            raise StudyError(
                f"the folder {folder} cannot be written ({error}); make it writable or give another --out."
            ) from error
        self._lock = FileLock(self._owners / "turn.lock")
        self._process = uuid.uuid4().hex
        self._owner = f"{self._home}/{self._process}"
        self._alive = FileLock(self._owners / f"{self._process}.lock")

    def __enter__(self) -> "StudyHome":
        self._alive.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.release()
        Path(self._alive.lock_file).unlink(missing_ok=True)

    def _remembered_url(self, storage: str | None) -> str:
        memory = self._owners / "storage"
        if storage is not None:
            memory.touch(mode=0o600)  # the URL may hold a password
            memory.write_text(storage, encoding="utf-8")
        if memory.exists():
            return memory.read_text(encoding="utf-8")
        return f"sqlite:///{self.folder / 'study.db'}"

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the study alone: asking and taking over are not done by two searches at once."""
        with self._lock, database_errors(self.url):
            yield

    def description(self, name: str | None = None) -> StudyDescription | None:
        """Return what the study in the database is of, or None if there is none yet.

        Args:
            name: The experiment's name, in a database that may hold several studies.

        Raises:
            StudyError: If the database is damaged or holds a study of another program.
        """
        study = self._found(name)
        if study is None:
            return None
        attributes = study.user_attrs
        if DESCRIPTION not in attributes:
            raise StudyError(f"{self.url} holds a study that tinypareto did not begin; give another --out.")
        return StudyDescription.from_json(attributes[DESCRIPTION])

    def earlier_tasks(self, name: str) -> tuple[EarlierTask, ...]:
        """Return what the study called ``name`` was begun with, as prior knowledge."""
        study = self._found(name)
        if study is None:
            return ()
        attributes = study._storage.get_study_system_attrs(study._study_id)
        return tuple(map(EarlierTask.from_json, joined(EARLIER, attributes) or ()))

    def _found(self, name: str | None) -> optuna.Study | None:
        """Return the only study in the database or the one called ``name``."""
        if self.url.startswith("sqlite:///"):
            path = Path(self.url.removeprefix("sqlite:///"))
            if not path.exists() or path.stat().st_size == 0:
                return None
        with database_errors(self.url):
            storage = open_storage(self.url)
            names = [study.study_name for study in storage.get_all_studies()]
            if len(names) != 1:
                names = [found for found in names if found == name]
            return optuna.load_study(study_name=names[0], storage=storage) if names else None

    def open(
        self, description: StudyDescription, sampler: BaseSampler, earlier: Sequence[EarlierTask] = ()
    ) -> optuna.Study:
        """Load the study, or create it, with what earlier studies showed."""
        with self.turn():
            self.study = optuna.create_study(
                study_name=description.experiment,
                storage=open_storage(self.url),
                sampler=sampler,
                directions=["minimize"] * len(description.objectives),
                load_if_exists=True,
            )
            if DESCRIPTION not in self.study.user_attrs:
                if earlier:
                    told = [task.to_json() for task in earlier]
                    for name, piece in pieces(EARLIER, told).items():
                        self.study._storage.set_study_system_attr(self.study._study_id, name, piece)
                self.study.set_user_attr(DESCRIPTION, description.to_json())
            return self.study

    def describe(self, description: StudyDescription) -> None:
        """Remember what has changed in a study's description, such as its data's place."""
        assert self.study is not None
        with self.turn():
            if self.study.user_attrs[DESCRIPTION] != description.to_json():
                self.study.set_user_attr(DESCRIPTION, description.to_json())

    def next_trial(self, total: int) -> Trial | None:
        """Take over the first trial that a dead search left running, else ask for a new one.

        Returns:
            A trial of this search, or None if the study has ``total`` trials already.
        """
        assert self.study is not None
        with self.turn():
            trials = self.study.get_trials(deepcopy=False)
            left = [trial for trial in trials if self._is_abandoned(trial)]
            if left:
                trial = Trial(self.study, left[0]._trial_id)
            elif len(trials) < total:
                trial = self.study.ask()
            else:
                return None
            self.study._storage.set_trial_system_attr(trial._trial_id, OWNER, self._owner)
            return trial

    def others_running(self) -> int:
        """Count the trials that other living searches run."""
        assert self.study is not None
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return sum(trial.system_attrs.get(OWNER) != self._owner for trial in trials)

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        if trial.state != TrialState.RUNNING:
            return False
        owner = trial.system_attrs.get(OWNER)
        if owner is None:
            return True  # its search died inside `next_trial`, whose turn is now ours
        home, _, process = owner.partition("/")
        if owner == self._owner or home != self._home:
            return False
        # The system lets go of a dead process's locks, however it died.
        path = self._owners / f"{process}.lock"
        if not path.exists():
            return True
        try:
            with FileLock(path, blocking=False):
                return True
        except Timeout:
            return False


@contextlib.contextmanager
def existing_study(folder: Path) -> Iterator[tuple[StudyHome, StudyDescription, optuna.Study]]:
    """Yield the study in ``folder`` opened for reading; nothing is changed.

    Raises:
        StudyError: If there is none, or its database cannot be read.
    """
    if not (folder / "trials").is_dir():
        raise StudyError(
            f"there is no study in {folder}; begin one with `tinypareto search ... --out {folder}`."
        )
    with StudyHome(folder) as home:
        description = home.description()
        if description is None:
            raise StudyError(f"the study in {folder} has no trial yet; run `tinypareto search` first.")
        study = home.open(description, optuna.samplers.RandomSampler())
        with database_errors(home.url):
            yield home, description, study


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Return the storage at ``url``; a locked SQLite file is waited for."""
    if not url.startswith("sqlite:"):
        return optuna.storages.get_storage(url)
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
