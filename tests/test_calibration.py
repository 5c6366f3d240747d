"""What was predicted against what came: by hand, and on noise that a model has to find out."""

import dataclasses

import numpy as np
import optuna
import pytest
from small_histories import finished_trial, history_of, predicted

from tinypareto.calibration import gain_of, gains, learnt_objectives, predictions, share_held
from tinypareto.hosts.optuna import ARSSampler
from tinypareto.hosts.suggestions import read_suggestion

HISTORY = history_of(
    finished_trial(0, 0.5, 1024.0),
    predicted(finished_trial(1, 0.25, 1024.0), 0.3, [0.2, 0.4]),
    predicted(finished_trial(2, 0.6, 1024.0), 0.3, [0.2, 0.4]),
    predicted(finished_trial(3, 0.0, 0.0, failure="crashed"), 0.1, [0.1, 0.1], feasibility=0.5),
)


def test_predictions_are_of_complete_trials_that_a_model_proposed():
    found = predictions(HISTORY, "error")
    assert [(p.trial, p.measured, p.held) for p in found] == [(1, 0.25, True), (2, 0.6, False)]
    assert share_held(found) == 0.5
    assert share_held([]) is None
    assert learnt_objectives(HISTORY) == ("error",)  # the ROM was known


def test_promised_and_brought_gains_by_hand():
    # Halves of the ROM's scale remain, so each 0.01 of error less than the front's is 0.005 of hypervolume.
    first, second, failed = gains(HISTORY)
    assert first.promised == pytest.approx(0.1, abs=2e-3)
    assert first.came == pytest.approx(0.125)
    assert second.came == 0.0  # dominated
    assert failed.promised == pytest.approx(0.5 * 0.5 * (0.25 - 0.1))
    assert failed.came == 0.0


def test_gain_of_a_log_normal_prediction_is_that_of_its_distribution():
    low, high = 0.1, 0.9
    centre, spread = np.log(low * high) / 2, np.log(high / low) / (2 * 1.6449)
    trial = predicted(finished_trial(0, 0.5, 1024.0), float(np.exp(centre + spread**2 / 2)), [low, high])
    error = np.exp(centre + spread * np.random.default_rng(0).standard_normal(100_000))
    expected = 0.5 * np.maximum(1 - error, 0.0).mean()
    assert gain_of(history_of(trial), trial).promised == pytest.approx(expected, rel=0.02)


def test_trial_without_a_whole_prediction_promised_nothing():
    assert gain_of(HISTORY, HISTORY.trials[0]) is None
    trial = predicted(finished_trial(1, 0.25, 1024.0), 0.3, [0.2, 0.4], feasibility=None)  # of another target
    assert gain_of(history_of(trial), trial) is None
    unknown = dataclasses.replace(
        trial, reasons={**trial.reasons, "interval": [[0.2, 0.4], None], "feasibility": 1.0}
    )
    assert gain_of(history_of(unknown), unknown) is None


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_intervals_hold_the_noise_of_measurements(direction):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = ARSSampler(0, search_space={"x": optuna.distributions.FloatDistribution(-1, 1)}, effort=0.1)
    study = optuna.create_study(direction=direction, sampler=sampler)
    sign = 1 if direction == "minimize" else -1
    noise = np.random.default_rng(4).normal(0, 0.3, 40)
    study.optimize(
        lambda trial: sign * (trial.suggest_float("x", -1, 1) ** 2 + noise[trial.number]), n_trials=40
    )
    held = []
    for trial in study.trials[15:]:
        reasons = read_suggestion(trial)
        ((low, high),) = reasons["interval"]
        assert low < reasons["mean"][0] < high
        held.append(low <= trial.value <= high)
    assert np.mean(held) >= 0.75  # without the noise it is 0.4
