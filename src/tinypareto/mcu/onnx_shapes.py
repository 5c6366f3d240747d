"""Constants that a file computes: the sizes of values, and arithmetic with them.

Exporters ask for a shape and compute a Resize's or Reshape's sizes from it, since the batch may vary. Here it is 1, so
all of that is constant.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from tinypareto.errors import reason
from tinypareto.mcu.onnx_values import Activation, Constant, Draft, NetworkInput, Node

MOST_NUMBERS = 1000  # per node: sizes are few; a damaged file shall not ask for gigabytes


def fold(node: Node) -> Constant | None:
    """Return what a node makes of constants or of a value's shape, None if it computes anything else.

    Raises:
        UnsupportedModelError: If its constants do not fit each other.
    """
    if node.kind == "Shape":
        return _shape(node)
    function = FOLDS.get(node.kind)
    arrays = [value for value in node.inputs if isinstance(value, np.ndarray)]
    given = [value for value in node.inputs if value is not None]
    if function is None or not arrays or len(arrays) != len(given):
        return None
    if sum(array.size for array in arrays) > MOST_NUMBERS:
        node.refuse(
            f"it computes from more than {MOST_NUMBERS} constants; fold them when exporting the model."
        )
    try:
        with np.errstate(all="ignore"):  # a size that is no number is refused where it is used
            return np.asarray(function(node))
    except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        node.refuse(f"its constants must fit each other, but {reason(error)}; export the model again.")


def _shape(node: Node) -> Constant | None:
    value = node.input(0)
    if isinstance(value, np.ndarray):
        shape: tuple[int, ...] = value.shape
    elif isinstance(value, Activation | Draft | NetworkInput):
        shape = (1, *value.dims)
    else:
        return None
    return np.array(shape[slice(node.attributes.get("start", 0), node.attributes.get("end"))], np.int64)


def _elementwise(function: Callable[..., Any]) -> Callable[[Node], Any]:
    return lambda node: function(*(node.array(index) for index in range(len(node.inputs))))


def _divide(x: Constant, y: Constant) -> Any:
    """Divide; integers towards zero."""
    if np.issubdtype(x.dtype, np.integer):
        return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))
    return x / y


def _cast(node: Node) -> Constant:
    return node.array(0).astype(onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"]))


def _concat(node: Node) -> Constant:
    parts = [node.array(index) for index in range(len(node.inputs))]
    return np.concatenate(parts, axis=node.attributes["axis"])


def _gather(node: Node) -> Constant:
    return np.take(node.array(0), node.array(1), axis=node.attributes.get("axis", 0))


def _slice(node: Node) -> Constant:
    source = node.array(0)
    starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
    if starts is None or ends is None:
        node.refuse("its starts and ends must be given; export it again.")
    axes = node.integers(3, "axes") or list(range(len(starts)))
    steps = node.integers(4, "steps") or [1] * len(starts)
    spans = [slice(None)] * source.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        spans[axis] = slice(start, end, step)
    return source[tuple(spans)]


def _squeeze(node: Node) -> Constant:
    axes = node.integers(1, "axes")
    return np.squeeze(node.array(0), None if axes is None else tuple(axes))


def _unsqueeze(node: Node) -> Constant:
    return np.expand_dims(node.array(0), tuple(node.integers(1, "axes") or ()))


def _reshape(node: Node) -> Constant:
    source, sizes = node.array(0), node.integers(1, "shape") or []
    return source.reshape([source.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)])


FOLDS: dict[str, Callable[[Node], Any]] = {
    "Add": _elementwise(np.add),
    "Cast": _cast,
    "Ceil": _elementwise(np.ceil),
    "Concat": _concat,
    "Div": _elementwise(_divide),
    "Floor": _elementwise(np.floor),
    "Gather": _gather,
    "Identity": lambda node: node.array(0),
    "Mul": _elementwise(np.multiply),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _elementwise(np.subtract),
    "Unsqueeze": _unsqueeze,
}
