"""What the values of an ONNX file are while it is read, and what one node knows.

    Constant           a float or integer array
    QuantizedConstant  an int8 weight or int32 bias with its scale
    NetworkInput       the float input, before its QuantizeLinear
    Activation         an int8 tensor, seen as the file sees it
    Draft              an operator whose output still awaits its QuantizeLinear

``dims`` is a value's shape in the file without the batch axis. A tensor's elements in C x H x W order or, where
``channels_last`` says so, in its own order, reshaped to ``dims``, are the value; so a reshape changes nothing but
``dims``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import FloatArray, Int32Array, Operator, Tensor
from tinypareto.mcu.onnx_layouts import Dims, Inserted, Shape, arranged, axis_places

Constant: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedConstant:
    """Integers with their scale: one entry, or one for each index along ``axis``."""

    values: npt.NDArray[Any] = field(repr=False)
    scale: FloatArray = field(repr=False)
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """The network's float input."""

    name: str
    dims: Dims


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """An int8 tensor in the shape in which the file uses it."""

    tensor: Tensor
    dims: Dims
    channels_last: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """In which axis of height, width, channels each axis of dims lies, if the tensor has its own shape."""
        return axis_places(len(self.dims), channels_last=self.channels_last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An operator whose output has a shape (H x W x C) and real bounds, but no scale yet.

    ``product_scale`` is the scale of a matrix product's terms as long as its bias is unknown. ``levels``
    are the 256 real outputs of a Lookup, whose table awaits the scale, and ``padding`` the real value that a
    Pad puts around its input. ``seen_as`` is the shape in which others see what the operator writes, if not its own.
    Where ``steps``, scale and zero point, are known beforehand, no QuantizeLinear follows.
    """

    operator: Operator
    shape: Shape
    dims: Dims
    channels_last: bool = False
    seen_as: Shape | None = None
    low: float = -math.inf
    high: float = math.inf
    product_scale: FloatArray | None = field(default=None, repr=False)
    levels: FloatArray | None = field(default=None, repr=False)
    padding: float = 0.0
    steps: tuple[float, int] | None = None


Value: TypeAlias = Constant | QuantizedConstant | NetworkInput | Activation | Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the file: name, kind (ONNX operator type), attributes, inputs (None: left out).

    ``outputs`` is their number, ``opset`` the version of the operator set. ``moves`` collects what must bring its
    inputs into the order in which its operator needs them.
    """

    name: str
    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: int = 1
    opset: int = 13
    moves: list[Inserted] = field(default_factory=list)

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that names this node.

        Raises:
            UnsupportedModelError: Always.
        """
        raise UnsupportedModelError(f"Node '{self.name}' ({self.kind}) cannot be compiled: {reason}")

    def input(self, index: int) -> Value | None:
        """Return an input, or None where the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def activation(self, index: int) -> Activation:
        """Return an input that must be a quantised activation."""
        value = self.input(index)
        if not isinstance(value, Activation):
            self.refuse(
                f"input {index} must be a quantised activation; put QuantizeLinear and DequantizeLinear before it "
                "(format QDQ), with onnxruntime by naming the operator before it in op_types_to_quantize."
            )
        return value

    def image(self, index: int) -> Activation:
        """Return an activation seen as C x H x W or C x L, channels first."""
        value = self.ordered(index)
        if not 2 <= len(value.dims) <= 3:
            self.refuse(
                f"input {index} must be channels x height x width or channels x length, not {value.dims}; "
                "remove the reshape before it."
            )
        return value

    def ordered(self, index: int, *, channels_last: bool | None = False) -> Activation:
        """Return an activation whose tensor has its own shape, transposed if the file reshaped it.

        Args:
            index: Of the input.
            channels_last: The layout that is needed; None if each will do.
        """
        value = self.activation(index)
        last = value.channels_last if channels_last is None else channels_last
        if len(value.dims) > 3 and not (last and channels_last):
            self.refuse(
                f"input {index} must have at most three axes besides the batch, not {value.dims}; "
                "remove the reshape before it."
            )
        moves = arranged(value.tensor, value.dims, channels_last=value.channels_last, wanted_last=last)
        self.moves.extend(moves)
        return replace(value, tensor=moves[-1][1] if moves else value.tensor, channels_last=last)

    def axis(self, index: int, rank: int) -> int:
        """Return an axis of the file, which counts the batch as 0 and may be negative, as an index of dims.

        Args:
            index: As the file has it.
            rank: Of the value, without the batch axis.
        """
        if not -rank <= index <= rank or index == 0:
            self.refuse(f"axis {index} must name one of the {rank} axes behind the batch; export it again.")
        return index % (rank + 1) - 1

    def integers(self, index: int, attribute: str) -> list[int] | None:
        """Return integers that newer operator sets keep in an input and older ones in an attribute."""
        found = self.array(index) if self.input(index) is not None else self.attributes.get(attribute)
        return None if found is None else [int(value) for value in np.atleast_1d(found)]

    def array(self, index: int) -> Constant:
        """Return an input that must be a constant."""
        value = self.input(index)
        if not isinstance(value, np.ndarray):
            self.refuse(f"input {index} must be a constant; export the model with fixed values there.")
        return value

    def real_constant(self, index: int) -> FloatArray | None:
        """Return an input that is a constant, quantised or not, as real numbers; None if it is none."""
        value = self.input(index)
        if isinstance(value, np.ndarray):
            return np.asarray(value, np.float64) if np.issubdtype(value.dtype, np.number) else None
        if not isinstance(value, QuantizedConstant):
            return None
        scale = along_axis(self, value.scale, value.values.shape, value.axis)
        return np.asarray(value.values * scale, np.float64)

    def number(self, index: int) -> float:
        """Return an input that must be one constant number."""
        found = self.array(index)
        if found.size != 1 or not np.issubdtype(found.dtype, np.number):
            self.refuse(f"input {index} must be one number, not {found.size}; export it again.")
        return float(found.reshape(()))

    def weight(self, index: int) -> QuantizedConstant:
        """Return an input that must be an int8 constant behind DequantizeLinear."""
        value = self.input(index)
        if not isinstance(value, QuantizedConstant) or value.values.dtype != np.int8:
            self.refuse(
                "its weights must be symmetric int8 constants behind DequantizeLinear; quantise with "
                "weight_type=QInt8 and WeightSymmetric=True."
            )
        return value

    def bias(self, index: int, scale: FloatArray) -> Int32Array:
        """Return an optional bias as int32 in steps of ``scale`` (cout)."""
        value = self.input(index)
        if value is None:
            return np.zeros(len(scale), np.int32)
        if isinstance(value, QuantizedConstant):
            fits = value.values.shape == scale.shape and value.scale.size in {1, scale.size}
            if value.values.dtype != np.int32 or not (
                fits and np.allclose(value.scale, scale, rtol=1e-4, atol=0.0)
            ):
                self.refuse("its bias must be int32, one per output, with scale input scale x weight scale.")
            return np.ascontiguousarray(value.values, np.int32)
        real = self.array(index).reshape(-1)
        if real.shape != scale.shape or not (np.abs(real) < 2.0**31 * scale).all():
            self.refuse("its bias must have one entry per output, within 32 bits of input x weight scale.")
        steps: Int32Array = np.rint(real / scale).astype(np.int32)
        return steps


def along_axis(node: Node, steps: npt.NDArray[Any], shape: tuple[int, ...], axis: int) -> npt.NDArray[Any]:
    """Return scales or zero points, one or one for each index of an axis, so that they fit values of ``shape``."""
    if steps.size == 1:
        return steps.reshape(())
    if not -len(shape) <= axis < len(shape) or steps.shape != (shape[axis],):
        node.refuse(
            f"a constant of shape {shape} must have one scale and zero point, or one for each index of an axis; "
            "calibrate the model again."
        )
    return steps.reshape([-1 if index == axis % len(shape) else 1 for index in range(len(shape))])
