"""Files as a whole: inputs, outputs and scales, and files that are no int8 network."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from small_onnx import (
    Calibration,
    edited,
    float_file,
    int8_weight,
    normal,
    qdq,
    quantized_file,
    refuses,
    steps_apart,
    two_by_two,
    written_by_hand,
)

from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_outputs, quantize_input


def relu_file(folder, dims=(6,)):
    return float_file(folder / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, dims)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 no onnx", b"hello world " * 50])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refuses(path, r"model\.onnx .*undamaged int8 \.onnx file")


def test_a_missing_file_is_refused(tmp_path):
    refuses(tmp_path / "nowhere.onnx", r"nowhere\.onnx cannot be read as ONNX.*undamaged int8 \.onnx file")


def test_a_truncated_file_is_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])
    path.write_bytes(path.read_bytes()[:-100])
    refuses(path, "pass an undamaged")


def test_a_float_model_is_refused(tmp_path):
    refuses(
        relu_file(tmp_path),
        r"relu\.onnx is not quantised; run onnxruntime's quantize_static with QuantFormat\.QDQ",
    )


def test_a_model_of_integer_operators_is_refused(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    source = float_file(tmp_path / "conv.onnx", nodes, {"w": normal(4, 2, 3)}, (2, 9))
    target = tmp_path / "conv.int8.onnx"
    quantize_static(source, target, Calibration(normal(8, 2, 9)), quant_format=QuantFormat.QOperator)
    refuses(target, r"must be in QDQ format.*quant_format=QuantFormat\.QDQ")


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt16], ids=["uint8", "int16"])
def test_other_activations_than_int8_are_refused(tmp_path, kind):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": normal(6, 9)}, (6,))
    path = quantized_file(path, normal(8, 6), activation=kind)
    refuses(path, r"QuantizeLinear.*must be int8, not u?int(8|16); use activation_type=QInt8")


def test_asymmetric_weights_are_refused(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": np.abs(normal(6, 9))}, (6,))
    path = quantized_file(path, normal(8, 6), per_channel=False, WeightSymmetric=False)
    refuses(path, r"'fc' \(MatMul\).*must be symmetric int8.*WeightSymmetric=True")


def test_uint8_weights_are_refused(tmp_path):
    weight, constants = int8_weight()
    constants["w_q"] = (constants["w_q"].astype(np.int16) + 128).astype(np.uint8)
    constants["w_z"] = np.full_like(constants["w_z"], 127).astype(np.uint8) + 1
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"], name="fc")]
    refuses(
        written_by_hand(tmp_path, middle, constants), r"weights must be symmetric int8 .*weight_type=QInt8"
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_that_are_left_in_float_before_a_quantizer_are_quantised_as_onnxruntime_does(
    tmp_path, per_channel
):
    constants = {"w": normal(5, 4, 3), "b": normal(5, seed=1), "m": normal(35, 6, seed=2)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv"),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"], name="fc"),
    ]
    path = float_file(tmp_path / "net.onnx", nodes, constants, (4, 9))
    plain = read_onnx(quantized_file(path, normal(64, 4, 9), per_channel=per_channel))
    pairs = quantized_file(path, normal(64, 4, 9), per_channel=per_channel, AddQDQPairToWeight=True)
    for known, operator in zip(plain.operators, read_onnx(pairs).operators, strict=True):
        np.testing.assert_array_equal(operator.weight, known.weight)
    assert steps_apart(pairs, normal(64, 4, 9, seed=3)).max() <= 2


def test_several_inputs_and_outputs_are_those_of_onnxruntime(tmp_path):
    path = two_by_two(tmp_path)
    graph = read_onnx(path)
    assert (graph.inputs, graph.outputs) == (("x", "z"), ("g", "h"))
    assert (graph.input_dims, graph.output_dims) == (((6,), (6,)), ((6,), (6,)))
    values = {"x": normal(50, 6), "z": normal(50, 6, seed=1)}
    got = dequantize_outputs(graph, run_reference(graph, quantize_input(graph, values)))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for name, want in zip(graph.outputs, session.run(None, values), strict=True):
        steps = np.rint((got[name] - want) / graph.tensors[name].scale)
        assert np.abs(steps).max() <= 1
        assert len(np.unique(want)) > 20


def test_a_file_without_an_input_is_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])

    def fix(graph):
        del graph.input[:]
        graph.initializer.append(onnx.numpy_helper.from_array(normal(1, 6), "x"))

    refuses(edited(path, fix), "must have an input, but has none")


def test_an_output_that_is_another_one_again_is_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])

    def fix(graph):
        graph.node.append(helper.make_node("Identity", ["h_r"], ["again"]))
        graph.output.append(helper.make_tensor_value_info("again", TensorProto.FLOAT, ["batch", 6]))

    refuses(edited(path, fix), "Output 'again' must differ from the others, but is 'h' again; keep one")


def test_constants_that_are_listed_as_inputs_do_not_count(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])
    listed = helper.make_tensor_value_info("x_s", TensorProto.FLOAT, [])
    assert read_onnx(edited(path, lambda graph: graph.input.append(listed))).inputs == ("x",)


@pytest.mark.parametrize("dims", [("height", 8), (2, "height", 8), (0, 4), (1, 2, 3, 4), ()])
def test_an_input_without_a_fixed_shape_is_refused(tmp_path, dims):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])], dims=dims)
    refuses(path, "must be float32 of a fixed shape.*only the batch axis dynamic")


def test_a_fixed_batch_of_one_is_read(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])

    def fix(graph):
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    assert read_onnx(edited(path, fix)).input_dims == ((6,),)


def test_an_input_that_is_not_float_is_refused(tmp_path):
    nodes, constants = qdq("c", 0.1, 0)
    nodes = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT), *nodes]
    path = float_file(tmp_path / "net.onnx", nodes, constants, (6,), output="c_r")

    def change(graph):
        graph.input[0].type.tensor_type.elem_type = TensorProto.INT64

    refuses(edited(path, change), r"Input 'x' must be float32.*(?i:int64)")


def test_an_input_that_a_layer_reads_in_float_is_refused(tmp_path):
    nodes, constants = qdq("h", 0.1, 0)
    nodes = [helper.make_node("Relu", ["x"], ["h"], name="early"), *nodes]
    path = float_file(tmp_path / "net.onnx", nodes, constants, (6,), output="h_r")
    refuses(path, r"'early' \(Relu\).*put QuantizeLinear")


def test_an_output_that_is_not_quantised_is_refused(tmp_path):
    nodes, constants = qdq("x", 0.1, 0)
    nodes = [*nodes, helper.make_node("Relu", ["x_r"], ["y"])]
    path = float_file(tmp_path / "net.onnx", nodes, constants, (6,))
    refuses(path, "Output 'y' must come from a quantised layer")


def test_a_tensor_that_changes_its_scale_without_an_operator_is_refused(tmp_path):
    refuses(
        written_by_hand(tmp_path, [helper.make_node("Identity", ["x_r"], ["h"])]),
        "give both sides the same scale",
    )


def test_a_value_that_is_quantised_twice_differently_is_refused(tmp_path):
    second = helper.make_node("QuantizeLinear", ["x", "h_s", "h_z"], ["other"], name="again")
    path = written_by_hand(tmp_path, [second, helper.make_node("Relu", ["x_r"], ["h"])])
    refuses(path, r"'again'.*quantise it once")


def test_a_dequantisation_with_another_scale_is_refused(tmp_path):
    odd = helper.make_node("DequantizeLinear", ["x_q", "h_s", "h_z"], ["odd"], name="odd")
    path = written_by_hand(tmp_path, [odd, helper.make_node("Relu", ["odd"], ["h"])])
    refuses(path, r"'odd'.*of the QuantizeLinear before it")


@pytest.mark.parametrize(
    ("scale", "said"),
    [(0.0, "at least 1e-20"), (-1.0, "at least 1e-20"), (np.nan, "finite scale"), (np.inf, "finite scale")],
)
def test_a_scale_that_is_not_positive_is_refused(tmp_path, scale, said):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])], output=("h", scale, 0))
    refuses(path, f"'quantize_h'.*{said}")


def test_nodes_that_read_each_other_are_refused(tmp_path):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])])
    middle = [helper.make_node("Add", ["x_r", "back"], ["h"]), helper.make_node("Relu", ["h"], ["back"])]

    def knot(graph):
        del graph.node[2]
        graph.node.extend(middle)

    refuses(edited(path, knot), r"topologically sorted.*pass an undamaged")


def test_an_accumulator_beyond_32_bits_is_refused(tmp_path):
    weight, constants = int8_weight()
    middle = [
        weight,
        helper.make_node("DequantizeLinear", ["b_q", "b_s", "b_z"], ["b"], axis=0),
        helper.make_node("Gemm", ["x_r", "w", "b"], ["h"], name="fc"),
    ]
    constants |= {
        "b_q": np.full(9, 2**31 - 1, np.int32),
        "b_s": constants["w_s"] * np.float32(0.05),
        "b_z": np.zeros(9, np.int32),
    }
    refuses(
        written_by_hand(tmp_path, middle, constants), r"fc must accumulate within 32 bits.*split the layer"
    )
