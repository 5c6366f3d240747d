"""What is told of a suggestion expects noise; what is suggested does not depend on it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution

from tinypareto.search.config import SearchConfig
from tinypareto.search.forecast import counting_std, forecaster
from tinypareto.search.gaussian_process import GaussianProcesses
from tinypareto.search.history import History
from tinypareto.search.known import KnownFunction, KnownOutcomes
from tinypareto.search.outcomes import standardise
from tinypareto.search.prior import Prior
from tinypareto.search.suggest import suggest
from tinypareto.search.surrogate import Fallible, Informed, MultiFidelity, PartlyKnown
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space

SPACE = Space({name: FloatDistribution(0.0, 1.0) for name in ("depth", "width")})
QUICK = replace(SearchConfig.preset("default"), effort=0.1, log_objectives=(0,))
EXPECTING = replace(QUICK, noisy_objectives=(0,))
NOTHING = np.empty((0, 2))
SIZE = KnownOutcomes(
    columns=np.array([1]),
    functions=(KnownFunction("size", lambda p: 1.0 + p["width"]),),
    signs=np.ones(1),
    n_objectives=2,
)


def expected(points):
    """The mean of the error's logarithm."""
    return -2.0 * points[:, 1] - points[:, 0]


def history(n=24, seed=0, *, failed=False, harvested=False):
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2))
    errors = np.exp(expected(points) + 0.4 * rng.standard_normal(n))
    values = np.column_stack([errors, 1.0 + points[:, 1]])
    if failed:
        values[3] = np.nan
    fidelities = np.where(harvested & (np.arange(n) % 4 == 1), 0.5, 1.0)
    return History(
        numbers=np.arange(n),
        points=points,
        values=values,
        violations=np.empty((n, 0)),
        fidelities=fidelities,
    )


def earlier():
    points = np.random.default_rng(5).random((30, 2))
    values = np.column_stack([np.exp(expected(points)), np.full(30, np.nan)])
    return Prior(points=points, values=values, fidelities=np.ones(30))


CASES = {
    "nothing known": (history(), None, ()),
    "size known": (history(), SIZE, ()),
    "on the way": (history(harvested=True), SIZE, ()),
    "a failure": (history(failed=True), SIZE, ()),
    "earlier task": (history(harvested=True), SIZE, (earlier(),)),
}


def processes_of(model):
    """The Gaussian processes of what is learnt, whatever stands around them."""
    while not isinstance(model, GaussianProcesses):
        inner = {
            Fallible: "outcomes",
            PartlyKnown: "learnt",
            Informed: "own",
            MultiFidelity: "posteriors",
        }
        model = getattr(model, inner[type(model)])
    return model


@pytest.mark.parametrize("case", CASES)
def test_noise_is_expected_of_noisy_outcomes_whatever_else_is_known(case):
    usable, known, priors = CASES[case]
    model, _ = fitted(SPACE, usable, NOTHING, known, EXPECTING, "cpu", 0, priors)
    k = len(model.predict(torch.full((1, 2), 0.5, dtype=torch.float64))[0])
    told = forecaster(model, torch.arange(k) == 0, choose_kernel=True)
    assert type(told) is type(model)
    before, after = (processes_of(one).hyperparameters for one in (model, told))
    assert after.noises[0] > before.noises[0]
    assert torch.equal(before.noises[1:], after.noises[1:])
    assert torch.equal(before.lengthscales[1:], after.lengthscales[1:])
    assert forecaster(model, torch.zeros(k, dtype=torch.bool), choose_kernel=True) is model


@pytest.mark.parametrize("case", CASES)
def test_what_is_told_does_not_change_what_is_suggested(case):
    usable, known, priors = CASES[case]
    plain, told = (
        suggest(SPACE, usable, NOTHING, config, seed=1, trial_number=24, known=known, priors=priors)
        for config in (QUICK, EXPECTING)
    )
    np.testing.assert_array_equal(plain.point, told.point)
    assert plain.reward == told.reward
    assert plain.feasibility == told.feasibility
    assert plain.mean[0] != told.mean[0]
    assert (plain.interval[0] != told.interval[0]).all()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_an_error_is_never_known_better_than_it_can_be_counted(logarithmic):
    rng = np.random.default_rng(0)
    n = 200
    counts = rng.integers(1, 150, 40)
    values = np.column_stack([counts / n, np.full(40, 7.0)])
    outcomes = standardise(values, np.empty((40, 0)), np.array([logarithmic, False]))
    expected = 0.1
    mean = outcomes.standardised_objectives(np.array([expected, 7.0]))
    low, high = outcomes.intervals(mean, counting_std(outcomes, values, mean))[0]
    drawn = rng.poisson(expected * n, 10_000) / n
    assert 0.85 < np.mean((low <= drawn) & (drawn <= high)) < 0.95
