"""Points chosen without a model: the Latin hypercube, and points nobody has tried yet."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

SAME = 1e-9  # points closer than this along every coordinate are the same
N_RANDOM_TRIES = 256


def latin_hypercube(space: Space, size: int, seed: int, trial_number: int) -> Matrix:
    """Return one row, d, of a Latin hypercube; the trials of a design meet each cell of each parameter once.

    Args:
        space: One coordinate of the design per parameter, so categories are balanced too.
        size: Rows of a design; trial ``size`` begins the next one.
        seed: Of the study.
        trial_number: Which row.
    """
    if space.n_free == 0:
        return np.empty(0)
    block, row = divmod(trial_number, size)
    rng = np.random.default_rng([seed, block, 0])
    shares = qmc.LatinHypercube(space.n_free, rng=rng).random(size)
    return np.asarray(space.from_shares(shares[row : row + 1])[0])


def seen_among(points: Matrix, seen: Matrix) -> npt.NDArray[np.bool_]:
    """Return, for points q x d, which of them are among the points ``seen``, n x d.

    NaN, of a parameter that was not asked for, is the same as anything.
    """
    gaps = np.abs(points[:, None, :] - seen[None, :, :])  # q x n x d
    apart = np.any(gaps >= SAME, axis=2)
    return np.asarray((~apart).any(axis=1))


def unseen_point(space: Space, seen: Matrix, rng: np.random.Generator, *, otherwise: Matrix) -> Matrix:
    """Return a random point, d, that is not among ``seen``, n x d; ``otherwise`` if none is left."""
    if space.n_free == 0:
        return otherwise
    tries = space.from_shares(rng.random((N_RANDOM_TRIES, space.n_free)))
    new = np.flatnonzero(~seen_among(tries, seen))
    if len(new):
        return np.asarray(tries[new[0]])
    if space.n_points is None:
        return otherwise
    if np.isnan(seen).any():
        point = _unmatched_point(space, seen)
        return otherwise if point is None else point
    # Of n + 1 different grid points at least one is new, unless the whole grid is known.
    first = int(rng.integers(min(space.n_points, 2**62)))
    for offset in range(min(len(seen) + 1, space.n_points)):
        point = space.grid_point((first + offset) % space.n_points)
        if not seen_among(point[None], seen)[0]:
            return point
    return otherwise


def _unmatched_point(space: Space, seen: Matrix) -> Matrix | None:
    """Return a point of a grid, d, that is not among ``seen``, n x d with NaN; None if all are.

    A row of ``seen`` may stand for a large part of the grid, so that counting through the grid would take too long.
    """
    columns = [np.flatnonzero(space.groups == group) for group in range(space.n_free)]
    # What decides whether others are asked for is asked for itself more often than they are.
    order = np.argsort([np.isnan(seen[:, own]).any(axis=1).sum() for own in columns], kind="stable")
    levels = space.levels(at_most=len(seen) + 1)
    ordered = np.concatenate([columns[group] for group in order])
    found = _unmatched_values([levels[group] for group in order], seen[:, ordered])
    return None if found is None else found[np.argsort(ordered)]


def _unmatched_values(levels: Sequence[Matrix], seen: Matrix) -> Matrix | None:
    """Return one value's columns for each parameter, depth first; ``seen`` has the columns in the same order."""
    if np.isnan(seen).all(axis=1).any():  # all that is left of a row is the same as anything
        return None
    if not levels:
        return np.empty(0)
    here, further = seen[:, : levels[0].shape[1]], seen[:, levels[0].shape[1] :]
    named = np.unique(here[~np.isnan(here).any(axis=1)], axis=0)
    unnamed = levels[0][~seen_among(levels[0], named)]
    for value in np.concatenate([unnamed[:1], named]):  # all unnamed ones leave the same rows
        rest = _unmatched_values(levels[1:], further[seen_among(here, value[None])])
        if rest is not None:
            return np.concatenate([value, rest])
    return None
