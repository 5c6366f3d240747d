"""Whole networks, exported and quantised as the pipeline does it, and files that are no such network."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
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
    steps_apart,
    two_by_two,
    written_by_hand,
)
from torch import nn
from torch.nn import functional as F

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import (
    AveragePool,
    Concat,
    Convolution,
    ConvolutionAdd,
    Dense,
    Lookup,
    MaxPool,
    Mul,
    Relu,
    Resize,
    Slice,
    Softmax,
    Transpose,
)
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference, run_reference_tensors
from tinypareto.mcu.samples import dequantize_outputs, quantize_input
from tinypareto.network.quantize import QuantizationConfig, export_onnx, quantize_onnx

PER_CHANNEL, PER_TENSOR = QuantizationConfig(), QuantizationConfig(per_channel=False)
SYMMETRIC = QuantizationConfig(activation_symmetric=True)


class Residual(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(cin, cout, 3, stride, 1, bias=False),
            nn.BatchNorm2d(cout),
            nn.ReLU(),
            nn.Conv2d(cout, cout, 3, 1, 1, bias=False),
            nn.BatchNorm2d(cout),
        )
        self.skip = nn.Identity() if stride == 1 else nn.Conv2d(cin, cout, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x))


class ResNet(nn.Module):
    """Residual sums, stride 2, a pointwise shortcut, a global mean and a dense head."""

    dims = (3, 12, 10)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.stages = nn.Sequential(Residual(8, 8, 1), Residual(8, 12, 2), Residual(12, 12, 1))
        self.head = nn.Linear(12, 10)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.stages(F.relu(self.stem(x))), 1).flatten(1))


class Separable(nn.Module):
    """A depthwise-separable network over a series, with pooling and ReLU6."""

    dims = (6, 40)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(6, 8, 5, 2, 2)
        self.depthwise = nn.Conv1d(8, 8, 3, 1, 2, dilation=2, groups=8)
        self.pointwise = nn.Conv1d(8, 12, 1)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.stem(x)), 2)
        return self.head(F.relu(self.pointwise(F.relu6(self.depthwise(x)))).mean(-1))


class Gated(nn.Module):
    """Inverted residuals with squeeze-and-excite, a difference and every activation that becomes a table."""

    dims = (3, 10, 9)

    def __init__(self):
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 7, 3, 2, 1), nn.Conv2d(7, 7, 3, 1, 1, groups=7)
        self.squeeze, self.excite = nn.Conv2d(7, 3, 1), nn.Conv2d(3, 7, 1)
        self.project, self.head = nn.Conv2d(7, 7, 1), nn.Linear(7, 4)

    def forward(self, x):
        x = F.hardswish(self.stem(x))
        y = F.leaky_relu(self.depthwise(x), 0.1)
        gate = F.hardsigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        x = x - F.hardtanh(self.project(y * gate))
        return torch.tanh(self.head(x.mean((2, 3))))


class Flattened(nn.Module):
    """A padded mean, then two dense layers behind a flattened image."""

    dims = (1, 8, 8)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, 1, 1)
        self.first, self.second = nn.Linear(6 * 4 * 4, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        return self.second(F.relu(self.first(x.view(x.shape[0], -1))))


class Branched(nn.Module):
    """Everything that moves values: split, pad, concatenation, resize, slice, permutation; and a softmax."""

    dims = (3, 10, 8)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.left, self.right = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 6, 1)
        self.up, self.head = nn.Conv2d(10, 6, 3, 1, 1), nn.Linear(6 * 6 * 4, 5)

    def forward(self, x):
        left, right = F.relu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([self.left(F.pad(left, (1, 1, 1, 1))), F.relu(self.right(right))], 1)
        x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        x = F.interpolate(x, scale_factor=2, mode="nearest")[:, :, 1:7, ::2]
        x = F.relu(self.up(x)).permute(0, 2, 3, 1)
        return torch.softmax(self.head(x.flatten(1)), -1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export each network once; the files lie by class."""
    folder = tmp_path_factory.mktemp("float")
    files = {}
    for make in (ResNet, Separable, Gated, Flattened, Branched):
        torch.manual_seed(0)
        files[make] = folder / f"{make.__name__}.onnx"
        export_onnx(make(), torch.from_numpy(normal(1, *make.dims)), files[make])
    return files


def quantized(exported, make, folder, config):
    path = folder / "model.int8.onnx"
    quantize_onnx(exported[make], normal(64, *make.dims, seed=1), path, config)
    return path


@pytest.mark.parametrize(
    "config", [PER_CHANNEL, PER_TENSOR, SYMMETRIC], ids=["channel", "tensor", "symmetric"]
)
@pytest.mark.parametrize("make", [ResNet, Separable, Gated, Flattened])
def test_a_whole_network_is_at_most_two_steps_from_onnxruntime(exported, tmp_path, make, config):
    path = quantized(exported, make, tmp_path, config)
    x = normal(100, *make.dims, seed=2)
    assert steps_apart(path, x).max() <= 2
    assert (steps_apart(path, x) > 0).mean() < 0.02
    assert steps_apart(path, x, optimize(read_onnx(path))).max() <= 2


@pytest.mark.parametrize("config", [PER_CHANNEL, PER_TENSOR, SYMMETRIC])
def test_a_network_that_moves_values_is_at_most_two_steps_from_onnxruntime(exported, tmp_path, config):
    path = quantized(exported, Branched, tmp_path, config)
    kinds = {type(operator) for operator in read_onnx(path).operators}
    assert {Concat, Resize, Slice, Softmax, Transpose} <= kinds
    short = optimize(read_onnx(path))
    assert Transpose not in {type(operator) for operator in short.operators}, (
        "the dense layer takes its order"
    )
    assert steps_apart(path, normal(100, *Branched.dims, seed=2), short).max() <= 2


@pytest.mark.parametrize("make", [ResNet, Separable, Flattened])
def test_no_relu_is_left_even_if_the_file_keeps_them(exported, tmp_path, make):
    graph = read_onnx(quantized(exported, make, tmp_path, SYMMETRIC))
    assert any(isinstance(operator, Relu) for operator in graph.operators)
    assert not any(isinstance(operator, Relu) for operator in optimize(graph).operators)


def test_a_hard_swish_that_is_written_as_a_product_is_one_table(exported, tmp_path):
    graph = optimize(read_onnx(quantized(exported, Gated, tmp_path, PER_CHANNEL)))
    kinds = [type(operator) for operator in graph.operators]
    assert kinds[:3] == [Convolution, Lookup, Convolution]
    assert kinds.count(Mul) == 1, "the gate"


def test_the_graph_of_a_residual_network_has_its_layers_in_order(exported, tmp_path):
    graph = optimize(read_onnx(quantized(exported, ResNet, tmp_path, PER_CHANNEL)))
    kinds = [type(operator) for operator in graph.operators]
    assert kinds.count(Convolution) == 5
    assert kinds.count(ConvolutionAdd) == 3
    assert kinds[-2:] == [AveragePool, Dense]
    assert len(kinds) == 10
    assert graph.input_shape == (12, 10, 3)
    assert graph.output_shape == (1, 1, 10)
    assert (graph.inputs, graph.outputs) == (("input",), ("output",))
    assert (graph.input_dims, graph.output_dims) == (((3, 12, 10),), ((10,),))


def test_the_graph_of_a_series_has_height_one(exported, tmp_path):
    graph = read_onnx(quantized(exported, Separable, tmp_path, PER_CHANNEL))
    assert [type(operator) for operator in graph.operators] == [
        Convolution,
        MaxPool,
        Convolution,
        Convolution,
        AveragePool,
        Dense,
    ]
    assert graph.input_shape == (1, 40, 6)
    depthwise = graph.operators[2]
    assert depthwise.weight.shape == (8, 1, 3, 1)
    assert (depthwise.groups, depthwise.window.dilation, depthwise.window.padding) == (
        8,
        (1, 2),
        (0, 2, 0, 2),
    )


def test_names_are_unique_and_tensors_are_written_once(exported, tmp_path):
    graph = read_onnx(quantized(exported, ResNet, tmp_path, PER_CHANNEL))
    names = [operator.name for operator in graph.operators]
    outputs = [operator.output for operator in graph.operators]
    assert len(set(names)) == len(names)
    assert len({*graph.inputs, *outputs}) == len(outputs) + 1


@pytest.mark.parametrize("make", [ResNet, Separable])
def test_reading_a_file_twice_gives_the_same_bytes(exported, tmp_path, make):
    path = quantized(exported, make, tmp_path, PER_CHANNEL)
    x = normal(4, *make.dims, seed=3)
    first, second = (
        run_reference_tensors(graph, quantize_input(graph, x)) for graph in (read_onnx(path), read_onnx(path))
    )
    assert list(first) == list(second)
    assert all((first[name] == second[name]).all() for name in first)


def test_uint8_activations_become_int8_exactly(tmp_path):
    weight = normal(6, 9)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Relu", ["p"], ["y"])]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": weight}, (6,))
    path = quantized_file(path, normal(64, 6), activation=QuantType.QUInt8)
    graph = read_onnx(path)
    assert all(-128 <= tensor.zero_point <= 127 for tensor in graph.tensors.values())
    assert steps_apart(path, normal(64, 6, seed=1)).max() <= 1


def refuses(path, pattern):
    with pytest.raises(UnsupportedModelError, match=pattern) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value), "one line"


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


def test_int16_activations_are_refused(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": normal(6, 9)}, (6,))
    path = quantized_file(path, normal(8, 6), activation=QuantType.QInt16)
    refuses(path, r"QuantizeLinear.*must be int8 or uint8, not int16; use activation_type=QInt8")


def test_asymmetric_weights_are_refused(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": np.abs(normal(6, 9))}, (6,))
    path = quantized_file(path, normal(8, 6), per_channel=False, WeightSymmetric=False)
    refuses(path, r"Node 'w_DequantizeLinear' .*must be symmetric.*WeightSymmetric=True")


def test_uint8_weights_are_refused(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    path = float_file(tmp_path / "net.onnx", nodes, {"w": normal(6, 9)}, (6,))
    path = quantized_file(path, normal(8, 6), activation=QuantType.QUInt8, weight=QuantType.QUInt8)
    refuses(path, r"weights must be int8 .*weight_type=QInt8")


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


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_positive_is_refused(tmp_path, scale):
    path = written_by_hand(tmp_path, [helper.make_node("Relu", ["x_r"], ["h"])], output=("h", scale, 0))
    refuses(path, r"'quantize_h'.*one scale above 0")


def shuffled(seed):
    def shuffle(graph):
        order = np.random.default_rng(seed).permutation(len(graph.node))
        nodes = [graph.node[i] for i in order]
        del graph.node[:]
        graph.node.extend(nodes)

    return shuffle


@pytest.mark.parametrize("seed", range(5))
def test_nodes_out_of_order_are_sorted(exported, tmp_path, seed):
    path = edited(quantized(exported, ResNet, tmp_path, PER_CHANNEL), shuffled(seed))
    assert steps_apart(path, normal(16, *ResNet.dims, seed=2)).max() <= 2


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
