"""Inputs that a file moves before it quantises them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from small_onnx import float_file, normal, qdq, steps_apart
from torch import nn

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import Dense, Relu, Transpose
from tinypareto.mcu.onnx_inputs import quantize_inputs_early
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.network.quantize import QuantizationConfig, quantize_network

IMAGE = (4, 7, 6)


def moved_input(folder, *nodes, constants=None, dims=IMAGE):
    """x, the nodes from x to m, QuantizeLinear, Relu."""
    (first, scale), (last, other) = qdq("m", 0.05, -4), qdq("h", 0.07, 3)
    middle = [*nodes, *first, helper.make_node("Relu", ["m_r"], ["h"]), *last]
    return float_file(
        folder / "net.onnx", middle, {**scale, **other, **(constants or {})}, dims, output="h_r"
    )


@pytest.mark.parametrize(
    ("nodes", "constants", "kinds"),
    [
        ([helper.make_node("Flatten", ["x"], ["m"])], {}, [Relu]),
        ([helper.make_node("Transpose", ["x"], ["m"], perm=[0, 3, 1, 2])], {}, [Relu]),
        ([helper.make_node("Transpose", ["x"], ["m"], perm=[0, 1, 3, 2])], {}, [Transpose, Relu]),
        (
            [
                helper.make_node("Reshape", ["x", "to"], ["r"]),
                helper.make_node("Transpose", ["r"], ["m"], perm=[0, 2, 1]),
            ],
            {"to": np.array([0, 4, 42])},
            [Transpose, Relu],
        ),
    ],
)
def test_an_input_is_quantised_before_it_is_moved(tmp_path, nodes, constants, kinds):
    path = moved_input(tmp_path, *nodes, constants=constants)
    graph = read_onnx(path)
    assert graph.input_dims == (IMAGE,)
    assert [type(operator) for operator in graph.operators] == kinds
    assert steps_apart(path, normal(32, *IMAGE)).max() <= 1


def test_a_perceptron_that_flattens_its_image_is_dense_layers_only(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(168, 12), nn.ReLU(), nn.Linear(12, 5)).eval()
    path = quantize_network(network, normal(64, *IMAGE, seed=1), tmp_path, QuantizationConfig()).int8_path
    graph = optimize(read_onnx(path))
    assert [type(operator) for operator in graph.operators] == [Dense, Dense]
    assert graph.input_dims == (IMAGE,)
    assert steps_apart(path, normal(100, *IMAGE, seed=2), graph).max() <= 2


def test_an_input_that_others_read_too_is_left_alone(tmp_path):
    path = moved_input(tmp_path, helper.make_node("Flatten", ["x"], ["m"]))
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Relu", ["x"], ["aside"]))
    model.graph.output.append(helper.make_tensor_value_info("aside", TensorProto.FLOAT, ["batch", *IMAGE]))
    before = [node.op_type for node in model.graph.node]
    quantize_inputs_early(model.graph)
    assert [node.op_type for node in model.graph.node] == before
    onnx.save(model, path)
    with pytest.raises(UnsupportedModelError, match="put QuantizeLinear"):
        read_onnx(path)


def test_an_input_that_is_quantised_already_stays_as_it_is(tmp_path):
    model = onnx.load(moved_input(tmp_path, helper.make_node("Identity", ["x"], ["m"])))
    quantize_inputs_early(model.graph)
    once = [node.op_type for node in model.graph.node]
    assert once[:2] == ["QuantizeLinear", "DequantizeLinear"]
    quantize_inputs_early(model.graph)
    assert [node.op_type for node in model.graph.node] == once
