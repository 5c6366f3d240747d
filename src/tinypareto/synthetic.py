"""``bumps``: the synthetic problem on which the published method was shown to find a global minimum.

One objective on [0, 32]^2, a sum of Gaussian bumps, the global minimum at (15, 5) and a prior of five
points that lies only in the upper left, far from it. The coefficients were not published; these
agree with the published picture (places, depths and widths of its minima and maxima). Symbols: n points.
"""

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, FloatDistribution

from tinypareto.errors import ShapeError

Points = npt.NDArray[np.float64]

EDGE = 32.0

# height, centre, width. The neighbours pull at the deepest bump, so its centre is set off by 0.06: this puts
# the minimum of the SUM at (15, 5).
BUMPS = np.array([
    [-4.0, 14.959446, 5.045738, 2.5],
    [-2.0, 20.0, 15.0, 3.0],
    [-2.0, 5.0, 10.0, 2.5],
    [-1.5, 8.0, 25.0, 1.5],
    [-1.5, 21.0, 25.0, 1.5],
    [5.0, 15.0, 20.0, 3.0],
    [4.0, 25.0, 10.0, 3.0],
    [2.0, 10.0, 10.0, 2.5],
    [1.3, 25.0, 16.0, 1.5],
    [1.3, 5.0, 14.0, 1.5],
])  # fmt: skip

GLOBAL_MINIMUM_AT = (15.0, 5.0)
GLOBAL_MINIMUM = -3.960317


def bumps(points: npt.ArrayLike) -> Points:
    """Return the objective, n, to be minimised, at points n x 2 of [0, 32]^2.

        f(x) = sum_i h_i exp(-|x - c_i|^2 / (2 w_i^2))

    Raises:
        ShapeError: If ``points`` is not n x 2.

    Example:
        >>> round(float(bumps([[15.0, 5.0]])[0]), 2)
        -3.96
    """
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"Points must be n x 2, got {x.shape}; write one point as [[x, y]].")
    squared = np.square(x[:, None, :] - BUMPS[:, 1:3]).sum(axis=-1)  # n x 10
    return np.asarray(np.exp(-squared / (2.0 * np.square(BUMPS[:, 3]))) @ BUMPS[:, 0])


def bumps_space() -> dict[str, BaseDistribution]:
    """Return the search space: ``theta_0`` and ``theta_1``, both in [0, 32]."""
    return {name: FloatDistribution(0.0, EDGE) for name in ("theta_0", "theta_1")}


def bumps_prior(seed: int, n_points: int = 5) -> Points:
    """Return the points known beforehand, n_points x 2: uniform in 0 < theta_0 < 10, 15 < theta_1 < 25."""
    rng = np.random.default_rng(seed)
    return rng.uniform([0.0, 15.0], [10.0, 25.0], size=(n_points, 2))
