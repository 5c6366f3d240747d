"""What is learnt from trials that failed: others near them become less promising."""

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.suggest import suggest
from tinypareto.search.surrogate import Fallible, limits_of
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space

SPACE = Space({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
DEFAULT = SearchConfig.preset("default")
FAILS_FROM = 0.6  # a half and less of the range succeeds, and the objective falls towards the rest


def history(points):
    """Trials of a function that has its minimum where every one fails."""
    values = np.array([(1.0 - x) ** 2 + 0.1 * y**2 if x < FAILS_FROM else np.nan for x, y in points]).reshape(
        -1, 1
    )
    return History(
        numbers=np.arange(len(points)), points=points, values=values, violations=np.empty((len(points), 0))
    )


def run(config, n):
    """Return n suggestions in a row, n x 2, the first of which are the design's."""
    points = np.empty((0, 2))
    for number in range(n):
        suggestion = suggest(
            SPACE, history(points), np.empty((0, 2)), config=config, seed=3, trial_number=number
        )
        points = np.concatenate([points, suggestion.point[None]])
    return points


def test_the_same_failure_is_not_bought_again_and_again():
    n, startup = 25, DEFAULT.startup_trials(SPACE, knows_objectives=False)
    points = run(DEFAULT, n)
    far = (points[startup:, 0] >= FAILS_FROM + 0.05).sum()  # nearer to the edge lies the optimum
    best = points[points[:, 0] < FAILS_FROM, 0].max()
    assert far <= (n - startup) // 3, points
    assert best > FAILS_FROM - 0.03, "the optimum lies at the edge of what succeeds and should be found"


@pytest.mark.parametrize("preset", ["default", "poster"])
def test_failures_are_learnt_by_the_default_preset_alone(preset):
    points = np.random.default_rng(0).random((12, 2))
    model, outcomes = fitted(
        SPACE, history(points), np.empty((0, 2)), None, SearchConfig.preset(preset), "cpu", 0
    )
    assert isinstance(model, Fallible) is (preset == "default")
    assert len(limits_of(model, outcomes)) == (preset == "default")


def test_failure_is_expected_where_trials_failed_and_not_where_they_succeeded():
    points = np.random.default_rng(1).random((40, 2))
    model, outcomes = fitted(SPACE, history(points), np.empty((0, 2)), None, DEFAULT, "cpu", 0)
    grid = np.array([[x, y] for x in (0.1, 0.3, 0.8, 0.95) for y in (0.2, 0.8)])
    mean, _ = model.predict(model.tensor(grid))
    kept = mean[-1].numpy() <= limits_of(model, outcomes)[-1]
    assert kept.tolist() == [True] * 4 + [False] * 4


def test_without_a_failure_nothing_changes():
    points = np.random.default_rng(2).random((12, 2)) * (FAILS_FROM, 1.0)
    model, _ = fitted(SPACE, history(points), np.empty((0, 2)), None, DEFAULT, "cpu", 0)
    assert not isinstance(model, Fallible)
