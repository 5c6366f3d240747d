import math

import pytest
import torch

from tinypareto.search.kernels import covariance, covariance_and_slope, matern52, squared_exponential

SQUARED = torch.tensor([[0.0, 0.3, 1.0, 9.0]] * 2, dtype=torch.float64)
VARIANCE = torch.tensor([[2.0], [0.5]], dtype=torch.float64)


def test_matern_solved_by_hand():
    root = math.sqrt(5)
    expected = 2 * (1 + root + 5 / 3) * math.exp(-root)
    assert float(matern52(SQUARED[0, 2], torch.tensor(2.0))) == pytest.approx(expected, rel=1e-12)


def test_squared_exponential_solved_by_hand():
    found = squared_exponential(SQUARED[0, 3], torch.tensor(2.0))
    assert float(found) == pytest.approx(2 * math.exp(-4.5), rel=1e-12)


def test_each_output_gets_its_own_kernel():
    smooth = torch.tensor([[True], [False]])
    mixed = covariance(SQUARED, VARIANCE, smooth)
    torch.testing.assert_close(mixed[0], squared_exponential(SQUARED, VARIANCE)[0])
    torch.testing.assert_close(mixed[1], matern52(SQUARED, VARIANCE)[1])
    for all_alike in (smooth | True, smooth & False):
        apart = torch.where(all_alike, squared_exponential(SQUARED, VARIANCE), matern52(SQUARED, VARIANCE))
        torch.testing.assert_close(covariance(SQUARED, VARIANCE, all_alike), apart)


@pytest.mark.parametrize("smooth", [False, True])
def test_slope_is_minus_twice_the_derivative(smooth):
    squared, kinds = SQUARED[:, 1:], torch.full((2, 1), smooth)
    value, slope = covariance_and_slope(squared, VARIANCE, kinds[:, 0])
    torch.testing.assert_close(value, covariance(squared, VARIANCE, kinds))
    step = 1e-6
    difference = covariance(squared + step, VARIANCE, kinds) - covariance(squared - step, VARIANCE, kinds)
    torch.testing.assert_close(slope, -2 * difference / (2 * step), rtol=1e-6, atol=1e-9)


def test_rows_of_both_kernels_are_those_of_each_alone():
    value, slope = covariance_and_slope(SQUARED, VARIANCE, torch.tensor([True, False]))
    for row in range(2):
        alone = covariance_and_slope(SQUARED[row:][:1], VARIANCE[row:][:1], torch.tensor([row == 0]))
        torch.testing.assert_close((value[row], slope[row]), (alone[0][0], alone[1][0]), rtol=0, atol=0)
