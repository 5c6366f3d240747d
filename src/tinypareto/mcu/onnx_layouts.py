"""How the values of an ONNX file lie in an int8 tensor, which is height x width x channels.

Channels first: the tensor's values in C x H x W order, reshaped to the file's dims, are the value. So lie images,
series and vectors, whose first axis (behind the batch) are the channels.

Channels last: the values in the tensor's own order, reshaped to the dims, are the value. So lie the results of
layers over the last axis, T x C: the channels of the tensor are the last axis and nothing moves.
"""

import math
from typing import TypeAlias

from tinypareto.mcu.graph import Tensor, Transpose

Dims: TypeAlias = tuple[int, ...]
Shape: TypeAlias = tuple[int, int, int]
Inserted: TypeAlias = tuple[Transpose, Tensor]  # an operator and what it writes

TO_CHANNELS_FIRST, TO_CHANNELS_LAST, UNMOVED = (2, 0, 1), (1, 2, 0), (0, 1, 2)


def hwc_shape(dims: Dims) -> Shape:
    """Return the shape of the tensor for a value of the file: C x H x W, C x L or F.

    Example:
        >>> hwc_shape((3, 4, 5)), hwc_shape((3, 16)), hwc_shape((10,))
        ((4, 5, 3), (1, 16, 3), (1, 1, 10))
    """
    channels, *spatial = dims or (1,)
    height, width = (1, 1, *spatial)[-2:]
    return height, width, channels


def own_shape(dims: Dims, *, channels_last: bool) -> Shape:
    """Return the shape of the tensor in which a value lies as in no other: each of its axes in one of the tensor's.

    Example:
        >>> own_shape((16, 3), channels_last=False), own_shape((16, 3), channels_last=True)
        ((1, 3, 16), (1, 16, 3))
    """
    if not channels_last:
        return hwc_shape(dims)
    width, channels = (1, 1, *dims)[-2:]
    return math.prod(dims[:-2]), width, channels


def axis_places(rank: int, *, channels_last: bool) -> tuple[int, ...]:
    """Return in which axis of H x W x C (0, 1, 2) each axis of dims lies, if the tensor has the value's own shape.

    Args:
        rank: Of dims, at most 3.
        channels_last: Whether the value lies so.
    """
    if channels_last:
        return UNMOVED[3 - rank :]
    return {0: (), 1: (2,), 2: (2, 1), 3: (2, 0, 1)}[rank]


def is_neutral(shape: Shape) -> bool:
    """Say whether both layouts are the same for a tensor."""
    return shape[2] == 1 or shape[0] * shape[1] == 1


def arranged(tensor: Tensor, dims: Dims, *, channels_last: bool, wanted_last: bool) -> list[Inserted]:
    """Return what turns ``tensor`` into one of the value's own shape in the layout that is wanted.

    Args:
        tensor: That holds the value.
        dims: Of the value; at most three axes unless channels last are wanted.
        channels_last: Whether the value lies so.
        wanted_last: Whether it shall lie so.
    """
    target, word = own_shape(dims, channels_last=wanted_last), "last" if wanted_last else "as"
    in_order = channels_last or is_neutral(tensor.shape)
    wants_order = wanted_last or is_neutral(target)
    only_pixels = not in_order and not wants_order and tensor.shape[2] == target[2]
    if only_pixels or (in_order and wants_order):
        return [] if tensor.shape == target else [moved(tensor, UNMOVED, target, word)]
    result = []
    if not in_order:
        result.append(moved(tensor, TO_CHANNELS_FIRST, target if wants_order else (1, 1, tensor.size), word))
    if not wants_order:
        source = result[-1][1] if result else tensor
        view = (target[2], target[0], target[1])
        result.append(moved(source, TO_CHANNELS_LAST, target, word, view=view))
    return result


def moved(
    tensor: Tensor, axes: Shape, shape: Shape, word: str, *, view: tuple[int, int, int] | None = None
) -> Inserted:
    """Return a transposition of ``tensor``, seen as ``view``, and what it writes; ``word`` is part of its name."""
    name = f"{tensor.name}/{word} {'x'.join(map(str, shape))}"
    operator = Transpose(name=name, inputs=(tensor.name,), output=name, view=view or tensor.shape, axes=axes)
    return operator, Tensor(name=name, shape=shape, scale=tensor.scale, zero_point=tensor.zero_point)
