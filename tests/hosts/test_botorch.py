import pytest
import torch
from botorch.acquisition import LogExpectedImprovement, qLogExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.test_functions import Hartmann

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.hosts.botorch import optimize_acqf_ars

BOUNDS = torch.tensor([[-1.0, 10.0], [3.0, 20.0]], dtype=torch.double)
PEAK = torch.tensor([0.5, 18.0], dtype=torch.double)


def hill(candidates):
    """One peak for each of the q points, in units of the bounds."""
    return -((candidates - PEAK) / (BOUNDS[1] - BOUNDS[0])).square().sum((-2, -1))


@pytest.fixture(scope="module")
def model():
    problem = Hartmann(dim=6, negate=True)
    points = torch.quasirandom.SobolEngine(6, scramble=True, seed=0).draw(30).double()
    values = problem(points)[:, None]
    return SingleTaskGP(points, values, train_Yvar=torch.full_like(values, 1e-4)).eval(), values.max()


def test_peak_known_by_hand_is_found():
    candidates, value = optimize_acqf_ars(hill, BOUNDS, q=1)
    assert candidates.shape == (1, 2)
    torch.testing.assert_close(candidates[0], PEAK, atol=0.01, rtol=0)
    torch.testing.assert_close(value, hill(candidates[None])[0])


def test_policies_climb_beyond_the_best_raw_sample():
    raw = optimize_acqf_ars(hill, BOUNDS, q=3, reaches=())[1]
    assert optimize_acqf_ars(hill, BOUNDS, q=3)[1] > raw / 100


def test_expected_improvement_is_as_large_as_gradients_make_it(model):
    acquisition = LogExpectedImprovement(model[0], best_f=model[1])
    bounds = torch.tensor([[0.0] * 6, [1.0] * 6], dtype=torch.double)
    torch.manual_seed(0)
    _, best = optimize_acqf(acquisition, bounds, q=1, num_restarts=4, raw_samples=128)
    candidates, value = optimize_acqf_ars(acquisition, bounds, q=1)
    assert value > best - 0.05
    torch.testing.assert_close(value, acquisition(candidates[None])[0], check_dtype=False)


def test_points_of_a_batch_are_chosen_together(model):
    sampler = SobolQMCNormalSampler(torch.Size([64]), seed=0)
    acquisition = qLogExpectedImprovement(model[0], best_f=model[1], sampler=sampler)
    bounds = torch.tensor([[0.0] * 6, [1.0] * 6], dtype=torch.double)
    torch.manual_seed(0)
    _, best = optimize_acqf(acquisition, bounds, q=2, num_restarts=4, raw_samples=128)
    candidates, value = optimize_acqf_ars(acquisition, bounds, q=2)
    assert candidates.shape == (2, 6)
    assert value > best - 0.15  # of several hills of almost the same height


def test_fixed_features_and_post_processing_hold_for_every_candidate_that_is_valued():
    seen = []

    def watched(candidates):
        seen.append(candidates)
        return hill(candidates)

    candidates, _ = optimize_acqf_ars(
        watched, BOUNDS, q=1, fixed_features={1: 12.0}, post_processing_func=lambda x: x.round(decimals=0)
    )
    every = torch.cat(seen)
    assert (every[..., 1] == 12.0).all()
    assert (every == every.round()).all()
    assert candidates.tolist() in ([[0.0, 12.0]], [[1.0, 12.0]])


def test_given_starts_are_where_the_policies_begin():
    start = torch.tensor([[[-1.0, 10.0]]], dtype=torch.double)
    arguments = {"q": 1, "num_restarts": 1, "batch_initial_conditions": start, "horizon": 1}
    candidates, _ = optimize_acqf_ars(hill, BOUNDS, reaches=(0.05,), **arguments)
    assert ((candidates[0] - start[0, 0]) <= 0.0501 * (BOUNDS[1] - BOUNDS[0])).all()


def test_same_seed_same_candidate_and_another_seed_another():
    first, again, other = (optimize_acqf_ars(hill, BOUNDS, q=1, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_policys_best_is_returned_on_request():
    candidates, values = optimize_acqf_ars(hill, BOUNDS, q=2, num_restarts=3, return_best_only=False)
    assert candidates.shape == (3, 2, 2)
    torch.testing.assert_close(values, hill(candidates))


def test_point_whose_value_is_not_a_number_never_wins():
    def broken(candidates):
        values = hill(candidates)
        return torch.where(candidates[:, 0, 0] > 0.4, torch.nan, values)

    candidates, value = optimize_acqf_ars(broken, BOUNDS, q=1)
    assert candidates[0, 0] <= 0.4
    assert torch.isfinite(value)


def test_bounds_and_callers_tensors_stay_as_they_are():
    bounds = BOUNDS.clone()
    optimize_acqf_ars(hill, bounds, q=1, fixed_features={0: 0.0})
    assert torch.equal(bounds, BOUNDS)


@pytest.mark.parametrize(
    ("changes", "error", "remedy"),
    [
        ({"bounds": BOUNDS.T.flip(1)[:1]}, ShapeError, "stack the two rows"),
        ({"bounds": BOUNDS.flip(0)}, ShapeError, "lower ends first"),
        ({"q": 0}, ConfigError, "raise them"),
        ({"batch_initial_conditions": torch.zeros(2, 1, 2)}, ShapeError, "one start per restart"),
    ],
)
def test_contradictory_arguments_are_refused_with_a_remedy(changes, error, remedy):
    with pytest.raises(error, match=remedy):
        optimize_acqf_ars(**{"acq_function": hill, "bounds": BOUNDS, "q": 1, **changes})
