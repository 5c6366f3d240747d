"""What a study is of, as a value and as text: what must stay the same for it to be continued."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json

from tinypareto.errors import StudyError
from tinypareto.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class StudyDescription:
    """What must stay the same for a study to be continued."""

    experiment: str
    space: Mapping[str, str]  # distributions as Optuna's JSON
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    target: str
    sampler: str
    seed: int
    scales: Mapping[str, float]  # of every objective, for the hypervolume
    reference: str | None  # names the experiment on the command line; None if it came as an object
    data_path: str | None  # absolute
    known_sizes: bool = False  # whether the sampler was told what is known before training
    harvest: bool = False  # whether networks on the way of a training are measured too
    early_stop: bool = False  # whether trainings end that cannot improve the front any more
    data_fingerprint: str | None = None  # tells whether data at another place is the same
    warm_start: tuple[str, ...] = ()  # folders of the earlier studies that it was begun with

    @classmethod
    def of(cls, experiment: Experiment, **settings: Any) -> "StudyDescription":
        """Describe a study of an experiment; ``settings`` are the attributes that it does not have itself."""
        return cls(**_described(experiment), **settings)

    def data_location(self, folder: Path) -> Path | None:
        """Return the data's folder or archive, None if the experiment needs none.

        Args:
            folder: Of the study, for the error.

        Raises:
            StudyError: If it is not there any more.
        """
        if self.data_path is None:
            return None
        path = Path(self.data_path)
        if not path.exists():
            raise StudyError(
                f"the study in {folder} reads its data from {path}, which is not there any more; put it back, or "
                "name its new place once: "
                f"`tinypareto search {self.reference or self.experiment} --out {folder} --data PATH`."
            )
        return path

    @classmethod
    def from_json(cls, text: str) -> "StudyDescription":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        lists = {name: tuple(values[name]) for name in ("objectives", "warm_start") if name in values}
        return cls(**{**values, **lists})

    def to_json(self) -> str:
        """Return a text that `from_json` reads; parameters keep their order."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})

    def refuse_other(self, experiment: Experiment, asked: Mapping[str, Any]) -> None:
        """Check that ``experiment``, and what else was asked for, is what the study was begun with.

        Args:
            experiment: The one to continue with.
            asked: Attributes of this class by name that a user may have given; None is whatever it was.

        Raises:
            StudyError: If something differs, saying what.
        """
        now = replace(
            self,
            **_described(experiment),
            **{name: value for name, value in asked.items() if value is not None},
        )
        for name in ("experiment", "target", "objectives", "limits", "space", *asked):
            old, new = getattr(self, name), getattr(now, name)
            if old != new:
                raise StudyError(
                    f"the study there was begun with {name} {_brief(old)}, now it is {_brief(new)}; "
                    "give another --out, or the same as before."
                )


def space_as_text(experiment: Experiment) -> dict[str, str]:
    """Return the distributions as Optuna's JSON, by parameter."""
    return {name: distribution_to_json(kind) for name, kind in experiment.space.items()}


def _described(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "space": space_as_text(experiment),
        "objectives": tuple(experiment.objectives),
        "limits": dict(experiment.limits),
        "target": experiment.target,
    }


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
