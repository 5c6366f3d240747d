"""Requantisation tables and fields that all operators share."""

from tinypareto.mcu.emit.text import TABLE_PREFIX, Table, dimension
from tinypareto.mcu.fixed_point import folded_bias, requantization
from tinypareto.mcu.graph import (
    AveragePool,
    Convolution,
    Dense,
    Graph,
    Int8Array,
    MaxPool,
    Mul,
    Relu,
    Tensor,
    Window,
)

Fields = tuple[tuple[str, str], ...]


def scale_tables(
    graph: Graph, operator: Convolution | Dense | AveragePool | MaxPool | Mul | Relu, name: str
) -> tuple[Table, ...]:
    """Return the operator's multipliers and shifts as tables."""
    multiplier, shift = requantization(graph, operator)
    return (
        Table(name=f"{TABLE_PREFIX}{name}_multipliers", ctype="int32_t", values=multiplier),
        Table(name=f"{TABLE_PREFIX}{name}_shifts", ctype="int8_t", values=shift),
    )


def channel_tables(
    graph: Graph, operator: Convolution | Dense, weight: Int8Array, name: str
) -> tuple[Table, ...]:
    """Return weights, biases with the input's zero point folded in, multipliers and shifts."""
    bias = folded_bias(operator, graph.tensors[operator.inputs[0]].zero_point)
    return (
        Table(name=f"{TABLE_PREFIX}{name}_weights", ctype="int8_t", values=weight.ravel(), words=True),
        Table(name=f"{TABLE_PREFIX}{name}_biases", ctype="int32_t", values=bias),
        *scale_tables(graph, operator, name),
    )


def scale_fields(prefix: str, name: str, output: Tensor, clamp: tuple[int, int]) -> Fields:
    """Return the fields of a tp_scale that stands under ``prefix`` in its descriptor."""
    return (
        (f"{prefix}.multipliers", f"{TABLE_PREFIX}{name}_multipliers"),
        (f"{prefix}.shifts", f"{TABLE_PREFIX}{name}_shifts"),
        (f"{prefix}.zero_point", str(output.zero_point)),
        (f"{prefix}.low", str(clamp[0])),
        (f"{prefix}.high", str(clamp[1])),
    )


def channel_fields(name: str, output: Tensor, clamp: tuple[int, int]) -> Fields:
    """Return the fields of a descriptor's tp_channels."""
    return (
        ("channels.weights", f"{TABLE_PREFIX}{name}_weights"),
        ("channels.biases", f"{TABLE_PREFIX}{name}_biases"),
        *scale_fields("channels.scale", name, output, clamp),
    )


def window_fields(window: Window, source: Tensor, output: Tensor, where: str) -> Fields:
    """Return the fields of a descriptor's tp_window."""
    values = {
        "in_height": source.shape[0],
        "in_width": source.shape[1],
        "in_channels": source.shape[2],
        "out_height": output.shape[0],
        "out_width": output.shape[1],
        "out_channels": output.shape[2],
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride_height": window.stride[0],
        "stride_width": window.stride[1],
        "dilation_height": window.dilation[0],
        "dilation_width": window.dilation[1],
        "pad_top": window.padding[0],
        "pad_left": window.padding[1],
    }
    return tuple((f"window.{key}", dimension(value, f"{key} of {where}")) for key, value in values.items())
