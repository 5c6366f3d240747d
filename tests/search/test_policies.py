import numpy as np
import torch

from tinypareto.search.policies import PolicyShape, initial_weights, roll_out

SHAPE = PolicyShape(n_columns=3, n_hidden=4, reach=0.2, horizon=5)


def slow_walk(weights, point):
    """One policy, one move, one neuron layer at a time."""
    inner, rest = weights[:12].reshape(4, 3), weights[12:]
    inner_bias, outer, outer_bias = rest[:4], rest[4:16].reshape(3, 4), rest[16:]
    path = []
    for _ in range(5):
        hidden = np.tanh(inner @ (2 * point - 1) + inner_bias)
        point = np.clip(point + 0.2 * np.tanh(outer @ hidden + outer_bias), 0, 1)
        path.append(point)
    return np.array(path)


def test_batch_equals_single_policies_walked_slowly():
    rng = np.random.default_rng(0)
    weights, starts = rng.normal(size=(6, SHAPE.n_weights)), rng.random((6, 3))
    batch = roll_out(SHAPE, torch.from_numpy(weights), torch.from_numpy(starts)).numpy()
    for row in range(6):
        np.testing.assert_allclose(batch[row], slow_walk(weights[row], starts[row]), rtol=1e-12)


def test_walks_stay_in_the_cube_and_within_reach():
    rng = np.random.default_rng(1)
    starts = torch.from_numpy(rng.random((50, 3)))
    path = roll_out(SHAPE, torch.from_numpy(5 * rng.normal(size=(50, SHAPE.n_weights))), starts)
    whole = torch.cat([starts[:, None], path], dim=1)
    assert path.min() >= 0
    assert path.max() <= 1
    assert whole.diff(dim=1).abs().max() <= 0.2 + 1e-12


def test_untrained_policies_stay_where_they_are():
    starts = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    path = roll_out(SHAPE, initial_weights(SHAPE, starts, np.random.default_rng(0)), starts)
    assert torch.equal(path, starts[:, None].expand_as(path))
