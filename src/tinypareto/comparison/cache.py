"""Evaluations that are shared by all studies of a comparison: the same training is done once.

A key is everything that decides what a training gives: experiment, data, versions, parameters, training seed and what
is harvested. Failures are not kept, since one may be for want of memory or disk.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from tinypareto.comparison.results_file import writing
from tinypareto.comparison.rows import Subject
from tinypareto.evaluation_record import Evaluation, evaluation_from, write_json
from tinypareto.experiment import Experiment, Parameters


class EvaluationCache:
    """A folder of evaluations.

    Args:
        folder: Made if missing.
        locks: A folder in which several processes agree on who trains what.
        origin: What decides a training's result besides its parameters, its seed and what is harvested.
    """

    def __init__(self, folder: Path, locks: Path, origin: Mapping[str, Any]) -> None:
        self._folder, self._locks, self._origin = folder, locks, dict(origin)
        for path in (folder, locks):
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)

    def get(
        self,
        parameters: Parameters,
        seed: int,
        harvest: tuple[int, ...],
        evaluate: Callable[[], Evaluation | str],
    ) -> Evaluation | str:
        """Return what is known of a training, or what ``evaluate`` returns.

        Whoever wants the same evaluation at the same time waits for the first to be done.

        Raises:
            StudyError: If it cannot be written.
        """
        key = self._key(parameters, seed, harvest)
        path = self._folder / f"{key}.json"
        with FileLock(self._locks / f"{key}.lock"):
            known = _read(path)
            if known is not None:
                return known
            outcome = evaluate()
            if isinstance(outcome, Evaluation):
                with writing(path):
                    write_json(path, asdict(outcome))
            return outcome

    def _key(self, parameters: Parameters, seed: int, harvest: tuple[int, ...]) -> str:
        said = {**self._origin, "parameters": dict(parameters), "seed": seed, "harvest": harvest}
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:32]


def origin_of(
    subject: Subject, experiment: Experiment, data_path: Path | None, versions: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what decides a training's result: subject, data, versions and the file that builds the network."""
    source = inspect.getsourcefile(experiment.build_model)
    code = Path(source).read_bytes() if source else b""
    return {
        "subject": subject.to_json(),
        "data": str(data_path.resolve()) if data_path else None,
        "code": hashlib.sha256(code).hexdigest(),
        **versions,
    }


def _read(path: Path) -> Evaluation | None:
    try:
        return evaluation_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # absent, or damaged: it is made again
