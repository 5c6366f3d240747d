from dataclasses import replace

import numpy as np
import pytest

from tinypareto.mcu.graph import (
    AveragePool,
    Convolution,
    Graph,
    MaxPool,
    Pad,
    Relu,
    Tensor,
    Window,
)
from tinypareto.mcu.passes.fold_pads import fold_pads
from tinypareto.mcu.reference import run_reference

ZERO_POINT = -7
PADDED, OUT = (
    (8, 9, 3),
    (7, 7, 3),
)  # the input is 5 x 7 x 3, one row above and two below, two columns before it


def network(kind, value, out=OUT, **settings):
    """x -> pad -> kind with a window of 2 x 3."""
    shapes = {"x": (5, 7, 3), "p": PADDED, "y": out}
    tensors = {
        name: Tensor(name=name, shape=shape, scale=0.05 if name != "y" else 0.3, zero_point=ZERO_POINT)
        for name, shape in shapes.items()
    }
    if kind is Convolution:
        rng = np.random.default_rng(0)
        settings |= {
            "weight": rng.integers(-127, 128, (3, 2, 3, 3), dtype=np.int8),
            "bias": rng.integers(-999, 999, 3).astype(np.int32),
            "weight_scale": np.full(3, 0.01),
        }
    pad = Pad(name="pad", inputs=("x",), output="p", before=(1, 2, 0), value=value)
    last = kind(name="last", inputs=("p",), output="y", **{"window": Window(kernel=(2, 3)), **settings})
    return Graph(name="g", tensors=tensors, operators=(pad, last), inputs=("x",), outputs=("y",))


def agree(first, second):
    inputs = np.random.default_rng(1).integers(-128, 128, (8, 5, 7, 3), dtype=np.int8)
    expected = run_reference(first, inputs)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(run_reference(second, inputs), expected)


@pytest.mark.parametrize(
    ("kind", "value", "settings"),
    [
        (Convolution, ZERO_POINT, {}),
        (MaxPool, -128, {}),
        (AveragePool, ZERO_POINT, {}),
        (AveragePool, ZERO_POINT, {"count_padding": True}),
    ],
)
def test_padding_becomes_that_of_the_window(kind, value, settings):
    graph = network(kind, value, **settings)
    folded = fold_pads(graph)
    (operator,) = folded.operators
    assert operator.inputs == ("x",)
    assert operator.window.padding == (1, 2, 2, 0)
    agree(graph, folded)


@pytest.mark.parametrize(("kind", "value"), [(Convolution, 0), (MaxPool, ZERO_POINT), (AveragePool, -128)])
def test_padding_of_another_value_stays(kind, value):
    graph = network(kind, value)
    assert fold_pads(graph).operators == graph.operators


def test_padding_is_added_to_the_windows_own():
    window = Window(kernel=(2, 3), padding=(1, 0, 0, 2))
    graph = network(Convolution, ZERO_POINT, out=(8, 9, 3), window=window)
    (operator,) = fold_pads(graph).operators
    assert operator.window.padding == (2, 2, 2, 2)
    agree(graph, fold_pads(graph))


def test_a_mean_that_leaves_its_own_padding_out_keeps_the_pad():
    window = Window(kernel=(2, 3), padding=(1, 0, 0, 2))
    graph = network(AveragePool, ZERO_POINT, out=(8, 9, 3), window=window)
    assert len(fold_pads(graph).operators) == 2


def test_a_pad_that_changes_values_or_channels_stays():
    graph = network(Convolution, ZERO_POINT)
    pad, last = graph.operators
    clamped = graph.with_operators((replace(pad, clamp=(-5, 5)), last))
    assert len(fold_pads(clamped).operators) == 2
    narrow = Tensor(name="x", shape=(5, 7, 2), scale=0.05, zero_point=ZERO_POINT)
    deeper = replace(graph, tensors={**graph.tensors, "x": narrow})
    assert len(fold_pads(deeper).operators) == 2


def test_a_pad_that_others_read_too_stays_for_them():
    graph = network(Convolution, ZERO_POINT)
    tensors = {**graph.tensors, "r": replace(graph.tensors["p"], name="r")}
    operators = (*graph.operators, Relu(name="relu", inputs=("p",), output="r"))
    both = replace(graph, tensors=tensors, operators=operators, outputs=("y", "r"))
    folded = fold_pads(both)
    assert [operator.inputs for operator in folded.operators] == [("x",), ("x",), ("p",)]
    agree(both, folded)
