"""Known functions -> Gaussian processes that imitate them.

What the functions give at points all over the space is the same in every suggestion of a study, so hyperparameters are
fitted to that alone, and once; what was looked up elsewhere only enters the posterior.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.search.gaussian_process import GaussianProcesses, Hyperparameters, condition
from tinypareto.search.marginal_likelihood import fit

Matrix = npt.NDArray[np.float64]


def imitation(
    points: Matrix,
    answers: Matrix,
    groups: npt.NDArray[np.int64],
    n_spread: int,
    *,
    choose_kernel: bool,
    device: torch.device,
) -> GaussianProcesses:
    """Return posteriors of f functions given their values.

    Args:
        points: Where they were asked, N x d.
        answers: What they gave, standardised, N x f.
        groups: Number of the parameter of each of the d columns.
        n_spread: How many points, the first ones, are the same in every suggestion.
        choose_kernel: Let the squared exponential compete with Matern-5/2.
        device: Where to compute.
    """
    asked = (points[:n_spread].tobytes(), answers[:n_spread].tobytes(), tuple(groups.tolist()))
    found = _hyperparameters(*asked, choose_kernel, device)
    x, y, of = (torch.from_numpy(array).to(device) for array in (points, answers, groups))
    return condition(x, y, of, found)


@lru_cache(maxsize=16)
def _hyperparameters(
    points: bytes, answers: bytes, groups: tuple[int, ...], choose_kernel: bool, device: torch.device
) -> Hyperparameters:
    x = torch.frombuffer(bytearray(points), dtype=torch.float64).reshape(-1, len(groups))
    y = torch.frombuffer(bytearray(answers), dtype=torch.float64).reshape(len(x), -1)
    return fit(
        x.to(device), y.to(device), torch.tensor(groups, device=device), choose_kernel=choose_kernel
    ).hyperparameters
