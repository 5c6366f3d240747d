"""Covariance functions of squared scaled distances r^2, and what fitting needs of their slopes.

    Matern-5/2            s (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r)     twice differentiable functions
    squared exponential   s exp(-r^2 / 2)                                 smooth functions

With r^2 = sum_j D_j / l_j^2 the derivative by a logarithm of a lengthscale is slope(r^2) D_j / l_j^2, where
slope = -2 dk / d(r^2).
"""

import math

import torch
from torch import Tensor

SQRT5 = math.sqrt(5.0)


def matern52(squared: Tensor, variance: Tensor) -> Tensor:
    """Return the Matern-5/2 covariance for squared scaled distances r^2; values below 0 count as 0."""
    root = SQRT5 * squared.clamp_min(0.0).sqrt()
    return variance * (1.0 + root + root.square() / 3.0) * (-root).exp()


def squared_exponential(squared: Tensor, variance: Tensor) -> Tensor:
    """Return the squared exponential covariance for squared scaled distances r^2."""
    return variance * (-0.5 * squared).exp()


def covariance(squared: Tensor, variance: Tensor, smooth: Tensor) -> Tensor:
    """Return each output's covariance: squared exponential where ``smooth``, else Matern-5/2.

    Args:
        squared: Squared scaled distances, k x ... .
        variance: Broadcast against ``squared``.
        smooth: Booleans, broadcast against ``squared``.
    """
    if not smooth.any():
        return matern52(squared, variance)
    if smooth.all():
        return squared_exponential(squared, variance)
    return torch.where(smooth, squared_exponential(squared, variance), matern52(squared, variance))


def covariance_and_slope(squared: Tensor, variance: Tensor, smooth: Tensor) -> tuple[Tensor, Tensor]:
    """Return `covariance` and its slope -2 dk / d(r^2), both shaped like ``squared``.

    Args:
        squared: Squared scaled distances, k x q.
        variance: k x 1.
        smooth: k; each row is computed with its own kernel alone.
    """
    if smooth.all():
        value = squared_exponential(squared, variance)
        return value, value
    if not smooth.any():
        return _matern52_and_slope(squared, variance)
    value, slope = torch.empty_like(squared), torch.empty_like(squared)
    value[smooth] = slope[smooth] = squared_exponential(squared[smooth], variance[smooth])
    value[~smooth], slope[~smooth] = _matern52_and_slope(squared[~smooth], variance[~smooth])
    return value, slope


def _matern52_and_slope(squared: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    root = SQRT5 * squared.sqrt()
    decay = variance * (-root).exp()
    linear = 1.0 + root
    return decay * (linear + root.square() / 3.0), decay * linear * (5.0 / 3.0)
