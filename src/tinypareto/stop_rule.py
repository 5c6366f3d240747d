"""A training is stopped when no network that it has still to pass through can improve the front noticeably any more.

    e_t       validation error of the float network with mean weights of the epoch in which share t of the training ends
    f_t       min_(s > t) e_s / e_t, the factor by which a training still lowered its error
    reach(t)  e_t times a quantile of f_t below the median, over the study's trainings: what can be hoped for
    beat(t)   the largest error with which a network still to come, whose sizes are known, would add to the front's
              hypervolume as much as can be noticed

The training ends where reach(t) >= beat(t). What it would have come to is estimated as e_t times the median of
e_1 / e_t over the same trainings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinypareto.front import normalised_hypervolume

Matrix = npt.NDArray[np.float64]

OPTIMISM = 0.4  # quantile of the factors: two trainings in five did better than is hoped for
FEWEST_CURVES = 10  # below, too little is known of how trainings go
# Share of the hypervolume that a network has to add: some dozens of them given up by mistake cost a hundredth at most.
NOTICEABLE = 2.5e-4
ROUNDING = 1e-12  # of a hypervolume
HALVINGS = 20  # of the errors in question
ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When one training ends before its last epoch.

    Attributes:
        factors: For each epoch but the last, what the error after it may still be multiplied with.
        to_beat: For each epoch but the last, the error that the best network still to come has to stay below.
        usual: For each epoch but the last, by what factor a training's last error usually is lower than that after it.
    """

    factors: tuple[float, ...]
    to_beat: tuple[float, ...]
    usual: tuple[float, ...]

    def ends(self, curve: Sequence[float]) -> bool:
        """Return whether a training with these errors, one for each epoch so far, has nothing to gain any more."""
        last = len(curve) - 1
        if last >= len(self.factors):
            return False
        # One epoch is noise: the better one of two counts.
        return min(curve[-2:]) * self.factors[last] >= self.to_beat[last]

    def expected(self, curve: Sequence[float]) -> float:
        """Return what a training that ends after these errors would usually have come to."""
        return min(curve[-2:]) * self.usual[len(curve) - 1]


def factors(
    curves: Iterable[Sequence[float]], epochs: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return for each epoch but the last by what factor the error may be hoped to fall still, and usually ends lower.

    Args:
        curves: Errors of earlier trainings, epoch by epoch and at last that of the firmware.
        epochs: Of the training in question.

    Returns:
        None if there are fewer than ten curves.
    """
    found = [_factors_of(np.asarray(curve), epochs) for curve in curves if len(curve) >= 3]
    if len(found) < FEWEST_CURVES:
        return None
    best, last = np.stack(found, axis=1)  # n x (epochs - 1) each
    return tuple(np.quantile(best, OPTIMISM, axis=0).tolist()), tuple(np.median(last, axis=0).tolist())


def _factors_of(curve: Matrix, epochs: int) -> Matrix:
    """Return a curve's best later error and its last one as factors, at another number of epochs' shares, 2 x ."""
    own = len(curve) - 1
    now = np.minimum(curve[:-1], np.concatenate([curve[:1], curve[:-2]]))  # the better one of two epochs
    later = np.minimum.accumulate(curve[::-1])[::-1][1:]
    ratios = np.stack([later, np.broadcast_to(curve[-1], own)]) / np.maximum(now, np.finfo(float).tiny)
    places = np.ceil(np.arange(1, epochs) / epochs * own).astype(int) - 1
    return np.asarray(ratios[:, places])


def error_to_beat(
    sizes: Mapping[str, float], front: Sequence[Mapping[str, float]], scales: Mapping[str, float]
) -> float:
    """Return the largest error with which a network of known sizes would still add a noticeable share to the front.

    Args:
        sizes: All objectives but the error.
        front: Objectives of the networks on the front.
        scales: Of all objectives: the value from which a network adds no hypervolume in any case.
    """
    limits = list(scales.values())
    found = np.array([[network[name] for name in scales] for network in front]).reshape(-1, len(limits))
    volume = normalised_hypervolume(found, limits)

    def is_noticed(error: float) -> bool:
        network = {**sizes, ERROR: error}
        new = [network[name] for name in scales]
        gain = normalised_hypervolume(np.vstack([found, new]), limits) - volume
        return gain > max(NOTICEABLE * volume, ROUNDING)

    if not is_noticed(0.0):
        return 0.0
    low, high = 0.0, scales[ERROR]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_noticed(middle) else (low, middle)
    return high
