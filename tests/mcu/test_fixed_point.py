from fractions import Fraction

import numpy as np
import pytest

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.fixed_point import (
    fixed_point,
    fixed_point_pair,
    folded_bias,
    output_multiplier,
    pair_multiplier,
    requantize,
    requantize_sum,
)
from tinypareto.mcu.graph import (
    Add,
    AveragePool,
    Convolution,
    Dense,
    Graph,
    MaxPool,
    Relu,
    Tensor,
    Window,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def slow_requantize(acc, multiplier, shift, zero_point, low, high):
    """The specification in Python's unbounded integers."""
    return min(max(zero_point + ((acc * multiplier + 2 ** (shift - 1)) >> shift), low), high)


def two_tensor_graph(operator, *, scales):
    names = (*operator.inputs, operator.output)
    tensors = {
        name: Tensor(name=name, shape=(1, 1, 2), scale=scale, zero_point=0)
        for name, scale in zip(names, scales, strict=True)
    }
    return Graph(
        name="g", tensors=tensors, operators=(operator,), inputs=names[:1], outputs=(operator.output,)
    )


def dense(weight, bias):
    weight = np.array(weight, np.int8)
    return Dense(
        name="fc",
        inputs=("x",),
        output="y",
        weight=weight,
        bias=np.array(bias, np.int32),
        weight_scale=np.linspace(0.25, 0.5, len(weight)),
    )


def test_powers_of_two_have_the_smallest_multiplier():
    multiplier, shift = fixed_point([1.0, 0.5, 0.25, 2.0, 2.0**-20])
    assert (multiplier == 2**30).all()
    assert shift.tolist() == [30, 31, 32, 29, 50]


def test_a_multiplier_that_rounds_up_to_two_to_the_31_carries_into_the_shift():
    multiplier, shift = fixed_point(1.0 - 2.0**-40)
    assert (int(multiplier), int(shift)) == (2**30, 30)


def test_multiplier_and_shift_are_within_their_ranges_and_exact_to_31_bits():
    real = 2.0 ** np.random.default_rng(0).uniform(-31.9, 28.9, size=2000)
    multiplier, shift = fixed_point(real)
    assert multiplier.dtype == np.int32
    assert shift.dtype == np.int8
    assert (multiplier >= 2**30).all()
    assert shift.min() >= 1
    assert shift.max() <= 62
    for value, m, s in zip(real.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        assert abs(Fraction(m, 2**s) / Fraction(value) - 1) <= Fraction(1, 2**31)


def test_only_factors_that_no_accumulator_can_lift_to_one_half_become_zero():
    multiplier, _ = fixed_point([0.0, 1e-300, np.nextafter(2.0**-32, 0.0), 2.0**-32])
    assert multiplier.tolist() == [0, 0, 2**30, 2**30]  # the third rounds up to 2**-32
    multiplier, shift = fixed_point(2.0**-33)
    assert int(multiplier) == 0
    assert slow_requantize(INT32_MIN, 2**30, 63, 0, -128, 127) == 0, "the exact product also rounds to 0"
    assert requantize(INT32_MIN, multiplier, shift, 5, -128, 127) == 5


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf, 2.0**29])
def test_an_impossible_factor_is_refused_with_a_remedy(value):
    with pytest.raises(UnsupportedModelError, match="calibrate again"):
        fixed_point([0.5, value])


def test_halves_round_towards_plus_infinity():
    acc = np.array([-3, -1, 1, 3])
    assert requantize(acc, 2**30, 31, 0, -128, 127).tolist() == [-1, 0, 1, 2]


def test_requantize_equals_unbounded_integers_for_every_shift_and_at_the_edges():
    rng = np.random.default_rng(1)
    for shift in range(1, 63):
        acc = np.concatenate([[INT32_MIN, INT32_MAX, 0], rng.integers(INT32_MIN, INT32_MAX, size=20)])
        multiplier = np.concatenate([[2**31 - 1, 2**31 - 1, 0], rng.integers(2**30, 2**31, size=20)])
        got = requantize(acc, multiplier, np.int8(shift), -7, -100, 101)
        want = [
            slow_requantize(a, m, shift, -7, -100, 101)
            for a, m in zip(acc.tolist(), multiplier.tolist(), strict=True)
        ]
        assert got.tolist() == want


def test_the_high_word_alone_gives_the_same_bits_from_shift_33_on():
    rng = np.random.default_rng(2)
    for shift in range(33, 63):
        for acc, m in zip(
            [INT32_MIN, INT32_MAX, *rng.integers(INT32_MIN, INT32_MAX, size=50).tolist()],
            [2**31 - 1, 2**30, *rng.integers(2**30, 2**31, size=50).tolist()],
            strict=True,
        ):
            high_word = (acc * m) >> 32
            short = (high_word + 2**shift // 2**33) >> (shift - 32)
            assert short == (acc * m + 2 ** (shift - 1)) >> shift


def test_channels_have_their_own_factor():
    multiplier, shift = fixed_point([0.5, 2.0])
    assert requantize([[10, 10], [4, 4]], multiplier, shift, 0, -128, 127).tolist() == [[5, 20], [2, 8]]


@pytest.mark.parametrize("exponent", [*range(-14, 20), -60])
def test_a_pair_and_its_sum_fit_32_bits(exponent):
    larger = float(np.nextafter(2.0**exponent, 0.0))
    for pair in (fixed_point_pair(larger, larger), fixed_point_pair(larger / 3, larger)):
        assert 1 <= pair.shift <= 31
        assert 0 <= pair.first <= pair.second < 2**21
        assert 255 * (pair.first + pair.second) + 2 ** (pair.shift - 1) < 2**31


def test_a_pair_that_rounds_up_to_two_to_the_21_carries_into_the_shift():
    pair = fixed_point_pair(0.5 - 2.0**-30, 0.25)
    assert (pair.first, pair.second, pair.shift) == (2**20, 2**19, 21)


def test_a_sum_is_the_rounded_real_sum():
    rng = np.random.default_rng(3)
    a, b = rng.integers(-255, 256, size=(2, 5000))
    for first, second in ((0.7, 0.31), (1.0, 1.0), (0.013, 1.9), (1e-5, 0.4)):
        real = first * a + second * b
        clear = np.abs(real - np.floor(real) - 0.5) > 1e-3  # the 21 bits decide only near halves
        got = requantize_sum(a, b, fixed_point_pair(first, second), 3, -128, 127)
        want = np.clip(np.floor(real + 0.5) + 3, -128, 127)
        assert (got[clear] == want[clear]).all()
        assert clear.mean() > 0.5
        assert np.abs(got - want).max() <= 1


def test_halves_of_a_sum_round_towards_plus_infinity():
    got = requantize_sum([1, -1], [0, 0], fixed_point_pair(0.5, 0.5), 0, -128, 127)
    assert got.tolist() == [1, 0]


@pytest.mark.parametrize("value", [-1.0, np.nan, 2.0**19])
def test_an_impossible_pair_is_refused_with_a_remedy(value):
    with pytest.raises(UnsupportedModelError, match="calibrate again"):
        fixed_point_pair(0.5, value)


def test_the_output_factor_of_a_layer_has_one_entry_per_channel():
    operator = dense([[1, 2], [3, 4]], [0, 0])
    factor = output_multiplier(two_tensor_graph(operator, scales=(0.5, 0.125)), operator)
    assert factor.tolist() == [1.0, 2.0]


def test_the_output_factor_of_a_mean_divides_by_the_window():
    operator = AveragePool(name="mean", inputs=("x",), output="y", window=Window(kernel=(2, 3)))
    assert output_multiplier(two_tensor_graph(operator, scales=(0.75, 0.25)), operator) == [0.5]


def test_the_output_factor_of_other_operators_is_the_ratio_of_scales():
    for operator in (
        Relu(name="relu", inputs=("x",), output="y"),
        MaxPool(name="max", inputs=("x",), output="y", window=Window(kernel=(2, 2))),
    ):
        assert output_multiplier(two_tensor_graph(operator, scales=(0.75, 0.25)), operator) == [3.0]


def test_an_addition_has_each_inputs_scale_over_the_outputs():
    operator = Add(name="add", inputs=("a", "b"), output="y")
    pair = pair_multiplier(two_tensor_graph(operator, scales=(0.5, 0.25, 1.0)), operator)
    assert (pair.first / 2**pair.shift, pair.second / 2**pair.shift) == (0.5, 0.25)


def test_the_folded_bias_lets_the_kernel_multiply_raw_inputs():
    operator = dense([[1, -2], [100, 27]], [7, -9])
    x = np.array([[-128, 127], [3, 4]])
    for zero_point in (-128, 0, 5, 127):
        weight = operator.weight.astype(int)
        want = (x - zero_point) @ weight.T + operator.bias
        assert (x @ weight.T + folded_bias(operator, zero_point) == want).all()


def test_a_convolutions_bias_is_folded_over_its_whole_kernel():
    weight = np.arange(1, 9, dtype=np.int8).reshape(1, 2, 2, 2)
    operator = Convolution(
        name="conv",
        inputs=("x",),
        output="y",
        window=Window(kernel=(2, 2)),
        weight=weight,
        bias=np.array([100], np.int32),
        weight_scale=np.ones(1),
    )
    assert folded_bias(operator, 2).tolist() == [100 - 2 * 36]


def test_an_accumulator_beyond_32_bits_is_refused_with_channel_and_remedy():
    edge = INT32_MAX - 128 * 127
    assert folded_bias(dense([[127], [127]], [0, edge]), 0)[1] == edge
    with pytest.raises(UnsupportedModelError, match=r"fc .*channel 1 can reach 2147483648.*split the layer"):
        folded_bias(dense([[127], [127]], [0, edge + 1]), 0)
