import numpy as np
import pytest

from tinypareto.search.outcomes import standardise

NONE = np.empty((40, 0))


def column(kind):
    rng = np.random.default_rng(0)
    return {
        "sizes": np.exp(rng.normal(9, 1.2, 40)),
        "errors": rng.uniform(0.01, 0.9, 40),
        "narrow": rng.uniform(1.0, 3.0, 40),
        "almost zero": np.append(rng.uniform(0.1, 1.0, 39), 6e-17),  # cos(pi / 2) in floating point
        "negative": -np.exp(rng.normal(9, 1.2, 40)),
    }[kind][:, None]


@pytest.mark.parametrize(
    ("kind", "logarithmic"),
    [("sizes", True), ("errors", False), ("narrow", False), ("almost zero", False), ("negative", False)],
)
def test_logarithm_is_for_sizes_alone(kind, logarithmic):
    outcomes = standardise(column(kind), NONE)
    assert outcomes.logarithmic.tolist() == [logarithmic]
    assert outcomes.targets.mean() == pytest.approx(0, abs=1e-12)
    assert outcomes.targets.std() == pytest.approx(1)


def test_prediction_goes_back_to_the_users_unit():
    values = np.concatenate([column("sizes"), column("errors")], axis=1)
    outcomes = standardise(values, NONE)
    mean, std = outcomes.objective_units(outcomes.targets[7], np.zeros(2))
    np.testing.assert_allclose(mean, values[7], rtol=1e-12)
    np.testing.assert_allclose(std, 0, atol=1e-9)
    np.testing.assert_allclose(outcomes.standardised_objectives(values[7]), outcomes.targets[7], atol=1e-12)


def test_moments_on_a_logarithmic_scale_are_those_of_samples():
    outcomes = standardise(column("sizes"), NONE)
    samples = np.exp(
        outcomes.means[0] + outcomes.scales[0] * (0.3 + 0.2 * np.random.default_rng(1).normal(size=10**6))
    )
    mean, std = outcomes.objective_units(np.array([0.3]), np.array([0.2]))
    assert mean[0] == pytest.approx(samples.mean(), rel=2e-3)
    assert std[0] == pytest.approx(samples.std(), rel=1e-2)


def test_limit_of_a_constraint_stays_where_its_sign_changes():
    plain = np.linspace(-1.0, 2.0, 40)
    tailed = np.sinh(np.linspace(-2.0, 9.0, 40))
    outcomes = standardise(np.zeros((40, 1)), np.stack([plain, tailed], axis=1))
    kept = outcomes.targets[:, 1:] <= outcomes.limits
    np.testing.assert_array_equal(kept, np.stack([plain <= 0, tailed <= 0], axis=1))
    assert np.abs(outcomes.targets[:, 1]).max() < 3, "without a tail a constraint is only scaled"
    np.testing.assert_allclose(np.diff(outcomes.targets[:, 1], 2), 0, atol=1e-9)
    assert np.abs(outcomes.targets[:, 2]).max() < 4


def test_constant_output_becomes_zero():
    outcomes = standardise(np.full((40, 1), 0.1 + 0.2), np.full((40, 1), -1.0))
    np.testing.assert_allclose(outcomes.targets, 0, atol=1e-12)
    assert np.isfinite(outcomes.limits).all()
