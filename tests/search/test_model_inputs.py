from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.known import KnownFunction, KnownInput, KnownOutcomes
from tinypareto.search.model_inputs import N_SPREAD, Inputs, LookedUp
from tinypareto.search.outcomes import standardise
from tinypareto.search.surrogate import INPUT_DEVIATIONS, PartlyKnown, look_up
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space

SPACE = Space({name: FloatDistribution(0.0, 1.0) for name in ("depth", "sparsity", "width")})
DEFAULT = SearchConfig.preset("default")
NOTHING = np.empty((0, 3))


def size(parameters):
    return 1e3 * (
        1.0 + 50.0 * parameters["width"] * parameters["depth"] * (1.0 - parameters["sparsity"]) ** 2
    )


def error(parameters):
    return (1e3 / size(parameters)) ** 1.5  # of the size alone


def known():
    return KnownOutcomes(
        columns=np.array([1, 2]),
        functions=(KnownFunction("size", size), KnownFunction("limit", lambda p: size(p) - 4e4)),
        signs=np.ones(2),
        n_objectives=2,
    )


def history(n, fidelities=None):
    points = SPACE.round_points(np.random.default_rng(7).random((n, 3)))
    found = [SPACE.decode(point) for point in points]
    return History(
        numbers=np.arange(n),
        points=points,
        values=np.array([[error(p), size(p)] for p in found]),
        violations=np.array([[size(p) - 4e4] for p in found]),
        **({} if fidelities is None else {"fidelities": fidelities}),
    )


def test_columns_are_parameters_known_objectives_and_fidelity():
    usable = history(6, fidelities=np.array([1.0, 0.5, 1.0, 0.25, 1.0, 1.0]))
    pending = np.full((2, 3), 0.5)
    inputs = Inputs.of(SPACE, usable, pending, LookedUp.of(SPACE, known(), usable, pending, seed=0))
    assert inputs.evaluated.shape == (6, 5)
    assert inputs.pending.shape == (2, 5)
    assert inputs.groups.tolist() == [0, 1, 2, 3, 4]
    assert inputs.known.tolist() == [0]  # the size; its excess over the limit would say it twice
    np.testing.assert_array_equal(inputs.evaluated[:, :3], usable.points)
    np.testing.assert_array_equal(inputs.evaluated[:, 4], usable.fidelities)
    assert inputs.pending[:, 4].tolist() == [1.0, 1.0]
    order = np.argsort([size(SPACE.decode(point)) for point in usable.points])
    assert (np.diff(inputs.evaluated[order, 3]) > 0).all()  # the larger, the larger
    assert np.abs(inputs.evaluated[:, 3]).max() <= 1.0


def test_without_what_is_known_there_are_parameters_alone():
    inputs = Inputs.of(SPACE, history(4), NOTHING, None)
    assert inputs.evaluated.shape == (4, 3)
    assert inputs.known.tolist() == []


def test_what_is_looked_up_all_over_the_space_does_not_depend_on_the_history():
    first, second = (LookedUp.of(SPACE, known(), history(n), NOTHING, seed=3) for n in (5, 9))
    np.testing.assert_array_equal(first.points[:N_SPREAD], second.points[:N_SPREAD])
    assert len(second.points) == N_SPREAD + 9
    scales = [
        found.outcomes(standardise(history(n).values, history(n).violations)).scales
        for n, found in ((5, first), (9, second))
    ]
    np.testing.assert_array_equal(*(scale[1:] for scale in scales))
    assert scales[0][0] != scales[1][0]  # the error is known from trials alone


def test_an_error_that_follows_from_the_size_is_learnt_from_few_trials():
    """The parameters alone would have to be put together first."""
    queries = SPACE.round_points(np.random.default_rng(9).random((200, 3)))
    truth = np.array([error(SPACE.decode(point)) for point in queries])

    def missed(functions):
        model, outcomes = fitted(SPACE, history(16), NOTHING, functions, DEFAULT, "cpu", seed=0)
        mean, std = look_up(model, model.tensor(queries))
        found = [
            outcomes.objective_units(*(p[:2, row].numpy() for p in (mean, std)))[0][0] for row in range(200)
        ]
        return np.abs(found - truth).mean()

    assert missed(known()) < 0.5 * missed(None)


def test_a_size_without_logarithm_stays_a_finite_input():
    """All over the space sizes were positive, so their logarithm is modelled; one trial's is 0."""
    rounded = KnownOutcomes(
        columns=np.array([1]),
        functions=(KnownFunction("size", lambda p: 0.0 if p["width"] == 0.0 else size(p)),),
        signs=np.ones(1),
        n_objectives=2,
    )
    usable = history(8)
    usable.points[3] = 0.0
    usable.values[3, 1] = 0.0
    model, _ = fitted(SPACE, usable, NOTHING, rounded, DEFAULT, "cpu", seed=0)
    assert isinstance(model, PartlyKnown)
    mean, std = model.predict(torch.rand(20, 3, dtype=torch.float64))
    assert mean.isfinite().all()
    assert std.isfinite().all()


def with_depth():
    """Beside the size, what an evaluation may depend on: its depth, as far as it was built."""
    return replace(known(), inputs=(KnownInput("built", lambda p, fidelity: fidelity * p["depth"]),))


def test_further_inputs_are_those_of_each_evaluation_as_it_was():
    usable = history(6, fidelities=np.array([1.0, 0.5, 1.0, 0.25, 1.0, 1.0]))
    pending = np.full((1, 3), 0.5)
    looked_up = LookedUp.of(SPACE, with_depth(), usable, pending, seed=0)
    inputs = Inputs.of(SPACE, usable, pending, looked_up)
    assert inputs.known.tolist() == [0, 2]  # of the size, its limit and the depth
    means, deviations = looked_up.scale
    found = INPUT_DEVIATIONS * np.concatenate([inputs.evaluated, inputs.pending])[:, 4] * deviations + means
    np.testing.assert_allclose(found, [*(usable.points[:, 0] * usable.fidelities), 0.5])


def test_further_inputs_are_imitated_for_whole_evaluations_and_looked_up_for_others():
    usable = history(12, fidelities=np.array([0.5, 1.0] * 6))
    model, _ = fitted(SPACE, usable, NOTHING, with_depth(), DEFAULT, "cpu", seed=0)
    assert isinstance(model, PartlyKnown)
    queries = SPACE.round_points(np.random.default_rng(5).random((30, 3)))
    means, deviations = model.input_scale
    for fidelity in (1.0, 0.5):
        exact = model.look_up(queries, np.full(30, fidelity))[:, 2]
        np.testing.assert_allclose(exact, (fidelity * queries[:, 0] - means) / deviations)
    imitated = model.imitated.predict_mean(model.tensor(queries))[2]
    np.testing.assert_allclose(imitated, model.look_up(queries, np.ones(30))[:, 2], atol=0.05)
    mean, std = model.predict(model.tensor(queries))
    assert mean.shape == std.shape == (3, 30)  # the error, the size and its limit: inputs are no outcomes
    exact, _ = look_up(model, model.tensor(queries))
    np.testing.assert_allclose(mean, exact, atol=0.3)


@pytest.mark.parametrize("value", [0.0, 0.02])
def test_objective_that_is_said_to_be_logarithmic_is_modelled_so_even_if_it_reaches_0(value):
    config = replace(DEFAULT, log_objectives=(0,))
    usable = history(10)
    usable.values[4, 0] = value
    _, outcomes = fitted(SPACE, usable, NOTHING, None, config, "cpu", seed=0)
    assert outcomes.logarithmic[0]
    assert np.isfinite(outcomes.targets).all()
    assert outcomes.targets[:, 0].argmin() == (4 if value == 0 else usable.values[:, 0].argmin())
    usable.values[5, 0] = -0.1
    _, outcomes = fitted(SPACE, usable, NOTHING, None, config, "cpu", seed=0)
    assert not outcomes.logarithmic[0]  # nothing has a logarithm that may be negative


def test_settings_that_do_not_choose_scales_refuse_to_be_told_one():
    with pytest.raises(ConfigError, match="choose_scale"):
        replace(SearchConfig.preset("poster"), log_objectives=(0,))
