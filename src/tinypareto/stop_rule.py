"""A training is stopped when no network that it has still to pass through can improve the front noticeably any more.

    t        epochs done
    k        a network to come, before a pruning step or the last one: after n_k epochs, n_k' of them its own, since
             the pruning step before; s_k the mean logarithm of what is known of its sizes
    e_t      validation error of the float network with mean weights of epoch t; if the epoch before had the same
             filters, the lower one of the two
    f_k      E_k / e_t, the factor by which the error still changes until k
             of the network that is being trained: as those of earlier trainings at about the same share of n_k'
             of one with fewer filters: log f = a + b (s_t - s_k) + c log n_k' + r, by least squares over earlier
             trainings
    reach_k  e_t times a low quantile of f_k
    beat_k   the largest error with which k would add to the front's hypervolume as much as can be noticed

The training ends where reach_k >= beat_k for every k. What it would have come to is estimated as e_t times the median
of f of its last network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinypareto.front import normalised_hypervolume

Matrix = npt.NDArray[np.float64]

# Quantiles of the factor by which an error still changes: one in five did better than is hoped for, one in ten with
# fewer filters, of which less is known beforehand.
HOPE, HOPE_WITH_FEWER_FILTERS = 0.2, 0.1
MEDIAN = 0.5
FEWEST_COURSES = 10  # below, too little is known of how trainings go
ALIKE = (10, 6)  # earlier networks at the same share of their epochs: at least so many, or one in so many
LEAST_ERROR = 1e-3  # below, ratios of errors say nothing
# Share of the hypervolume that a network has to add: some dozens of them given up by mistake cost a hundredth at most.
NOTICEABLE = 2.5e-4
ROUNDING = 1e-12  # of a hypervolume
HALVINGS = 20  # of the errors in question
ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """A network that a training passes through, or its last one."""

    epochs: int  # of training by then
    size: float  # mean logarithm of what is known of its sizes


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training went that came to its end.

    Attributes:
        curve: Error of the float network after each epoch.
        error: Of the last network, as firmware.
        waypoints: The networks that it passed through and the last one.
    """

    curve: Sequence[float]
    error: float
    waypoints: Sequence[Waypoint]


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When one training ends before its last epoch.

    Attributes:
        waypoints: Epochs after which a network is there that could be deployed; the last one is the training's.
        hoped: For each epoch but the last, what multiple of the error after it may be hoped for at each waypoint.
        to_beat: For each waypoint, the error that it has to stay below.
        usual: For each epoch but the last, the same factor as a training's last error usually has it.
    """

    waypoints: tuple[int, ...]
    hoped: tuple[tuple[float, ...], ...]
    to_beat: tuple[float, ...]
    usual: tuple[float, ...]

    def ends(self, curve: Sequence[float]) -> bool:
        """Return whether a training with these errors, one for each epoch so far, has nothing to gain any more."""
        done = len(curve)
        if done > len(self.hoped):
            return False
        now = _now(curve, done, self.waypoints)
        to_come = zip(self.waypoints, self.hoped[done - 1], self.to_beat, strict=True)
        return all(now * factor >= error for epochs, factor, error in to_come if epochs > done)

    def expected(self, curve: Sequence[float]) -> float:
        """Return what a training that ends after these errors would usually have come to."""
        return _now(curve, len(curve), self.waypoints) * self.usual[len(curve) - 1]


NEVER = StopRule(waypoints=(), hoped=(), to_beat=(), usual=())


@dataclass(frozen=True, kw_only=True)
class Experience:
    """How errors changed in earlier trainings.

    Attributes:
        shares: Of its own epochs that a network had been trained for, rising, n.
        changes: Logarithms of the factors by which its error still changed from there on, n.
        weights: a, b, c of the module's formula.
        residuals: r of earlier trainings.
    """

    shares: Matrix
    changes: Matrix
    weights: Matrix
    residuals: Matrix

    def of_current(self, share: float, quantile: float) -> float:
        """Return a quantile of the factor for the network that is being trained, a share of its own epochs done."""
        count = min(max(ALIKE[0], len(self.shares) // ALIKE[1]), len(self.shares))
        alike = np.argsort(np.abs(self.shares - share), kind="stable")[:count]
        return float(np.exp(np.quantile(self.changes[alike], quantile)))

    def of_smaller(self, shrinkage: float, own_epochs: int, quantile: float) -> float:
        """Return the same for one whose size's logarithm is smaller by ``shrinkage``, trained for its own epochs.

        Where no training was pruned so far, everything is to be hoped for.
        """
        if not len(self.residuals):
            return 0.0 if quantile < MEDIAN else 1.0
        centre = self.weights @ [1.0, shrinkage, np.log(own_epochs)]
        return float(np.exp(centre + np.quantile(self.residuals, quantile)))


def experience(courses: Sequence[Course]) -> Experience | None:
    """Return what earlier trainings teach; None if they are fewer than ten."""
    watched = [course for course in courses if course.curve]
    current = np.array([row for course in watched for row in _changes_of_current(course)]).reshape(-1, 2)
    smaller = np.array([row for course in watched for row in _changes_of_smaller(course)]).reshape(-1, 3)
    if len(watched) < FEWEST_COURSES:
        return None
    features = np.column_stack([np.ones(len(smaller)), smaller[:, 0], np.log(smaller[:, 1])])
    weights = np.linalg.lstsq(features, smaller[:, 2])[0]
    return Experience(
        shares=current[:, 0],
        changes=current[:, 1],
        weights=weights,
        residuals=smaller[:, 2] - features @ weights,
    )


def stop_rule(known: Experience, waypoints: Sequence[Waypoint], to_beat: Sequence[float]) -> StopRule:
    """Return when a training ends that will pass through these networks and has these errors to beat, one for each."""
    epochs = tuple(one.epochs for one in waypoints)
    done = range(1, epochs[-1])
    return StopRule(
        waypoints=epochs,
        hoped=tuple(
            tuple(_factor(known, waypoints, t, k, hoping=True) for k in range(len(epochs))) for t in done
        ),
        to_beat=tuple(to_beat),
        usual=tuple(_factor(known, waypoints, t, len(epochs) - 1, hoping=False) for t in done),
    )


def error_to_beat(
    sizes: Mapping[str, float], front: Sequence[Mapping[str, float]], scales: Mapping[str, float]
) -> float:
    """Return the largest error with which a network of known sizes would still add a noticeable share to the front.

    Args:
        sizes: All objectives but the error.
        front: Objectives of the networks on the front.
        scales: Of all objectives: the value from which a network adds no hypervolume in any case.
    """
    found = np.array([[network[name] for name in scales] for network in front]).reshape(-1, len(scales))
    volume = normalised_hypervolume(found, list(scales.values()))

    def is_noticed(error: float) -> bool:
        new = [{**sizes, ERROR: error}[name] for name in scales]
        gain = normalised_hypervolume(np.vstack([found, new]), list(scales.values())) - volume
        return gain > max(NOTICEABLE * volume, ROUNDING)

    if not is_noticed(0.0):
        return 0.0
    low, high = 0.0, scales[ERROR]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_noticed(middle) else (low, middle)
    return high


def _factor(
    known: Experience, waypoints: Sequence[Waypoint], done: int, place: int, *, hoping: bool
) -> float:
    current = _current(done, [one.epochs for one in waypoints])
    own = _own_epochs(waypoints, place)
    if place <= current:
        share = min((done - waypoints[place].epochs + own) / own, 1.0)
        return known.of_current(share, HOPE if hoping else MEDIAN)
    shrinkage = waypoints[current].size - waypoints[place].size
    return known.of_smaller(shrinkage, own, HOPE_WITH_FEWER_FILTERS if hoping else MEDIAN)


def _changes_of_current(course: Course) -> Iterator[tuple[float, float]]:
    """Yield share of a network's own epochs, and the logarithm of the factor by which its error still changed."""
    epochs = [one.epochs for one in course.waypoints]
    for done in range(1, len(course.curve) + 1):
        place = _current(done, epochs)
        own = _own_epochs(course.waypoints, place)
        if done < epochs[place] or place == len(epochs) - 1:
            yield (done - epochs[place] + own) / own, _change(course, done, place)


def _changes_of_smaller(course: Course) -> Iterator[tuple[float, int, float]]:
    """Yield shrinkage, own epochs of a network to come, and the logarithm of its error's factor."""
    epochs = [one.epochs for one in course.waypoints]
    for done in range(1, len(course.curve) + 1):
        current = _current(done, epochs)
        for place in range(current + 1, len(epochs)):
            shrinkage = course.waypoints[current].size - course.waypoints[place].size
            yield shrinkage, _own_epochs(course.waypoints, place), _change(course, done, place)


def _change(course: Course, done: int, place: int) -> float:
    epochs = [one.epochs for one in course.waypoints]
    then = course.error if place == len(epochs) - 1 else course.curve[epochs[place] - 1]
    now = _now(course.curve, done, epochs)
    return float(np.log(max(then, LEAST_ERROR) / max(now, LEAST_ERROR)))


def _current(done: int, waypoints: Sequence[int]) -> int:
    """Return which network was trained in the last of so many epochs."""
    return next(place for place, epochs in enumerate(waypoints) if epochs >= done)


def _own_epochs(waypoints: Sequence[Waypoint], place: int) -> int:
    return waypoints[place].epochs - (waypoints[place - 1].epochs if place else 0)


def _now(curve: Sequence[float], done: int, waypoints: Sequence[int]) -> float:
    """Return the error after so many epochs. One epoch is noise: of two with the same filters the better one counts."""
    begins = done == 1 or done - 1 in waypoints
    return curve[done - 1] if begins else min(curve[done - 2 : done])
