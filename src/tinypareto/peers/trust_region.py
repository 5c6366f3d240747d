"""A box around a good point that grows with successes and shrinks with failures: what TuRBO and MORBO have in common.

    L        edge of the box before it is stretched, in units of the cube's edge
    stretch  p factors of the edges, one for each free parameter, whose geometric mean is 1

Nothing is stored: the region of a trial follows from the outcomes of the trials before it, told one after another.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tinypareto.search.design import seen_among
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

CANDIDATES_PER_PARAMETER, MOST_CANDIDATES = 100, 5000
CHANGED = 20  # parameters that a candidate changes on average, where there are more


@dataclass(frozen=True, kw_only=True)
class RegionRules:
    """When a trust region grows, shrinks and ends.

    Attributes:
        initial: L at the beginning.
        shortest: A region whose L falls below ends, and another begins.
        longest: L never exceeds it.
        to_grow: Successes in a row that double L; None: it never grows.
        to_shrink: Failures in a row that halve L.
    """

    initial: float = 0.8
    shortest: float = 0.5**7
    longest: float = 1.6
    to_grow: int | None = 3
    to_shrink: int


@dataclass(frozen=True, kw_only=True)
class TrustRegion:
    """A region's state before a trial.

    Attributes:
        length: L.
        first: Number of the trial with which the region began; 0 for the first region.
        successes: In a row, since L last changed.
        failures: Likewise.
    """

    length: float
    first: int = 0
    successes: int = 0
    failures: int = 0

    def after(self, number: int, success: bool, rules: RegionRules) -> "TrustRegion":
        """Return the state after trial ``number``; a new region begins with the trial after it."""
        if success:
            region = replace(self, successes=self.successes + 1, failures=0)
            if region.successes == rules.to_grow:
                region = replace(region, length=min(2.0 * self.length, rules.longest), successes=0)
            return region
        region = replace(self, successes=0, failures=self.failures + 1)
        if region.failures >= rules.to_shrink:
            region = replace(region, length=0.5 * self.length, failures=0)
        if region.length < rules.shortest:
            return TrustRegion(length=rules.initial, first=number + 1)
        return region


def half_edges(length: float, stretch: Matrix) -> Matrix:
    """Return half the edges, p, of a region whose edges are L times ``stretch``, made to have geometric mean 1."""
    logarithms = np.log(stretch)
    return np.asarray(0.5 * length * np.exp(logarithms - logarithms.mean()))


def candidates(
    space: Space, centre: Matrix, length: float, stretch: Matrix, seen: Matrix, rng: np.random.Generator
) -> Matrix:
    """Return new points of the region, q x d; where it has none the centre's new neighbours; q may be 0.

    A candidate takes each parameter from a Sobol point of the region with probability min(20 / p, 1), and the others
    from the centre. Of categories none is nearer than another, so such a parameter is drawn anew with probability L.

    Args:
        space: What may be varied.
        centre: Of the region, d.
        length: L.
        stretch: Of the region's edges, p.
        seen: Points that are not to be suggested again, n x d.
        rng: Source of randomness.
    """
    p, groups, ordered = space.n_free, space.groups, ~space.categorical
    unit = _sobol(p, rng)
    count = len(unit)
    middle, half = np.full(p, 0.5), np.full(p, 0.5)  # a drawn category is any
    columns = np.flatnonzero(ordered[groups])  # an ordered parameter has one column, equal to its share
    middle[ordered], half[ordered] = centre[columns], half_edges(length, stretch)[ordered]
    low, high = np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)
    placed = space.from_shares(low + unit * (high - low))  # q x d
    changed = rng.random((count, p)) < min(CHANGED / p, 1.0)
    changed[np.arange(count), rng.integers(p, size=count)] |= ~changed.any(axis=1)  # never the centre itself
    changed &= ordered | (rng.random((count, p)) < length)
    mixed = np.where(changed[:, groups], placed, centre)
    new = _new(space.round_points(mixed), seen)
    return new if len(new) else _new(space.neighbours(centre), seen)


def global_candidates(space: Space, seen: Matrix, rng: np.random.Generator) -> Matrix:
    """Return new points, q x d, from all over the space; q may be 0."""
    return _new(space.from_shares(_sobol(space.n_free, rng)), seen)


def _sobol(p: int, rng: np.random.Generator) -> Matrix:
    count = min(CANDIDATES_PER_PARAMETER * p, MOST_CANDIDATES)
    return np.asarray(qmc.Sobol(p, rng=rng).random_base2(int(np.ceil(np.log2(count))))[:count])


def _new(points: Matrix, seen: Matrix) -> Matrix:
    points = np.unique(points, axis=0)
    return points[~seen_among(points, seen)]
