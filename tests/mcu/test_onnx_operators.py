"""Each operator alone, compared with onnxruntime, which rescales in float: at most one step apart."""

import numpy as np
import onnx
import pytest
from onnx import helper
from small_onnx import (
    float_file,
    int8_weight,
    normal,
    qdq,
    quantized_file,
    steps_apart,
    written_by_hand,
)

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import AveragePool, Convolution, Dense, MaxPool, Transpose
from tinypareto.mcu.read_onnx import read_onnx

IMAGE, SERIES = (4, 7, 6), (4, 19)


def samples(dims, seed=1, count=32):
    return normal(count, *dims, seed=seed)


def one_node(tmp_path, kind, dims, constants=None, *, inputs=("x",), quantization=None, **attributes):
    """Write, quantise and return a file with one layer; None as an attribute leaves it out."""
    constants = constants or {}
    attributes = {key: value for key, value in attributes.items() if value is not None}
    node = helper.make_node(kind, [*inputs, *constants], ["y"], name="layer", **attributes)
    path = float_file(tmp_path / "layer.onnx", [node], constants, dims)
    return quantized_file(path, samples(dims), **(quantization or {}))


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
    path = one_node(
        tmp_path, "Conv", dims, constants, quantization={"per_channel": per_channel}, **attributes
    )
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Convolution)
    assert operator.name == "layer"
    assert (len(np.unique(operator.weight_scale)) > 1) == per_channel
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


def test_a_convolution_without_bias_has_zeros(tmp_path):
    path = one_node(tmp_path, "Conv", IMAGE, {"weight": normal(5, 4, 3, 3)})
    assert read_onnx(path).operators[0].bias.tolist() == [0] * 5
    assert steps_apart(path, samples(IMAGE, seed=3)).max() <= 1


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
def test_a_gemm_is_at_most_one_step_from_onnxruntime(tmp_path, transposed, per_channel):
    weight = normal(6, 9) * np.geomspace(0.1, 3, 9).astype(np.float32)
    constants = {"weight": weight.T if transposed else weight, "bias": normal(9)}
    path = one_node(
        tmp_path, "Gemm", (6,), constants, quantization={"per_channel": per_channel}, transB=transposed
    )
    graph = read_onnx(path)
    assert isinstance(graph.operators[0], Dense)
    assert graph.operators[0].weight.shape == (9, 6)
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


def test_a_matrix_product_is_a_dense_layer(tmp_path):
    path = one_node(tmp_path, "MatMul", (6,), {"weight": normal(6, 9)})
    assert isinstance(read_onnx(path).operators[0], Dense)
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


def test_a_layer_that_is_quantised_in_two_ways_becomes_two_operators(tmp_path):
    weight, constants = int8_weight()
    relu, relu_constants = qdq("r", 0.02, -128)
    product, product_constants = qdq("p", 0.04, 2)
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"], name="fc"),
        helper.make_node("Relu", ["p"], ["r"]),
        *relu,
        *product,
        helper.make_node("Add", ["p_r", "r_r"], ["h"], name="sum"),
    ]
    path = written_by_hand(tmp_path, middle, {**constants, **relu_constants, **product_constants})
    assert [operator.name for operator in read_onnx(path).operators] == ["fc", "fc_2", "sum"]
    assert steps_apart(path, samples((6,), seed=3)).max() <= 2  # the sum adds one step to its inputs' one


POOLS = {
    "maximum": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "strides": [2, 2]}, MaxPool),
    "padded maximum": ("MaxPool", IMAGE, {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2]}, MaxPool),
    "dilated maximum": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "dilations": [3, 2]}, MaxPool),
    "maximum of a series": (
        "MaxPool",
        SERIES,
        {"kernel_shape": [3], "strides": [2], "pads": [1, 1]},
        MaxPool,
    ),
    "rounded up": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1}, MaxPool),
    "rounded up, padding only": (
        "MaxPool",
        IMAGE,
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        MaxPool,
    ),
    "global maximum": ("GlobalMaxPool", IMAGE, {}, MaxPool),
    "mean": ("AveragePool", IMAGE, {"kernel_shape": [2, 3], "strides": [2, 1]}, AveragePool),
    "padded mean": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "count_include_pad": 1},
        AveragePool,
    ),
    "mean inside": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [3, 2], "pads": [1, 1, 2, 0], "strides": [2, 3]},
        AveragePool,
    ),
    "mean rounded up": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1},
        AveragePool,
    ),
    "mean of a series": ("AveragePool", SERIES, {"kernel_shape": [4], "strides": [3]}, AveragePool),
    "global mean": ("GlobalAveragePool", IMAGE, {}, AveragePool),
    "global mean of a series": ("GlobalAveragePool", SERIES, {}, AveragePool),
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_is_at_most_one_step_from_onnxruntime(tmp_path, case):
    kind, dims, attributes, make = POOLS[case]
    middle = [helper.make_node(kind, ["x_r"], ["h"], name="pool", **attributes)]
    path = written_by_hand(tmp_path, middle, dims=dims, output=("h", 0.03, 7))
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, make)
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(
    ("dims", "axes"),
    [(IMAGE, [2, 3]), (IMAGE, [-1, -2]), (IMAGE, [2]), (IMAGE, [3]), (SERIES, [2]), (SERIES, [-1])],
)
def test_a_mean_over_spatial_axes_is_at_most_one_step_from_onnxruntime(tmp_path, dims, axes, keep):
    middle = [helper.make_node("ReduceMean", ["x_r", "axes"], ["h"], keepdims=keep)]
    path = written_by_hand(tmp_path, middle, {"axes": np.array(axes)}, dims=dims, output=("h", 0.01, 5))
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(("dims", "axes"), [(IMAGE, [2, 3]), (IMAGE, [-1]), (SERIES, [2])])
def test_a_maximum_over_spatial_axes_is_at_most_one_step_from_onnxruntime(tmp_path, dims, axes, keep):
    middle = [helper.make_node("ReduceMax", ["x_r", "axes"], ["h"], keepdims=keep)]
    path = written_by_hand(tmp_path, middle, {"axes": np.array(axes)}, dims=dims, output=("h", 0.02, -70))
    assert isinstance(read_onnx(path).operators[0], MaxPool)
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


@pytest.mark.parametrize("axes", [[1], [1, 2], [0, 2]])
def test_a_mean_over_channels_or_batch_is_refused(tmp_path, axes):
    middle = [helper.make_node("ReduceMean", ["x_r", "axes"], ["h"], name="mean")]
    path = written_by_hand(tmp_path, middle, {"axes": np.array(axes)}, dims=IMAGE)
    with pytest.raises(UnsupportedModelError, match=r"'mean' \(ReduceMean\).*spatial axes \(2\.\.3\) only"):
        read_onnx(path)


RESHAPES = {
    "Flatten": (("Flatten", []), {}),
    "Reshape to -1": (("Reshape", ["to"]), {"to": np.array([0, -1])}),
    "Reshape of the batch": (("Reshape", ["to"]), {"to": np.array([-1, 168])}),
    "Reshape to one sample": (("Reshape", ["to"]), {"to": np.array([1, 168])}),
}


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


def refuses(path, pattern):
    with pytest.raises(UnsupportedModelError, match=pattern):
        read_onnx(path)


def test_an_unknown_operator_is_named_with_its_node_and_what_is_supported(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Sin", ["x_r"], ["h"], name="wave")])
    refuses(
        path, r"Node 'wave' \(Sin\).*supported operators are Add, ArgMax, AveragePool, Clip, Concat, Conv,"
    )


def test_a_node_without_name_is_named_by_its_output(tmp_path):
    refuses(written_by_hand(tmp_path, [helper.make_node("Sin", ["x_r"], ["h"])]), r"Node 'h' \(Sin\)")


def test_a_float_layer_inside_a_quantised_network_is_refused(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"], name="fc"),
        helper.make_node("MatMul", ["p", "w"], ["h"], name="second"),
    ]
    weight, constants = int8_weight(rows=6, columns=6)
    refuses(written_by_hand(tmp_path, middle, constants), r"'second' \(MatMul\).*put QuantizeLinear")


def test_float_weights_are_refused(tmp_path):
    middle = [helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    refuses(written_by_hand(tmp_path, middle, {"w": normal(6, 9)}), r"'fc' \(MatMul\).*weight_type=QInt8")


@pytest.mark.parametrize("change", [{"alpha": 0.5}, {"beta": 2.0}, {"transA": 1}])
def test_a_scaled_gemm_is_refused(tmp_path, change):
    weight, constants = int8_weight()
    middle = [weight, helper.make_node("Gemm", ["x_r", "w"], ["h"], name="fc", **change)]
    refuses(written_by_hand(tmp_path, middle, constants), "fold the factors into the weights")


def test_scales_along_the_wrong_axis_are_refused(tmp_path):
    node, constants = int8_weight(rows=6, columns=9)
    weight = helper.make_node("DequantizeLinear", node.input, ["w"], axis=0)
    constants |= {name: constants[name][:6] for name in ("w_s", "w_z")}
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    refuses(written_by_hand(tmp_path, middle, constants), "per tensor or per output channel")


def test_a_matrix_product_over_an_image_is_refused(tmp_path):
    weight, constants = int8_weight(rows=19)
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    refuses(written_by_hand(tmp_path, middle, constants, dims=SERIES), r"'fc' \(MatMul\).*flatten it")


def test_a_bias_in_other_steps_than_its_products_is_refused(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("DequantizeLinear", ["b_q", "b_s"], ["b"], axis=0),
        helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc"),
    ]
    constants |= {"b_q": np.arange(9, dtype=np.int32), "b_s": constants["w_s"] * np.float32(0.051)}
    refuses(written_by_hand(tmp_path, middle, constants), r"'fc' \(Gemm\).*input scale x weight scale")


def test_a_bias_of_one_entry_for_all_outputs_is_refused(tmp_path):
    middle = [
        helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"]),
        helper.make_node("DequantizeLinear", ["b_q", "b_s"], ["b"]),
        helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc"),
    ]
    constants = {"w_q": np.ones((6, 9), np.int8), "w_s": np.float32(1), "w_z": np.int8(0)}
    constants |= {"b_q": np.ones(1, np.int32), "b_s": np.float32(0.05)}
    refuses(written_by_hand(tmp_path, middle, constants), r"'fc' \(Gemm\).*one per output")


def test_a_mean_that_sees_nothing_of_the_input_is_refused(tmp_path):
    attributes = {"kernel_shape": [2, 2], "pads": [0, 7, 0, 7], "dilations": [1, 8]}
    middle = [helper.make_node("AveragePool", ["x_r"], ["h"], name="mean", **attributes)]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), r"'mean' \(AveragePool\).*use less padding")


def test_a_mean_with_a_partial_window_is_refused(tmp_path):
    middle = [
        helper.make_node(
            "AveragePool",
            ["x_r"],
            ["h"],
            kernel_shape=[2, 2],
            strides=[2, 2],
            ceil_mode=1,
            count_include_pad=1,
        )
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "set ceil_mode=False")


def test_padding_as_wide_as_the_pool_is_refused(tmp_path):
    middle = [
        helper.make_node("MaxPool", ["x_r"], ["h"], name="pool", kernel_shape=[2, 2], pads=[0, 2, 0, 0])
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "must be smaller than the window")


def test_a_window_larger_than_the_image_is_refused(tmp_path):
    middle = [helper.make_node("MaxPool", ["x_r"], ["h"], name="pool", kernel_shape=[8, 2])]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "larger than the padded input")


def test_a_pool_whose_indices_are_used_is_refused(tmp_path):
    middle = [
        helper.make_node("MaxPool", ["x_r"], ["p", "where"], name="pool", kernel_shape=[2, 2]),
        helper.make_node("Cast", ["where"], ["place"], to=1),
        helper.make_node("Add", ["p", "place"], ["h"]),
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), r"'pool' \(MaxPool\).*only its first output")


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


def test_a_float_bias_beyond_32_bits_is_refused(tmp_path):
    weight, constants = int8_weight()
    middle = [weight, helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc")]
    path = written_by_hand(tmp_path, middle, {**constants, "b": np.full(9, 1e9, np.float32)})
    refuses(path, r"'fc' \(Gemm\).*within 32 bits")
