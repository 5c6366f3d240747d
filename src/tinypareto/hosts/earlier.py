"""What an earlier, related study found, as prior knowledge for a sampler: values, so that it can be stored."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from tinypareto.errors import ConfigError
from tinypareto.hosts.observations import observations
from tinypareto.search.prior import Prior
from tinypareto.space import Space


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One evaluation of an earlier study; None in place of a value that says nothing about the new one."""

    parameters: Mapping[str, Any]
    values: tuple[float | None, ...]
    fidelity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class EarlierTask:
    """An earlier study as prior knowledge: another data set, target or set of limits, but the same parameters.

    Attributes:
        evaluations: What was evaluated.
        maximised: For each objective, whether it was maximised.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(directions=["minimize", "minimize"])
        >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=3)
        >>> len(EarlierTask.of(study).evaluations), EarlierTask.of(study, objectives=[0]).evaluations[0].values[1]
        (3, None)
    """

    evaluations: tuple[Evaluated, ...]
    maximised: tuple[bool, ...]

    @classmethod
    def of(cls, study: Study, objectives: Collection[int] | None = None) -> "EarlierTask":
        """Return what a study's complete trials showed, and what they evaluated on their way.

        Args:
            study: With the objectives of the new one, in the same order and directions.
            objectives: The numbers of those that mean the same in the new study, up to scale and offset; None for all.
                A size for another microcontroller does not, where the new study knows its own.
        """
        kept = range(len(study.directions)) if objectives is None else objectives

        def of(parameters: Mapping[str, Any], values: Collection[float], fidelity: float = 1.0) -> Evaluated:
            shown = tuple(float(value) if i in kept else None for i, value in enumerate(values))
            return Evaluated(parameters=dict(parameters), values=shown, fidelity=fidelity)

        found = []
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            found.append(of(trial.params, trial.values))
            found += [of(seen.parameters, seen.values, seen.fidelity) for seen in observations(trial)]
        maximised = tuple(direction == StudyDirection.MAXIMIZE for direction in study.directions)
        return cls(evaluations=tuple(found), maximised=maximised)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "EarlierTask":
        """Return what `to_json` gave."""
        found = (Evaluated(**{**one, "values": tuple(one["values"])}) for one in values["evaluations"])
        return cls(evaluations=tuple(found), maximised=tuple(values["maximised"]))

    def to_json(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return asdict(self)

    def prior(self, space: Space, directions: Collection[StudyDirection]) -> Prior:
        """Return the evaluations as the search of a new study sees them.

        Raises:
            ConfigError: If the studies have other objectives, or no evaluation lies in the space.
        """
        maximised = tuple(direction == StudyDirection.MAXIMIZE for direction in directions)
        if maximised != self.maximised:
            raise ConfigError(
                f"warm_start needs the same objectives in the same directions, but the earlier study has "
                f"{_named(self.maximised)} and this one {_named(maximised)}; leave it out."
            )
        usable = [one for one in self.evaluations if space.contains(one.parameters)]
        if not usable:
            raise ConfigError(
                f"none of the {len(self.evaluations)} evaluations of the earlier study lies in this study's space; "
                "use the same parameters and ranges, or leave warm_start out."
            )
        signs = np.where(maximised, -1.0, 1.0)
        values = [[np.nan if value is None else value for value in one.values] for one in usable]
        return Prior(
            points=np.array([space.encode(one.parameters) for one in usable]).reshape(len(usable), -1),
            values=signs * np.array(values, dtype=np.float64),
            fidelities=np.array([one.fidelity for one in usable]),
        )


def _named(maximised: Collection[bool]) -> str:
    return ", ".join("maximise" if one else "minimise" for one in maximised)
