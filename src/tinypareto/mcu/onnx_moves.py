"""One ONNX node that only moves values -> operators that do the same in height x width x channels order."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import numpy as np

from tinypareto.mcu.graph import Concat, Operator, Pad, Resize, Slice, Transpose
from tinypareto.mcu.onnx_layouts import Dims, hwc_shape, own_shape
from tinypareto.mcu.onnx_resize import source_indices
from tinypareto.mcu.onnx_values import Activation, Draft, Node, QuantizedConstant, Value


def _concat(node: Node) -> Draft:
    last = all(node.activation(index).channels_last for index in range(len(node.inputs)))
    parts = [node.ordered(index, channels_last=last) for index in range(len(node.inputs))]
    first = parts[0].dims
    axis = node.axis(int(node.attributes.get("axis", 1)), len(first))
    if any(_without(part.dims, axis) != _without(first, axis) for part in parts):
        node.refuse(f"inputs {[part.dims for part in parts]} must differ along axis {axis + 1} only.")
    dims = _replaced(first, axis, sum(part.dims[axis] for part in parts))
    operator = Concat(
        name=node.name,
        inputs=tuple(part.tensor.name for part in parts),
        output="",
        axis=parts[0].places[axis],
    )
    return _drafted(operator, parts[0], dims)


def _split(node: Node) -> tuple[Value, ...]:
    source = node.ordered(0, channels_last=None)
    axis = node.axis(int(node.attributes.get("axis", 0)), len(source.dims))
    total = source.dims[axis]
    sizes = node.integers(1, "split")
    if sizes is None:
        size = -(-total // node.outputs)
        sizes = [min(size, total - start) for start in range(0, total, size)]
    if len(sizes) != node.outputs or sum(sizes) != total or min(sizes) < 1:
        node.refuse(
            f"its {node.outputs} parts {sizes} must be at least 1 and sum to {total}; export it again."
        )
    ends = accumulate(sizes)
    return tuple(
        _sliced(node, source, {axis: range(end - size, end)}) for size, end in zip(sizes, ends, strict=True)
    )


def _slice(node: Node) -> Draft:
    source = node.ordered(0, channels_last=None)
    starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
    if starts is None or ends is None:
        node.refuse("its starts and ends must be given; export it again.")
    axes, steps = node.integers(3, "axes"), node.integers(4, "steps")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        node.refuse("its starts, ends, axes and steps must be of one length; export it again.")
    kept = {}
    for index, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = node.axis(index, len(source.dims))
        if step < 1:
            node.refuse(f"step {step} must be at least 1; reverse the order in the weights behind it.")
        kept[axis] = range(source.dims[axis])[start:end:step]
    return _sliced(node, source, kept)


def _sliced(node: Node, source: Activation, kept: dict[int, range]) -> Draft:
    """Draft the part of ``source`` that ``kept`` names by axis of its dims."""
    start, step, dims = [0, 0, 0], [1, 1, 1], list(source.dims)
    for axis, span in kept.items():
        if not span:
            node.refuse(f"it must keep something of axis {axis + 1}, which has {dims[axis]}; drop the node.")
        place = source.places[axis]
        start[place], step[place], dims[axis] = span.start, span.step, len(span)
    operator = Slice(
        name=node.name,
        inputs=(source.tensor.name,),
        output="",
        start=(start[0], start[1], start[2]),
        step=(step[0], step[1], step[2]),
    )
    return _drafted(operator, source, tuple(dims))


def _pad(node: Node) -> Draft:
    source = node.ordered(0, channels_last=None)
    mode = bytes(node.attributes.get("mode", b"constant"))
    if mode != b"constant":
        node.refuse(f"mode {mode.decode(errors='replace')} must be constant; pad with a constant.")
    rank = len(source.dims)
    before, behind, dims = [0, 0, 0], [0] * rank, list(source.dims)
    for axis, (first, last) in _pads_by_axis(node, rank).items():
        if first < 0 or last < 0:
            node.refuse(f"pads {(first, last)} must be at least 0; crop with Slice.")
        before[source.places[axis]], behind[axis] = first, last
        dims[axis] += first + last
    operator = Pad(
        name=node.name,
        inputs=(source.tensor.name,),
        output="",
        before=(before[0], before[1], before[2]),
        value=0,
    )
    return replace(_drafted(operator, source, tuple(dims)), padding=_pad_value(node))


def _pads_by_axis(node: Node, rank: int) -> dict[int, tuple[int, int]]:
    """Return (before, behind) for each axis of dims that is padded."""
    pads, axes = node.integers(1, "pads"), node.integers(3, "axes")
    if pads is None:
        node.refuse("its pads must be constant; export the model with fixed values there.")
    axes = list(range(rank + 1)) if axes is None else axes
    if len(pads) != 2 * len(axes):
        node.refuse(f"{len(pads)} pads must be two for each of {len(axes)} axes; export it again.")
    both = list(zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True))
    return {node.axis(axis, rank): (first, last) for axis, first, last in both if first or last or axis}


def _pad_value(node: Node) -> float:
    value = node.input(2)
    if value is None:
        found = np.asarray(node.attributes.get("value", 0.0))
    elif isinstance(value, QuantizedConstant):
        found = value.values * value.scale
    else:
        found = node.array(2)
    real = float(found.reshape(-1)[0]) if found.size == 1 else math.nan
    if math.isnan(real):
        node.refuse("its value must be one constant number; pad with a constant.")
    return real


def _resize(node: Node) -> Draft:
    image = node.image(0)
    indices = source_indices(node, image.dims)
    *spatial, columns = indices
    (rows,) = spatial or [(0,)]
    dims = (image.dims[0], *(len(axis) for axis in indices))
    operator = Resize(name=node.name, inputs=(image.tensor.name,), output="", rows=rows, columns=columns)
    return Draft(operator=operator, shape=hwc_shape(dims), dims=dims)


def _transpose(node: Node) -> Draft:
    if len(node.activation(0).dims) == 4:
        return _shuffle(node, node.activation(0))
    source = node.ordered(0)
    rank = len(source.dims)
    order = [int(axis) for axis in node.attributes.get("perm", range(rank, -1, -1))]
    if sorted(order) != list(range(rank + 1)) or order[0] != 0:
        node.refuse(f"it must permute axes 1..{rank} and keep the batch first, not {order}.")
    dims = tuple(source.dims[axis - 1] for axis in order[1:])
    axes = [0, 1, 2]
    for axis, place in enumerate(source.places):
        axes[place] = source.places[order[axis + 1] - 1]
    operator = Transpose(
        name=node.name,
        inputs=(source.tensor.name,),
        output="",
        view=source.tensor.shape,
        axes=(axes[0], axes[1], axes[2]),
    )
    return Draft(operator=operator, shape=hwc_shape(dims), dims=dims)


def _shuffle(node: Node, source: Activation) -> Draft:
    """Swap the two axes into which the channels are split: a channel shuffle."""
    first, second, *rest = source.dims
    height, width, channels = source.tensor.shape
    order = [int(axis) for axis in node.attributes.get("perm", ())]
    fits = not source.channels_last and rest == [height, width] and first * second == channels
    if order != [0, 2, 1, 3, 4] or not fits:
        node.refuse(
            f"of four axes {source.dims} it must swap the first two, which split the channels, not permute "
            f"{order}; use at most three axes besides the batch."
        )
    operator = Transpose(
        name=node.name,
        inputs=(source.tensor.name,),
        output="",
        view=(height * width, first, second),
        axes=(0, 2, 1),
    )
    return Draft(operator=operator, shape=source.tensor.shape, dims=(second, first, height, width))


def _drafted(operator: Operator, source: Activation, dims: Dims) -> Draft:
    """Draft an operator that keeps the layout of its (first) input, in a value's own shape."""
    last = source.channels_last
    return Draft(operator=operator, shape=own_shape(dims, channels_last=last), dims=dims, channels_last=last)


def _without(dims: Dims, axis: int) -> tuple[int, Dims]:
    return len(dims), (*dims[:axis], *dims[axis + 1 :])


def _replaced(dims: Dims, axis: int, size: int) -> Dims:
    return (*dims[:axis], size, *dims[axis + 1 :])


MOVES: dict[str, Callable[[Node], Value | tuple[Value, ...]]] = {
    "Concat": _concat,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
