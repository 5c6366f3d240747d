"""Convolutions as C: pointwise, depthwise and general ones."""

import numpy as np

from tinypareto.mcu.emit.add import sum_fields
from tinypareto.mcu.emit.packing import pack_pairs, packed_depth
from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import Fields, channel_fields, channel_tables, window_fields
from tinypareto.mcu.emit.text import OperatorText, Table, dimension, shape_text
from tinypareto.mcu.graph import Convolution, ConvolutionAdd, Graph, Int8Array

_UNPACKED_BYTES = 8  # of four channels in the depthwise kernel's scratch memory
_MOST_COLUMNS = 32  # output pixels of one strip: wider ones need more memory and save hardly any instructions


def is_pointwise(operator: Convolution) -> bool:
    """Say whether each output pixel needs exactly one input pixel, all channels of it."""
    window = operator.window
    return window.kernel == (1, 1) and window.padding == (0, 0, 0, 0) and operator.groups == 1


def is_depthwise(operator: Convolution) -> bool:
    """Say whether each output channel has one input channel of its own, four or more in all.

    The kernel takes four channels at a time; fewer are groups of the general one.
    """
    alone = operator.groups == operator.weight.shape[0] and operator.weight.shape[3] == 1
    return bool(alone and operator.groups >= 4)


def convolution_scratch(operator: Convolution, graph: Graph) -> int:
    """Return the bytes of scratch memory that the operator's kernel needs."""
    height, width = operator.window.kernel
    if is_depthwise(operator):
        strip = _strip(operator, graph.tensors[operator.output].shape[1])[1]
        return _UNPACKED_BYTES * height * (2 * width + strip)
    patches = 2 * packed_depth(operator.weight[0].size)
    return patches + (2 * len(operator.weight) if isinstance(operator, ConvolutionAdd) else 0)


def _strip(operator: Convolution, width: int) -> tuple[int, int]:
    """Return the output pixels of one strip of a depthwise convolution, and its columns of the input.

    Args:
        operator: The convolution.
        width: Of its output; all strips are about equally wide.
    """
    columns = -(-width // -(-width // _MOST_COLUMNS))
    window = operator.window
    reach = window.dilation[1] * (window.kernel[1] - 1) + 1
    return columns, (columns - 1) * window.stride[1] + reach


def emit_convolution(operator: Convolution, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables."""
    if is_pointwise(operator):
        return _emit_pointwise(operator, place)
    if is_depthwise(operator):
        return _emit_depthwise(operator, place)
    return _emit_general(operator, place)


def _emit_pointwise(operator: Convolution, place: Place) -> OperatorText:
    source, output = place.source(operator), place.output(operator)
    sizes = {
        "in_width": source.shape[1],
        "in_channels": source.shape[2],
        "out_height": output.shape[0],
        "out_width": output.shape[1],
        "out_channels": output.shape[2],
        "stride_height": operator.window.stride[0],
        "stride_width": operator.window.stride[1],
    }
    return OperatorText(
        name=place.name,
        comment=_comment("pointwise convolution", operator, place),
        struct="tp_pointwise",
        function="tp_run_pointwise",
        fields=(
            *_buffer_fields(operator, place),
            *_skip_fields(operator, place),
            *((key, dimension(value, f"{key} of {operator.name}")) for key, value in sizes.items()),
        ),
        sources=_sources(operator, "pointwise.c"),
        tables=_tables(operator, place, pack_pairs(operator.weight)),
    )


def _emit_depthwise(operator: Convolution, place: Place) -> OperatorText:
    columns, strip_width = _strip(operator, place.output(operator).shape[1])
    by_tap = np.ascontiguousarray(operator.weight[..., 0].transpose(1, 2, 0))  # kh x kw x channels
    return OperatorText(
        name=place.name,
        comment=_comment("depthwise convolution", operator, place),
        struct="tp_depthwise",
        function="tp_run_depthwise",
        fields=(
            *_buffer_fields(operator, place),
            *_window_fields(operator, place),
            ("columns", dimension(columns, f"columns of {operator.name}")),
            ("strip_width", dimension(strip_width, f"strip_width of {operator.name}")),
        ),
        sources=("depthwise.c",),
        tables=_tables(operator, place, by_tap),
    )


def _emit_general(operator: Convolution, place: Place) -> OperatorText:
    groups = dimension(operator.groups, f"groups of {operator.name}")
    return OperatorText(
        name=place.name,
        comment=_comment("convolution", operator, place),
        struct="tp_convolution",
        function="tp_run_convolution",
        fields=(
            *_buffer_fields(operator, place),
            *_window_fields(operator, place),
            *_skip_fields(operator, place),
            ("groups", groups),
        ),
        sources=_sources(operator, "convolution.c"),
        tables=_tables(operator, place, pack_pairs(operator.weight, operator.groups)),
    )


def _buffer_fields(operator: Convolution, place: Place) -> Fields:
    """Return where the operator's buffers lie, and its channels."""
    values, clamp = place.output(operator), operator.clamp
    if isinstance(operator, ConvolutionAdd):
        values, clamp = operator.middle, operator.middle_clamp
    return (
        ("input", place.buffer(operator.inputs[0])),
        ("output", place.buffer(operator.output)),
        ("scratch", place.scratch(operator)),
        *channel_fields(place.name, values, clamp),
    )


def _window_fields(operator: Convolution, place: Place) -> Fields:
    source, output = place.source(operator), place.output(operator)
    return (
        *window_fields(operator.window, source, output, operator.name),
        ("in_zero_point", str(source.zero_point)),
    )


def _skip_fields(operator: Convolution, place: Place) -> Fields:
    """Return what the operator adds, as a constant that its descriptor points to, or nothing."""
    if not isinstance(operator, ConvolutionAdd):
        return ()
    patches = 2 * packed_depth(operator.weight[0].size)
    fields = (
        ("add", "tp_add_values"),
        ("tensor", place.buffer(operator.inputs[1])),
        ("values", f"{place.scratch(operator)} + {patches}"),
        *sum_fields(place.graph.with_tensor(operator.middle), operator.parts()[1]),
    )
    return (("skip", f"&(const tp_skip){{{', '.join(f'.{key} = {value}' for key, value in fields)}}}"),)


def _sources(operator: Convolution, kernel: str) -> tuple[str, ...]:
    return (kernel, "multiply_pair.c", *(("add.c",) if isinstance(operator, ConvolutionAdd) else ()))


def _tables(operator: Convolution, place: Place, weight: Int8Array) -> tuple[Table, ...]:
    if isinstance(operator, ConvolutionAdd):
        graph, convolution = place.graph.with_tensor(operator.middle), operator.parts()[0]
        return channel_tables(graph, convolution, weight, place.name)
    return channel_tables(place.graph, operator, weight, place.name)


def _comment(kind: str, operator: Convolution, place: Place) -> str:
    shapes = (place.source(operator).shape, operator.weight.shape, place.output(operator).shape)
    source, weight, output = map(shape_text, shapes)
    grouped = f", {operator.groups} groups" if operator.groups > 1 else ""
    summed = f", plus {operator.inputs[1]}" if isinstance(operator, ConvolutionAdd) else ""
    return f"{operator.name}: {kind}, {source} -> {output}, weights {weight}{grouped}{summed}"
