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
    requantization,
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
    return min(max(zero_point + ((acc * 2**shift * multiplier + 2**31) >> 32), low), high)


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


def test_the_shift_is_zero_below_one_half_and_as_small_as_possible_above():
    multiplier, shift = fixed_point([0.5 - 2.0**-32, 0.5, 0.25, 1.0, 2.0**-20, 128.0])
    assert multiplier.tolist() == [2**31 - 1, 2**30, 2**30, 2**30, 2**12, 2**30]
    assert shift.tolist() == [0, 1, 0, 2, 0, 9]


def test_a_multiplier_that_rounds_up_to_two_to_the_31_carries_into_the_shift():
    multiplier, shift = fixed_point([0.5 - 2.0**-40, 1.0 - 2.0**-40])
    assert (multiplier.tolist(), shift.tolist()) == ([2**30, 2**30], [1, 2])


def test_multiplier_and_shift_are_within_their_ranges_and_off_by_half_at_most():
    real = 2.0 ** np.random.default_rng(0).uniform(-40, 7.9, size=2000)
    multiplier, shift = fixed_point(real)
    assert multiplier.dtype == np.int32
    assert shift.dtype == np.int8
    assert (multiplier >= 0).all()
    assert (shift.min(), shift.max()) == (0, 9)
    for value, m, s in zip(real.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        assert abs(Fraction(m) - Fraction(value) * 2 ** (32 - s)) <= Fraction(1, 2)


def test_no_output_is_off_by_more_than_a_quarter_besides_its_rounding():
    rng = np.random.default_rng(4)
    real = 2.0 ** rng.uniform(-33, -1, size=3000)
    acc = np.clip(rng.uniform(-128, 128, size=3000) / real, INT32_MIN, INT32_MAX).astype(np.int64)
    for value, a, m, s in zip(real.tolist(), acc.tolist(), *map(list, fixed_point(real)), strict=True):
        exact = Fraction(value) * a
        assert abs(slow_requantize(a, int(m), int(s), 0, -1000, 1000) - exact) <= Fraction(3, 4)


def test_a_factor_of_256_or_more_saturates_whatever_the_accumulator():
    multiplier, shift = fixed_point([256.0, 1e6, 2.0**28])
    assert (multiplier.tolist(), shift.tolist()) == ([2**31 - 1] * 3, [9] * 3)
    for zero_point in (-128, 127):
        assert requantize([1, 1, 1], multiplier, shift, zero_point, -128, 127).tolist() == [127] * 3
        assert requantize([-1, -1, -1], multiplier, shift, zero_point, -128, 127).tolist() == [-128] * 3
    assert requantize([0, 0, 0], multiplier, shift, 5, -128, 127).tolist() == [5] * 3


def test_a_factor_too_small_to_lift_any_accumulator_to_one_half_becomes_zero():
    multiplier, _ = fixed_point([0.0, 1e-300, 2.0**-34, 2.0**-32])
    assert multiplier.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf, 2.0**29])
def test_an_impossible_factor_is_refused_with_a_remedy(value):
    with pytest.raises(UnsupportedModelError, match="calibrate again"):
        fixed_point([0.5, value])


def test_a_large_factor_of_a_large_accumulator_is_refused_with_a_remedy():
    assert fixed_point([0.3, 0.9], reach=[2**31 - 1, 2**30 - 1])[1].tolist() == [0, 1]
    with pytest.raises(
        UnsupportedModelError, match=r"0\.9 has one that can reach 1073741824; calibrate with"
    ):
        fixed_point([0.3, 0.9], reach=[2**31 - 1, 2**30])


def test_halves_round_towards_plus_infinity():
    acc = np.array([-3, -1, 1, 3])
    assert requantize(acc, 2**30, 1, 0, -128, 127).tolist() == [-1, 0, 1, 2]


def test_requantize_equals_unbounded_integers_for_every_shift_and_at_the_edges():
    rng = np.random.default_rng(1)
    for shift in range(10):
        reach = 2 ** (31 - shift) - 1
        acc = np.concatenate([[-reach, reach, 0], rng.integers(-reach, reach, size=20) >> 12])
        multiplier = np.concatenate([[2**31 - 1, 2**31 - 1, 0], rng.integers(2**30, 2**31, size=20)])
        got = requantize(acc, multiplier, np.int8(shift), -7, -100, 101)
        want = [
            slow_requantize(a, m, shift, -7, -100, 101)
            for a, m in zip(acc.tolist(), multiplier.tolist(), strict=True)
        ]
        assert got.tolist() == want


def test_channels_have_their_own_factor():
    multiplier, shift = fixed_point([0.5, 2.0])
    assert shift.tolist() == [1, 3]
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


def test_a_layers_factor_is_refused_if_its_own_accumulator_is_too_large():
    graph = two_tensor_graph(dense([[127, 1]], [2**30]), scales=(1.0, 1.0))
    assert requantization(graph, graph.operators[0])[1].tolist() == [0]
    with pytest.raises(UnsupportedModelError, match="nearly every output saturates"):
        requantization(two_tensor_graph(graph.operators[0], scales=(4.0, 1.0)), graph.operators[0])


def test_the_accumulator_of_a_mean_grows_with_its_window():
    window = Window(kernel=(500, 500))
    mean = AveragePool(name="mean", inputs=("x",), output="y", window=window)
    with pytest.raises(UnsupportedModelError, match="can reach 63750000"):
        requantization(two_tensor_graph(mean, scales=(250_000.0 * 40, 1.0)), mean)
