"""Hyperparameters -> ROM, RAM and FLOPs of the firmware, without training.

How many filters are pruned follows from the hyperparameters alone, and with them the shapes of everything down to the
linked program:

    parameters -> architecture -> filters kept -> shapes of weights -> int8 graph -> sizes

An architecture, that is what `build_model` builds from those parameters that it reads, is built, traced, exported and
quantised once, with random weights. After that a set of hyperparameters takes milliseconds.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from tinypareto.errors import UnknownFootprintError
from tinypareto.experiment import Experiment, Parameters, quantize_after_training, train_and_prune
from tinypareto.mcu.graph import Convolution, Dense, Graph
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.pruned_graph import pruned_graph
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.static_sizes import SizeModel, StaticSizes
from tinypareto.network.data import Data, calibration_samples
from tinypareto.network.onnx_export import export_onnx
from tinypareto.network.prune import PruningConfig
from tinypareto.network.pruned_shapes import PrunedShapes, Shapes, trace_pruned_shapes
from tinypareto.network.quantize import QuantizationConfig, quantize_onnx
from tinypareto.network.train import build_network

KNOWN = ("rom_bytes", "ram_bytes", "flops")  # objectives that need no training
CALIBRATION_SAMPLES = 8  # that give the random network's activations some range; no size depends on it
FOLDED, QUANTIZED = "ConvBnFusion_W_", "_quantized"  # what onnxruntime adds to the name of a parameter


class StaticFootprint:
    """Tells what the firmware of a set of hyperparameters will need, byte for byte as it will be measured.

    Args:
        experiment: Whose trials are asked about.
        data: Its data; only shapes matter.

    Raises:
        UnknownFootprintError: If the experiment trains or quantises by functions of its own, which may give a
            network of any shape.
    """

    def __init__(self, experiment: Experiment, data: Data) -> None:
        own = [
            name
            for name, default in (("train", train_and_prune), ("quantize", quantize_after_training))
            if getattr(experiment, name) is not default
        ]
        if own:
            raise UnknownFootprintError(
                f"experiment {experiment.name!r} has its own {' and '.join(own)}, so ROM, RAM and FLOPs are not known "
                "before training; leave that out, or accept that they are measured."
            )
        self._experiment, self._data = experiment, data
        self._size_model = SizeModel(target=experiment.core)
        self._architectures: dict[tuple[tuple[str, Any], ...], _Architecture] = {}
        self._reads: set[str] = set()  # names of the parameters that build_model was seen to read
        self._known: dict[Any, StaticSizes] = {}

    def __call__(self, parameters: Parameters) -> StaticSizes:
        """Return the sizes of one trial's firmware.

        Raises:
            UnknownFootprintError: If the network is such that they depend on more than the hyperparameters.
            TinyParetoError: As building, exporting or linking the architecture raised it.
        """
        architecture = self._architecture(parameters)
        kept = architecture.shapes.kept(PruningConfig.from_parameters(parameters))
        config = replace(
            QuantizationConfig.from_parameters(parameters),
            calibration_method="minmax",
            calibration_samples=CALIBRATION_SAMPLES,
        )
        key = (id(architecture), kept, config)
        if key not in self._known:
            self._known[key] = self._size_model.sizes(architecture.graph(config, kept))
        return self._known[key]

    def forget_sizes(self) -> None:
        """Drop the sizes that were computed, but not what they are computed from: for measuring speed."""
        self._known.clear()

    def _architecture(self, parameters: Parameters) -> "_Architecture":
        """Return the architecture of the parameters that build_model reads; build it if they are new."""
        key = self._key(parameters)
        if key not in self._architectures:
            read = _ReadParameters(parameters)
            model = build_network(self._experiment.build_model, read, self._data, seed=0)
            self._reads |= read.names
            key = self._key(parameters)
            self._architectures[key] = _architecture(model, self._data)
        return self._architectures[key]

    def _key(self, parameters: Parameters) -> tuple[tuple[str, Any], ...]:
        return tuple((name, parameters[name]) for name in sorted(self._reads) if name in parameters)


@dataclass(frozen=True, kw_only=True)
class _Architecture:
    shapes: PrunedShapes
    float_onnx: bytes
    calibration: npt.NDArray[np.float32]
    unpruned: dict[QuantizationConfig, tuple[Graph, dict[str, str]]] = field(default_factory=dict, repr=False)

    def graph(self, config: QuantizationConfig, kept: tuple[int, ...]) -> Graph:
        """Return the int8 graph of the network that keeps so many filters of each group."""
        if config not in self.unpruned:
            self.unpruned[config] = self._quantized(config)
        graph, parameter_of = self.unpruned[config]
        shapes = self.shapes.of(kept)
        return pruned_graph(graph, dict(_weight_shapes(graph, parameter_of, shapes)))

    def _quantized(self, config: QuantizationConfig) -> tuple[Graph, dict[str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "model.int8.onnx"
            source.write_bytes(self.float_onnx)
            quantize_onnx(source, self.calibration, target, config)
            return optimize(read_onnx(target)), _parameter_names(onnx.load(target))


class _ReadParameters(Mapping[str, Any]):
    """A trial's parameters that notes which of them are read."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


def _architecture(model: nn.Module, data: Data) -> _Architecture:
    example = torch.from_numpy(data.train.inputs[:1])
    shapes = trace_pruned_shapes(model, example)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        _randomise(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, example, path)
        float_onnx = path.read_bytes()
    calibration = calibration_samples(data.train, CALIBRATION_SAMPLES, seed=0)
    return _Architecture(shapes=shapes, float_onnx=float_onnx, calibration=calibration)


def _randomise(model: nn.Module) -> None:
    """Give the network weights with which values neither fade nor grow: an int8 network has no room for tiny scales."""
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _parameter_names(model: onnx.ModelProto) -> dict[str, str]:
    """Return, by the name of a node with weights, the name of the parameter that these are."""
    dequantized = {
        node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    return {
        node.name: dequantized[node.input[1]].removeprefix(FOLDED).removesuffix(QUANTIZED)
        for node in model.graph.node
        if len(node.input) > 1 and dequantized.get(node.input[1], "").endswith(QUANTIZED)
    }


def _weight_shapes(
    graph: Graph, parameter_of: Mapping[str, str], shapes: Shapes
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the operators whose weights are parameters, with the shapes of these, as the graph has them."""
    for operator in graph.operators:
        parameter = parameter_of.get(operator.name, "")
        if not isinstance(operator, Convolution | Dense) or parameter not in shapes:
            continue
        channels, inputs, *kernel = shapes[parameter]
        if isinstance(operator, Convolution):
            yield operator.name, (channels, *operator.weight.shape[1:3], inputs)
        else:
            yield operator.name, (channels, inputs * int(np.prod(kernel)))
