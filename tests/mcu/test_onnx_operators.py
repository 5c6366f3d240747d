"""Convolutions and reshapes: at most one step from onnxruntime, which rescales in float."""

import numpy as np
import onnx
import pytest
from onnx import helper
from small_onnx import (
    int8_weight,
    normal,
    one_layer,
    refuses,
    samples,
    steps_apart,
    written_by_hand,
)

from tinypareto.mcu.graph import Convolution, MaxPool, Transpose
from tinypareto.mcu.read_onnx import read_onnx

IMAGE, SERIES = (4, 7, 6), (4, 19)


CONVOLUTIONS = {
    "plain": (IMAGE, (5, 4, 3, 3), {}),
    "same": (IMAGE, (5, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "pointwise": (IMAGE, (9, 4, 1, 1), {}),
    "strided pointwise": (IMAGE, (9, 4, 1, 1), {"strides": [2, 2]}),
    "asymmetric": (IMAGE, (5, 4, 2, 3), {"strides": [2, 1], "pads": [0, 2, 1, 0], "dilations": [2, 1]}),
    "grouped": (IMAGE, (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": (IMAGE, (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "same upper": (IMAGE, (5, 4, 2, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    "same lower": (IMAGE, (5, 4, 2, 4), {"auto_pad": "SAME_LOWER"}),
    "valid": (IMAGE, (5, 4, 3, 3), {"auto_pad": "VALID"}),
    "series": (SERIES, (5, 4, 5), {"pads": [2, 2], "strides": [2]}),
    "dilated series": (SERIES, (5, 4, 3), {"pads": [4, 1], "dilations": [3]}),
    "depthwise series": (SERIES, (4, 1, 3), {"group": 4, "pads": [1, 1]}),
}


@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_convolution_is_at_most_one_step_from_onnxruntime(tmp_path, case, per_channel):
    dims, shape, attributes = CONVOLUTIONS[case]
    # filters of very different sizes, so that a scale per tensor cannot pass for one per channel
    weight = normal(*shape) * np.geomspace(0.1, 3, shape[0]).astype(np.float32).reshape(
        -1, *[1] * (len(shape) - 1)
    )
    constants = {"weight": weight, "bias": normal(shape[0], seed=2)}
    path = one_layer(
        tmp_path, "Conv", dims, constants, quantization={"per_channel": per_channel}, **attributes
    )
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Convolution)
    assert operator.name == "layer"
    assert (len(np.unique(operator.weight_scale)) > 1) == per_channel
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


def test_a_convolution_without_bias_has_zeros(tmp_path):
    path = one_layer(tmp_path, "Conv", IMAGE, {"weight": normal(5, 4, 3, 3)})
    assert read_onnx(path).operators[0].bias.tolist() == [0] * 5
    assert steps_apart(path, samples(IMAGE, seed=3)).max() <= 1


RESHAPES = {
    "Flatten": (("Flatten", []), {}),
    "Reshape to -1": (("Reshape", ["to"]), {"to": np.array([0, -1])}),
    "Reshape of the batch": (("Reshape", ["to"]), {"to": np.array([-1, 168])}),
    "Reshape to one sample": (("Reshape", ["to"]), {"to": np.array([1, 168])}),
}


def test_the_axis_of_a_flatten_may_count_from_the_end(tmp_path):
    constants = int8_weight(rows=168)[1]
    middle = [
        int8_weight(rows=168)[0],
        helper.make_node("Flatten", ["x_r"], ["flat"], axis=-3),
        helper.make_node("MatMul", ["flat", "w"], ["h"]),
    ]
    path = written_by_hand(tmp_path, middle, constants, dims=IMAGE, output=("h", 0.2, 3))
    assert steps_apart(path, samples(IMAGE)).max() <= 1


@pytest.mark.parametrize("case", RESHAPES)
def test_the_weights_behind_a_flattened_image_are_permuted_to_hwc(tmp_path, case):
    (kind, extra), constants = RESHAPES[case]
    weight, weights = int8_weight(rows=168)
    middle = [
        weight,
        helper.make_node(kind, ["x_r", *extra], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["h"]),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, **weights}, dims=IMAGE, output=("h", 0.2, 3))
    assert read_onnx(path).operators[0].inputs == ("x",)
    assert steps_apart(path, samples(IMAGE, count=1 if "one sample" in case else 16)).max() <= 1


def test_axes_of_length_one_come_and_go_without_an_operator(tmp_path):
    middle = [
        helper.make_node("Unsqueeze", ["x_r", "height"], ["image"]),
        helper.make_node("GlobalMaxPool", ["image"], ["p"], name="pool"),
        helper.make_node("Squeeze", ["p", "height"], ["q"]),
        helper.make_node("Identity", ["q"], ["r"]),
        helper.make_node("Unsqueeze", ["r", "last"], ["h"]),
    ]
    constants = {"height": np.array([2]), "last": np.array([3])}
    path = written_by_hand(tmp_path, middle, constants, dims=SERIES, output=("h", 0.02, 3))
    graph = read_onnx(path)
    assert [operator.name for operator in graph.operators] == ["pool"]
    assert graph.output_dims == ((4, 1, 1),)
    assert steps_apart(path, samples(SERIES)).max() <= 1


def test_a_series_turned_upright_is_an_image_of_width_one(tmp_path):
    middle = [
        helper.make_node("Unsqueeze", ["x_r", "width"], ["image"]),
        helper.make_node("GlobalMaxPool", ["image"], ["h"], name="pool"),
    ]
    path = written_by_hand(tmp_path, middle, {"width": np.array([-1])}, dims=SERIES)
    assert [type(operator) for operator in read_onnx(path).operators] == [Transpose, MaxPool]
    assert steps_apart(path, samples(SERIES)).max() <= 1


def test_an_unknown_operator_is_named_with_its_node_and_what_is_supported(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Sin", ["x_r"], ["h"], name="wave")])
    refuses(
        path, r"Node 'wave' \(Sin\).*supported operators are Add, ArgMax, AveragePool, Clip, Concat, Conv,"
    )


def test_a_node_without_name_is_named_by_its_output(tmp_path):
    refuses(written_by_hand(tmp_path, [helper.make_node("Sin", ["x_r"], ["h"])]), r"Node 'h' \(Sin\)")


@pytest.mark.parametrize("to", [(7, 4, 6), (4, 42), (1, 12, 14), (168, 1, 1), (42, 4)])
def test_an_image_that_was_reshaped_is_brought_into_its_new_order(tmp_path, to):
    middle = [
        helper.make_node("Reshape", ["x_r", "to"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["h"], name="pool", kernel_shape=[1] * (len(to) - 1)),
    ]
    path = written_by_hand(tmp_path, middle, {"to": np.array([-1, *to])}, dims=IMAGE)
    assert read_onnx(path).output_dims == (to,)
    assert steps_apart(path, samples(IMAGE)).max() <= 1


@pytest.mark.parametrize("to", [(2, 2, 7, 6), (168,)])
def test_a_value_that_is_no_image_is_refused(tmp_path, to):
    middle = [
        helper.make_node("Reshape", ["x_r", "to"], ["r"]),
        helper.make_node("GlobalMaxPool", ["r"], ["h"], name="pool"),
    ]
    path = written_by_hand(tmp_path, middle, {"to": np.array([-1, *to])}, dims=IMAGE)
    refuses(path, "remove the reshape|dimensions|rank")


@pytest.mark.parametrize(
    ("kind", "to"),
    [("Reshape", [168]), ("Reshape", [4, -1]), ("Squeeze", [0]), ("Unsqueeze", [0]), ("Unsqueeze", [-5])],
)
def test_a_reshape_that_does_not_keep_the_batch_apart_is_refused(tmp_path, kind, to):
    node = helper.make_node(kind, ["x_r", "to"], ["h"], name="reshape")
    path = written_by_hand(tmp_path, [node], {"to": np.array(to)}, dims=IMAGE, batch=1)
    refuses(path, rf"'reshape' \({kind}\).*batch")


def with_output_shape(path, dims):
    """Declare the output's shape where it cannot be inferred."""
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("h_r", onnx.TensorProto.FLOAT, dims))
    onnx.save(model, path)
    return path


def test_a_squeeze_of_every_axis_is_refused_since_it_may_drop_the_batch(tmp_path):
    node = helper.make_node("Squeeze", ["x_r"], ["h"], name="reshape")
    path = with_output_shape(written_by_hand(tmp_path, [node], dims=IMAGE, batch=1), IMAGE)
    refuses(path, r"'reshape' \(Squeeze\).*batch")


@pytest.mark.parametrize(
    ("shape", "groups"), [((5, 3, 3, 3), 1), ((6, 4, 3, 3), 2), ((5, 2, 3, 3), 2), ((5,), 1)]
)
def test_a_convolution_whose_weights_do_not_fit_its_input_is_refused(tmp_path, shape, groups):
    middle = [
        helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"]),
        helper.make_node("Conv", ["x_r", "w"], ["h"], name="conv", group=groups, kernel_shape=[3, 3]),
    ]
    constants = {"w_q": np.ones(shape, np.int8), "w_s": np.float32(1), "w_z": np.int8(0)}
    path = with_output_shape(
        written_by_hand(tmp_path, middle, constants, dims=IMAGE), ["batch", shape[0], 5, 4]
    )
    refuses(path, r"'conv' \(Conv\).*do not match the input")
