"""A file -> a checked ONNX model in QDQ format, its nodes in order."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no stubs

from tinypareto.errors import UnsupportedModelError


def open_onnx(path: Path) -> onnx.ModelProto:
    """Load a file and let ONNX's own checker look for damage.

    Raises:
        UnsupportedModelError: If there is no such file or it is no consistent ONNX network.
    """
    try:
        model = onnx.load(path)
        sort_nodes(model.graph)
        onnx.checker.check_model(model, full_check=True)
    except (
        OSError,
        ValueError,  # of damaged names and types
        DecodeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        reason = " ".join(str(error).split())  # the checker writes several lines
        raise UnsupportedModelError(
            f"{path} cannot be read as ONNX ({reason}); pass an undamaged int8 .onnx file."
        ) from error
    _check_names(model.graph, path)
    _check_format(model, path)
    return model


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put each node behind those it reads from; an ordered file stays as it is.

    Quantisers append nodes at the end, and runtimes accept that. A cycle is left for the checker.

    The order is that of walks from the first node to the last, each of which takes what has all its inputs. So a node
    is taken in the round of the latest it reads from, or in the next one if that stands behind it.
    """
    nodes = list(graph.node)
    writers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    sources = {
        index: [writers[name] for name in node.input if name in writers] for index, node in enumerate(nodes)
    }
    rounds = [0] * len(nodes)
    try:
        for index in TopologicalSorter(sources).static_order():
            rounds[index] = max((rounds[source] + (source > index) for source in sources[index]), default=0)
    except CycleError:
        return
    if any(rounds):
        del graph.node[:]
        graph.node.extend(nodes[index] for index in sorted(sources, key=rounds.__getitem__))


def _check_names(graph: onnx.GraphProto, path: Path) -> None:
    """Refuse names that are no text, which protobuf hands over as bytes.

    Raises:
        UnsupportedModelError: If there is one.
    """
    names = [graph.name]
    for node in graph.node:
        names += (node.name, node.op_type, *node.input, *node.output)
    for item in (*graph.input, *graph.output, *graph.initializer):
        names.append(item.name)
    if not all(isinstance(name, str) for name in names):
        raise UnsupportedModelError(
            f"{path} must have names of UTF-8 text; pass an undamaged int8 .onnx file."
        )


def _check_format(model: onnx.ModelProto, path: Path) -> None:
    kinds = {node.op_type for node in model.graph.node}
    if not kinds.isdisjoint({"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger"}):
        raise UnsupportedModelError(
            f"{path} must be in QDQ format, not with integer operators; "
            "quantise with quant_format=QuantFormat.QDQ."
        )
    if "QuantizeLinear" not in kinds:
        raise UnsupportedModelError(
            f"{path} is not quantised; run onnxruntime's quantize_static with QuantFormat.QDQ and int8 first."
        )
