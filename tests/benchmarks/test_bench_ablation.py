"""Each finder of large rewards must find the peak of a reward that has one."""

import bench_ablation
import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution

from tinypareto.search.history import History
from tinypareto.space import Space

SPACE = Space({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
POINTS = np.random.default_rng(0).random((12, 2))
HISTORY = History(
    numbers=np.arange(12),
    points=POINTS,
    values=np.stack([POINTS[:, 0], 1 - POINTS[:, 0]], axis=1),
    violations=np.empty((12, 0)),
)


def hill(points):
    """Highest, 2, at (0.37, 0.61)."""
    return 2.0 - (points - torch.tensor([0.37, 0.61], dtype=torch.float64)).square().sum(1)


def test_all_find_a_peak_and_random_points_come_last():
    none = np.empty((0, 2))
    by_policies, with_gradients = bench_ablation.by_policies(SPACE, HISTORY, hill, none)
    by_gradients = bench_ablation.by_gradients(SPACE, HISTORY, hill, none, seconds=0.2)
    by_random_points = bench_ablation.by_random_points(SPACE, hill, seconds=0.01)
    assert by_policies == pytest.approx(2.0, abs=1e-4)
    assert with_gradients == pytest.approx(2.0, abs=1e-8)
    assert by_gradients == pytest.approx(2.0, abs=1e-8)
    assert 1.99 < by_random_points < by_policies


def test_variants_differ_from_the_default_and_the_default_is_the_presets():
    configs = list(bench_ablation.VARIANTS.values())
    assert len(set(configs)) == len(configs)
    assert configs[0] == bench_ablation.SearchConfig.preset("default")
