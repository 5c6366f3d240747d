"""Inputs and outputs in channels last: handed over as the file has them, at no cost, and everywhere alike."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import (
    edited,
    float_file,
    int8_weight,
    is_exact,
    normal,
    qdq,
    quantized_file,
    run_onnx,
    samples,
    steps_apart,
    written_by_hand,
)
from small_transposes import lookup, network, pixels, transpose

from tinypareto.errors import ShapeError
from tinypareto.mcu.compiled_folder import compile_model, simulate_folder
from tinypareto.mcu.file_order import in_file_order
from tinypareto.mcu.firmware import read_program
from tinypareto.mcu.graph import Convolution, Lookup, Transpose
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_outputs, quantize_input
from tinypareto.mcu.targets import target

NHWC = (9, 7, 3)
TO_CHW, TO_HWC = [0, 3, 1, 2], [0, 2, 3, 1]


def move(source, output, perm):
    return helper.make_node("Transpose", [source], [output], name=f"to {output}", perm=perm)


def convolution(source, weight, output):
    pads = [1] * 4
    return helper.make_node("Conv", [source, weight], [output], name=f"to {output}", pads=pads)


def channels_last(folder, *, before=(), first="x", behind=(), last="y"):
    """Write a network whose input and output are height x width x channels, as tf2onnx would, quantised."""
    nodes = [
        *before, move(first, "a", TO_CHW), convolution("a", "v", "b"), helper.make_node("Relu", ["b"], ["r"]),
        convolution("r", "w", "c"), move("c", last, TO_HWC), *behind,
    ]  # fmt: skip
    constants = {
        "v": 0.2 * normal(8, 3, 3, 3), "w": 0.2 * normal(5, 8, 3, 3, seed=1), "half": np.float32(0.5),
    }  # fmt: skip
    path = float_file(folder / "net.onnx", nodes, constants, NHWC)
    return quantized_file(path, samples(NHWC), kinds=["Conv", "Mul", "Relu", "Sigmoid", "Transpose"])


def kinds(graph):
    return [type(operator) for operator in graph.operators]


def test_an_image_in_channels_last_is_neither_transposed_nor_its_result(tmp_path):
    path = channels_last(tmp_path)
    graph = is_exact(path, samples(NHWC, count=3), tmp_path)
    assert kinds(graph) == [Convolution, Convolution]
    assert (graph.input_shape, graph.output_shape) == (NHWC, (9, 7, 5))
    assert (graph.input_dims, graph.output_dims) == ((NHWC,), ((9, 7, 5),))
    assert graph.channels_last == {graph.inputs[0], graph.outputs[0]}
    assert steps_apart(path, samples(NHWC), graph).max() <= 1


def test_samples_lie_as_in_the_file(tmp_path):
    graph = read_onnx(channels_last(tmp_path))
    x = samples(NHWC, count=4)
    entry = graph.tensors["x"]
    want = np.clip(np.rint(x / np.float32(entry.scale)) + entry.zero_point, -128, 127)
    np.testing.assert_array_equal(quantize_input(graph, x), want)
    with pytest.raises(ShapeError, match="n x 9 x 7 x 3 values"):
        quantize_input(graph, x.transpose(0, 3, 1, 2))


def test_simulate_takes_and_gives_the_files_shapes(tmp_path):
    path, x = channels_last(tmp_path), samples(NHWC, count=2)
    compile_model(path, "cortex-m4", tmp_path / "compiled")
    np.save(tmp_path / "in.npy", x)
    simulate_folder(tmp_path / "compiled", tmp_path / "in.npy", tmp_path / "out.npy")
    got, want = np.load(tmp_path / "out.npy"), run_onnx(path, x)
    assert got.shape == want.shape == (2, 9, 7, 5)
    graph = read_onnx(path)
    assert np.abs(got - want).max() <= 1.01 * graph.tensors[graph.outputs[0]].scale


def test_the_header_says_which_buffers_lie_in_the_files_order(tmp_path):
    note = "in the order of the model's file"
    files = read_program(channels_last(tmp_path), target("cortex-m4")).files
    assert f"/* x, 9x7x3, {note} */" in files["model.h"]
    assert "MODEL_INPUT_CHANNELS 3\n" in files["model.h"]
    assert f"/* 9x7x5, {note} */" in files["README.md"]
    plain = float_file(
        tmp_path / "plain.onnx", [convolution("x", "v", "y")], {"v": normal(8, 3, 3, 3)}, (3, 9, 7)
    )
    path = quantized_file(plain, samples((3, 9, 7)))
    assert read_onnx(path).channels_last == frozenset()
    files = read_program(path, target("cortex-m4")).files
    assert note not in files["model.h"] + files["README.md"]
    assert "/* 9x7x3, height x width x channels */" in files["README.md"]


def test_elementwise_operators_at_the_ends_stay_in_channels_last(tmp_path):
    path = channels_last(
        tmp_path, before=[helper.make_node("Mul", ["x", "half"], ["s"])], first="s",
        behind=[helper.make_node("Sigmoid", ["z"], ["y"])], last="z",
    )  # fmt: skip
    graph = is_exact(path, samples(NHWC, count=3), tmp_path)
    assert kinds(graph) == [Lookup, Convolution, Convolution, Lookup]
    assert steps_apart(path, samples(NHWC), graph).max() <= 1


def test_a_series_that_a_product_reads_over_its_last_axis_lies_in_the_files_order(tmp_path):
    weight, constants = int8_weight(rows=6, columns=9)
    middle = [weight, helper.make_node("MatMul", ["x_r", "w"], ["h"])]
    graph = is_exact(written_by_hand(tmp_path, middle, constants, dims=(5, 6)), samples((5, 6)), tmp_path)
    assert kinds(graph) == [Convolution]
    assert (graph.input_shape, graph.output_shape) == ((1, 5, 6), (1, 5, 9))


def test_a_network_that_only_transposes_computes_nothing(tmp_path):
    path = written_by_hand(tmp_path, [move("x_r", "h", TO_CHW)], dims=NHWC, output=("h", 0.05, -4))
    x = samples(NHWC, count=3)
    graph = is_exact(path, x, tmp_path)
    (name,) = graph.outputs
    got = dequantize_outputs(graph, run_reference(graph, quantize_input(graph, x)))[name]
    np.testing.assert_array_equal(got, run_onnx(path, x))


def test_of_several_inputs_each_has_its_own_layout(tmp_path):
    (a, scales), (b, others), (t, third) = qdq("z", 0.04, 9), qdq("g", 0.07, -5), qdq("t", 0.05, -4)
    middle = [
        *a, move("x_r", "t", TO_CHW), *t, helper.make_node("Relu", ["z_r"], ["g"]), *b,
        helper.make_node("Add", ["t_r", "g_r"], ["h"]),
    ]  # fmt: skip
    path = written_by_hand(tmp_path, middle, {**scales, **others, **third}, dims=NHWC)

    def extend(proto):
        dims = ["batch", 3, 9, 7]
        proto.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, dims))
        proto.output[0].CopyFrom(helper.make_tensor_value_info("h_r", TensorProto.FLOAT, dims))

    graph = optimize(read_onnx(edited(path, extend)))
    assert Transpose not in kinds(graph)
    assert (graph.inputs, graph.channels_last) == (("x", "z"), {"x"})
    values = {"x": samples(NHWC, count=3), "z": samples((3, 9, 7), seed=2, count=3)}
    got = dequantize_outputs(graph, run_reference(graph, quantize_input(graph, values)))["h"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert np.abs(got - session.run(None, values)[0]).max() <= 0.101  # one step


@pytest.mark.parametrize("perm", [[0, 2, 1, 3], [0, 3, 2, 1]])
def test_any_other_transposition_of_an_input_stays(tmp_path, perm):
    nodes = [move("x", "a", perm), convolution("a", "v", "y")]
    dims = (4, 4, 4)
    path = quantized_file(
        float_file(tmp_path / "n.onnx", nodes, {"v": normal(8, 4, 3, 3)}, dims), samples(dims)
    )
    graph = optimize(read_onnx(path))
    assert graph.channels_last == frozenset()
    assert kinds(graph) == [Transpose, Convolution]


def with_dims(graph, *, inputs=((3, 4, 2),), outputs):
    return replace(graph, input_dims=inputs, output_dims=outputs)


def test_an_input_that_is_read_in_its_old_order_too_keeps_it():
    graph = network(
        transpose("x", "a", (4, 2, 3), (2, 0, 1)), pixels("a", "y", 2), pixels("x", "z", 3),
        x=(4, 2, 3), a=(3, 4, 2), y=(3, 4, 2), z=(4, 2, 3), outputs=("y", "z"), wide=("y", "z"),
    )  # fmt: skip
    graph = with_dims(graph, outputs=((2, 3, 4), (3, 4, 2)))
    assert in_file_order(graph) is graph
    alone = with_dims(graph.with_operators(graph.operators[:2]), outputs=((2, 3, 4),))
    assert in_file_order(replace(alone, outputs=("y",))).channels_last == {"x"}


def test_an_output_that_the_network_reads_too_keeps_its_order():
    graph = network(
        pixels("x", "a"), transpose("a", "b", (2, 3, 4), (1, 2, 0)), pixels("b", "y", 2),
        b=(3, 4, 2), y=(3, 4, 2), outputs=("b", "y"), wide=("y", "a", "b"),
    )  # fmt: skip
    graph = with_dims(graph, inputs=((4, 2, 3),), outputs=((2, 3, 4), (2, 3, 4)))
    assert in_file_order(graph) is graph


def test_an_input_that_is_an_output_too_keeps_its_order():
    graph = network(
        transpose("x", "a", (4, 2, 3), (2, 0, 1)), lookup("a", "y"), x=(4, 2, 3), a=(3, 4, 2), y=(3, 4, 2),
        outputs=("x", "y"),
    )  # fmt: skip
    graph = with_dims(graph, outputs=((3, 4, 2), (2, 3, 4)))
    assert "x" not in in_file_order(graph).channels_last
