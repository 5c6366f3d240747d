"""Small QDQ files for the tests: one node at a time, quantised and run by onnxruntime itself."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from guarded import check
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

OPSET = 20


def float_file(path: Path, nodes, constants, dims, output="y", batch="batch", opset=OPSET) -> Path:
    """Write a float model with input x (batch x dims) and one output; ``constants`` maps names to arrays."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *dims])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


class Calibration(CalibrationDataReader):
    def __init__(self, values):
        self.batches = iter([{"x": values}])

    def get_next(self):
        return next(self.batches, None)


def quantized_file(
    float_path: Path,
    calibration,
    *,
    per_channel=True,
    activation=QuantType.QInt8,
    weight=QuantType.QInt8,
    kinds=None,
    **extra,
) -> Path:
    """Quantise a float file statically into QDQ beside it; ``kinds`` of nodes, if not what onnxruntime likes to."""
    path = float_path.with_suffix(".int8.onnx")
    options = {"WeightSymmetric": True, "ActivationSymmetric": False, **extra}
    quantize_static(
        float_path,
        path,
        Calibration(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=activation,
        weight_type=weight,
        op_types_to_quantize=kinds,
        extra_options=options,
    )
    return path


def run_onnx(path: Path, values) -> np.ndarray:
    """Return onnxruntime's float output; its int8 products must not saturate on old x86 cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def qdq(name, scale, zero_point):
    """Return nodes and constants that quantise ``name`` and give the int8 ``name_q``, the float ``name_r``."""
    constants = {f"{name}_s": np.float32(scale), f"{name}_z": np.int8(zero_point)}
    nodes = [
        helper.make_node("QuantizeLinear", [name, *constants], [f"{name}_q"], name=f"quantize_{name}"),
        helper.make_node("DequantizeLinear", [f"{name}_q", *constants], [f"{name}_r"], name=f"real_{name}"),
    ]
    return nodes, constants


def written_by_hand(folder: Path, middle, constants=None, *, dims=(6,), output=("h", 0.1, 3), **more) -> Path:
    """Write a QDQ file without onnxruntime's quantiser: x, the nodes ``middle`` from x_r to h, h."""
    before, first = qdq("x", 0.05, -4)
    behind, last = qdq(*output)
    constants = {**first, **last, **(constants or {})}
    nodes = [*before, *middle, *behind]
    return float_file(folder / "hand.onnx", nodes, constants, dims, output=f"{output[0]}_r", **more)


def int8_weight(rows=6, columns=9):
    """Return a node that gives the float weight w, rows x columns, with a scale per column."""
    weight = np.random.default_rng(0).integers(-127, 128, size=(rows, columns), dtype=np.int8)
    scale = np.geomspace(0.001, 0.01, columns).astype(np.float32)
    node = helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"], axis=1, name="weight")
    return node, {"w_q": weight, "w_s": scale, "w_z": np.zeros(columns, np.int8)}


def normal(*shape, seed=0):
    """Return standard normal float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def steps_apart(path: Path, x, graph=None):
    """Return how many output steps the reference and onnxruntime differ, for every value."""
    graph = graph or read_onnx(path)
    want = run_onnx(path, x)
    got = dequantize_output(graph, run_reference(graph, quantize_input(graph, x)))
    assert got.shape == want.shape
    scale = graph.tensors[graph.outputs[0]].scale
    assert len(np.unique(np.rint(want / scale))) > 4, "a constant output shows nothing"
    return np.abs(np.rint((got - want) / scale))


def edited(path, change):
    """Apply ``change`` to the file's graph."""
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def two_by_two(folder):
    """Two inputs, x (6) and z (6); two outputs, z - x and relu(x)."""
    (before, first), (behind, last) = qdq("z", 0.04, 9), qdq("g", 0.07, -5)
    middle = [
        *before,
        helper.make_node("Sub", ["z_r", "x_r"], ["g"]),
        *behind,
        helper.make_node("Relu", ["x_r"], ["h"]),
    ]
    path = written_by_hand(folder, middle, {**first, **last})

    def extend(graph):
        graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 6]))
        graph.output.insert(0, helper.make_tensor_value_info("g_r", TensorProto.FLOAT, ["batch", 6]))

    return edited(path, extend)


def samples(dims, seed=1, count=32):
    """Return standard normal inputs for a network."""
    return normal(count, *dims, seed=seed)


def one_layer(folder, kind, dims, constants=None, *, inputs=("x",), quantization=None, **attributes):
    """Write a file with one layer, let onnxruntime quantise it and return it; None as an attribute leaves it out."""
    constants = constants or {}
    attributes = {key: value for key, value in attributes.items() if value is not None}
    node = helper.make_node(kind, [*inputs, *constants], ["y"], name="layer", **attributes)
    path = float_file(folder / "layer.onnx", [node], constants, dims)
    return quantized_file(path, samples(dims), **(quantization or {}))


def refuses(path, pattern):
    """Check that the file is refused in one line."""
    with pytest.raises(UnsupportedModelError, match=pattern) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value), "one line"


def is_exact(path, x, folder):
    """Check that the generated C, run on this machine, gives each byte of the reference; return what was compiled."""
    graph = optimize(read_onnx(path))
    check(graph, quantize_input(graph, x), folder / "watched", "undefined")
    return graph
