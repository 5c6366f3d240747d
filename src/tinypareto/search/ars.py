"""Augmented Random Search: trains all policies together, by rewards alone, without gradients.

    L  policies     N  directions     K  directions used     nu  length of a probe     alpha  step

One training step probes Theta_l + nu phi_j and Theta_l - nu phi_j for j = 1..N, sorts the directions
by the better of their two rewards, keeps the K best and moves

    Theta_l <- Theta_l + alpha / (K sigma_R) sum_k (r_k+ - r_k-) phi_k

with sigma_R the standard deviation of the 2K rewards used. Source: Mania, Guy and Recht (2018), algorithm
2 without state normalisation, as the poster has it. All L x N x 2 probes are one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tinypareto.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ARSConfig:
    """Settings of the training.

    Attributes:
        n_steps: Training steps per suggestion.
        n_directions: Directions N probed in each step, each with both signs.
        n_top: Directions K that enter the update.
        probe: nu, length of a probe in units of a weight.
        step: alpha, length of an update.
        rank_rewards: Put each policy's 2N rewards in order and train with their ranks, 0 to 1: a logarithmic
            reward spans thousands, and without it sigma_R is the outliers'.
    """

    n_steps: int
    n_directions: int
    n_top: int
    probe: float
    step: float
    rank_rewards: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n_top <= self.n_directions:
            raise ConfigError(
                f"n_top must lie in 1..n_directions (here 1..{self.n_directions}), "
                f"got {self.n_top}; lower n_top or raise n_directions."
            )
        if self.n_steps < 0 or not self.probe > 0 or not self.step > 0:
            raise ConfigError(
                "n_steps must be at least 0, probe and step above 0, "
                f"got {self.n_steps}, {self.probe} and {self.step}; start from SearchConfig.preset()."
            )


def train(
    weights: Tensor, reward: Callable[[Tensor], Tensor], config: ARSConfig, rng: np.random.Generator
) -> Tensor:
    """Return trained weights, L x w; the argument stays as it is.

    Args:
        weights: Weights before training, L x w.
        reward: Turns the weights of b policies for each start, L x b x w, into rewards, L x b; larger is
            better.
        config: Settings.
        rng: Source of the directions.
    """
    n_policies, n_weights = weights.shape
    for _ in range(config.n_steps):
        drawn = rng.standard_normal((n_policies, config.n_directions, n_weights))
        directions = torch.from_numpy(drawn).to(weights.device)  # L x N x w
        centre = weights[:, None, :]
        probes = torch.cat([centre + config.probe * directions, centre - config.probe * directions], dim=1)
        rewards = reward(probes)  # L x 2N, the positive probes first
        if config.rank_rewards:
            rewards = ranks(rewards)
        plus, minus = rewards[:, : config.n_directions], rewards[:, config.n_directions :]
        weights = weights + ars_step(directions, plus, minus, n_top=config.n_top, step=config.step)
    return weights


def ranks(rewards: Tensor) -> Tensor:
    """Return the place of each reward in its row, L x b, from 0 for the smallest to 1; equal ones share theirs.

    Example:
        >>> ranks(torch.tensor([[-700.0, 0.5, 0.5, 2.0]]))
        tensor([[0.0000, 0.5000, 0.5000, 1.0000]], dtype=torch.float64)
    """
    below = (rewards[:, None, :] < rewards[:, :, None]).sum(-1)  # L x b
    above = (rewards[:, None, :] > rewards[:, :, None]).sum(-1)
    return 0.5 + 0.5 * (below - above).double() / max(rewards.shape[1] - 1, 1)


def ars_step(directions: Tensor, plus: Tensor, minus: Tensor, *, n_top: int, step: float) -> Tensor:
    """Return the change of the weights, L x w.

    Args:
        directions: phi, L x N x w.
        plus: Rewards of Theta + nu phi, L x N; larger is better.
        minus: Rewards of Theta - nu phi, L x N.
        n_top: Number K of directions used.
        step: alpha.

    Returns:
        Zero for a policy whose 2K rewards are all equal: nothing was learnt.
    """
    order = torch.maximum(plus, minus).argsort(dim=1, descending=True, stable=True)[:, :n_top]  # L x K
    best_plus, best_minus = plus.gather(1, order), minus.gather(1, order)
    sigma = torch.cat([best_plus, best_minus], dim=1).std(dim=1, correction=0)  # L
    chosen = directions.gather(1, order[:, :, None].expand(-1, -1, directions.shape[2]))  # L x K x w
    total = ((best_plus - best_minus)[:, :, None] * chosen).sum(1)
    usable = sigma > 0
    factor = torch.where(usable, step / (n_top * torch.where(usable, sigma, torch.ones_like(sigma))), 0.0)
    return factor[:, None] * total
