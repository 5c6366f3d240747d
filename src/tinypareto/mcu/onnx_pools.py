"""One ONNX node that takes a maximum or mean, under a window or over whole axes -> MaxPool or AveragePool."""

import math
from collections.abc import Callable

from tinypareto.mcu.graph import AveragePool, MaxPool, Window
from tinypareto.mcu.onnx_layouts import Dims, Shape, moved
from tinypareto.mcu.onnx_values import Activation, Draft, Node
from tinypareto.mcu.onnx_windows import inside_counts, output_shape, reach, read_window


def _max_pool(node: Node) -> Draft:
    image = node.image(0)
    window = read_window(node, image, kernel=tuple(node.attributes["kernel_shape"]))
    return _pool(node, image, MaxPool(name=node.name, inputs=(image.tensor.name,), output="", window=window))


def _average_pool(node: Node) -> Draft:
    image = node.image(0)
    window = read_window(node, image, kernel=tuple(node.attributes["kernel_shape"]))
    count_padding = bool(node.attributes.get("count_include_pad", 0))
    if not all(inside_counts(image, window, axis).min() for axis in (0, 1)):
        node.refuse(f"window {window.kernel} must always see a part of the input; use less padding.")
    operator = AveragePool(
        name=node.name,
        inputs=(image.tensor.name,),
        output="",
        window=window,
        count_padding=count_padding,
    )
    return _pool(node, image, operator)


def _pool(node: Node, image: Activation, operator: MaxPool | AveragePool) -> Draft:
    window = operator.window
    if any(pad >= reach(window, side % 2) for side, pad in enumerate(window.padding)):
        node.refuse(f"padding {window.padding} must be smaller than the window {window.kernel}.")
    shape = output_shape(node, image, window, channels=image.tensor.shape[2])
    return Draft(operator=operator, shape=shape, dims=image_dims(shape, len(image.dims)))


def image_dims(shape: Shape, rank: int) -> Dims:
    """Return the file's shape of an image or, at rank 2, of a series."""
    height, width, channels = shape
    return (channels, height, width) if rank == 3 else (channels, width)


def _global_max_pool(node: Node) -> Draft:
    return _reduced(node, MaxPool, list(range(2, len(node.image(0).dims) + 1)))


def _global_average_pool(node: Node) -> Draft:
    return _reduced(node, AveragePool, list(range(2, len(node.image(0).dims) + 1)))


def _reduce_max(node: Node) -> Draft:
    return _reduced(node, MaxPool, node.integers(1, "axes"))


def _reduce_mean(node: Node) -> Draft:
    return _reduced(node, AveragePool, node.integers(1, "axes"))


def _reduced(node: Node, make: type[MaxPool | AveragePool], given: list[int] | None) -> Draft:
    """Reduce axes to one value; ``given`` counts the batch axis as 0, as the file does."""
    source = node.ordered(0, channels_last=None)
    rank = len(source.dims)
    if not given:
        node.refuse(f"it must name its axes (1..{rank}), so that the batch stays apart; export it with dim=.")
    axes = {node.axis(axis, rank) for axis in given}
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(source.dims))
    left = tuple(size for axis, size in enumerate(source.dims) if axis not in axes)
    name, window, shape = _whole_window(node, source, {source.places[axis] for axis in axes})
    return Draft(
        operator=make(name=node.name, inputs=(name,), output="", window=window),
        shape=shape,
        dims=kept if node.attributes.get("keepdims", 1) else left,
        channels_last=source.channels_last,
    )


def _whole_window(node: Node, source: Activation, places: set[int]) -> tuple[str, Window, Shape]:
    """Return a tensor, the window that covers the given axes of it whole, and the shape of what that leaves.

    Windows do not slide over channels, so with these the axes become the columns of a tensor with one channel. Where
    they are the last ones in memory, nothing moves for that.
    """
    height, width, channels = source.tensor.shape
    if 2 not in places:
        kernel = (height if 0 in places else 1, width if 1 in places else 1)
        shape = (height // kernel[0], width // kernel[1], channels)
        return source.tensor.name, Window(kernel=kernel, stride=kernel), shape
    rows = [place for place in (0, 1) if place not in places]
    pixels = math.prod(source.tensor.shape[place] for place in rows)
    depth = source.tensor.size // pixels
    first, second, third = (*rows, *sorted(places))
    seen = moved(source.tensor, (first, second, third), (pixels, depth, 1), f"over {sorted(places)} as")
    node.moves.append(seen)
    return seen[1].name, Window(kernel=(1, depth), stride=(1, depth)), (pixels, 1, 1)


POOLS: dict[str, Callable[[Node], Draft]] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
}
