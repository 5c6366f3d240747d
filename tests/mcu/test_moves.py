import numpy as np
import pytest

from tinypareto.mcu.graph import Concat, Graph, Pad, Resize, Slice, Tensor, Transpose
from tinypareto.mcu.moves import keeps_values, permutation, stays_in_place
from tinypareto.mcu.reference import run_reference

HALVED = (np.arange(-128, 128) // 2).astype(np.int8)


def run(operator, *arrays, out):
    tensors = {
        name: Tensor(name=name, shape=array.shape, scale=1.0, zero_point=0)
        for name, array in zip(operator.inputs, arrays, strict=True)
    }
    tensors["y"] = Tensor(name="y", shape=out, scale=1.0, zero_point=0)
    graph = Graph(name="g", tensors=tensors, operators=(operator,), inputs=operator.inputs, outputs=("y",))
    samples = np.concatenate([array.ravel() for array in arrays])[None]
    return run_reference(graph, samples.reshape(1, *graph.input_shape))[0]


def counted(*shape, first=0):
    return np.arange(first, first + np.prod(shape)).astype(np.int8).reshape(shape)


def test_a_concatenation_rescales_only_inputs_with_a_table():
    operator = Concat(name="c", inputs=("a", "b"), output="y", axis=2, tables=(None, HALVED))
    got = run(operator, counted(1, 2, 2), counted(1, 2, 1, first=10), out=(1, 2, 3))
    assert got.tolist() == [[[0, 1, 5], [2, 3, 5]]]


def test_a_slice_takes_every_step_from_its_start_on():
    operator = Slice(name="s", inputs=("x",), output="y", start=(0, 1, 0), step=(1, 2, 1))
    assert run(operator, counted(1, 6, 2), out=(1, 2, 2)).tolist() == [[[2, 3], [6, 7]]]


def test_padding_lies_around_the_input_and_is_clamped_with_it():
    operator = Pad(name="p", inputs=("x",), output="y", before=(1, 0, 1), value=-9, clamp=(-5, 2))
    assert run(operator, counted(1, 2, 2), out=(2, 2, 3)).tolist() == [
        [[-5, -5, -5], [-5, -5, -5]],
        [[-5, 0, 1], [-5, 2, 2]],
    ]


def test_a_resize_repeats_the_rows_and_columns_that_it_lists():
    operator = Resize(name="r", inputs=("x",), output="y", rows=(1, 1, 0), columns=(0, 2))
    got = run(operator, counted(2, 3, 1), out=(3, 2, 1))
    assert got[:, :, 0].tolist() == [[3, 5], [3, 5], [0, 2]]


def test_a_transposition_permutes_its_view():
    operator = Transpose(name="t", inputs=("x",), output="y", view=(1, 2, 3), axes=(0, 2, 1))
    assert run(operator, counted(1, 1, 6), out=(3, 2, 1)).ravel().tolist() == [0, 3, 1, 4, 2, 5]
    assert permutation(operator).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("view", "axes", "stays"),
    [((1, 4, 3), (1, 0, 2), True), ((4, 1, 3), (0, 2, 1), True), ((4, 2, 3), (1, 0, 2), False)],
)
def test_a_transposition_of_axes_of_one_moves_nothing(view, axes, stays):
    operator = Transpose(name="t", inputs=("x",), output="y", view=view, axes=axes)
    assert stays_in_place(operator) == stays


def test_values_stay_unless_a_table_or_a_clamp_changes_them():
    operator = Slice(name="s", inputs=("x",), output="y")
    assert keeps_values(operator)
    assert not keeps_values(Slice(name="s", inputs=("x",), output="y", clamp=(-128, 5)))
    assert not keeps_values(Slice(name="s", inputs=("x",), output="y", tables=(HALVED,)))
