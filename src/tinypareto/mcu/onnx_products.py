"""One ONNX matrix product by constant weights -> a dense layer or, over the last of several axes, a convolution."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import Convolution, Dense, FloatArray, Window
from tinypareto.mcu.onnx_values import Draft, Node, QuantizedConstant


def channel_scales(node: Node, constant: QuantizedConstant, channel_axis: int) -> FloatArray:
    """Return one scale per output channel from a scale per channel or per tensor."""
    channels = constant.values.shape[channel_axis]
    if constant.scale.size == 1:
        return np.full(channels, constant.scale.reshape(-1)[0])
    if constant.axis % constant.values.ndim != channel_axis or constant.scale.size != channels:
        node.refuse("its weights must be quantised per tensor or per output channel.")
    return constant.scale


def _gemm(node: Node) -> Draft:
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if any(node.attributes.get(key, value) != value for key, value in plain.items()):
        node.refuse("alpha and beta must be 1 and transA 0; fold the factors into the weights.")
    transposed = bool(node.attributes.get("transB", 0))
    return _dense(node, *_weights(node, transposed=transposed))


def _mat_mul(node: Node) -> Draft:
    weight, scale = _weights(node, transposed=False)
    return (_dense if len(node.activation(0).dims) == 1 else _over_last_axis)(node, weight, scale)


def _weights(node: Node, *, transposed: bool) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Return the weights, cout x cin, that fit the input's last axis, and a scale per output."""
    dims, constant = node.activation(0).dims, node.weight(1)
    if constant.values.ndim != 2:
        node.refuse(f"its weights must be a matrix, not {constant.values.shape}; reshape them.")
    weight = constant.values if transposed else constant.values.T
    if not dims or weight.shape[1] != dims[-1]:
        node.refuse(
            f"{weight.shape[1]} weights per output do not match the last axis of the input {dims}; "
            "flatten or transpose it."
        )
    return weight, channel_scales(node, constant, channel_axis=0 if transposed else 1)


def _dense(node: Node, weight: npt.NDArray[np.int8], scale: FloatArray) -> Draft:
    vector = node.activation(0)
    if len(vector.dims) != 1:
        node.refuse(f"its input must be a vector, not {vector.dims}; flatten it.")
    height, width, channels = vector.tensor.shape
    if not vector.channels_last:  # the values lie in H x W x C order
        weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    product_scale = vector.tensor.scale * scale
    operator = Dense(
        name=node.name,
        inputs=(vector.tensor.name,),
        output="",
        weight=np.ascontiguousarray(weight).reshape(len(scale), -1),
        bias=node.bias(2, product_scale),
        weight_scale=scale,
    )
    return Draft(
        operator=operator,
        shape=(1, 1, len(scale)),
        dims=(len(scale),),
        product_scale=None if node.input(2) is not None else product_scale,
    )


def _over_last_axis(node: Node, weight: npt.NDArray[np.int8], scale: FloatArray) -> Draft:
    """Draft what multiplies each vector along the last axis: with channels last, a pointwise convolution."""
    source = node.ordered(0, channels_last=True)
    height, width, _ = source.tensor.shape
    operator = Convolution(
        name=node.name,
        inputs=(source.tensor.name,),
        output="",
        window=Window(kernel=(1, 1)),
        weight=np.ascontiguousarray(weight)[:, None, None, :],
        bias=np.zeros(len(scale), np.int32),
        weight_scale=scale,
    )
    return Draft(
        operator=operator,
        shape=(height, width, len(scale)),
        dims=(*source.dims[:-1], len(scale)),
        channels_last=True,
        product_scale=source.tensor.scale * scale,
    )


PRODUCTS: dict[str, Callable[[Node], Draft]] = {"Gemm": _gemm, "MatMul": _mat_mul}
