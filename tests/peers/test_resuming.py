"""What holds for turbo and morbo alike: everything follows from the study's trials and the seed."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tinypareto.peers.morbo import suggest_morbo
from tinypareto.peers.turbo import suggest_turbo
from tinypareto.samplers import make_sampler
from tinypareto.search.history import History
from tinypareto.space import Space

PEERS = [suggest_turbo, suggest_morbo]
NAMES = ["turbo", "morbo"]
SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
NOTHING = np.empty((0, 2))
MIXED = {
    "c": CategoricalDistribution(["x", "y", "z"]),
    "f": FloatDistribution(1e-4, 1.0, log=True),
    "n": IntDistribution(1, 256, log=True),
    "k": IntDistribution(0, 10, step=5),
}


def history_of(points, n_violations=0):
    values = np.stack([np.square(points - [0.2, 0.5]).sum(1), np.square(points - [0.8, 0.5]).sum(1)], axis=1)
    values[3] = np.nan
    violations = 0.3 - points[:, :n_violations]
    return History(numbers=np.arange(len(points)), points=points, values=values, violations=violations)


def objective(parameters):
    cost = np.log2(parameters["n"]) + parameters["k"] + (parameters["c"] == "x")
    return [cost, np.abs(np.log10(parameters["f"]) + 2) + 8 - np.log2(parameters["n"])]


def continued(name, path, count, sampler_for_each):
    """Return the parameters of ``count`` trials, of which every fourth fails, in a study on disk."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    sampler = make_sampler(name, 5, MIXED)
    for number in range(count):
        if sampler_for_each:
            sampler = make_sampler(name, 5, MIXED)
        study = optuna.create_study(
            directions=["minimize"] * 2, sampler=sampler, storage=storage, study_name="s", load_if_exists=True
        )
        trial = study.ask(MIXED)
        if number % 4 == 3:
            study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_constraint("k", trial.params["k"] - 7.0)
            study.tell(trial, objective(trial.params))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", NAMES)
def test_continued_study_gets_the_suggestions_of_an_uninterrupted_one(name, tmp_path):
    whole = continued(name, tmp_path / "whole", 12, sampler_for_each=False)
    assert continued(name, tmp_path / "parts", 12, sampler_for_each=True) == whole


@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_spaces_failures_are_not_bought_again_and_no_point_comes_twice(name, tmp_path):
    found = continued(name, tmp_path / "study", 16, sampler_for_each=False)
    for parameters in found:
        assert all(MIXED[key]._contains(MIXED[key].to_internal_repr(v)) for key, v in parameters.items())
        assert isinstance(parameters["n"], int)
    assert len({tuple(parameters.items()) for parameters in found}) == 16


@pytest.mark.parametrize("suggest", PEERS)
def test_order_in_which_trials_and_pending_points_are_listed_does_not_matter(suggest):
    points = np.random.default_rng(0).random((24, 2))
    known, pending = history_of(points, 1), np.random.default_rng(2).random((3, 2))
    order = np.random.default_rng(1).permutation(24)
    first = suggest(SQUARE, known, pending, seed=3, trial_number=24)
    again = suggest(SQUARE, known.rows(order), pending[::-1], seed=3, trial_number=24)
    np.testing.assert_array_equal(first.point, again.point)
    assert first.origin == again.origin
    other = suggest(SQUARE, known, pending, seed=4, trial_number=24)
    assert not np.array_equal(first.point, other.point)


@pytest.mark.parametrize("suggest", PEERS)
def test_pending_point_is_not_suggested_again(suggest):
    space = Space({"n": IntDistribution(0, 2), "k": IntDistribution(0, 2)})
    grid = np.array([space.grid_point(i) for i in range(9)])
    values = np.stack([grid[:6].sum(axis=1), -grid[:6, 0]], axis=1)
    known = History(numbers=np.arange(6), points=grid[:6], values=values, violations=np.empty((6, 0)))
    for left in range(6, 9):
        pending = np.delete(grid[6:], left - 6, axis=0)
        point = suggest(space, known, pending, seed=0, trial_number=8).point
        np.testing.assert_array_equal(point, grid[left])


@pytest.mark.parametrize("suggest", PEERS)
def test_history_of_failures_alone_is_answered_by_the_design(suggest):
    points = np.random.default_rng(0).random((12, 2))
    known = History(
        numbers=np.arange(12), points=points, values=np.full((12, 2), np.nan), violations=np.empty((12, 0))
    )
    assert suggest(SQUARE, known, NOTHING, seed=0, trial_number=12).origin == "latin hypercube"


@pytest.mark.parametrize("suggest", PEERS)
def test_what_was_evaluated_on_the_way_of_a_trial_belongs_to_it(suggest):
    """It teaches like any evaluation, and a trial that it makes a success is one."""
    points = np.random.default_rng(0).random((9, 2))
    known = history_of(points)
    way = History(
        numbers=np.append(known.numbers, 8),
        points=np.concatenate([points, [[0.31, 0.52]]]),
        values=np.concatenate([known.values, [[0.0, 0.0]]]),
        violations=np.empty((10, 0)),
        fidelities=np.append(np.ones(9), 0.5),
    )
    with_it = suggest(SQUARE, way, NOTHING, seed=0, trial_number=9)
    without = suggest(SQUARE, known, NOTHING, seed=0, trial_number=9)
    assert not np.array_equal(with_it.point, without.point)


@pytest.mark.parametrize("suggest", PEERS)
def test_space_with_one_possible_point_is_answered_by_it(suggest):
    space = Space({"n": IntDistribution(3, 3)})
    known = History(
        numbers=np.arange(6), points=np.empty((6, 0)), values=np.zeros((6, 2)), violations=np.empty((6, 0))
    )
    suggestion = suggest(space, known, np.empty((0, 0)), seed=0, trial_number=6)
    assert suggestion.parameters == {"n": 3}
