"""Whole networks, exported and quantised as the pipeline does it."""

import numpy as np
import pytest
import torch
from small_onnx import (
    edited,
    normal,
    steps_apart,
)
from torch import nn
from torch.nn import functional as F

from tinypareto.mcu.firmware import build_firmware, measure, write_program
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
from tinypareto.mcu.moves import stays_in_place
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference, run_reference_tensors
from tinypareto.mcu.samples import quantize_input
from tinypareto.mcu.targets import target
from tinypareto.network.onnx_export import export_onnx
from tinypareto.network.quantize import QuantizationConfig, quantize_onnx

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


class Mixer(nn.Module):
    """Layers over the last axis of T x C, over time too, with positions, a gate and a residual sum."""

    dims = (6, 24)

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv1d(6, 8, 5, 2, 2), nn.Linear(8, 4)
        self.channels, self.times, self.gate = nn.Linear(8, 8), nn.Linear(12, 12), nn.Linear(8, 8)
        self.scale, self.positions = nn.Parameter(torch.rand(8) + 0.5), nn.Parameter(torch.randn(12, 8) / 2)

    def forward(self, x):
        x = F.relu(self.stem(x)).transpose(1, 2) + self.positions
        x = x + F.hardswish(self.channels(x * self.scale))
        x = x + self.times(x.transpose(1, 2)).transpose(1, 2)
        x = x * torch.sigmoid(self.gate(x.mean(1, keepdim=True)))
        return self.head(x.mean(1))


class Attended(nn.Module):
    """Spatial attention from means and maxima over channels, and a resize to another value's size."""

    dims = (3, 9, 10)

    def __init__(self):
        super().__init__()
        self.stem, self.where = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(2, 6, 3, 1, 1)
        self.last = nn.Conv2d(6, 5, 1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = x * torch.sigmoid(self.where(seen))
        x = x + F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:])
        return F.relu(self.last(x)).mean((1, 2))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export each network once; the files lie by class."""
    folder = tmp_path_factory.mktemp("float")
    files = {}
    for make in (ResNet, Separable, Gated, Flattened, Branched, Mixer, Attended):
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


@pytest.mark.parametrize("config", [PER_CHANNEL, PER_TENSOR, SYMMETRIC])
def test_layers_over_the_last_axis_are_at_most_two_steps_from_onnxruntime(exported, tmp_path, config):
    path, x = quantized(exported, Mixer, tmp_path, config), normal(100, *Mixer.dims, seed=2)
    short = optimize(read_onnx(path))
    moves = [operator for operator in short.operators if isinstance(operator, Transpose)]
    assert sum(not stays_in_place(operator) for operator in moves) == 2, "for the layer over time, and back"
    assert steps_apart(path, x).max() <= 2
    assert steps_apart(path, x, short).max() <= 2


@pytest.mark.parametrize("config", [PER_CHANNEL, PER_TENSOR, SYMMETRIC])
def test_means_over_channels_and_resizes_are_at_most_two_steps_from_onnxruntime(exported, tmp_path, config):
    path, x = quantized(exported, Attended, tmp_path, config), normal(100, *Attended.dims, seed=2)
    assert read_onnx(path).output_dims == ((10,),)
    assert steps_apart(path, x).max() <= 2
    assert steps_apart(path, x, optimize(read_onnx(path))).max() <= 2


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("make", [Mixer, Attended])
def test_a_simulated_core_gives_the_bytes_of_the_reference(exported, tmp_path, make, core):
    graph = optimize(read_onnx(quantized(exported, make, tmp_path, PER_CHANNEL)))
    x = quantize_input(graph, normal(3, *make.dims, seed=4))
    measurement = measure(build_firmware(write_program(graph, target(core)), tmp_path), x)
    np.testing.assert_array_equal(measurement.outputs, run_reference(graph, x))


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
