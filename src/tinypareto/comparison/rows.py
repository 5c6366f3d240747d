"""A row of the CSV: one training, with all that a sampler learns of it, so that a study can be rebuilt from rows.

Floats are written with as many digits as it takes to read the very same number again; sizes are whole numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
    json_to_distribution,
)

from tinypareto.errors import StudyError
from tinypareto.experiment import Experiment

BEFORE = ("run", "sampler", "seed", "trial")
AFTER = ("feasible", "hypervolume", "seconds", "suggest_seconds", "on_way", "failure")
TIMES = ("seconds", "suggest_seconds")  # all else is the same however often a comparison is interrupted
LONGEST_FAILURE = 200  # characters


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is compared on; it must stay the same for a CSV to be continued.

    ``space`` holds distributions as Optuna's JSON, ``scales`` the value at which an objective counts as hopeless.
    """

    experiment: str
    target: str
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    scales: Mapping[str, float]
    space: Mapping[str, str]

    @classmethod
    def of(cls, experiment: Experiment, scales: Mapping[str, float]) -> "Subject":
        """Describe an experiment."""
        return cls(
            experiment=experiment.name,
            target=experiment.target,
            objectives=tuple(experiment.objectives),
            limits=dict(experiment.limits),
            scales=dict(scales),
            space={name: distribution_to_json(kind) for name, kind in experiment.space.items()},
        )

    @classmethod
    def from_json(cls, text: str) -> "Subject":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If it is something else.
            TypeError: If it is something else.
        """
        values = json.loads(text)
        return cls(**{**values, "objectives": tuple(values["objectives"])})

    def to_json(self) -> str:
        """Return one line that `from_json` reads; parameters keep their order."""
        return json.dumps(asdict(self))

    def refuse_other(self, other: "Subject", path: Path) -> None:
        """Check that ``other`` is the same.

        Raises:
            StudyError: If something differs, saying what.
        """
        for name in ("experiment", "target", "objectives", "limits", "scales"):
            old, new = getattr(self, name), getattr(other, name)
            if old != new:
                raise StudyError(
                    f"{path} holds a comparison with {name} {old}, now it is {new}; give another --out, or the same "
                    "as before."
                )
        if list(self.space) != list(other.space) or self.space != other.space:
            both = {**self.space, **other.space}
            changed = [name for name in both if self.space.get(name) != other.space.get(name)] or [
                "their order"
            ]
            raise StudyError(
                f"{path} holds a comparison in another space (changed: {', '.join(changed)}); give another --out, or "
                "undo the change."
            )

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space."""
        return {name: json_to_distribution(text) for name, text in self.space.items()}

    def is_feasible(self, objectives: Mapping[str, float]) -> bool:
        """Return whether every limit is kept."""
        return all(objectives[name] <= limit for name, limit in self.limits.items())


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training.

    Attributes:
        run: Number of the line that says commit, machine and versions.
        arm: The sampler's name, one of `tinypareto.comparison.arms.ARMS`.
        seed: Of the study.
        trial: Number within the study, from 0.
        parameters: What was tried.
        objectives: What came out, all minimised; None if the training failed.
        feasible: Whether it keeps every limit.
        hypervolume: Of what this study has found up to here, harvested networks included; 0 bad, 1 ideal.
        seconds: Of the evaluation. One that another study had made already counts as long as it took there.
        suggest_seconds: Of the suggestion.
        on_way: Objectives of networks that the training passed through, by their step.
        failure: Why it failed; None if it did not.
    """

    run: int
    arm: str
    seed: int
    trial: int
    parameters: Mapping[str, Any]
    objectives: Mapping[str, float] | None
    feasible: bool
    hypervolume: float
    seconds: float
    suggest_seconds: float
    on_way: Mapping[int, Mapping[str, float]]
    failure: str | None

    @property
    def networks(self) -> tuple[Mapping[str, float], ...]:
        """Objectives of all networks that were found, the last one at the end."""
        return (*self.on_way.values(), *([] if self.objectives is None else [self.objectives]))


class Columns:
    """Rows to the cells of a CSV and back, for one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._space = subject.distributions()
        self.names = (*BEFORE, *self._space, *subject.objectives, *AFTER)

    def cells(self, row: Row) -> list[str]:
        """Return a row's cells."""
        values = row.objectives
        failure = "" if row.failure is None else " ".join(row.failure.replace("#", "no. ").split())
        return [
            *map(str, (row.run, row.arm, row.seed, row.trial)),
            *(_parameter_text(kind, row.parameters[name]) for name, kind in self._space.items()),
            *("" if values is None else _number(values[name]) for name in self.subject.objectives),
            str(int(row.feasible)),
            f"{row.hypervolume:.6f}".rstrip("0").rstrip("."),
            f"{row.seconds:.1f}",
            f"{row.suggest_seconds:.2f}",
            " ".join(self._passed(step, passed) for step, passed in row.on_way.items()),
            failure[:LONGEST_FAILURE],
        ]

    def row(self, cells: Sequence[str]) -> Row:
        """Return the row of these cells.

        Raises:
            ValueError: If there are too many or too few, or one is not what its column holds.
        """
        if len(cells) != len(self.names):
            raise ValueError(f"{len(self.names)} columns are needed, there are {len(cells)}")
        run, arm, seed, trial = cells[: len(BEFORE)]
        rest = cells[len(BEFORE) :]
        texts, rest = rest[: len(self._space)], rest[len(self._space) :]
        values, (feasible, hypervolume, seconds, suggest, on_way, failure) = (
            rest[: len(self.subject.objectives)],
            rest[len(self.subject.objectives) :],
        )
        pairs = zip(self._space.items(), texts, strict=True)
        return Row(
            run=int(run),
            arm=arm,
            seed=int(seed),
            trial=int(trial),
            parameters={name: _parameter(kind, text) for (name, kind), text in pairs},
            objectives=self._objectives(values) if any(values) else None,
            feasible=bool(int(feasible)),
            hypervolume=float(hypervolume),
            seconds=float(seconds),
            suggest_seconds=float(suggest),
            on_way=dict(map(self._step, on_way.split())),
            failure=failure or None,
        )

    def _objectives(self, texts: Sequence[str]) -> dict[str, float]:
        return dict(zip(self.subject.objectives, map(float, texts), strict=True))

    def _passed(self, step: int, objectives: Mapping[str, float]) -> str:
        return ":".join([str(step), *(_number(objectives[name]) for name in self.subject.objectives)])

    def _step(self, text: str) -> tuple[int, dict[str, float]]:
        step, *values = text.split(":")
        return int(step), self._objectives(values)


def _parameter_text(kind: BaseDistribution, value: Any) -> str:
    if isinstance(kind, CategoricalDistribution):
        return _choices(kind)[kind.choices.index(value)]
    return repr(float(value)) if isinstance(kind, FloatDistribution) else str(int(value))


def _parameter(kind: BaseDistribution, text: str) -> Any:
    if isinstance(kind, CategoricalDistribution):
        return kind.choices[_choices(kind).index(text)]
    return float(text) if isinstance(kind, FloatDistribution) else int(text)


def _choices(kind: CategoricalDistribution) -> list[str]:
    """Return the choices as texts or, if two of them look the same, as their numbers."""
    texts = [" ".join(str(choice).split()) for choice in kind.choices]
    return texts if len(set(texts)) == len(texts) else [str(place) for place in range(len(texts))]


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
