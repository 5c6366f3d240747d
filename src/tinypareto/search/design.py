"""Points chosen without a model: the Latin hypercube, and points nobody has tried yet."""

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
    """Return, for points q x d, which of them are among the points ``seen``, n x d."""
    gaps = np.abs(points[:, None, :] - seen[None, :, :]).max(axis=2, initial=0.0)  # q x n
    return np.asarray((gaps < SAME).any(axis=1))


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
    # Of n + 1 different grid points at least one is new, unless the whole grid is known.
    first = int(rng.integers(min(space.n_points, 2**62)))
    for offset in range(min(len(seen) + 1, space.n_points)):
        point = space.grid_point((first + offset) % space.n_points)
        if not seen_among(point[None], seen)[0]:
            return point
    return otherwise
