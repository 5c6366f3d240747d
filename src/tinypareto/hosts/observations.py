"""What a trial evaluated on its way, beside its end: stored with the trial, read by the sampler."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, Trial

from tinypareto.errors import ConfigError
from tinypareto.hosts.attributes import read_attribute, write_attribute

OBSERVATIONS_KEY = "tinypareto:observations"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One evaluation on the way of a trial.

    Attributes:
        step: Number of the observation within its trial, from 0.
        fidelity: Share of the whole evaluation that was made by then, in (0, 1).
        parameters: Those that describe what was evaluated; they may differ from the trial's.
        values: One for each objective, in the study's units and directions.
        constraints: Kept at <= 0, by name.

    Raises:
        ConfigError: If the fidelity is out of range.
    """

    step: int
    fidelity: float
    parameters: Mapping[str, Any]
    values: tuple[float, ...]
    constraints: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.fidelity < 1:
            raise ConfigError(
                f"an observation's fidelity must lie between 0 and 1, got {self.fidelity}; the end of a trial is told "
                "to the study as its values."
            )


def add_observations(trial: Trial, observed: Iterable[Observation]) -> None:
    """Store, with a trial that is still running, what was evaluated on its way: all of it at once.

    Example:
        >>> import optuna
        >>> trial = optuna.create_study().ask()
        >>> add_observations(trial, [Observation(step=0, fidelity=0.5, parameters={"x": 1.0}, values=(0.3,))])
        >>> [seen.values for seen in observations(trial.study.trials[0])]
        [(0.3,)]
    """
    write_attribute(trial.study, trial._trial_id, OBSERVATIONS_KEY, [asdict(seen) for seen in observed])


def observations(trial: FrozenTrial) -> tuple[Observation, ...]:
    """Return what was stored with a trial, in order of the steps."""
    stored = read_attribute(trial, OBSERVATIONS_KEY) or []
    found = (Observation(**{**values, "values": tuple(values["values"])}) for values in stored)
    return tuple(sorted(found, key=lambda seen: seen.step))
