"""A study whose space is not given: learnt from trials in every state, and drawn one by one before it is known."""

import threading
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from tinypareto import ARSSampler
from tinypareto.hosts.independent import drawn_value
from tinypareto.hosts.suggestions import read_suggestion

GRID = {"c": CategoricalDistribution(["a", "b"]), "n": IntDistribution(0, 3)}  # 8 points


def grid_point(trial):
    return trial.suggest_int("n", 0, 3), trial.suggest_categorical("c", ["a", "b"])


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED])
def test_no_point_of_a_grid_comes_twice_while_no_trial_is_complete(state):
    for seed in range(3):
        study = optuna.create_study(sampler=ARSSampler(seed=seed))
        for _ in range(8):
            trial = study.ask()
            grid_point(trial)
            if state.is_finished():
                study.tell(trial, state=state)
        assert len({tuple(trial.params.values()) for trial in study.trials}) == 8


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED])
def test_space_is_learnt_from_trials_in_any_state(state):
    study = optuna.create_study(sampler=ARSSampler(seed=0))
    for _ in range(2):
        trial = study.ask()
        grid_point(trial)
        if state.is_finished():
            study.tell(trial, state=state)
    assert study.sampler.infer_relative_search_space(study, study.ask()._cached_frozen_trial) == GRID
    assert read_suggestion(study.trials[1])["origin"] == "latin hypercube"


def test_no_point_of_a_grid_comes_twice_to_threads_that_begin_together():
    begin = threading.Barrier(4, timeout=60)

    class Together(ARSSampler):
        def infer_relative_search_space(self, study, trial):
            space = super().infer_relative_search_space(study, trial)
            if trial.number < 4:
                begin.wait()  # none has a parameter yet, so none can know the space
            return space

        def sample_independent(self, study, trial, name, kind):
            value = super().sample_independent(study, trial, name, kind)
            time.sleep(0.02)  # others draw before this value is stored
            return value

    def slow(trial):
        number, letter = grid_point(trial)
        time.sleep(0.1)
        return number + (letter == "a")

    for seed in range(3):
        study = optuna.create_study(sampler=Together(seed=seed))
        study.optimize(slow, n_trials=8, n_jobs=4)
        assert len({tuple(trial.params.values()) for trial in study.trials}) == 8


def test_parameters_drawn_one_by_one_spread_over_the_grid():
    """No trial is told a suggestion: none could know the space when it began."""
    study = optuna.create_study(sampler=ARSSampler(seed=0))
    trials = [study.ask() for _ in range(8)]
    for name, kind in GRID.items():
        for trial in trials:
            latest = trial._get_latest_trial()
            value = study.sampler.sample_independent(study, latest, name, kind)
            trial.storage.set_trial_param(trial._trial_id, name, kind.to_internal_repr(value), kind)
            trial._cached_frozen_trial = trial.storage.get_trial(trial._trial_id)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 8


def test_value_drawn_by_itself_does_not_depend_on_the_order_of_the_trials():
    study = optuna.create_study(sampler=ARSSampler(seed=0))
    for number in (2, 0, 2, 3):
        study.add_trial(
            optuna.trial.create_trial(value=0.0, params={"n": number}, distributions={"n": GRID["n"]})
        )
    asking = study.ask()._get_latest_trial()
    drawn = {
        drawn_value(asking, others, "n", GRID["n"], np.random.default_rng(0))
        for others in (study.trials[:-1], study.trials[-2::-1])
    }
    assert drawn == {1}
