"""Softmax and ArgMax nodes against onnxruntime."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import edited, float_file, normal, quantized_file, steps_apart, written_by_hand

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import ArgMax, Softmax
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

IMAGE, SERIES, VECTOR = (4, 7, 6), (4, 19), (23,)
CASES = [(IMAGE, 1), (IMAGE, 2), (IMAGE, -1), (SERIES, 1), (SERIES, -1), (VECTOR, 1), (VECTOR, -1)]


def samples(dims, seed=1):
    return 3 * normal(32, *dims, seed=seed)


@pytest.mark.parametrize("output", [("h", 1 / 256, -128), ("h", 0.0031, -90)], ids=["usual", "calibrated"])
@pytest.mark.parametrize(("dims", "axis"), CASES)
def test_a_softmax_is_at_most_one_step_from_onnxruntime(tmp_path, dims, axis, output):
    node = helper.make_node("Softmax", ["x_r"], ["h"], axis=axis)
    path = written_by_hand(tmp_path, [node], dims=dims, output=output)
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Softmax)
    assert steps_apart(path, samples(dims)).max() <= 1


def indexed(folder, dims, **attributes):
    """Return a file whose output is the index of the largest value of x as it was rounded."""
    path = written_by_hand(folder, [helper.make_node("Relu", ["x_r"], ["h"])], dims=dims)

    def change(graph):
        graph.node.append(helper.make_node("ArgMax", ["x_r"], ["index"], name="largest", **attributes))
        graph.output[0].CopyFrom(helper.make_tensor_value_info("index", TensorProto.INT64, None))
        rank = len(dims) + (1 if attributes.get("keepdims", 1) else 0)
        shape = graph.output[0].type.tensor_type.shape
        for axis in range(rank):
            shape.dim.add(dim_param=f"d{axis}")

    return edited(path, change)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(("dims", "axis"), CASES)
def test_indices_of_the_largest_are_those_of_onnxruntime(tmp_path, dims, axis, keep):
    path = indexed(tmp_path, dims, axis=axis, keepdims=keep)
    graph = read_onnx(path)
    assert isinstance(graph.operators[-1], ArgMax)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (want,) = session.run(None, {"x": samples(dims)})
    got = dequantize_output(graph, run_reference(graph, quantize_input(graph, samples(dims))))
    np.testing.assert_array_equal(got, want)
    assert len(np.unique(want)) > 3


def test_what_cannot_be_ranked_is_refused_with_a_remedy(tmp_path):
    for folder, dims, attributes, said in (
        (
            "many",
            (257,),
            {"axis": 1},
            "at most 256 classes, not 257; leave the node out and look for the largest",
        ),
        ("last", VECTOR, {"axis": 1, "select_last_index": 1}, "must take the first of equal values"),
        ("batch", VECTOR, {"axis": 0}, "axis 0 must name one of the 1 axes"),
    ):
        (tmp_path / folder).mkdir()
        with pytest.raises(UnsupportedModelError, match=said):
            read_onnx(indexed(tmp_path / folder, dims, **attributes))


def test_256_classes_are_told_apart(tmp_path):
    graph = read_onnx(indexed(tmp_path, (256,), axis=1))
    x = np.full((2, 256), -1, np.float32)
    x[0, 255], x[1, 0] = 1, 1
    assert dequantize_output(graph, run_reference(graph, quantize_input(graph, x))).tolist() == [
        [255.0],
        [0.0],
    ]


def test_a_softmax_that_onnxruntime_quantised_is_read(tmp_path):
    nodes = [helper.make_node("Gemm", ["x", "w"], ["t"]), helper.make_node("Softmax", ["t"], ["y"], axis=-1)]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": normal(23, 9)}, VECTOR)
    path = quantized_file(path, normal(32, *VECTOR))
    assert steps_apart(path, samples(VECTOR)).max() <= 2
