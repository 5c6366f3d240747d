"""Each activation alone: its table against plain float functions, and at most one step from onnxruntime."""

import math

import numpy as np
import onnx
import pytest
from onnx import helper
from small_onnx import int8_weight, normal, run_onnx, steps_apart, written_by_hand

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import Lookup, Relu, Tensor
from tinypareto.mcu.onnx_activations import lookup_table
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

SCALE, ZERO_POINT = float(np.float32(0.05)), -4  # of x in files written by hand
LEVELS = (np.float32(SCALE) * (np.arange(-128, 128, dtype=np.float32) - ZERO_POINT)).reshape(1, 256)


def samples(dims, seed=1, count=32):
    return normal(count, *dims, seed=seed)


def hard_sigmoid(x, slope, offset):
    return max(0.0, min(1.0, slope * x + offset))


FUNCTIONS = {
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.3}, lambda x: x if x >= 0 else float(np.float32(0.3)) * x),
    "LeakyRelu by default": ("LeakyRelu", {}, lambda x: x if x >= 0 else 0.01 * x),
    "HardSigmoid": (
        "HardSigmoid",
        {"alpha": 0.15, "beta": 0.4},
        lambda x: hard_sigmoid(x, float(np.float32(0.15)), float(np.float32(0.4))),
    ),
    "HardSigmoid by default": ("HardSigmoid", {}, lambda x: hard_sigmoid(x, 0.2, 0.5)),
    "HardSwish": ("HardSwish", {}, lambda x: x * hard_sigmoid(x, 1 / 6, 0.5)),
    "Sigmoid": ("Sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
    "Tanh": ("Tanh", {}, math.tanh),
}
OUTPUTS = {"fine": (0.004, -128), "coarse": (0.05, 9), "saturating": (0.003, 60)}


@pytest.mark.parametrize("case", FUNCTIONS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_table_holds_the_function_of_every_input_and_is_at_most_one_step_from_onnxruntime(
    tmp_path, case, output
):
    kind, attributes, function = FUNCTIONS[case]
    scale, zero_point = OUTPUTS[output]
    middle = [helper.make_node(kind, ["x_r"], ["h"], name="layer", **attributes)]
    path = written_by_hand(tmp_path, middle, dims=(256,), output=("h", scale, zero_point))
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Lookup)
    assert operator.name == "layer"
    step = float(np.float32(scale))
    real = [function(SCALE * (q - ZERO_POINT)) for q in range(-128, 128)]
    assert operator.table.tolist() == [min(max(round(y / step) + zero_point, -128), 127) for y in real]
    assert steps_apart(path, LEVELS).max() <= 1


def test_tables_round_halves_to_even_and_saturate():
    output = Tensor(name="y", shape=(1, 1, 1), scale=0.5, zero_point=10)
    levels = np.array([0.25, 0.75, -0.25, -0.75, 1e30, -1e30])
    assert lookup_table(levels, output).tolist() == [10, 12, 10, 8, 127, -128]


def test_a_sigmoid_of_an_extreme_scale_saturates_without_overflow(tmp_path):
    path = written_by_hand(
        tmp_path,
        [helper.make_node("Sigmoid", ["x_r"], ["h"])],
        {"x_s": np.float32(1e30)},
        output=("h", 1 / 256, -128),
    )
    table = read_onnx(path).operators[0].table
    assert table.tolist() == [-128] * 124 + [0] + [127] * 131


@pytest.mark.parametrize("dims", [(4, 7, 6), (4, 19)])
def test_images_and_series_keep_their_shape(tmp_path, dims):
    path = written_by_hand(
        tmp_path, [helper.make_node("Tanh", ["x_r"], ["h"])], dims=dims, output=("h", 0.01, 3)
    )
    assert read_onnx(path).output_dims == (dims,)
    assert steps_apart(path, samples(dims)).max() <= 1


def test_a_function_of_a_function_that_is_not_rounded_between_is_one_table(tmp_path):
    middle = [
        helper.make_node("LeakyRelu", ["x_r"], ["a"], name="first", alpha=0.5),
        helper.make_node("Clip", ["a", "low", "high"], ["b"]),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("Clip", ["c", "", "top"], ["h"]),
    ]
    constants = {"low": np.float32(-1), "high": np.float32(2), "top": np.float32(0.75)}
    path = written_by_hand(tmp_path, middle, constants, dims=(256,), output=("h", 0.01, 3))
    (operator,) = read_onnx(path).operators
    assert operator.name == "first"
    assert operator.clamp == (-128, 78)  # 0.75 / 0.01 + 3
    assert steps_apart(path, LEVELS).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-1.0, math.inf), (-2.0, -0.5), (-math.inf, 1.0)])
def test_a_clip_that_no_layer_can_take_over_is_a_table(tmp_path, low, high):
    middle = [helper.make_node("Clip", ["x_r", "low", "high"], ["h"])]
    path = written_by_hand(
        tmp_path,
        middle,
        {"low": np.float32(low), "high": np.float32(high)},
        dims=(256,),
        output=("h", 0.04, 3),
    )
    assert isinstance(read_onnx(path).operators[0], Lookup)
    assert steps_apart(path, LEVELS).max() <= 1


def test_bounds_that_stand_in_attributes_are_kept(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Clip", ["x_r"], ["h"], min=-1.0, max=0.5)])
    model = onnx.load(path)
    model.opset_import[0].version = 10  # the last operator set but one in which a Clip has attributes
    onnx.save(model, path)
    assert read_onnx(path).operators[0].clamp == (-7, 8)  # -1 / 0.1 + 3, 0.5 / 0.1 + 3


def test_a_clip_behind_a_layer_becomes_its_clamp(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"]),
        helper.make_node("Relu", ["p"], ["r"]),
        helper.make_node("Clip", ["r", "", "high"], ["h"]),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, "high": np.float32(1.0)}, output=("h", 0.02, -60))
    (operator,) = read_onnx(path).operators
    assert operator.clamp == (-60, -10)  # 0 and 1 / 0.02 above -60
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


def test_a_clip_alone_is_a_relu_with_an_upper_bound(tmp_path):
    middle = [helper.make_node("Clip", ["x_r", "low", "high"], ["h"])]
    path = written_by_hand(tmp_path, middle, {"low": np.float32(0.0), "high": np.float32(1.0)})
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Relu)
    assert operator.clamp == (3, 13)
    want = run_onnx(path, samples((6,)))
    graph = read_onnx(path)
    assert (
        np.abs(
            dequantize_output(graph, run_reference(graph, quantize_input(graph, samples((6,))))) - want
        ).max()
        < 0.11
    )


def test_a_relu_alone_is_at_most_one_step_from_onnxruntime(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])], output=("h", 0.03, -128))
    assert isinstance(read_onnx(path).operators[0], Relu)
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


def refuses(path, pattern):
    with pytest.raises(UnsupportedModelError, match=pattern) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value), "one line"


@pytest.mark.parametrize("kind", ["HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid", "Tanh"])
def test_a_function_of_a_layer_that_is_not_quantised_is_refused(tmp_path, kind):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"]),
        helper.make_node(kind, ["p"], ["h"], name="act"),
    ]
    refuses(written_by_hand(tmp_path, middle, constants), rf"'act' \({kind}\).*quantised activation; put")


@pytest.mark.parametrize("slope", [math.nan, math.inf])
def test_a_slope_that_is_not_finite_is_refused(tmp_path, slope):
    middle = [helper.make_node("LeakyRelu", ["x_r"], ["h"], name="act", alpha=slope)]
    refuses(written_by_hand(tmp_path, middle), r"'act' \(LeakyRelu\).*must be finite; check its attributes")


def test_a_bound_that_is_no_number_is_refused(tmp_path):
    middle = [helper.make_node("Clip", ["x_r", "low"], ["h"], name="clip")]
    refuses(written_by_hand(tmp_path, middle, {"low": np.float32(math.nan)}), r"'clip' \(Clip\).*not nan")
