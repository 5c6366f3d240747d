"""Int8 ONNX file in QDQ format -> Graph.

In this format every layer stands between DequantizeLinear and QuantizeLinear, so the layer's own node
computes in float and the scales stand around it. Reading walks the nodes once, in order: a layer
becomes a draft, the QuantizeLinear behind it gives the draft its scale and thereby makes it an operator.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.file_order import in_file_order
from tinypareto.mcu.fixed_point import folded_bias
from tinypareto.mcu.graph import (
    INT8_MAX,
    INT8_MIN,
    Convolution,
    Dense,
    Graph,
    Int8Array,
    Lookup,
    Move,
    Operator,
    Pad,
    Tensor,
)
from tinypareto.mcu.onnx_activations import input_levels, lookup_table
from tinypareto.mcu.onnx_constants import (
    activation_steps,
    constant_array,
    constant_of,
    dequantize,
    quantize_constant,
)
from tinypareto.mcu.onnx_file import open_onnx, sort_nodes
from tinypareto.mcu.onnx_inputs import quantize_inputs_early
from tinypareto.mcu.onnx_layouts import UNMOVED, Dims, Inserted, arranged, hwc_shape, is_neutral, moved
from tinypareto.mcu.onnx_operators import convert
from tinypareto.mcu.onnx_shapes import fold
from tinypareto.mcu.onnx_values import Activation, Constant, Draft, NetworkInput, Node, Value

QUANTIZED_SUFFIX = "_QuantizeLinear_Input"  # what onnxruntime appends to a renamed graph output


def read_onnx(path: str | Path) -> Graph:
    """Return the network that an int8 QDQ file holds.

    Layouts turn from channels first to HWC, a series becomes an image of height 1, weights follow. Inputs and outputs
    that the network would transpose to or from channels last lie in the file's own order.

    Args:
        path: Written by ``onnxruntime.quantization.quantize_static`` with ``QuantFormat.QDQ``, or
            equal in structure. Float inputs and outputs, batch axis first.

    Raises:
        UnsupportedModelError: If the file is not such a network; the message names the node and its
            operator, and what is supported.
    """
    model = open_onnx(Path(path))
    quantize_inputs_early(model.graph)
    sort_nodes(model.graph)  # a scale may be the output of a Constant
    return in_file_order(_Reader(model).read())


class _Reader:
    """One walk over a file's nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.proto = model.graph
        self.opset = max(
            (item.version for item in model.opset_import if item.domain in {"", "ai.onnx"}), default=13
        )
        self.values: dict[str, Value] = {
            constant.name: constant_array(constant, constant.name) for constant in self.proto.initializer
        }
        self.used = {name for node in self.proto.node for name in node.input}
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.sources: dict[str, Draft | NetworkInput] = {}  # of the tensors

    def read(self) -> Graph:
        sources = self._network_inputs()
        self.values.update({source.name: source for source in sources})
        for proto in self.proto.node:
            self._read_node(proto)
        results = self._network_outputs()
        for source in sources:
            if source.name not in self.tensors:
                raise UnsupportedModelError(
                    f"Input '{source.name}' is never quantised; put QuantizeLinear behind it."
                )
        return Graph(
            name=self.proto.name,
            tensors=self.tensors,
            operators=tuple(self.operators),
            inputs=tuple(source.name for source in sources),
            outputs=tuple(result.tensor.name for result in results),
            input_dims=tuple(source.dims for source in sources),
            output_dims=tuple(result.dims for result in results),
        )

    def _network_inputs(self) -> list[NetworkInput]:
        inputs = [value for value in self.proto.input if value.name not in self.values]
        if not inputs:
            raise UnsupportedModelError("The network must have an input, but has none; export it again.")
        return [NetworkInput(name=value.name, dims=_static_dims(value)) for value in inputs]

    def _network_outputs(self) -> list[Activation]:
        results: dict[str, Activation] = {}
        if not self.proto.output:
            raise UnsupportedModelError("The network must have an output, but has none; export it again.")
        for name in [value.name for value in self.proto.output]:
            value = self.values.get(name)
            if not isinstance(value, Activation):
                raise UnsupportedModelError(
                    f"Output '{name}' must come from a quantised layer; quantise the last layer too (with onnxruntime "
                    "by naming it in op_types_to_quantize), or leave it out of the exported model."
                )
            if value.tensor.name in results:
                raise UnsupportedModelError(
                    f"Output '{name}' must differ from the others, but is '{value.tensor.name}' again; keep one."
                )
            results[value.tensor.name] = value
        return [self._channels_first(value) for value in results.values()]

    def _channels_first(self, result: Activation) -> Activation:
        """Return an output as the application reads it, under its own name."""
        if not result.channels_last or is_neutral(result.tensor.shape):
            return replace(result, channels_last=False)
        inner = replace(result.tensor, name=f"{result.tensor.name}/channels last")
        self._rename(result.tensor, inner)
        dims = (*result.dims[:2], math.prod(result.dims[2:]))
        *between, (last, tensor) = arranged(inner, dims, channels_last=True, wanted_last=False)
        self._insert(between)
        outer = replace(tensor, name=result.tensor.name)
        self._insert([(replace(last, output=outer.name), outer)])
        return Activation(tensor=outer, dims=result.dims)

    def _rename(self, old: Tensor, new: Tensor) -> None:
        """Give a tensor another name wherever it is used."""
        del self.tensors[old.name]
        self.tensors[new.name] = new
        self.operators = [
            replace(
                operator,
                inputs=tuple(new.name if name == old.name else name for name in operator.inputs),
                output=new.name if operator.output == old.name else operator.output,
            )
            for operator in self.operators
        ]

    def _read_node(self, proto: onnx.NodeProto) -> None:
        node = Node(
            name=proto.name or proto.output[0],
            kind=proto.op_type,
            attributes={item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute},
            inputs=tuple(self.values.get(name) for name in proto.input),
            outputs=len(proto.output),
            opset=self.opset,
        )
        if node.kind == "Constant":
            value: Value | tuple[Value, ...] = constant_of(node)
        elif node.kind == "QuantizeLinear":
            value = self._quantize(node, wanted=proto.input[0])
        elif node.kind == "DequantizeLinear":
            value = dequantize(node)
        elif (constant := fold(node)) is not None:
            value = constant
        else:
            value = convert(node)
            self._insert(node.moves)
            if isinstance(value, Draft) and value.steps is not None:
                value = self._settle(node, value, proto.output[0], value.steps)
        values = value if isinstance(value, tuple) else (value,)
        if any(name in self.used for name in proto.output[len(values) :]):
            node.refuse("only its first output is supported; do not use the others.")
        self.values.update(zip(proto.output, values, strict=False))

    def _insert(self, moves: list[Inserted]) -> None:
        """Append operators that bring values into another order, each once."""
        for operator, tensor in moves:
            if tensor.name not in self.tensors:
                self.operators.append(operator)
                self.tensors[tensor.name] = tensor

    def _quantize(self, node: Node, wanted: str) -> Activation | Constant:
        """Give a draft, or the network's input, the scale that turns it into a tensor; quantise a constant."""
        source = node.input(0)
        if isinstance(source, np.ndarray):
            return quantize_constant(node, source)
        steps = activation_steps(node)
        if isinstance(source, Activation):
            if (source.tensor.scale, source.tensor.zero_point) != steps:
                node.refuse("it rescales a tensor without an operator; give both sides the same scale.")
            return source
        if isinstance(source, NetworkInput):
            return self._settle(node, source, source.name, steps)
        if isinstance(source, Draft):
            return self._settle(node, source, wanted.removesuffix(QUANTIZED_SUFFIX), steps)
        node.refuse("it must quantise what a layer gives, or a constant; quantise the model statically.")

    def _settle(
        self, node: Node, source: NetworkInput | Draft, name: str, steps: tuple[float, int]
    ) -> Activation:
        """Return the tensor ``name`` of a value whose scale and zero point are known now."""
        shape = source.seen_as or source.shape if isinstance(source, Draft) else hwc_shape(source.dims)
        tensor = Tensor(name=name, shape=shape, scale=steps[0], zero_point=steps[1])
        if name not in self.tensors:
            self.tensors[name], self.sources[name] = tensor, source
            if isinstance(source, Draft):
                self._append(source, tensor)
        elif self.tensors[name] != tensor or self.sources.get(name) is not source:
            node.refuse(f"'{name}' is quantised twice with different scales; quantise it once.")
        last = isinstance(source, Draft) and source.channels_last
        return Activation(tensor=tensor, dims=source.dims, channels_last=last)

    def _append(self, draft: Draft, output: Tensor) -> None:
        """Append the draft's operator and, where others see what it writes in another shape, that view of it."""
        inner = output
        if draft.shape != output.shape:
            inner = replace(output, name=f"{output.name}/flat", shape=draft.shape)
            self.tensors[inner.name] = inner
        self.operators.append(self._finished(draft, inner))
        if inner is not output:
            view, _ = moved(inner, UNMOVED, output.shape, "as")
            self.operators.append(replace(view, output=output.name))

    def _finished(self, draft: Draft, output: Tensor) -> Operator:
        taken = {operator.name for operator in self.operators}
        name = next(name for name in _variants(draft.operator.name) if name not in taken)
        low, high = (
            int(np.clip(np.rint(bound / output.scale) + output.zero_point, INT8_MIN, INT8_MAX))
            for bound in (draft.low, draft.high)
        )
        operator = replace(draft.operator, name=name, output=output.name, clamp=(low, high))
        if isinstance(operator, Lookup):
            assert draft.levels is not None
            return replace(operator, table=lookup_table(draft.levels, output))
        if isinstance(operator, Move):
            operator = replace(operator, tables=self._rescaling_tables(operator, output))
        if isinstance(operator, Pad):
            return replace(operator, value=int(lookup_table(np.array([draft.padding]), output)[0]))
        if isinstance(operator, Convolution | Dense):
            folded_bias(operator, self.tensors[operator.inputs[0]].zero_point)  # refuses an overflow
        return operator

    def _rescaling_tables(self, operator: Move, output: Tensor) -> tuple[Int8Array | None, ...]:
        """Return a table for each input that is not in the output's steps; nothing if all are."""
        scale = (output.scale, output.zero_point)
        sources = [self.tensors[name] for name in operator.inputs]
        tables = tuple(
            None if (source.scale, source.zero_point) == scale else lookup_table(input_levels(source), output)
            for source in sources
        )
        return tables if any(table is not None for table in tables) else ()


def _variants(name: str) -> Iterator[str]:
    """Yield name, name_2, name_3, ...: a layer that is quantised in two ways becomes two operators."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _static_dims(value: onnx.ValueInfoProto) -> Dims:
    """Return an input's shape without its batch axis, which alone may be open.

    Raises:
        UnsupportedModelError: If the input is not float32 or another axis is open.
    """
    tensor = value.type.tensor_type
    dims = tuple(dim.dim_value for dim in tensor.shape.dim)
    if tensor.elem_type != onnx.TensorProto.FLOAT or not 2 <= len(dims) <= 4 or min(dims[1:]) < 1:
        raise UnsupportedModelError(
            f"Input '{value.name}' must be float32 of a fixed shape batch x C x H x W, batch x C x L or "
            f"batch x F, not {onnx.helper.printable_type(value.type)}; "
            "export it with only the batch axis dynamic."
        )
    return dims[1:]
