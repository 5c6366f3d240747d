import math

import numpy as np
import pytest
import torch

from tinypareto.front import feasible_front, hypervolume
from tinypareto.search.gaussian_process import Hyperparameters, condition
from tinypareto.search.hypervolume_reward import (
    LARGEST_FRONT,
    _expected_excess_of_exponential,
    hypervolume_reward,
    moderate,
    worthwhile,
)
from tinypareto.search.rewards import Feasibility

NONE = torch.empty(0, dtype=torch.float64)


def model_of(outputs, seed=0):
    """A posterior of k outputs over one parameter, far from certain between the observations."""
    n, k = outputs.shape
    points = torch.linspace(0.0, 1.0, n, dtype=torch.float64)[:, None]
    kernel = Hyperparameters(
        lengthscales=torch.full((k, 1), 0.15, dtype=torch.float64),
        variances=torch.ones(k, dtype=torch.float64),
        noises=torch.full((k,), 1e-6, dtype=torch.float64),
        smooth=torch.zeros(k, dtype=torch.bool),
    )
    return condition(points, torch.from_numpy(outputs), torch.zeros(1, dtype=torch.int64), kernel)


def reward_for(outputs, m, limits=(), reference=None, predicted=None, narrow=False, exponents=None):
    feasibility = Feasibility(model=model_of(outputs), limits=torch.tensor(limits, dtype=torch.float64))
    none = np.empty((0, m))
    given = None if reference is None else np.array(reference)
    front = none if predicted is None else predicted
    rng = np.random.default_rng(0)
    powers = np.zeros(m) if exponents is None else np.array(exponents)
    return hypervolume_reward(feasibility, outputs[:, :m], front, given, powers, narrow=narrow, rng=rng)


def observations(n, m, seed=0):
    return np.random.default_rng(seed).normal(size=(n, m))


def trade_offs(n, m):
    """Points of which none dominates another: on the simplex, for two objectives or more."""
    rng = np.random.default_rng(4)
    return 0.3 * rng.random((n, 1)) if m == 1 else rng.dirichlet(np.ones(m), size=n)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_reward_is_the_average_gain_of_samples(m):
    values, reference = trade_offs(8, m), np.full(m, 1.2)
    assert m == 1 or len(feasible_front(values)) == 8
    reward = reward_for(values, m, reference=reference)
    query = torch.tensor([[0.36]], dtype=torch.float64)
    mean, std = (part[:, 0].numpy() for part in reward.feasibility.model.predict(query))
    before = hypervolume(values[feasible_front(values)], reference)
    samples = mean + std * np.random.default_rng(1).normal(size=(4000, m))
    gains = [hypervolume(np.concatenate([values, y[None]]), reference) - before for y in samples]
    error = np.std(gains) / np.sqrt(len(gains))
    assert math.exp(float(reward(query)[0])) * before == pytest.approx(np.mean(gains), abs=4 * error)


def test_one_objective_gives_the_closed_form_of_expected_improvement():
    values = observations(5, 1)
    reward = reward_for(values, 1, reference=[3.0])
    queries = torch.tensor([[0.06], [0.13], [0.4], [0.61], [0.88]], dtype=torch.float64)
    mean, std = (part[0] for part in reward.feasibility.model.predict(queries))
    z = (values.min() - mean) / std
    closed = std * (z * torch.special.ndtr(z) + (-z.square() / 2).exp() / math.sqrt(2 * math.pi))
    torch.testing.assert_close(reward(queries), (closed / (3.0 - values.min())).log(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("exponents", [[0.5, 0.0], [1.5, 0.3]])
def test_objective_on_a_log_scale_counts_as_itself(exponents):
    values, reference = trade_offs(8, 2), np.full(2, 1.2)
    reward = reward_for(values, 2, reference=reference, exponents=exponents)
    query = torch.tensor([[0.36]], dtype=torch.float64)
    mean, std = (part[:, 0].numpy() for part in reward.feasibility.model.predict(query))

    def itself(y):
        return np.where(np.array(exponents) > 0, np.exp(exponents * y), y)

    front, corner = itself(values), itself(reference)
    before = hypervolume(front, corner)
    samples = itself(mean + std * np.random.default_rng(1).normal(size=(4000, 2)))
    gains = [hypervolume(np.concatenate([front, y[None]]), corner) - before for y in samples]
    error = np.std(gains) / np.sqrt(len(gains))
    assert math.exp(float(reward(query)[0])) * before == pytest.approx(np.mean(gains), abs=4 * error)


@pytest.mark.parametrize("std", [1e-6, 1e-3, 0.3, 2.0])
@pytest.mark.parametrize("z", [-6.0, -1.0, 0.0, 3.0])
def test_expected_excess_of_an_exponential_is_its_integral(z, std):
    mean, edge = -0.4, math.exp(-0.4 + z * std)
    nodes = np.linspace(min(z, 0.0) - 12.0, z, 400_001)  # of l, in deviations
    density = np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    integral = np.trapezoid((edge - np.exp(mean + std * nodes)) * density, nodes)
    mean, std = (torch.tensor([value], dtype=torch.float64) for value in (mean, std))
    found = _expected_excess_of_exponential(torch.tensor([0.0, edge], dtype=torch.float64), mean, std)
    assert found[:2, 0].tolist() == [0.0, 0.0]  # nothing lies below an edge at 0
    assert float(found[2, 0]) == pytest.approx(integral, rel=1e-5)


def test_reward_stays_finite_and_falls_where_hope_is_gone():
    values = np.array([[0.0], [0.0], [0.0]])
    reward = reward_for(values, 1, reference=[1.0])
    mean = torch.linspace(0.0, 60.0, 40, dtype=torch.float64)[None]
    share = reward.regions[0].log_share(mean, torch.ones_like(mean))
    assert share.isfinite().all()
    far = share[0 if share.ndim > 1 else slice(None)]
    assert (far[1:] <= far[:-1]).all()
    assert (far[1:20] < far[:19]).all()
    # Reference value of log(phi(z) + z Phi(z)) at z = -20, by its asymptotic series.
    z = 20.0
    series = -z * z / 2 - 0.5 * math.log(2 * math.pi) + math.log(1 / z**2 - 3 / z**4 + 15 / z**6 - 105 / z**8)
    at_20 = reward.regions[0].log_share(
        torch.tensor([[z]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    )
    assert float(at_20) == pytest.approx(series, abs=1e-5)


def test_constraint_multiplies_the_gain_by_its_probability():
    values = observations(6, 3)
    queries = torch.tensor([[0.13], [0.7]], dtype=torch.float64)
    bound = reward_for(values, 2, limits=[0.2], reference=[2.0, 2.0])
    free = hypervolume_reward(
        Feasibility(model=bound.feasibility.model, limits=NONE),
        values[:, :2],
        np.empty((0, 2)),
        np.array([2.0, 2.0]),
        np.zeros(2),
        narrow=False,
        rng=np.random.default_rng(0),
    )
    mean, std = bound.feasibility.model.predict(queries)
    expected = free(queries) + torch.special.log_ndtr((0.2 - mean[2]) / std[2])
    torch.testing.assert_close(bound(queries), expected)


def test_inferred_reference_points_lie_beyond_the_front_that_was_observed_or_is_predicted():
    values = np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 3.0]])
    reward = reward_for(values, 2, predicted=np.array([[-1.0, 2.0], [0.5, 0.5], [9.0, 9.0]]))
    corners = [[float(edges[-1]) for edges in region.edges] for region in reward.regions]
    # Front of all: (-1, 2), (0, 1), (0.5, 0.5), (1, 0); dominated points do not count.
    assert corners[0] == pytest.approx([1.0 + 0.2, 2.0 + 0.2])
    assert corners[1] == pytest.approx([1.0 + 2.0, 2.0 + 2.0])


def test_end_of_the_front_that_wins_next_to_nothing_is_no_end():
    line = np.stack([np.linspace(0, 1, 11), np.linspace(1, 0, 11)], axis=1)
    odd = np.array([[5.0, -1e-4], [-1e-4, 9.0]])
    np.testing.assert_array_equal(worthwhile(np.concatenate([line, odd])), line)
    np.testing.assert_array_equal(worthwhile(line), line)
    steep = np.array([[0.0, 1.0], [0.05, 0.0], [0.5, -1.0]])  # wins half of the range
    np.testing.assert_array_equal(worthwhile(steep), steep)
    np.testing.assert_array_equal(worthwhile(line[:1]), line[:1])


def test_narrow_reference_point_lies_near_where_objectives_are_exchanged_at_moderate_rates():
    """Winning a twentieth of one objective's range for the other's whole range is too dear, a third is not."""
    knee = np.stack([np.linspace(0, 1, 11), np.linspace(1, 0, 11) ** 2], axis=1)
    far, near = np.array([[6.0, -0.05]]), np.array([[3.0, -0.5]])
    rng = np.random.default_rng(0)
    assert moderate(np.concatenate([knee, far]), rng).max(axis=0)[0] <= 1.0
    assert moderate(np.concatenate([knee, near]), rng).max(axis=0)[0] == 3.0
    values = np.concatenate([knee, far])
    wide, narrow = reward_for(values, 2), reward_for(values, 2, narrow=True)
    assert len(wide.regions) == 2
    assert [float(region.edges[0][-1]) for region in wide.regions] == pytest.approx([6.6, 12.0])
    (region,) = narrow.regions
    assert 0.7 < float(region.edges[0][-1]) < 1.2


def test_given_reference_point_replaces_the_rule_objective_by_objective():
    values = np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 3.0]])
    whole = reward_for(values, 2, reference=[5.0, 6.0])
    assert [float(edges[-1]) for edges in whole.regions[0].edges] == [5.0, 6.0]
    assert len(whole.regions) == 1
    part = reward_for(values, 2, reference=[5.0, np.inf])
    assert [float(region.edges[0][-1]) for region in part.regions] == [5.0, 5.0]
    assert [float(region.edges[1][-1]) for region in part.regions] == pytest.approx([1.1, 2.0])


def test_front_wholly_beyond_the_given_reference_point_still_gives_a_direction():
    values = np.array([[2.0, 3.0], [3.0, 2.0]])
    reward = reward_for(values, 2, reference=[1.0, 1.0])
    rewards = reward(torch.tensor([[0.2], [0.5]], dtype=torch.float64))
    assert rewards.isfinite().all()


def test_large_front_of_many_objectives_is_thinned_and_its_ends_stay():
    angles = observations(300, 5, seed=3)
    front = np.abs(angles) / np.linalg.norm(angles, axis=1, keepdims=True)
    reward = reward_for(front, 5, reference=np.full(5, 1.2))
    first = reward.regions[0].edges
    assert all(len(edges) <= LARGEST_FRONT[5] + 1 for edges in first)
    assert [float(edges[0]) for edges in first] == pytest.approx(front.min(axis=0).tolist())
