"""Float samples of the ONNX file <-> int8 samples of the graph.

A sample of a network with one input is H x W x C; with several inputs it is a row of bytes, those of each
input one behind the other. Results likewise.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tinypareto.errors import DataError, ShapeError
from tinypareto.mcu.graph import INT8_MAX, INT8_MIN, Graph, Int8Array, Tensor

Float32Array = npt.NDArray[np.float32]


def split_samples(graph: Graph, names: tuple[str, ...], samples: Int8Array) -> dict[str, Int8Array]:
    """Return tensors, n x H x W x C each, whose values lie one behind the other in each of n samples."""
    flat = samples.reshape(len(samples), -1)
    ends = np.cumsum([graph.tensors[name].size for name in names])
    parts = np.split(flat, ends[:-1], axis=1)
    return {
        name: part.reshape(-1, *graph.tensors[name].shape) for name, part in zip(names, parts, strict=True)
    }


def quantize_input(graph: Graph, values: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Int8Array:
    """Return quantised samples, n x H x W x C, from floats in the layout of the ONNX file.

    Args:
        graph: As read from the file.
        values: n x C x H x W, n x H x W x C, n x C x L or n x F, whichever the file takes; for a network with several
            inputs such an array by the name of each, and then n x bytes are returned. Rounded to the
            nearest step, halves to even, in float32: bit for bit what QuantizeLinear computes.

    Raises:
        ShapeError: If a shape is not the file's, an input is missing or their counts differ.
        DataError: If a value is not finite.

    Source: ONNX operator specification, QuantizeLinear.
    """
    by_name = values if isinstance(values, Mapping) else dict.fromkeys(graph.inputs[:1], values)
    if set(by_name) != set(graph.inputs):
        raise ShapeError(
            f"The network takes the inputs {', '.join(graph.inputs)}, got {', '.join(by_name) or 'none'}; "
            "pass an array for each, by name."
        )
    dims = graph.input_dims or _dims_of(graph, graph.inputs)
    parts = [
        _quantized(graph.tensors[name], shape, by_name[name], channels_last=name in graph.channels_last)
        for name, shape in zip(graph.inputs, dims, strict=True)
    ]
    if len({len(part) for part in parts}) > 1:
        raise ShapeError(
            f"Every input must have as many samples as the others, got {[len(part) for part in parts]}; "
            "pass batches of one size."
        )
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _quantized(
    tensor: Tensor, dims: tuple[int, ...], values: npt.ArrayLike, *, channels_last: bool
) -> Int8Array:
    """Return one input, n x H x W x C.

    Raises:
        ShapeError: If the shape is not the file's.
        DataError: If a value is not finite.
    """
    height, width, channels = tensor.shape
    array = np.asarray(values, dtype=np.float32)
    if array.shape[1:] != dims or array.ndim != len(dims) + 1:
        raise ShapeError(
            f"The network takes n x {' x '.join(map(str, dims))} values, got shape {array.shape}; "
            "pass a batch in the ONNX file's own layout."
        )
    if not np.isfinite(array).all():
        raise DataError("Every input value must be finite, got nan or inf; clean the data first.")
    hwc = array.reshape(-1, *tensor.shape)
    if not channels_last:
        hwc = array.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    with np.errstate(over="ignore"):  # beyond float32 it saturates, as it should
        steps = np.rint(hwc / np.float32(tensor.scale)) + tensor.zero_point
    quantized: Int8Array = np.clip(steps, INT8_MIN, INT8_MAX).astype(np.int8)
    return quantized


def dequantize_output(graph: Graph, outputs: Int8Array) -> Float32Array:
    """Return real outputs in the layout of the ONNX file, n x its output's dims, from n x H x W x C.

    Raises:
        ShapeError: If the network has several outputs.
    """
    if len(graph.outputs) != 1:
        raise ShapeError(
            f"The network must have one output here, not {', '.join(graph.outputs)}; call dequantize_outputs."
        )
    return dequantize_outputs(graph, outputs)[graph.outputs[0]]


def dequantize_outputs(graph: Graph, outputs: Int8Array) -> dict[str, Float32Array]:
    """Return each output by name, real and in the layout of the ONNX file, from n quantised results."""
    real = {}
    dims = graph.output_dims or _dims_of(graph, graph.outputs)
    parts = split_samples(graph, graph.outputs, outputs)
    for (name, quantized), file_dims in zip(parts.items(), dims, strict=True):
        tensor = graph.tensors[name]
        steps = (quantized.astype(np.int32) - tensor.zero_point) * np.float32(tensor.scale)
        in_order = steps.astype(np.float32)
        if name not in graph.channels_last:
            in_order = in_order.transpose(0, 3, 1, 2)
        real[name] = in_order.reshape(-1, *file_dims)
    return real


def _dims_of(graph: Graph, names: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return C x H x W for each tensor."""
    shapes = [graph.tensors[name].shape for name in names]
    return tuple((channels, height, width) for height, width, channels in shapes)
