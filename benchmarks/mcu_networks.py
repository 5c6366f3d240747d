"""Int8 graphs of benchmark networks with random weights; what is counted follows from their shapes alone."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tinypareto.experiments.mobilenetv3_daliac import build_model
from tinypareto.mcu.graph import Add, AveragePool, Convolution, Dense, Graph, Operator, Tensor, Window
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.network.quantize import QuantizationConfig, quantize_network

SAME = (1, 1, 1, 1)


@dataclass
class Layers:
    """Adds operators one by one; every method returns the name of its output tensor, ``x`` is the input."""

    shape: tuple[int, int, int]
    operators: list[Operator] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self._tensor("x", self.shape)

    def graph(self, name: str) -> Graph:
        output = self.operators[-1].output
        return Graph(
            name=name, tensors=self.tensors, operators=tuple(self.operators), inputs=("x",), outputs=(output,)
        )

    def conv(self, source: str, cout: int, kernel=(3, 3), *, stride=1, groups=1, relu=True) -> str:
        height, width, cin = self.tensors[source].shape
        pads = tuple((size - 1) // 2 for size in kernel)
        window = Window(kernel=kernel, stride=(stride if height > 1 else 1, stride), padding=(*pads, *pads))
        sizes = [(s + 2 * p - k) // step + 1
                 for s, p, k, step in zip((height, width), pads, kernel, window.stride, strict=True)]  # fmt: skip
        output = self._tensor(self._next("conv"), (*sizes, cout))
        weight = self.rng.integers(-127, 128, (cout, *kernel, cin // groups), dtype=np.int8)
        self.operators.append(
            Convolution(
                name=output, inputs=(source,), output=output, window=window, groups=groups,
                clamp=(-5 if relu else -128, 127), **self._weights(weight),
            )
        )  # fmt: skip
        return output

    def dense(self, source: str, cout: int) -> str:
        output = self._tensor(self._next("dense"), (1, 1, cout))
        weight = self.rng.integers(-127, 128, (cout, self.tensors[source].size), dtype=np.int8)
        self.operators.append(Dense(name=output, inputs=(source,), output=output, **self._weights(weight)))
        return output

    def add(self, first: str, second: str) -> str:
        output = self._tensor(self._next("add"), self.tensors[first].shape)
        self.operators.append(Add(name=output, inputs=(first, second), output=output, clamp=(-5, 127)))
        return output

    def mean(self, source: str) -> str:
        height, width, channels = self.tensors[source].shape
        output = self._tensor(self._next("mean"), (1, 1, channels))
        window = Window(kernel=(height, width))
        self.operators.append(AveragePool(name=output, inputs=(source,), output=output, window=window))
        return output

    def _tensor(self, name: str, shape: tuple[int, ...]) -> str:
        self.tensors[name] = Tensor(name=name, shape=shape, scale=0.05, zero_point=-5)
        return name

    def _next(self, kind: str) -> str:
        return f"{kind}{len(self.operators)}"

    def _weights(self, weight):
        cout, depth = weight.shape[0], weight[0].size
        bias = self.rng.integers(-2000, 2000, cout).astype(np.int32)
        return {"weight": weight, "bias": bias, "weight_scale": np.full(cout, 0.01 / np.sqrt(depth))}


def residual_network(shape, widths, blocks=1, classes=10) -> Graph:
    """Stem, then one stage per width with ``blocks`` residual blocks, each later stage at half the size."""
    net = Layers(shape)
    x = net.conv("x", widths[0])
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = net.conv(net.conv(x, width, stride=stride), width, relu=False)
            skip = x if stride == 1 else net.conv(x, width, (1, 1), stride=stride, relu=False)
            x = net.add(y, skip)
    net.dense(net.mean(x), classes)
    return net.graph("residual")


def resnet8() -> Graph:
    """The residual network of MLPerf Tiny, 12.5 million multiply-accumulates."""
    return residual_network((32, 32, 3), (16, 32, 64))


def resnet18() -> Graph:
    """ResNet18 cut to three stages, 237 million multiply-accumulates."""
    return residual_network((32, 32, 3), (48, 96, 192), blocks=2)


def ds_cnn() -> Graph:
    """The keyword spotter of MLPerf Tiny: depthwise and pointwise layers of 64 channels."""
    net = Layers((49, 10, 1))
    x = net.conv("x", 64, (9, 5), stride=2)
    for _ in range(4):
        x = net.conv(net.conv(x, 64, groups=64), 64, (1, 1))
    net.dense(net.mean(x), 12)
    return net.graph("DS-CNN")


def autoencoder() -> Graph:
    """The anomaly detector of MLPerf Tiny: dense layers alone."""
    net = Layers((1, 1, 640))
    x = "x"
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        x = net.dense(x, width)
    return net.graph("autoencoder")


def mobilenetv3() -> Graph:
    """MobileNetV3-small for series, about 2.3 million parameters, exported and quantised untrained."""
    with tempfile.TemporaryDirectory() as folder:
        return read_onnx(mobilenetv3_int8(Path(folder)))


def mobilenetv3_int8(folder: Path) -> Path:
    """Write that network as an int8 ONNX file and return where it is."""
    series = np.random.default_rng(0).normal(size=(8, 24, 1024)).astype(np.float32)
    torch.manual_seed(0)
    network = build_model({})
    network.train()(torch.from_numpy(series))  # or its norms let the signal fade
    return quantize_network(network.eval(), series, folder, QuantizationConfig()).int8_path


def one_convolution(shape, cout, kernel=(3, 3), **settings) -> Graph:
    net = Layers(shape)
    net.conv("x", cout, kernel, **settings)
    return net.graph("convolution")
