"""How well the sampler's predictions held: intervals against measurements, promised gains against those that came.

Each suggestion was stored with what it promised. A trial's prediction is of what it ends with; networks on the way of
its training are not part of it.

    promised   P(every limit is kept) E[HV(front + end) - HV(front)], the end distributed as predicted, noise included
    came       HV(front + end) - HV(front) of the end as measured; both in the report's normalised hypervolume
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tinypareto.front import normalised_hypervolume
from tinypareto.search.outcomes import HALF_OF_90_PERCENT
from tinypareto.trials import FinishedTrial, FoundNetwork, History

Matrix = npt.NDArray[np.float64]

N_SAMPLES = 64  # of a promised gain; 64 quasi-random ones are within some 3 % of 4,096
KNOWN_WIDTH = 1e-3  # of an interval, relative to its middle: a narrower one is of what is known beforehand


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One objective of a trial's end: where it was expected in 90 % of cases, and where it was found."""

    trial: int
    mean: float
    low: float
    high: float
    measured: float

    @property
    def held(self) -> bool:
        """Whether the measurement lies in the interval."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Normalised hypervolume that a trial's end was expected to add, and that it added."""

    trial: int
    promised: float
    came: float


def predictions(history: History, objective: str) -> tuple[Prediction, ...]:
    """Return the predictions of an objective that can be judged: of complete trials that a model proposed."""
    column = history.description.objectives.index(objective)
    found = []
    for trial in history.complete:
        mean, interval = _entry(trial.reasons, "mean", column), _entry(trial.reasons, "interval", column)
        if mean is not None and interval is not None:
            assert trial.objectives is not None
            low, high = interval
            found.append(
                Prediction(
                    trial=trial.number, mean=mean, low=low, high=high, measured=trial.objectives[objective]
                )
            )
    return tuple(found)


def learnt_objectives(history: History) -> tuple[str, ...]:
    """Return the objectives that were predicted and not known beforehand."""
    return tuple(
        name
        for name in history.description.objectives
        if any(p.high - p.low > KNOWN_WIDTH * abs(p.mean) for p in predictions(history, name))
    )


def share_held(found: Sequence[Prediction]) -> float | None:
    """Return the share of measurements inside their 90 % intervals; None of no prediction."""
    return sum(prediction.held for prediction in found) / len(found) if found else None


def gains(history: History) -> tuple[Gain, ...]:
    """Return what each trial that a model proposed promised and brought, by number."""
    found = (gain_of(history, trial) for trial in history.trials)
    return tuple(gain for gain in found if gain is not None)


def gain_of(history: History, trial: FinishedTrial) -> Gain | None:
    """Return what one trial promised and brought; None if no model proposed it, or for another target."""
    reasons, names = trial.reasons, history.description.objectives
    entries = [(_entry(reasons, "mean", i), _entry(reasons, "interval", i)) for i in range(len(names))]
    chance = None if reasons is None else reasons["feasibility"]
    if chance is None or any(mean is None or interval is None for mean, interval in entries):
        return None
    before = [one for other in history.trials if other.number < trial.number for one in other.networks]
    scales = [history.description.scales[name] for name in names]
    front = _values([network for network in before if network.feasible], names)
    volume = normalised_hypervolume(front, scales)

    def gain(end: Matrix) -> float:
        return normalised_hypervolume(np.concatenate([front, end[None]]), scales) - volume

    spread = _normals(len(names))
    ends = np.stack(
        [_distributed(*entry, z) for entry, z in zip(entries, spread.T, strict=True)], axis=1
    )  # s x m
    values = None if trial.objectives is None else np.array([trial.objectives[name] for name in names])
    return Gain(
        trial=trial.number,
        promised=float(chance * np.mean([gain(end) for end in ends])),
        came=gain(values) if values is not None and trial.feasible else 0.0,
    )


def _entry(reasons: Mapping[str, Any] | None, key: str, column: int) -> Any:
    """Return what was predicted of one objective; None if nothing was."""
    entries = [] if reasons is None else reasons.get(key, [])
    return entries[column] if column < len(entries) else None


def _values(networks: Sequence[FoundNetwork], names: Sequence[str]) -> Matrix:
    rows = [[network.objectives[name] for name in names] for network in networks]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _distributed(mean: float, interval: tuple[float, float], z: Matrix) -> Matrix:
    """Return values of standard normal variables, s, in the distribution that was predicted.

    It is log-normal where the objective was modelled on a log scale: then its mean is not the interval's middle.
    """
    low, high = interval
    if low > 0 and abs(mean - (low + high) / 2) > KNOWN_WIDTH * (high - low):
        return np.asarray(np.exp(np.log(low * high) / 2 + np.log(high / low) / (2 * HALF_OF_90_PERCENT) * z))
    return np.asarray((low + high) / 2 + (high - low) / (2 * HALF_OF_90_PERCENT) * z)


@cache
def _normals(m: int) -> Matrix:
    """Return quasi-random standard normal variables, s x m, the same every time."""
    return np.asarray(qmc.MultivariateNormalQMC(np.zeros(m), rng=np.random.default_rng(0)).random(N_SAMPLES))
