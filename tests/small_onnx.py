"""Small QDQ files for the tests: one node at a time, quantised and run by onnxruntime itself."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

OPSET = 20


def float_file(path: Path, nodes, constants, dims, output="y") -> Path:
    """Write a float model with input x (batch x dims) and one output; ``constants`` maps names to arrays."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *dims])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


class _Calibration(CalibrationDataReader):
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
    **extra,
) -> Path:
    """Quantise a float file statically into QDQ beside it."""
    path = float_path.with_suffix(".int8.onnx")
    options = {"WeightSymmetric": True, "ActivationSymmetric": False, **extra}
    quantize_static(
        float_path,
        path,
        _Calibration(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=activation,
        weight_type=weight,
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
