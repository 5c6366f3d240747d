"""A file -> a checked ONNX model in QDQ format, its nodes in order."""

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
    """
    waiting = list(graph.node)
    missing = {name for node in waiting for name in node.output}
    ordered: list[onnx.NodeProto] = []
    while waiting:
        blocked: list[onnx.NodeProto] = []
        for node in waiting:
            if missing.isdisjoint(node.input):
                ordered.append(node)
                missing.difference_update(node.output)
            else:
                blocked.append(node)
        if len(blocked) == len(waiting):
            return
        waiting = blocked
    del graph.node[:]
    graph.node.extend(ordered)


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
