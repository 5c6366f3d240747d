import dataclasses
import math

import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.ensemble import trained_paths
from tinypareto.space import Space

SPACE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
STARTS = np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.9]])
PEAK = torch.tensor([0.33, 0.77], dtype=torch.float64)
DEFAULT, POSTER = SearchConfig.preset("default"), SearchConfig.preset("poster")


def hill(points):
    return -(points - PEAK).square().sum(1)


def paths(config, reward=hill, seed=0):
    return trained_paths(SPACE, torch.from_numpy(STARTS), reward, config, np.random.default_rng(seed))


@pytest.mark.parametrize(("config", "length"), [(DEFAULT, 1 + 3 * (4 + 1)), (POSTER, 1 + 4)])
def test_paths_begin_at_the_starts_and_stay_in_the_cube(config, length):
    walked = paths(config)
    assert walked.shape == (3, length, 2)
    np.testing.assert_array_equal(walked[:, 0], STARTS)
    assert (walked >= 0).all()
    assert (walked <= 1).all()


def test_every_policy_climbs_to_the_peak_and_shorter_reaches_bring_it_closer():
    ends = [
        paths(dataclasses.replace(DEFAULT, reaches=DEFAULT.reaches[:count]))[:, -1] for count in (1, 2, 3)
    ]
    gaps = [np.linalg.norm(end - PEAK.numpy(), axis=1).max() for end in ends]
    assert gaps[2] < 0.005
    assert gaps[0] > gaps[1] > gaps[2]


def test_moves_are_no_longer_than_the_reach():
    walked = paths(dataclasses.replace(DEFAULT, reaches=(0.03,), remember=False))
    assert np.abs(np.diff(walked, axis=1)).max() <= 0.03 + 1e-12


def test_remembered_point_is_never_worse_than_start_and_walk():
    walked = paths(dataclasses.replace(DEFAULT, reaches=(0.5,)), reward=lambda x: (40 * x).sin().sum(1))
    values = (40 * torch.from_numpy(walked)).sin().sum(-1)
    assert (values[:, -1] >= values.amax(1) - 1e-12).all()


def test_policies_do_not_influence_each_other():
    alone = trained_paths(SPACE, torch.from_numpy(STARTS[:1]), hill, POSTER, np.random.default_rng(0))
    rewards = trained_paths(
        SPACE,
        torch.from_numpy(STARTS[[0, 0]]),
        lambda x: hill(x) * torch.linspace(1, 1, len(x)),
        POSTER,
        np.random.default_rng(0),
    )
    assert alone.shape == (1, 5, 2)
    assert not np.array_equal(rewards[0], rewards[1]), "each has its own weights"


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"reaches": ()}, r"try \(0\.2,\)"),
        ({"reaches": (0.2, 1.5)}, "the cube's edge"),
        ({"n_raw_starts": 9}, "lower it"),
        ({"reward": "ehvi"}, "chebyshev or hypervolume"),
        ({"horizon": 0}, "at least 1"),
        ({"n_startup": 0}, "at least 1"),
        ({"effort": -1.0}, "1 is usual"),
        ({"effort": math.nan}, "1 is usual"),
    ],
)
def test_settings_out_of_range_are_rejected_with_a_remedy(changes, remedy):
    with pytest.raises(ConfigError, match=remedy):
        dataclasses.replace(DEFAULT, **changes)


@pytest.mark.parametrize(("parameters", "steps"), [(2, 8), (8, 8), (15, 15), (60, 24)])
def test_training_grows_with_the_number_of_parameters(parameters, steps):
    space = Space({f"x{i}": FloatDistribution(0, 1) for i in range(parameters)})
    assert DEFAULT.training(space).n_steps == steps
    assert POSTER.training(space).n_steps == 25


def test_effort_multiplies_the_steps_and_without_any_nothing_is_trained():
    assert dataclasses.replace(DEFAULT, effort=2.5).training(SPACE).n_steps == 20
    calls = []

    def counted(points):
        calls.append(len(points))
        return hill(points)

    paths(dataclasses.replace(DEFAULT, effort=0.0), reward=counted)
    assert len(calls) == 2 * len(DEFAULT.reaches), "each stage values its starts and its last walk alone"
