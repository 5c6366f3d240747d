"""Local policies: small networks that see a point and move it, all of them in one batch of tensors.

A policy's weights are one row of length ``n_weights``. A batch b of policies walks together; the only
loop is the one over the horizon.

    hidden = tanh(W1 (2x - 1) + b1)
    x     <- clip(x + reach * tanh(W2 hidden + b2), 0, 1)
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PolicyShape:
    """The size of every policy and how far one of its moves may go.

    Attributes:
        n_columns: Number d of coordinates that a policy sees and moves.
        n_hidden: Width of its one hidden layer.
        reach: Longest move along a coordinate, in units of the cube's edge.
        horizon: Number H of moves of a rollout.
    """

    n_columns: int
    n_hidden: int
    reach: float
    horizon: int

    @property
    def n_weights(self) -> int:
        """Length of a policy's row of weights."""
        return self.n_hidden * (self.n_columns + 1) + self.n_columns * (self.n_hidden + 1)


def initial_weights(shape: PolicyShape, starts: Tensor, rng: np.random.Generator) -> Tensor:
    """Return weights, L x n_weights, of policies that stay where they start, L x d.

    The hidden layer is random, so that directions of the weights have different effects; the last layer
    is zero, so that no direction of the cube is favoured before training.
    """
    n_policies, fan_in = len(starts), shape.n_columns + 1
    weights = np.zeros((n_policies, shape.n_weights))
    hidden = rng.standard_normal((n_policies, shape.n_hidden * fan_in))
    weights[:, : shape.n_hidden * fan_in] = hidden / np.sqrt(fan_in)
    return torch.from_numpy(weights).to(starts.device)


def roll_out(shape: PolicyShape, weights: Tensor, starts: Tensor) -> Tensor:
    """Let every policy walk from its start.

    Args:
        shape: Size of the policies.
        weights: Weights of b policies, b x n_weights.
        starts: Where each begins, b x d.

    Returns:
        The points after each move, b x H x d, inside the unit cube; the start is not among them.
    """
    d, h = shape.n_columns, shape.n_hidden
    inner, inner_bias = weights[:, : h * d].reshape(-1, h, d), weights[:, h * d : h * (d + 1), None]
    rest = weights[:, h * (d + 1) :]
    outer, outer_bias = rest[:, : d * h].reshape(-1, d, h), rest[:, d * h :, None]
    point = starts
    path = []
    for _ in range(shape.horizon):
        seen = (2.0 * point - 1.0)[:, :, None]  # b x d x 1
        hidden = torch.tanh(torch.baddbmm(inner_bias, inner, seen))  # b x h x 1
        move = torch.tanh(torch.baddbmm(outer_bias, outer, hidden))[:, :, 0]  # b x d
        point = (point + shape.reach * move).clamp(0.0, 1.0)
        path.append(point)
    return torch.stack(path, dim=1)
