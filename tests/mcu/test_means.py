import numpy as np
import pytest

from tinypareto.mcu.graph import AveragePool, Graph, Tensor, Window
from tinypareto.mcu.means import mean_requantization, mean_varies, windows_by_count


def mean(padding=(0, 0, 0, 0), **settings):
    window = Window(kernel=(2, 3), padding=padding)
    return AveragePool(name="mean", inputs=("x",), output="y", window=window, **settings)


@pytest.mark.parametrize(
    ("operator", "varies"),
    [(mean(), False), (mean((0, 1, 0, 0)), True), (mean((0, 1, 0, 0), count_padding=True), False)],
)
def test_the_divisor_varies_where_padding_is_left_out(operator, varies):
    assert mean_varies(operator) == varies


def test_there_is_a_factor_for_each_number_of_values():
    tensors = {
        "x": Tensor(name="x", shape=(4, 4, 1), scale=0.5, zero_point=0),
        "y": Tensor(name="y", shape=(3, 3, 1), scale=1.0, zero_point=0),
    }
    graph = Graph(name="g", tensors=tensors, operators=(mean(),), inputs=("x",), outputs=("y",))
    assert len(windows_by_count(mean())) == 6
    multipliers, shifts = mean_requantization(graph, mean())
    factors = multipliers * 2.0 ** (shifts.astype(float) - 32)
    np.testing.assert_allclose(factors, [0.5 / count for count in range(1, 7)], rtol=1e-8)
