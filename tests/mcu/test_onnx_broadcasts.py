"""Arithmetic with constants that differ from channel to channel: at most one step from onnxruntime."""

import numpy as np
import pytest
from onnx import helper
from onnxruntime.quantization import QuantType
from small_onnx import (
    int8_weight,
    is_exact,
    normal,
    one_layer,
    qdq,
    refuses,
    samples,
    steps_apart,
    written_by_hand,
)

from tinypareto.mcu.graph import Convolution, Lookup, Transpose
from tinypareto.mcu.moves import stays_in_place
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

IMAGE, SERIES, TOKENS, VECTOR = (5, 7, 6), (5, 19), (9, 6), (23,)
SHAPES = {
    "image": (IMAGE, (5, 1, 1)),
    "image with batch": (IMAGE, (1, 5, 1, 1)),
    "few channels": ((2, 7, 6), (2, 1, 1)),
    "series": (SERIES, (5, 1)),
    "series with batch": (SERIES, (1, 5, 1)),
    "last axis": (TOKENS, (6,)),
    "last axis with batch": (TOKENS, (1, 1, 6)),
    "last axis of an image": (IMAGE, (6,)),
    "vector": (VECTOR, (23,)),
    "vector with batch": (VECTOR, (1, 23)),
    "middle axis": (IMAGE, (7, 1)),
    "two axes": (IMAGE, (7, 6)),
    "positions": (TOKENS, (1, 9, 6)),
    "everything": (IMAGE, IMAGE),
}


def kinds(graph):
    return [type(operator) for operator in graph.operators]


def spread(shape):
    """Return constants of both signs and very different sizes, none 0."""
    sizes = np.geomspace(0.1, 3, int(np.prod(shape))).reshape(shape)
    return (sizes * np.where(normal(*shape) < 0, -1, 1)).astype(np.float32)


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
def test_constants_behind_a_value_are_at_most_one_step_from_onnxruntime(tmp_path, kind, case):
    dims, shape = SHAPES[case]
    middle = [helper.make_node(kind, ["x_r", "c"], ["h"], name="layer")]
    steps = (0.2, 3) if kind == "Div" else (0.06, 3)
    path = written_by_hand(tmp_path, middle, {"c": spread(shape)}, dims=dims, output=("h", *steps))
    graph = read_onnx(path)
    assert [kind for kind in kinds(graph) if kind is not Transpose] == [Convolution]
    assert graph.output_dims == (dims,)
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize("case", ["image", "series", "last axis", "vector", "positions"])
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_constants_before_a_value_are_at_most_one_step_from_onnxruntime(tmp_path, kind, case):
    dims, shape = SHAPES[case]
    middle = [helper.make_node(kind, ["c", "x_r"], ["h"], name="layer")]
    path = written_by_hand(tmp_path, middle, {"c": spread(shape)}, dims=dims, output=("h", 0.06, 3))
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
@pytest.mark.parametrize("case", ["image", "few channels", "series", "last axis", "vector"])
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_constants_that_onnxruntime_quantised_are_at_most_one_step_off(tmp_path, kind, case, per_channel):
    dims, shape = SHAPES[case]
    quantization = {"activation": QuantType.QInt8, "per_channel": per_channel, "kinds": [kind]}
    path = one_layer(tmp_path, kind, dims, {"c": spread(shape)}, quantization=quantization)
    assert Convolution in kinds(read_onnx(path))
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


@pytest.mark.parametrize("case", SHAPES)
def test_the_generated_code_computes_with_constants_as_the_reference_does(tmp_path, case):
    dims, shape = SHAPES[case]
    middle = [helper.make_node("Mul", ["x_r", "c"], ["h"])]
    path = written_by_hand(tmp_path, middle, {"c": spread(shape)}, dims=dims, output=("h", 0.06, 3))
    is_exact(path, samples(dims, count=3), tmp_path)


@pytest.mark.parametrize(
    ("kind", "inputs", "want"),
    [
        ("Add", ["x_r", "c"], [[11, 12], [-18, -17]]),
        ("Sub", ["x_r", "c"], [[-9, -8], [22, 23]]),
        ("Sub", ["c", "x_r"], [[9, 8], [-22, -23]]),
        ("Mul", ["x_r", "c"], [[2, 4], [-2, -3]]),
        ("Div", ["x_r", "c"], [[2, 4], [-2, -3]]),
    ],
)
def test_constants_solved_by_hand(tmp_path, kind, inputs, want):
    """x is 1, 2 in the first channel and 2, 3 in the second, in steps of 0.05."""
    constants = {"c": np.array([[2.0 if kind == "Mul" else 0.5], [-1.0]], np.float32)}
    middle = [helper.make_node(kind, inputs, ["h"])]
    path = written_by_hand(tmp_path, middle, constants, dims=(2, 2), output=("h", 0.05, 0))
    graph = read_onnx(path)
    x = np.float32(0.05) * np.array([[[1, 2], [2, 3]]], np.float32)
    steps = np.rint(dequantize_output(graph, run_reference(graph, quantize_input(graph, x))) / 0.05)
    assert steps.tolist() == [want]


def test_a_factor_of_zero_gives_zeros(tmp_path):
    middle = [helper.make_node("Mul", ["x_r", "c"], ["h"])]
    path = written_by_hand(tmp_path, middle, {"c": np.float32([0.5, 0, -0.0, 2, 1, 3])})
    graph = read_onnx(path)
    real = dequantize_output(graph, run_reference(graph, quantize_input(graph, samples((6,)))))
    assert (real[:, 1:3] == 0).all()
    assert steps_apart(path, samples((6,))).max() <= 1


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_one_number_is_a_table_whatever_its_axes(tmp_path, shape):
    path = one_layer(tmp_path, "Mul", IMAGE, {"c": np.full(shape, 0.7, np.float32)})
    assert kinds(read_onnx(path)) == [Lookup]
    assert steps_apart(path, samples(IMAGE, seed=3)).max() <= 1


def test_constants_along_the_last_axis_of_what_lies_so_move_nothing(tmp_path):
    weight, constants = int8_weight(rows=6, columns=6)
    (product, first), (scaled, second) = qdq("p", 0.06, 5), qdq("s", 0.05, -9)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node("Mul", ["p_r", "c"], ["s"]), *scaled, helper.make_node("Add", ["s_r", "d"], ["h"]),
    ]  # fmt: skip
    constants |= {**first, **second, "c": spread((6,)), "d": spread((9, 1))}
    path = written_by_hand(tmp_path, middle, constants, dims=TOKENS)
    graph = is_exact(path, samples(TOKENS, count=3), tmp_path)
    # the constants of each time step want channels first
    assert kinds(graph) == [Convolution, Convolution, Transpose, Convolution]
    assert steps_apart(path, samples(TOKENS)).max() <= 2


@pytest.mark.parametrize("case", ["image", "series", "vector", "middle axis", "two axes", "everything"])
def test_constants_along_other_axes_than_the_last_move_nothing(tmp_path, case):
    dims, shape = SHAPES[case]
    middle = [helper.make_node("Add", ["x_r", "c"], ["h"])]
    path = written_by_hand(tmp_path, middle, {"c": spread(shape)}, dims=dims)
    moves = [operator for operator in read_onnx(path).operators if isinstance(operator, Transpose)]
    assert all(stays_in_place(operator) for operator in moves)
    assert len(moves) == (2 if "ax" in case or "every" in case else 0)  # there and back


def test_constants_along_an_axis_of_four_are_added(tmp_path):
    weight, constants = int8_weight(rows=6, columns=6)
    product, rounding = qdq("p", 0.06, 5)
    middle = [
        weight, helper.make_node("Reshape", ["x_r", "split"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["p"]), *product, helper.make_node("Add", ["p_r", "c"], ["h"]),
    ]  # fmt: skip
    constants |= {**rounding, "split": np.array([0, 2, 2, 5, 6]), "c": spread((2, 1, 6))}
    path = written_by_hand(tmp_path, middle, constants, dims=(4, 5, 6))
    assert steps_apart(path, samples((4, 5, 6))).max() <= 2


def test_positions_are_added_in_place(tmp_path):
    weight, constants = int8_weight(rows=6, columns=6)
    product, rounding = qdq("p", 0.06, 5)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node("Add", ["p_r", "c"], ["t"]), *qdq("t", 0.06, 5)[0],
        helper.make_node("Flatten", ["t_r"], ["f"]), helper.make_node("Relu", ["f"], ["h"]),
    ]  # fmt: skip
    constants |= {**rounding, **qdq("t", 0.06, 5)[1], "c": spread(TOKENS)}
    path = written_by_hand(tmp_path, middle, constants, dims=TOKENS)
    graph = is_exact(path, samples(TOKENS, count=3), tmp_path)
    moves = [operator for operator in graph.operators if isinstance(operator, Transpose)]
    assert [stays_in_place(operator) for operator in moves] == [True] * 3
    assert steps_apart(path, samples(TOKENS)).max() <= 2


REFUSED = {
    "wrong size": (
        "Add",
        ["x_r", "c"],
        (2, 1, 1),
        r"read as ONNX|must have the axes of the value \(5, 7, 6\)",
    ),
    "larger than the value": (
        "Add",
        ["x_r", "c"],
        (2, 5, 7, 6),
        "read as ONNX|must have the axes of the value",
    ),
    "division of constants": ("Div", ["c", "x_r"], (5, 1, 1), "only one number can be divided by a value"),
    "far away": (
        "Add",
        ["x_r", "big"],
        (5, 1, 1),
        "finite and not far beyond the value's range; calibrate again",
    ),
    "not finite": (
        "Sub",
        ["x_r", "odd"],
        (5, 1, 1),
        "finite and not far beyond the value's range; calibrate again",
    ),
    "divided by zero": (
        "Div",
        ["x_r", "zeros"],
        (5, 1, 1),
        "must divide by constants other than 0; check the model",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_constants_that_cannot_be_compiled_are_refused_with_a_remedy(tmp_path, case):
    kind, inputs, shape, said = REFUSED[case]
    constants = {
        "c": spread(shape), "big": np.full(shape, 1e9, np.float32), "odd": np.full(shape, np.nan, np.float32),
        "zeros": np.zeros(shape, np.float32),
    }  # fmt: skip
    middle = [helper.make_node(kind, inputs, ["h"], name="layer")]
    constants = {name: value for name, value in constants.items() if name in inputs}
    path = written_by_hand(tmp_path, middle, constants, dims=IMAGE)
    refuses(path, said)


def test_a_constant_whose_scales_fit_no_axis_is_refused(tmp_path):
    constants = {"c_q": np.arange(6, dtype=np.int8), "c_s": np.float32([0.1, 0.2]), "c_z": np.int8([0, 0])}
    middle = [
        helper.make_node("DequantizeLinear", [*constants], ["c"], axis=0),
        helper.make_node("Add", ["x_r", "c"], ["h"]),
    ]
    refuses(
        written_by_hand(tmp_path, middle, constants), "one scale and zero point, or one for each|read as ONNX"
    )
