"""A trained network -> float ONNX, by the quicker of PyTorch's two exporters that can do it."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import nn

from tinypareto.errors import QuantizationError, reason

INPUT, OUTPUT = "input", "output"  # names of the graph's only input and output
OPSET = 20  # the newest that the tracing exporter writes


def export_onnx(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write ``model`` as float32 ONNX with a free batch axis; weights keep the names of their parameters.

    Batch normalisation may stand after a convolution: onnxruntime's preparation for the quantisation folds it.

    Args:
        model: A network on any device, exported in evaluation mode; it stays as it is.
        example: One sample, 1 x C x H x W, 1 x C x L or 1 x F.
        path: The file to write, input ``input``, output ``output``.

    Raises:
        QuantizationError: If PyTorch cannot export the network.
    """
    frozen = copy.deepcopy(model).cpu().eval()
    two = torch.cat([example, example])  # a batch of one would be taken for a constant
    with quiet(), torch.random.fork_rng(devices=[]):
        exported = _traced(frozen, two) or _captured(frozen, two)
    onnx.save(_without_origins(exported), path)


def _traced(model: nn.Module, two: torch.Tensor) -> onnx.ModelProto | None:
    """Return what the tracing exporter makes of a network, or None where another should be asked.

    It takes a twentieth of the other's time, which was a third of a small network's whole trial, but PyTorch keeps it
    for old times' sake only, and it takes what it saw happen for what always happens; it warns when it does.
    """
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of itself and of what it calls
            warnings.simplefilter("error", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            torch.onnx.export(
                model,
                (two,),
                file,  # type: ignore[arg-type]  # the signature forgets that it takes files
                dynamo=False,
                # Else it folds batch normalisation itself, and calls the new weights by numbers.
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            )
    except Exception:  # whatever it was, the other exporter's message is the one to read
        return None
    exported = onnx.load_from_string(file.getvalue())
    return exported if _onnxruntime_can_fold(exported.graph) else None


def _onnxruntime_can_fold(graph: onnx.GraphProto) -> bool:
    """Tell whether every batch normalisation follows a convolution."""
    convolved = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    return all(node.input[0] in convolved for node in graph.node if node.op_type == "BatchNormalization")


def _captured(model: nn.Module, two: torch.Tensor) -> onnx.ModelProto:
    """Return what `torch.export` and onnxscript make of a network.

    Raises:
        QuantizationError: If they cannot export it.
    """
    try:
        program = torch.onnx.export(
            model,
            (two,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    except Exception as problem:
        raise QuantizationError(
            f"the network must be exportable to ONNX with a free batch axis, but {reason(problem)}; "
            "replace constant batch sizes and data-dependent branches in its forward pass."
        ) from problem
    assert program is not None  # dynamo=True always returns one
    return program.model_proto


def _without_origins(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes on source lines: they hold paths of this machine and nobody reads them."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for item in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters and the quantiser say to themselves off the terminal."""
    # Says on every export that torchvision is missing, which is nothing to us.
    chatter = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = chatter.disabled
    chatter.disabled = True
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # torch 2.13's own use of a name that it deprecates
            warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`", FutureWarning)
            yield
    finally:
        chatter.disabled = before
