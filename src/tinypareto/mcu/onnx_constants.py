"""Constants and scales of an ONNX file: arrays, quantised weights and biases, plain numbers."""

import numpy as np
import onnx

from tinypareto.errors import UnsupportedModelError, reason
from tinypareto.mcu.graph import FloatArray
from tinypareto.mcu.onnx_values import Constant, Node, QuantizedConstant, Value, along_axis

SMALLEST_STEP = 1e-20  # of an activation: below, it was calibrated on zeros


def constant_array(tensor: onnx.TensorProto, name: str) -> Constant:
    """Return a constant of the file.

    Raises:
        UnsupportedModelError: If its shape, type and bytes contradict each other.
    """
    try:
        values: Constant = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise UnsupportedModelError(
            f"Constant '{name}' must hold the values that its shape and type promise, but {reason(error)}; "
            "export the model again."
        ) from error
    return values


def constant_of(node: Node) -> Constant:
    """Return what a Constant node holds."""
    for key in ("value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            return np.asarray(node.attributes[key])
    value = node.attributes.get("value")
    if not isinstance(value, onnx.TensorProto):
        node.refuse("it must hold numbers; export the model again.")
    return constant_array(value, node.name)


def activation_steps(node: Node) -> tuple[float, int]:
    """Return scale and int8 zero point of a QuantizeLinear or DequantizeLinear of an activation."""
    scale = node.array(1)
    zero_point = node.array(2)  # required, since it alone tells int8 from uint8
    if zero_point.dtype != np.int8:
        node.refuse(f"activations must be int8, not {zero_point.dtype}; use activation_type=QInt8.")
    if scale.size != 1 or zero_point.size != 1 or not np.isfinite(scale).all():
        node.refuse("activations must be quantised per tensor with one finite scale.")
    step = float(scale.reshape(()))
    if step < SMALLEST_STEP:
        node.refuse(
            f"activations must have a scale of at least {SMALLEST_STEP:g}, got {step:g}; calibrate with data on which "
            "this layer answers."
        )
    return step, int(zero_point.reshape(()))


def dequantize(node: Node) -> Value:
    """Return what a DequantizeLinear node reads: a constant with its scale, or the activation itself."""
    source = node.input(0)
    if isinstance(source, np.ndarray):
        return _quantized_constant(node, source)
    scale, zero_point = activation_steps(node)
    tensor = node.activation(0).tensor
    if (tensor.scale, tensor.zero_point) != (scale, zero_point):
        node.refuse("it must have the scale and zero point of the QuantizeLinear before it.")
    return node.activation(0)


def quantize_constant(node: Node, values: Constant) -> Constant:
    """Return the integers that a QuantizeLinear makes of a constant; onnxruntime leaves weights to it on request."""
    scale, zero_point = _weight_scale(node).astype(np.float32), node.array(2)
    axis = int(node.attributes.get("axis", 1))
    if zero_point.dtype.kind not in "iu":
        node.refuse(f"its zero point must be an integer, not {zero_point.dtype}; calibrate the model again.")
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(np.float32(values) / along_axis(node, scale, values.shape, axis))
    shifted = steps + along_axis(node, zero_point, values.shape, axis)
    return np.asarray(np.clip(shifted, limits.min, limits.max), zero_point.dtype)


def _quantized_constant(node: Node, values: Constant) -> QuantizedConstant | Constant:
    """Return symmetric weights and biases as they are, other constants (bounds, factors, summands) as real numbers."""
    if values.dtype not in {np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int32)}:
        node.refuse(f"weights must be int8 and biases int32, not {values.dtype}; use weight_type=QInt8.")
    scale = _weight_scale(node)
    zero_point = np.zeros((), np.int32) if node.input(2) is None else node.array(2).astype(np.int32)
    axis = int(node.attributes.get("axis", 1))
    is_number = values.ndim <= 1 and values.size == 1 and values.dtype != np.int32
    if is_number or zero_point.any() or values.dtype == np.uint8:
        centred = values.astype(np.int32) - along_axis(node, zero_point, values.shape, axis)
        return np.asarray(centred * along_axis(node, scale, values.shape, axis), np.float32)
    return QuantizedConstant(values=values, scale=scale, axis=axis)


def _weight_scale(node: Node) -> FloatArray:
    scale = np.asarray(node.array(1), np.float64)
    if not (np.isfinite(scale) & (scale > 0)).all():
        node.refuse("weight scales must be finite and above 0; calibrate the model again.")
    return scale
