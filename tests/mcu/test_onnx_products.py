"""Matrix products by constant weights: at most one step from onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from small_onnx import (
    edited,
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

from tinypareto.mcu.graph import Convolution, Dense, Transpose
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, dequantize_outputs, quantize_input

TOKENS = (7, 6)  # T x C


def kinds(graph):
    return [type(operator) for operator in graph.operators]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
def test_a_gemm_is_at_most_one_step_from_onnxruntime(tmp_path, transposed, per_channel):
    weight = normal(6, 9) * np.geomspace(0.1, 3, 9).astype(np.float32)
    constants = {"weight": weight.T if transposed else weight, "bias": normal(9)}
    path = one_layer(
        tmp_path, "Gemm", (6,), constants, quantization={"per_channel": per_channel}, transB=transposed
    )
    graph = read_onnx(path)
    assert isinstance(graph.operators[0], Dense)
    assert graph.operators[0].weight.shape == (9, 6)
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


def test_a_matrix_product_is_a_dense_layer(tmp_path):
    path = one_layer(tmp_path, "MatMul", (6,), {"weight": normal(6, 9)})
    assert isinstance(read_onnx(path).operators[0], Dense)
    assert steps_apart(path, samples((6,), seed=3)).max() <= 1


@pytest.mark.parametrize("per_channel", [True, False], ids=["per channel", "per tensor"])
@pytest.mark.parametrize("dims", [TOKENS, (1, 6), (2, 5, 6)], ids=str)
def test_a_product_over_the_last_axis_is_a_pointwise_convolution(tmp_path, dims, per_channel):
    weight = normal(6, 9) * np.geomspace(0.1, 3, 9).astype(np.float32)
    path = one_layer(tmp_path, "MatMul", dims, {"weight": weight}, quantization={"per_channel": per_channel})
    graph = is_exact(path, samples(dims, count=4), tmp_path)
    assert [kind for kind in kinds(graph) if kind is not Transpose] == [Convolution]
    assert graph.output_dims == ((*dims[:-1], 9),)
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


def test_a_product_over_the_last_axis_solved_by_hand(tmp_path):
    weight = helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"], axis=1)
    constants = {"w_q": np.array([[1, 2, 3], [4, 5, 6]], np.int8), "w_s": np.ones(3, np.float32)}
    constants["w_z"] = np.zeros(3, np.int8)
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"])]
    path = written_by_hand(tmp_path, middle, constants, dims=(2, 2), output=("h", 0.05, 0))
    graph = read_onnx(path)
    x = np.float32(0.05) * np.array([[[1, 0], [2, -1]]], np.float32)  # steps 1 0 and 2 -1
    steps = np.rint(dequantize_output(graph, run_reference(graph, quantize_input(graph, x))) / 0.05)
    assert steps.tolist() == [[[1, 2, 3], [-2, -1, 0]]]


def test_a_product_over_the_last_of_four_axes_is_read(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("Reshape", ["x_r", "split"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["h"]),
    ]
    path = written_by_hand(
        tmp_path, middle, {**constants, "split": np.array([0, 2, 2, 5, 6])}, dims=(4, 5, 6)
    )
    assert is_exact(path, samples((4, 5, 6), count=2), tmp_path).output_dims == ((2, 2, 5, 9),)
    assert steps_apart(path, samples((4, 5, 6))).max() <= 1


@pytest.mark.parametrize("quantized", [True, False], ids=["rounded between", "in one"])
def test_a_bias_behind_a_product_over_the_last_axis_is_added(tmp_path, quantized):
    weight, constants = int8_weight()
    product, rounding = qdq("p", 0.06, 5)
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["p"])]
    middle += product if quantized else []
    middle += [helper.make_node("Add", ["b", "p_r" if quantized else "p"], ["h"])]
    path = written_by_hand(tmp_path, middle, {**constants, **rounding, "b": normal(9)}, dims=TOKENS)
    graph = is_exact(path, samples(TOKENS, count=4), tmp_path)
    assert kinds(graph).count(Convolution) == 1 + quantized
    # with two roundings the second rescales a step of the first by 0.6
    assert steps_apart(path, samples(TOKENS, seed=3)).max() <= 1


def chain(folder, between, dims=(6, 7), **constants):
    """Write x -> Conv -> T x C -> MatMul -> ``between``, from p_r to q_r -> MatMul -> C x T -> Conv -> h."""
    quantized = [qdq(name, 0.05, -4) for name in ("a", "t", "p", "q", "r", "u")]
    (a, t, p, q, r, u), known = zip(*quantized, strict=True)
    names = {name: value for found in known for name, value in found.items()} | constants
    for name, shape in (("k", (6, 6, 1)), ("w", (6, 6)), ("v", (6, 6)), ("l", (3, 6, 3))):
        names |= {f"{name}_q": np.random.default_rng(len(names)).integers(-99, 99, shape, dtype=np.int8)}
        names |= {f"{name}_s": np.float32(0.004), f"{name}_z": np.int8(0)}
    node = helper.make_node
    middle = [
        *(node("DequantizeLinear", [f"{n}_q", f"{n}_s", f"{n}_z"], [n]) for n in "kwvl"),
        node("Conv", ["x_r", "k"], ["a"]), *a, node("Transpose", ["a_r"], ["t"], perm=[0, 2, 1]), *t,
        node("MatMul", ["t_r", "w"], ["p"]), *p, *between, *q, node("MatMul", ["q_r", "v"], ["r"]), *r,
        node("Transpose", ["r_r"], ["u"], perm=[0, 2, 1]), *u, node("Conv", ["u_r", "l"], ["h"]),
    ]  # fmt: skip
    return written_by_hand(folder, middle, names, dims=dims, output=("h", 0.03, 3))


BETWEEN = {
    "table": [helper.make_node("Tanh", ["p_r"], ["q"])],
    "residual sum": [helper.make_node("Add", ["p_r", "t_r"], ["q"])],
    "difference": [helper.make_node("Sub", ["t_r", "p_r"], ["q"])],
    "product": [helper.make_node("Mul", ["t_r", "p_r"], ["q"])],
    "number": [helper.make_node("Mul", ["p_r", "half"], ["q"])],
    "factors": [helper.make_node("Mul", ["p_r", "each"], ["q"])],
    "relu": [helper.make_node("Relu", ["p_r"], ["q"])],
    "softmax": [helper.make_node("Softmax", ["p_r"], ["q"], axis=-1)],
    "softmax over time": [helper.make_node("Softmax", ["p_r"], ["q"], axis=1)],
    "concatenation of parts": [
        helper.make_node("Split", ["p_r"], ["s", "s2"], axis=-1, num_outputs=2),
        *qdq("s", 0.05, -4)[0], *qdq("s2", 0.05, -4)[0],
        helper.make_node("Concat", ["s2_r", "s_r"], ["q"], axis=-1),
    ],
    "slices and padding": [
        helper.make_node("Slice", ["p_r", "one", "end", "one"], ["s"]),
        *qdq("s", 0.05, -4)[0],
        helper.make_node("Pad", ["s_r", "pads", "half", "one"], ["q"]),
    ],
}  # fmt: skip
CONSTANTS = {
    "half": np.float32(0.5), "each": np.geomspace(0.1, 3, 6).astype(np.float32) * np.float32([1, -1, 1, 1, 1, 0]),
    "one": np.array([1]), "end": np.array([6]), "pads": np.array([2, 0]),
    **qdq("s", 0.05, -4)[1], **qdq("s2", 0.05, -4)[1],
}  # fmt: skip


@pytest.mark.parametrize("case", BETWEEN)
def test_between_two_products_nothing_is_transposed(tmp_path, case):
    path = chain(tmp_path, BETWEEN[case], **CONSTANTS)
    graph = is_exact(path, samples((6, 7), count=4), tmp_path)
    assert Transpose not in kinds(graph)
    assert steps_apart(path, samples((6, 7))).max() <= 2
    assert steps_apart(path, samples((6, 7)), graph).max() <= 2


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_values_of_one_shape_that_lie_otherwise_are_not_taken_for_alike(tmp_path, kind):
    weight, constants = int8_weight(rows=6, columns=6)
    product, rounding = qdq("p", 0.05, -4)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node(kind, ["x_r", "p_r"], ["h"]),
    ]  # fmt: skip
    path = written_by_hand(tmp_path, middle, {**constants, **rounding}, dims=(6, 6))
    assert steps_apart(path, samples((6, 6))).max() <= 1


def test_a_dense_layer_behind_a_flattened_product_reads_it_as_it_lies(tmp_path):
    weight, constants = int8_weight()
    product, rounding = qdq("p", 0.06, 5)
    dense = helper.make_node("DequantizeLinear", ["v_q", "v_s", "v_z"], ["v"])
    constants |= {"v_q": normal(63, 5).round().astype(np.int8), "v_s": np.float32(0.1), "v_z": np.int8(0)}
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node("Flatten", ["p_r"], ["f"]), dense, helper.make_node("MatMul", ["f", "v"], ["h"]),
    ]  # fmt: skip
    path = written_by_hand(tmp_path, middle, {**constants, **rounding}, dims=TOKENS)
    graph = is_exact(path, samples(TOKENS, count=4), tmp_path)
    assert kinds(graph) == [Convolution, Dense]
    assert steps_apart(path, samples(TOKENS)).max() <= 1


def test_outputs_that_lie_channels_last_keep_their_names_and_dims(tmp_path):
    weight, constants = int8_weight()
    (product, rounding), (relu, bounds) = qdq("p", 0.06, 5), qdq("g", 0.04, -90)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node("Relu", ["p_r"], ["h"]), helper.make_node("Tanh", ["p_r"], ["g"]), *relu,
    ]  # fmt: skip
    path = written_by_hand(tmp_path, middle, {**constants, **rounding, **bounds}, dims=TOKENS)

    def extend(graph):
        graph.output.append(helper.make_tensor_value_info("g_r", onnx.TensorProto.FLOAT, ["batch", 7, 9]))

    graph = is_exact(edited(path, extend), samples(TOKENS, count=4), tmp_path)
    assert (graph.outputs, graph.output_dims) == (("h", "g"), ((7, 9), (7, 9)))
    x = samples(TOKENS)
    got = dequantize_outputs(graph, run_reference(graph, quantize_input(graph, x)))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for name, want in zip(graph.outputs, session.run(None, {"x": x}), strict=True):
        assert np.abs(np.rint((got[name] - want) / graph.tensors[name].scale)).max() <= 1
        assert len(np.unique(want)) > 20


def test_a_permutation_of_four_axes_that_lie_channels_last_is_no_channel_shuffle(tmp_path):
    weight, constants = int8_weight(rows=4, columns=4)
    product, rounding = qdq("p", 0.06, 5)
    middle = [
        weight, helper.make_node("MatMul", ["x_r", "w"], ["p"]), *product,
        helper.make_node("Reshape", ["p_r", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["h"], perm=[0, 2, 1, 3, 4]),
    ]  # fmt: skip
    constants |= {
        **rounding,
        "split": np.array([0, 2, 2, 4, 4]),
    }  # as if 4 channels of 4 x 4 pixels were split
    path = written_by_hand(tmp_path, middle, constants, dims=(4, 4, 4))
    refuses(path, "use at most three axes besides the batch")


def test_weights_that_do_not_fit_the_last_axis_are_refused(tmp_path):
    weight, constants = int8_weight(rows=7)
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    path = written_by_hand(tmp_path, middle, constants, dims=TOKENS)
    refuses(path, r"read as ONNX|'fc' \(MatMul\).*do not match the last axis of the input \(7, 6\)")


def test_a_matrix_of_weights_for_each_sample_is_refused(tmp_path):
    weight = helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"])
    constants = {"w_q": np.ones((3, 6, 9), np.int8), "w_s": np.float32(1), "w_z": np.int8(0)}
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    path = written_by_hand(tmp_path, middle, constants, dims=(3, 7, 6))
    refuses(path, r"'fc' \(MatMul\).*must be a matrix, not \(3, 6, 9\); reshape them")


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


def test_a_float_bias_beyond_32_bits_is_refused(tmp_path):
    weight, constants = int8_weight()
    middle = [weight, helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc")]
    path = written_by_hand(tmp_path, middle, {**constants, "b": np.full(9, 1e9, np.float32)})
    refuses(path, r"'fc' \(Gemm\).*within 32 bits")
