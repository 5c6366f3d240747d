"""BoTorch's box decompositions in less time, so that qLogNEHVI's runs end within days.

qLogNEHVI decomposes the free region once for each of its 128 samples. From three objectives on BoTorch does that by
Lacour's incremental algorithm, with PyTorch calls on tiny tensors; they take most of a suggestion's time. The same
steps in NumPy give the same boxes, bit for bit and in the same order, so qLogNEHVI suggests the same points. Only
bench_search.py uses this. The times in bench_suggestion.py are BoTorch's own.

Source: Lacour, Klamroth and Fonseca (2017), algorithm 1 and equation 2.
"""

import numpy as np
import torch
from botorch.utils.multi_objective.box_decompositions import box_decomposition, non_dominated, utils
from torch import Tensor


def updated_bounds(new_pareto_Y: Tensor, U: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Return local upper bounds, n' x m, and the points that define them, n' x m x m, after adding points."""
    bounds, defining = U.numpy(), Z.numpy()
    for point in new_pareto_Y.numpy():
        hit = (bounds > point).all(axis=1)
        split = [_split(bounds[hit], defining[hit], point, axis) for axis in range(len(point)) if hit.any()]
        bounds = np.concatenate([bounds[~hit], *(part for part, _ in split)])
        defining = np.concatenate([defining[~hit], *(part for _, part in split)])
    return torch.from_numpy(bounds), torch.from_numpy(defining)


def _split(
    bounds: np.ndarray, defining: np.ndarray, point: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is left of bounds, a x m, below ``point`` along ``axis``; where that is redundant, nothing."""
    others = np.delete(defining[:, :, axis], axis, axis=1).max(axis=1)
    kept = point[axis] >= others
    bounds, defining = bounds[kept].copy(), defining[kept].copy()
    bounds[:, axis] = point[axis]
    defining[:, axis] = point
    return bounds, defining


def cell_bounds(Z: Tensor, U: Tensor, ref_point: Tensor) -> Tensor:
    """Return lower and upper corners of the boxes, 2 x b x m."""
    upper, defining = U.clone(), Z
    upper[:, 0] = ref_point[0]
    lower = [defining[:, 0, 0], *(defining[:, :j, j].amax(1) for j in range(1, U.shape[1]))]
    bounds = torch.stack([torch.stack(lower, dim=1), upper])
    return bounds[:, ~(bounds[1] <= bounds[0]).any(dim=-1)]


def use_fast_boxes() -> None:
    """Replace BoTorch's functions in this process.

    Raises:
        RuntimeError: If another version of BoTorch builds other boxes.
    """
    rng = np.random.default_rng(0)
    front = torch.from_numpy(rng.dirichlet(np.ones(4), size=15))
    reference = torch.full((4,), -0.2, dtype=torch.float64)
    before = non_dominated.FastNondominatedPartitioning(reference, front).get_hypercell_bounds()
    for module in (utils, box_decomposition, non_dominated):
        for name, function in (
            ("update_local_upper_bounds_incremental", updated_bounds),
            ("get_partition_bounds", cell_bounds),
        ):
            if hasattr(module, name):
                setattr(module, name, function)
    after = non_dominated.FastNondominatedPartitioning(reference, front).get_hypercell_bounds()
    if not torch.equal(before, after):
        raise RuntimeError("BoTorch's boxes must stay the same, but differ; leave use_fast_boxes out.")
