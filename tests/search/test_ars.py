import numpy as np
import pytest
import torch

from tinypareto.errors import ConfigError
from tinypareto.search.ars import ARSConfig, ars_step, train

CONFIG = ARSConfig(n_steps=60, n_directions=12, n_top=6, probe=0.1, step=0.1)


def slow_step(directions, plus, minus, n_top, step):
    """The published formula, one policy and one direction at a time."""
    changes = []
    for phi, above, below in zip(directions, plus, minus, strict=True):
        order = sorted(range(len(phi)), key=lambda j: -max(above[j], below[j]))[:n_top]
        sigma = np.std([above[j] for j in order] + [below[j] for j in order])
        total = sum((above[j] - below[j]) * phi[j] for j in order)
        changes.append(total * step / (n_top * sigma) if sigma > 0 else 0 * phi[0])
    return np.stack(changes)


def test_step_solved_by_hand():
    directions = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    plus = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    minus = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    change = ars_step(directions, plus, minus, n_top=1, step=0.5)  # sigma of 3 and 1 is 1
    assert change.tolist() == [[1.0, 0.0]]


def test_step_equals_the_slow_formula():
    rng = np.random.default_rng(0)
    directions, plus, minus = rng.normal(size=(3, 7, 4)), rng.normal(size=(3, 7)), rng.normal(size=(3, 7))
    fast = ars_step(*map(torch.from_numpy, (directions, plus, minus)), n_top=4, step=0.3)
    np.testing.assert_allclose(fast.numpy(), slow_step(directions, plus, minus, 4, 0.3), rtol=1e-12)


def test_equal_rewards_change_nothing():
    directions = torch.ones(2, 3, 4, dtype=torch.float64)
    rewards = torch.full((2, 3), 5.0, dtype=torch.float64)
    assert ars_step(directions, rewards, rewards, n_top=2, step=1.0).abs().max() == 0


def test_training_climbs_a_quadratic_and_leaves_the_start_alone():
    goal = torch.tensor([[1.0, -2.0], [0.5, 0.5]], dtype=torch.float64)
    start = torch.zeros(2, 2, dtype=torch.float64)
    trained = train(
        start, lambda w: -(w - goal[:, None, :]).square().sum(-1), CONFIG, np.random.default_rng(1)
    )
    assert (trained - goal).norm(dim=1).max() < 0.25
    assert start.abs().max() == 0


@pytest.mark.parametrize(
    "wrong", [{"n_top": 13}, {"n_top": 0}, {"probe": 0.0}, {"step": -1.0}, {"n_steps": -1}]
)
def test_settings_out_of_range_are_rejected_with_a_remedy(wrong):
    settings = {"n_steps": 1, "n_directions": 12, "n_top": 6, "probe": 0.1, "step": 0.1}
    with pytest.raises(ConfigError, match=r"lower n_top|start from"):
        ARSConfig(**{**settings, **wrong})
