"""Sums, differences and products of two values: at most one step from onnxruntime, or one table of both."""

import numpy as np
import pytest
from onnx import helper
from small_onnx import (
    float_file,
    int8_weight,
    is_exact,
    normal,
    qdq,
    quantized_file,
    refuses,
    samples,
    steps_apart,
    written_by_hand,
)

from tinypareto.mcu.graph import Add, Lookup, Mul, Sub
from tinypareto.mcu.read_onnx import read_onnx

IMAGE, SERIES = (4, 7, 6), (4, 19)


def gated(tmp_path, kind, inputs, dims, squeeze=(), output=("h", 0.02, -20), constants=None):
    """Write h = kind(inputs), where g_r is a quantised sigmoid of x, after the nodes ``squeeze`` from x_r to s."""
    gate, gate_constants = qdq("g", 1 / 256, -128)
    middle = [
        *squeeze,
        helper.make_node("Sigmoid", ["s" if squeeze else "x_r"], ["g"], name="gate"),
        *gate,
        helper.make_node(kind, inputs, ["h"], name="layer"),
    ]
    return written_by_hand(
        tmp_path, middle, {**gate_constants, **(constants or {})}, dims=dims, output=output
    )


def pooled():
    """Return nodes that give s, the quantised maximum of each channel."""
    nodes, constants = qdq("m", 0.05, -4)  # x's own scale, so that the maximum is exact
    first = helper.make_node("GlobalMaxPool", ["x_r"], ["m"], name="squeeze")
    return [first, *nodes, helper.make_node("Identity", ["m_r"], ["s"])], constants


@pytest.mark.parametrize("dims", [IMAGE, SERIES, (23,)])
def test_a_sum_is_at_most_one_step_from_onnxruntime(tmp_path, dims):
    relu, constants = qdq("r", 0.013, -128)
    middle = [
        helper.make_node("Relu", ["x_r"], ["r"]),
        *relu,
        helper.make_node("Add", ["x_r", "r_r"], ["h"], name="sum"),
    ]
    path = written_by_hand(tmp_path, middle, constants, dims=dims, output=("h", 0.04, -20))
    assert isinstance(read_onnx(path).operators[1], Add)
    assert steps_apart(path, samples(dims)).max() <= 2  # its input may be one step off already


def test_a_float_bias_behind_a_matrix_product_is_its_bias(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"]),
        helper.make_node("Add", ["b", "p"], ["h"]),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "b": normal(9)})
    (operator,) = read_onnx(path).operators
    want = np.rint(normal(9) / (np.float64(np.float32(0.05)) * constants["w_s"].astype(np.float64)))
    assert (operator.bias == want).all()
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


@pytest.mark.parametrize("dims", [IMAGE, SERIES, (23,)])
@pytest.mark.parametrize("inputs", [["x_r", "g_r"], ["g_r", "x_r"]], ids=["x - g", "g - x"])
def test_a_difference_is_at_most_one_step_from_onnxruntime(tmp_path, dims, inputs):
    path = gated(tmp_path, "Sub", inputs, dims)
    assert isinstance(read_onnx(path).operators[1], Sub)
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize("dims", [IMAGE, SERIES, (23,)])
@pytest.mark.parametrize("inputs", [["x_r", "g_r"], ["x_r", "x_r"], ["g_r", "g_r"]])
def test_a_product_is_at_most_one_step_from_onnxruntime(tmp_path, dims, inputs):
    path = gated(tmp_path, "Mul", inputs, dims, output=("h", 0.01, -60))
    graph = read_onnx(path)
    assert isinstance(graph.operators[1], Mul)
    assert graph.operators[1].inputs == tuple(name.removesuffix("_r") for name in inputs)
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize("dims", [IMAGE, SERIES])
@pytest.mark.parametrize("inputs", [["x_r", "g_r"], ["g_r", "x_r"]], ids=["x * g", "g * x"])
def test_a_factor_per_channel_stands_second_and_is_at_most_one_step_from_onnxruntime(tmp_path, dims, inputs):
    squeeze, constants = pooled()
    path = gated(tmp_path, "Mul", inputs, dims, squeeze, ("h", 0.03, 5), constants)
    graph = read_onnx(path)
    assert graph.operators[-1].inputs == ("x", "g")
    assert graph.tensors["g"].shape == (1, 1, 4)
    assert graph.output_dims == (dims,)
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize("inputs", [["x_r", "s"], ["s", "x_r"]])
@pytest.mark.parametrize("kind", ["HardSigmoid", "Sigmoid"])
def test_a_value_times_its_own_function_that_is_not_rounded_between_is_one_table(tmp_path, kind, inputs):
    middle = [helper.make_node(kind, ["x_r"], ["s"]), helper.make_node("Mul", inputs, ["h"])]
    path = written_by_hand(tmp_path, middle, dims=(256,), output=("h", 0.03, -90))
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Lookup)
    assert steps_apart(path, samples((256,))).max() <= 1


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [(kind, inputs) for kind in ("Add", "Sub", "Mul") for inputs in (["x_r", "c"], ["c", "x_r"])]
    + [("Div", ["x_r", "c"])],
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_arithmetic_with_one_number_is_a_table(tmp_path, kind, inputs, shape):
    constants = {"c": np.full(shape, 0.7, np.float32)}
    path = written_by_hand(
        tmp_path, [helper.make_node(kind, inputs, ["h"])], constants, dims=(256,), output=("h", 0.03, -9)
    )
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Lookup)
    assert steps_apart(path, samples((256,))).max() <= 1


def test_a_number_that_onnxruntime_quantised_is_read(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "half"], ["b"]),
        helper.make_node("Add", ["b", "third"], ["y"]),
    ]
    constants = {"w": normal(6, 9), "half": np.float32(0.5), "third": np.array([0.3], np.float32)}
    path = float_file(tmp_path / "net.onnx", nodes, constants, (6,))
    path = quantized_file(path, normal(64, 6))
    assert steps_apart(path, normal(64, 6, seed=1)).max() <= 2


def test_a_division_by_zero_or_by_a_value_is_refused(tmp_path):
    for folder, inputs, said in (
        ("zero", ["c", "x_r"], "must be finite"),
        ("value", ["x_r", "x_r"], "must divide by constants or divide one number"),
    ):
        (tmp_path / folder).mkdir()
        node = helper.make_node("Div", inputs, ["h"], name="division")
        refuses(written_by_hand(tmp_path / folder, [node], {"c": np.float32(2)}), said)


def test_a_sum_that_broadcasts_is_refused(tmp_path):
    relu, constants = qdq("r", 0.1, 0)
    middle = [
        helper.make_node("ReduceMean", ["x_r", "axes"], ["r"]),
        *relu,
        helper.make_node("Add", ["x_r", "r_r"], ["h"], name="sum"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "axes": np.array([2])}, dims=SERIES)
    refuses(path, r"'sum' \(Add\).*do not broadcast")


def test_a_difference_that_broadcasts_is_refused(tmp_path):
    squeeze, constants = pooled()
    path = gated(tmp_path, "Sub", ["x_r", "g_r"], IMAGE, squeeze, constants=constants)
    refuses(path, r"'layer' \(Sub\).*one shape, not \(4, 7, 6\) and \(4, 1, 1\); do not broadcast")


def test_a_value_times_a_function_of_another_value_that_is_not_rounded_is_refused(tmp_path):
    relu, constants = qdq("r", 0.05, -4)
    middle = [
        helper.make_node("Relu", ["x_r"], ["r"]),
        *relu,
        helper.make_node("Sigmoid", ["r_r"], ["s"]),
        helper.make_node("Mul", ["x_r", "s"], ["h"], name="product"),
    ]
    refuses(written_by_hand(tmp_path, middle, constants), r"'product' \(Mul\).*input 1 must be a quantised")


@pytest.mark.parametrize("axes", [[2], [3]])
def test_a_factor_per_row_or_column_is_refused(tmp_path, axes):
    mean, constants = qdq("m", 0.05, -4)
    middle = [
        helper.make_node("ReduceMean", ["x_r", "axes"], ["m"]),
        *mean,
        helper.make_node("Mul", ["x_r", "m_r"], ["h"], name="product"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "axes": np.array(axes)}, dims=IMAGE)
    refuses(path, r"'product' \(Mul\).*a factor per channel \(C x 1 x 1 or C x 1\), not \(4, 7, 6\) and")


def test_a_vector_along_an_images_width_is_no_factor_per_channel(tmp_path):
    mean, constants = qdq("m", 0.05, -4)
    middle = [
        helper.make_node("ReduceMean", ["x_r", "axes"], ["m"], keepdims=0),
        *mean,
        helper.make_node("Mul", ["x_r", "m_r"], ["h"], name="product"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "axes": np.array([2, 3])}, dims=(6, 5, 6))
    refuses(path, r"'product' \(Mul\).*not \(6, 5, 6\) and \(6,\)")


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_a_flattened_image_and_a_layers_output_meet_in_one_order(tmp_path, kind):
    weight, constants = int8_weight(rows=168, columns=168)
    dense, dense_constants = qdq("d", 0.1, 0)
    middle = [
        weight,
        helper.make_node("Flatten", ["x_r"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["d"]),
        *dense,
        helper.make_node(kind, ["f", "d_r"], ["h"], name="both"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, **dense_constants}, dims=IMAGE)
    assert steps_apart(path, samples(IMAGE)).max() <= 2


@pytest.mark.parametrize("inputs", [["p_r", "g_r"], ["g_r", "p_r"]], ids=["x * g", "g * x"])
def test_a_factor_per_channel_of_what_lies_channels_last_moves_nothing(tmp_path, inputs):
    """Squeeze and excite over T x C."""
    weight, constants = int8_weight(rows=6, columns=5)
    quantized = {"p": (0.05, 3), "m": (0.02, 0), "g": (1 / 256, -128)}
    (p, m, g), known = zip(*(qdq(name, *steps) for name, steps in quantized.items()), strict=True)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *p,
        helper.make_node("ReduceMean", ["p_r", "axes"], ["m"], keepdims=1), *m,
        helper.make_node("Sigmoid", ["m_r"], ["g"]), *g, helper.make_node("Mul", inputs, ["h"]),
    ]  # fmt: skip
    constants |= {"axes": np.array([1])} | {name: value for found in known for name, value in found.items()}
    path = written_by_hand(tmp_path, middle, constants, dims=(9, 6), output=("h", 0.03, 2))
    graph = is_exact(path, samples((9, 6), count=3), tmp_path)
    kinds = [type(operator).__name__ for operator in graph.operators]
    assert kinds == ["Convolution", "AveragePool", "Lookup", "Mul"]
    assert steps_apart(path, samples((9, 6))).max() <= 2
