import numpy as np
import pytest

from tinypareto.mcu.graph import ArgMax, Graph, Softmax, Tensor
from tinypareto.mcu.rankings import runs
from tinypareto.mcu.reference import run_reference


def graph_of(operator, shape, out, scale, out_scale):
    tensors = {
        "x": Tensor(name="x", shape=shape, scale=scale, zero_point=5),
        "y": Tensor(name="y", shape=out, scale=out_scale, zero_point=-128),
    }
    return Graph(name="g", tensors=tensors, operators=(operator,), inputs=("x",), outputs=("y",))


def test_shares_of_equal_values_are_equal_and_a_distant_one_takes_all():
    operator = Softmax(name="s", inputs=("x",), output="y")
    graph = graph_of(operator, (1, 1, 4), (1, 1, 4), 1.0, 1 / 256)
    values = np.array([[7, 7, 7, 7], [-128, 127, -128, -128]], np.int8).reshape(2, 1, 1, 4)
    # 1/4 is 64 steps; the whole, 256, saturates
    assert run_reference(graph, values).reshape(2, 4).tolist() == [[-64] * 4, [-128, 127, -128, -128]]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("scale", [1e-6, 0.003, 0.07, 1.3, 1e6])
def test_a_softmax_is_at_most_one_step_from_real_numbers(axis, scale):
    operator = Softmax(name="s", inputs=("x",), output="y", axis=axis)
    graph = graph_of(operator, (3, 4, 5), (3, 4, 5), scale, 1 / 256)
    x = np.random.default_rng(0).integers(-128, 128, (20, 3, 4, 5), dtype=np.int8)
    real = scale * x.astype(float)
    powers = np.exp(real - real.max(axis=axis + 1, keepdims=True))
    shares = powers / powers.sum(axis=axis + 1, keepdims=True)
    want = np.clip(np.rint(shares * 256) - 128, -128, 127)
    apart = np.abs(run_reference(graph, x) - want)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.02


def test_the_first_of_equal_values_is_the_largest():
    operator = ArgMax(name="a", inputs=("x",), output="y", axis=1)
    graph = graph_of(operator, (2, 4, 1), (2, 1, 1), 1.0, 1.0)
    values = np.array([[3, 9, 9, -1], [-128, -128, -128, -128]], np.int8).reshape(1, 2, 4, 1)
    assert run_reference(graph, values).ravel().tolist() == [1 - 128, -128]


def test_runs_lie_along_their_axis():
    assert [runs((2, 3, 5), axis) for axis in (0, 1, 2)] == [(1, 2, 15), (2, 3, 5), (6, 5, 1)]
