"""Where trials fail: a Gaussian process of labels, -1 for success and 1 for failure.

A step from success to failure looks like roughness to marginal likelihood, which answers with lengthscales so short
that no failure says anything of its neighbours. It decides which parameters matter; none gets shorter than SHORTEST.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.search.gaussian_process import GaussianProcesses, condition
from tinypareto.search.marginal_likelihood import fit

Matrix = npt.NDArray[np.float64]

SHORTEST = 0.2  # lengthscale, in units of the cube's edge
VARIANCE = 1.0
NOISE = 0.01  # variance: some trials fail by chance


def fit_failures(succeeded: Matrix, failed: Matrix, groups: torch.Tensor) -> GaussianProcesses:
    """Return the posterior of the labels, one output: positive where failure is likelier than success.

    Args:
        succeeded: Points of trials that succeeded, p x d.
        failed: Points of trials that failed, q x d.
        groups: Number of the parameter to which each of the d columns belongs.
    """
    points = torch.from_numpy(np.concatenate([succeeded, failed])).to(groups.device)
    labels = torch.ones((len(points), 1), dtype=points.dtype, device=points.device)
    labels[: len(succeeded)] = -1.0
    likeliest = fit(points, labels, groups).hyperparameters
    believed = replace(
        likeliest,
        lengthscales=likeliest.lengthscales.clamp_min(SHORTEST),
        variances=torch.full_like(likeliest.variances, VARIANCE),
        noises=torch.full_like(likeliest.noises, NOISE),
    )
    return condition(points, labels, groups, believed)
