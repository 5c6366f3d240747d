"""The competing policies: each is trained from its own start, all of them in one batch.

Training has one stage for each reach. A stage begins with fresh policies at the points where the one before
ended, so that first the neighbourhood is searched and then its best place is approached.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.search.ars import train
from tinypareto.search.config import SearchConfig
from tinypareto.search.policies import PolicyShape, initial_weights, roll_out
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]
Reward = Callable[[Tensor], Tensor]  # points q x d to rewards q; larger is better


def trained_paths(
    space: Space, starts: Tensor, reward: Reward, config: SearchConfig, rng: np.random.Generator
) -> Matrix:
    """Return where the trained policies went, L x p x d, starts first, not rounded.

    In each stage that is the walk of the trained policy, H points, and then, if ``config.remember``, the
    best point that it met in training.

    Args:
        space: A point's reward is that of the parameter values nearest to it.
        starts: Where the policies begin, L x d; they are trained where this tensor lives.
        reward: What a point is worth.
        config: Settings.
        rng: Source of randomness.
    """
    points, ars = starts, config.training(space)
    paths = [points[:, None, :]]
    for reach in config.reaches:
        shape = PolicyShape(
            n_columns=space.n_columns, n_hidden=config.n_hidden, reach=reach, horizon=config.horizon
        )
        stage = _Stage(space, reward, shape, points, remember=config.remember)
        weights = train(initial_weights(shape, points, rng), stage.score, ars, rng)
        paths.append(roll_out(shape, weights, points))
        if config.remember:
            stage.score(weights[:, None, :])
            points = stage.best_points
            paths.append(points[:, None, :])
    return torch.cat(paths, dim=1).cpu().numpy()


class _Stage:
    """Scores weights by the best point of their walks and remembers the best point of each policy."""

    def __init__(
        self, space: Space, reward: Reward, shape: PolicyShape, starts: Tensor, *, remember: bool
    ) -> None:
        self.space, self.reward, self.shape, self.starts = space, reward, shape, starts
        self.remember = remember
        self.continuous = bool(space.continuous_columns.all())
        self.best_points = starts
        if remember:
            self.best_values = self._rewards(starts)

    def score(self, weights: Tensor) -> Tensor:
        """Return the rewards, L x b, of b sets of weights for each policy, L x b x w."""
        n_policies, batch, _ = weights.shape
        begin = self.starts[:, None, :].expand(-1, batch, -1).reshape(n_policies * batch, -1)
        path = roll_out(self.shape, weights.reshape(n_policies * batch, -1), begin)  # Lb x H x d
        values = self._rewards(path.reshape(-1, self.shape.n_columns)).reshape(n_policies, batch, -1)
        if self.remember:
            self._note(path.reshape(n_policies, -1, self.shape.n_columns), values.reshape(n_policies, -1))
        return values.amax(-1)

    def _rewards(self, points: Tensor) -> Tensor:
        if self.continuous:  # a walk never leaves the cube
            return self.reward(points)
        rounded = torch.from_numpy(self.space.round_points(points.cpu().numpy()))
        return self.reward(rounded.to(points.device))

    def _note(self, points: Tensor, values: Tensor) -> None:
        best, place = values.max(dim=1)
        better = best > self.best_values
        found = points[torch.arange(len(points), device=points.device), place]
        self.best_points = torch.where(better[:, None], found, self.best_points)
        self.best_values = torch.where(better, best, self.best_values)
