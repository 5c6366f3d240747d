"""Post-training static quantisation: a trained network -> float ONNX -> int8 QDQ ONNX."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
import torch
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.registry import (  # type: ignore[import-untyped]
    QDQRegistry,
    QLinearOpsRegistry,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]
from torch import nn

from tinypareto.errors import ConfigError, QuantizationError, reason
from tinypareto.network.data import FloatArray
from tinypareto.network.onnx_export import INPUT, export_onnx, quiet

# onnxruntime leaves the outputs of these in float32 unless it is told; then no integer kernel could follow.
LEFT_IN_FLOAT = ("Div", "HardSigmoid", "HardSwish", "ReduceMax", "ReduceMean", "Sub", "Tanh")

CALIBRATION_METHODS: dict[str, tuple[CalibrationMethod, dict[str, float | bool]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    # onnxruntime's 128 bins, as many as the levels it maps them to, leave no range to choose from.
    "entropy": (CalibrationMethod.Entropy, {"num_bins": 512}),
    # onnxruntime's 99.999 would cut less than one value of the few samples that calibrate a small network.
    "percentile": (CalibrationMethod.Percentile, {"percentile": 99.9, "symmetric": False}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationConfig:
    """Settings of the static quantisation; weights are int8 and symmetric, activations int8."""

    per_channel: bool = True  # one scale per filter, else one per layer
    calibration_method: str = "minmax"  # how an activation's range is chosen
    calibration_samples: int = 128  # drawn from the training split
    activation_symmetric: bool = False  # zero point 0, at the price of half the range after a ReLU

    def __post_init__(self) -> None:
        if self.calibration_method not in CALIBRATION_METHODS:
            raise ConfigError(
                f"calibration_method must be one of {tuple(CALIBRATION_METHODS)}, got "
                f"{self.calibration_method!r}; pick one of them."
            )
        if self.calibration_samples < 1:
            raise ConfigError(
                f"calibration_samples must be at least 1, got {self.calibration_samples}; raise it."
            )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "QuantizationConfig":
        """Read this class's fields from a trial's parameters; the rest keep their defaults.

        Example:
            >>> QuantizationConfig.from_parameters({"per_channel": False, "width": 8}).per_channel
            False
        """
        return cls(**{item.name: parameters[item.name] for item in fields(cls) if item.name in parameters})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedNetwork:
    """The two ONNX files of one network and how the second came from the first."""

    float_path: Path
    int8_path: Path
    config: QuantizationConfig


def quantize_network(
    model: nn.Module, calibration: FloatArray, folder: Path, config: QuantizationConfig
) -> QuantizedNetwork:
    """Write ``model.onnx`` and ``model.int8.onnx`` into ``folder``.

    Args:
        model: A trained network; it stays as it is.
        calibration: n inputs of the training split; they decide the activations' ranges.
        folder: Is made if it does not exist.
        config: How to quantise.

    Raises:
        QuantizationError: If the network cannot be exported or quantised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = QuantizedNetwork(
        float_path=folder / "model.onnx", int8_path=folder / "model.int8.onnx", config=config
    )
    export_onnx(model, torch.from_numpy(calibration[:1]), network.float_path)
    quantize_onnx(network.float_path, calibration, network.int8_path, config)
    return network


def quantize_onnx(source: Path, calibration: FloatArray, target: Path, config: QuantizationConfig) -> None:
    """Quantise the float ONNX file ``source`` and write QDQ int8 to ``target``.

    Raises:
        QuantizationError: If onnxruntime cannot quantise the file.
        OSError: If a file cannot be written.
        MemoryError: If there is too little memory.
    """
    prepared = target.with_suffix(".prepared.onnx")
    try:
        with quiet():
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantizer = QDQQuantizer(
                onnx.shape_inference.infer_shapes(onnx.load(prepared)),
                config.per_channel,
                False,  # weights use all 8 bits
                QuantType.QInt8,
                QuantType.QInt8,
                _ranges(prepared, calibration, config),
                [],
                [],
                sorted({*QDQRegistry, *QLinearOpsRegistry, *LEFT_IN_FLOAT}),
                {"WeightSymmetric": True, "ActivationSymmetric": config.activation_symmetric},
            )
            quantizer.quantize_model()
        quantizer.model.topological_sort()  # it appends nodes behind those that read them, which ONNX forbids
        onnx.save(quantizer.model.model, target)
    except (MemoryError, OSError):
        raise  # a full disk is no fault of the network
    except Exception as problem:
        raise QuantizationError(
            f"{source.name} must be quantisable to int8, but {reason(problem)}; check that the "
            "network gives finite outputs for the calibration samples."
        ) from problem
    finally:
        prepared.unlink(missing_ok=True)


def _ranges(source: Path, calibration: FloatArray, config: QuantizationConfig) -> Any:
    """Return each activation's range over the calibration samples, in onnxruntime's terms."""
    method, settings = CALIBRATION_METHODS[config.calibration_method]
    augmented = source.with_suffix(".augmented.onnx")
    try:
        calibrator = create_calibrator(
            source, augmented_model_path=str(augmented), calibrate_method=method, extra_options=settings
        )
        calibrator.collect_data(_Batches(calibration))
        return calibrator.compute_data()
    finally:
        augmented.unlink(missing_ok=True)


def run_onnx(path: Path, inputs: FloatArray, batch_size: int = 256) -> FloatArray:
    """Return the outputs of an ONNX file for n inputs, float32, n x outputs, on one thread.

    Raises:
        QuantizationError: If onnxruntime cannot load or run the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Without VNNI, sums of two int8 products may saturate on x86; this asks for exact ones.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        batches = [inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size)]
        return np.concatenate([session.run(None, {name: batch})[0] for batch in batches])
    except Exception as problem:
        raise QuantizationError(
            f"{path.name} must run in onnxruntime on inputs {inputs.shape}, but {reason(problem)}; "
            "check the file and the inputs' shape."
        ) from problem


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Hand out the calibration samples, all in one batch."""

    def __init__(self, calibration: FloatArray) -> None:
        self._left = iter([{INPUT: calibration}])

    def get_next(self) -> dict[str, FloatArray] | None:
        return next(self._left, None)
