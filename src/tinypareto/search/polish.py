"""The last touch: gradients bring the best policies' ends to the top of the hills that they found.

Policies find the hills, and on wide ones they stand at the top. Where constraints leave a narrow ridge, random
directions come forward slowly, and a few steps along the gradient win much. Parameters without a continuum stay as
they are.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

APART = 0.02  # of the cube's edge: ends closer than this along every coordinate stand on the same hill
MOST_STEPS = 30


def polished_ends(
    space: Space, paths: Matrix, reward: Callable[[Tensor], Tensor], n_polished: int, device: torch.device
) -> Matrix:
    """Return each policy's best point, L x d, that of the best policies improved by L-BFGS-B.

    Args:
        space: What may be varied.
        paths: Points that the policies met, L x p x d, in the cube; judged at the nearest parameter values.
        reward: From points q x d to rewards q, with gradients; larger is better.
        n_polished: How many policies' ends to improve, those with the largest rewards.
        device: Where the reward lives.
    """
    n_policies, length, d = paths.shape
    points = space.round_points(paths.reshape(-1, d))
    with torch.no_grad():
        values = reward(torch.from_numpy(points).to(device)).cpu().numpy().reshape(n_policies, length)
    rows = np.arange(n_policies)
    ends: Matrix = points.reshape(paths.shape)[rows, values.argmax(axis=1)]
    free = space.continuous_columns
    if free.any():
        for row in _apart(ends, np.argsort(-values.max(axis=1), kind="stable"), n_polished):
            ends[row] = _climbed(ends[row], free, reward, device)
    return ends


def _apart(ends: Matrix, order: npt.NDArray[np.int64], most: int) -> list[int]:
    chosen: list[int] = []
    for row in order:
        if len(chosen) < most and all(np.abs(ends[row] - ends[other]).max() > APART for other in chosen):
            chosen.append(int(row))
    return chosen


def _climbed(
    start: Matrix, free: npt.NDArray[np.bool_], reward: Callable[[Tensor], Tensor], device: torch.device
) -> Matrix:
    """Return a point with at least the start's reward, moved along the free columns."""

    def loss(moved: Matrix) -> tuple[float, Matrix]:
        whole = start.copy()
        whole[free] = moved
        point = torch.from_numpy(whole).to(device)[None].requires_grad_()
        value = -reward(point)[0]
        (slope,) = torch.autograd.grad(value, point)
        # Far from everything the reward is cut off, and 0 times infinity is no slope.
        return float(value.detach()), np.nan_to_num(slope[0].cpu().numpy()[free], posinf=0.0, neginf=0.0)

    before = loss(start[free])[0]
    bounds = [(0.0, 1.0)] * int(free.sum())
    end = minimize(
        loss, start[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MOST_STEPS}
    )
    result = start.copy()
    if end.fun < before:
        result[free] = np.clip(end.x, 0.0, 1.0)
    return result
