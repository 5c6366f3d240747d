import itertools
from dataclasses import replace

import numpy as np
import pytest

from tinypareto.errors import ShapeError
from tinypareto.mcu.graph import (
    Add,
    AveragePool,
    Convolution,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Mul,
    Relu,
    Sub,
    Tensor,
    Window,
)
from tinypareto.mcu.reference import run_reference, run_reference_tensors


def graph_of(operator, shapes, *, scales=None, zero_points=None):
    names = (*operator.inputs, operator.output)
    scales, zero_points = scales or [1.0] * len(names), zero_points or [0] * len(names)
    tensors = {
        name: Tensor(name=name, shape=shape, scale=scale, zero_point=zero_point)
        for name, shape, scale, zero_point in zip(names, shapes, scales, zero_points, strict=True)
    }
    return Graph(name="g", tensors=tensors, operators=(operator,), inputs=("x",), outputs=("y",))


def image(values):
    """One sample with one channel."""
    return np.array(values, np.int8)[None, :, :, None]


def pool(make, **window):
    return make(name="pool", inputs=("x",), output="y", window=Window(**window))


def slow_convolution(graph, x):
    """Seven loops over Python's integers, straight from the definition; factor 2**-5."""
    (operator,) = graph.operators
    window, zero_point = operator.window, graph.tensors["x"].zero_point
    height, width, _ = graph.tensors["x"].shape
    out = np.zeros((len(x), *graph.tensors["y"].shape), np.int8)
    cout, kernel_height, kernel_width, group_channels = operator.weight.shape
    for n, row, column, channel in np.ndindex(*out.shape):
        acc = int(operator.bias[channel])
        first = channel // (cout // operator.groups) * group_channels
        for ky, kx, c in itertools.product(range(kernel_height), range(kernel_width), range(group_channels)):
            y = row * window.stride[0] - window.padding[0] + ky * window.dilation[0]
            x_ = column * window.stride[1] - window.padding[1] + kx * window.dilation[1]
            if 0 <= y < height and 0 <= x_ < width:
                acc += (int(x[n, y, x_, first + c]) - zero_point) * int(operator.weight[channel, ky, kx, c])
        low, high = operator.clamp
        out[n, row, column, channel] = min(max(-11 + ((acc + 16) >> 5), low), high)
    return out


@pytest.mark.parametrize(
    ("window", "groups", "channels", "out"),
    [
        (Window(kernel=(3, 3), padding=(1, 1, 1, 1)), 1, (2, 3), (6, 7)),
        (Window(kernel=(3, 2), stride=(2, 3), padding=(1, 0, 2, 1)), 2, (4, 6), (4, 3)),
        (Window(kernel=(2, 3), dilation=(3, 2), padding=(0, 2, 1, 0)), 1, (1, 2), (4, 5)),
        (Window(kernel=(1, 3), padding=(0, 1, 0, 1)), 4, (4, 4), (6, 7)),
        (Window(kernel=(3, 3), padding=(1, 1, 1, 1)), 3, (3, 6), (6, 7)),
    ],
    ids=["same", "stride and asymmetric padding", "dilation", "depthwise", "depthwise with multiplier"],
)
def test_a_convolution_equals_seven_loops(window, groups, channels, out):
    rng = np.random.default_rng(0)
    cin, cout = channels
    operator = Convolution(
        name="conv",
        inputs=("x",),
        output="y",
        window=window,
        groups=groups,
        weight=rng.integers(-127, 128, size=(cout, *window.kernel, cin // groups), dtype=np.int8),
        bias=rng.integers(-2000, 2000, size=cout, dtype=np.int32),
        weight_scale=np.full(cout, 2.0**-5),
        clamp=(-100, 90),
    )
    graph = graph_of(operator, [(6, 7, cin), (*out, cout)], zero_points=[9, -11])
    x = rng.integers(-128, 128, size=(2, 6, 7, cin), dtype=np.int8)
    got = run_reference(graph, x)
    assert (got == slow_convolution(graph, x)).all()
    assert len(np.unique(got)) > 20, "a result that is clamped everywhere shows nothing"


def test_a_dense_layer_by_hand():
    operator = Dense(
        name="fc",
        inputs=("x",),
        output="y",
        weight=np.array([[1, 2, 3, 4], [-1, 0, 0, 1]], np.int8),
        bias=np.array([10, 0], np.int32),
        weight_scale=np.array([0.5, 2.0]),
    )
    graph = graph_of(operator, [(1, 2, 2), (1, 1, 2)], zero_points=[1, -3])
    # (x - 1) = 1 2 | 3 4: 1 + 4 + 9 + 16 + 10 = 40, half 20, less 3; -1 + 4 = 3, doubled 6, less 3
    x = np.array([2, 3, 4, 5], np.int8).reshape(1, 1, 2, 2)
    assert run_reference(graph, x).ravel().tolist() == [17, 3]


def test_an_addition_by_hand():
    operator = Add(name="add", inputs=("x", "x"), output="y")
    graph = graph_of(operator, [(1, 1, 3)] * 3, scales=[0.5, 0.5, 0.25], zero_points=[2, 2, 5])
    # 2 * (q - 2) * 0.5 / 0.25 + 5
    x = np.array([2, 12, 127], np.int8).reshape(1, 1, 1, 3)
    assert run_reference(graph, x).ravel().tolist() == [5, 45, 127]


def test_an_addition_scales_each_input_by_its_own_factor():
    operators = (
        Relu(name="relu", inputs=("x",), output="r"),
        Add(name="add", inputs=("x", "r"), output="y"),
    )
    tensors = {
        name: Tensor(name=name, shape=(1, 1, 2), scale=scale, zero_point=zero_point)
        for name, scale, zero_point in (("x", 1.0, 0), ("r", 0.5, -10), ("y", 2.0, 1))
    }
    graph = Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",))
    got = run_reference_tensors(graph, np.array([8, -8], np.int8).reshape(1, 1, 1, 2))
    assert got["r"].ravel().tolist() == [6, -10]  # 8 / 0.5 - 10
    assert got["y"].ravel().tolist() == [9, -3]  # (8 + 8) / 2 + 1, (-8 + 0) / 2 + 1


@pytest.mark.parametrize(
    ("make", "inputs", "small"),
    [(Sub, "xr", False), (Sub, "rx", False), (Mul, "xr", False), (Mul, "xr", True)],
    ids=["x - r", "r - x", "x * r", "x * r per channel"],
)
def test_arithmetic_equals_real_numbers_rounded_once(make, inputs, small):
    shape, scales, zero_points = (3, 4, 5), {"x": 0.25, "r": 0.5, "y": 0.5}, {"x": 7, "r": -9, "y": 11}
    shapes = {"x": shape, "r": (1, 1, 5) if small else shape, "y": shape}
    tensors = {n: Tensor(name=n, shape=shapes[n], scale=scales[n], zero_point=zero_points[n]) for n in "xry"}
    rng = np.random.default_rng(0)
    table = rng.integers(-20, 20, 256, dtype=np.int8)
    lookup = Lookup(name="first", inputs=("x",), output="r", table=table)
    maximum = MaxPool(name="first", inputs=("x",), output="r", window=Window(kernel=(3, 4)))
    operator = make(name="op", inputs=tuple(inputs), output="y", clamp=(-100, 90))
    operators = (maximum if small else lookup, operator)
    graph = Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",))
    x = rng.integers(-30, 40, size=(8, *shape), dtype=np.int8)
    got = run_reference_tensors(graph, x)
    first, second = (scales[name] * (got[name].astype(float) - zero_points[name]) for name in inputs)
    real = first - second if make is Sub else first * second
    want = np.clip(np.floor(real / scales["y"] + 0.5) + zero_points["y"], -100, 90)  # halves up
    assert (got["y"] == want).all()
    assert len(np.unique(want)) > 20


def test_a_maximum_ignores_padding_even_if_every_value_is_small():
    operator = pool(MaxPool, kernel=(2, 2), stride=(2, 2), padding=(1, 1, 0, 0))
    graph = graph_of(operator, [(3, 3, 1), (2, 2, 1)], zero_points=[50, 50])
    x = image([[-90, -80, -70], [-60, -50, -40], [-30, -20, -10]])
    assert run_reference(graph, x)[0, :, :, 0].tolist() == [[-90, -70], [-30, -10]]


def test_a_maximum_is_rescaled_if_the_scales_differ():
    graph = graph_of(
        pool(MaxPool, kernel=(1, 2)), [(1, 2, 1), (1, 1, 1)], scales=[0.5, 2.0], zero_points=[10, -1]
    )
    assert run_reference(graph, image([[50, 20]])).item() == 9  # (50 - 10) / 4 - 1


def test_a_mean_counts_padding_as_real_zeros():
    operator = pool(AveragePool, kernel=(2, 2), stride=(2, 2), padding=(1, 1, 1, 1))
    operator = replace(operator, count_padding=True)
    graph = graph_of(operator, [(2, 2, 1), (2, 2, 1)], zero_points=[-8, 4])
    # each corner sees one value: (q + 8) / 4 + 4
    assert run_reference(graph, image([[0, 8], [16, -8]]))[0, :, :, 0].tolist() == [[6, 8], [10, 4]]


def test_a_mean_leaves_padding_out_unless_it_counts():
    operator = pool(AveragePool, kernel=(2, 2), padding=(1, 0, 0, 0))
    graph = graph_of(operator, [(2, 2, 1), (2, 1, 1)], zero_points=[-8, 4])
    # the upper row sees two values, the lower one all four: mean + 8 + 4
    assert run_reference(graph, image([[0, 8], [16, -8]]))[0, :, :, 0].tolist() == [[16], [16]]


def test_a_mean_rounds_halves_up():
    graph = graph_of(pool(AveragePool, kernel=(1, 2)), [(1, 2, 1), (1, 1, 1)])
    assert run_reference(graph, image([[3, 4]])).item() == 4
    assert run_reference(graph, image([[-3, -4]])).item() == -3


def test_a_relu_clamps_in_quantised_units():
    operator = Relu(name="relu", inputs=("x",), output="y", clamp=(-128, 20))
    graph = graph_of(operator, [(1, 1, 3), (1, 1, 3)], scales=[1.0, 0.5], zero_points=[-5, -7])
    x = np.array([-20, 0, 60], np.int8).reshape(1, 1, 1, 3)
    assert run_reference(graph, x).ravel().tolist() == [-7, 3, 20]


def test_a_lookup_reads_its_table_at_q_plus_128_and_clamps():
    table = np.arange(127, -129, -1, dtype=np.int8)  # -1 - q
    operator = Lookup(name="lookup", inputs=("x",), output="y", table=table, clamp=(-100, 90))
    graph = graph_of(operator, [(1, 1, 5)] * 2, scales=[0.1, 3.0], zero_points=[9, -9])
    x = np.array([-128, -1, 0, 5, 127], np.int8).reshape(1, 1, 1, 5)
    assert run_reference(graph, x).ravel().tolist() == [90, 0, -1, -6, -100]


def test_every_tensor_is_returned_and_the_input_stays_as_it_was():
    graph = graph_of(Relu(name="relu", inputs=("x",), output="y"), [(1, 1, 2), (1, 1, 2)])
    x = np.array([-4, 4], np.int8).reshape(1, 1, 1, 2)
    tensors = run_reference_tensors(graph, x)
    assert set(tensors) == {"x", "y"}
    assert x.ravel().tolist() == [-4, 4]
    assert tensors["y"].ravel().tolist() == [0, 4]


@pytest.mark.parametrize(
    "x", [np.zeros((1, 1, 1, 3), np.int8), np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 1, 2), np.int8)]
)
def test_inputs_of_another_shape_or_type_are_refused_with_a_remedy(x):
    graph = graph_of(Relu(name="relu", inputs=("x",), output="y"), [(1, 1, 2), (1, 1, 2)])
    with pytest.raises(ShapeError, match="quantize_input"):
        run_reference(graph, x)
