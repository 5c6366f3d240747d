"""A trained network -> int8 ONNX -> C -> ELF -> objective values."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ConfigError, ExperimentError
from tinypareto.evaluation_record import Evaluation, versions, write_json, write_network
from tinypareto.experiment import MEASURED, Experiment, Parameters
from tinypareto.mcu.firmware import (
    Measurement,
    Program,
    build_firmware,
    compare_outputs,
    host_model,
    measure,
    read_program,
    record_sizes,
)
from tinypareto.mcu.samples import dequantize_output, quantize_input
from tinypareto.network.data import Data, Split
from tinypareto.network.metrics import never_predicted
from tinypareto.network.train import TrainedNetwork

SIMULATED_SAMPLES = 16  # of every trial: host build and simulated core must give the same bytes


class StageClock:
    """Seconds by stage, printed as they pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done meanwhile."""
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 3)
        print(f"{name}: {self.seconds[name]} s")


def measure_network(
    experiment: Experiment,
    data: Data,
    network: TrainedNetwork,
    parameters: Parameters,
    seed: int,
    folder: Path,
    clock: StageClock,
) -> Evaluation:
    """Quantise, compile and measure a trained network."""
    with clock.stage("quantize"):
        network.model.cpu()  # export and quantisation know no other device
        quantized = experiment.quantize(network, data, parameters, seed, folder)
    with clock.stage("compile"):
        program = read_program(quantized.int8_path, experiment.core)
        firmware = build_firmware(program, folder)
    with clock.stage("validate"):
        outputs, quantized_outputs = _predict(program, data.validation)
    with clock.stage("simulate"):
        measurement = measure(
            firmware, quantize_input(program.graph, data.validation.inputs[:SIMULATED_SAMPLES])
        )
        compare_outputs(measurement.outputs, quantized_outputs[:SIMULATED_SAMPLES])
        record_sizes(firmware, measurement)
    measured = {
        "error": float(experiment.metric(outputs, data.validation.targets)),
        "flops": 2 * network.macs,
        "parameters": network.parameters,
        **_measured_on_core(experiment, measurement, folder),
    }
    evaluation = Evaluation(
        parameters=dict(parameters),
        seed=seed,
        objectives=_objectives(experiment, measured),
        measured=measured,
        breakdown=measurement.footprint.breakdown,
        warnings=_warnings(network, data, outputs),
        seconds=clock.seconds,
        versions=versions(),
    )
    for warning in evaluation.warnings:
        print(f"warning: {warning}")
    return evaluation


def _measured_on_core(experiment: Experiment, measurement: Measurement, folder: Path) -> dict[str, Any]:
    """Return what depends on the core, by name."""
    footprint = measurement.footprint
    own = {} if experiment.measure is None else experiment.measure(folder)
    return {
        "rom_bytes": footprint.rom_bytes,
        "ram_bytes": footprint.ram_bytes,
        "instructions": measurement.instructions,
        "cycles": measurement.cycles,
        "code_bytes": footprint.code_bytes,
        "weight_bytes": footprint.weight_bytes,
        "arena_bytes": footprint.arena_bytes,
        "stack_bytes": footprint.stack_bytes,
        **{name: float(value) for name, value in own.items()},
    }


def measure_again(
    experiment: Experiment, data: Data, evaluation: Evaluation, source: Path, folder: Path
) -> Evaluation:
    """Compile and measure an evaluated network for the experiment's core; nothing is trained.

    What the network computes is the same to the last bit on every core, so its errors are kept. The host build and the
    simulated core must agree on 16 samples, as in `evaluate`.

    Args:
        experiment: For which core.
        data: Whose validation samples are run.
        evaluation: Of the network, for whatever core.
        source: Its folder, which holds its int8 ONNX.
        folder: An existing folder for its new artefacts; those that do not depend on the core are copied.

    Raises:
        TinyParetoError: Of the stage that failed.
    """
    clock = StageClock()
    for name in ("parameters.json", "model.onnx", "model.int8.onnx", "log.txt"):
        if (source / name).exists():
            shutil.copy2(source / name, folder / name)
    with clock.stage("compile"):
        program = read_program(folder / "model.int8.onnx", experiment.core)
        firmware = build_firmware(program, folder)
    with clock.stage("simulate"):
        samples = data.validation.inputs[:SIMULATED_SAMPLES]
        measurement = measure(firmware, quantize_input(program.graph, samples))
        targets = data.validation.targets[:SIMULATED_SAMPLES]
        _, outputs = _predict(program, Split(inputs=samples, targets=targets))
        compare_outputs(measurement.outputs, outputs)
        record_sizes(firmware, measurement)
    measured = {**evaluation.measured, **_measured_on_core(experiment, measurement, folder)}
    again = replace(
        evaluation,
        objectives=_objectives(experiment, measured),
        measured=measured,
        breakdown=measurement.footprint.breakdown,
        seconds={**evaluation.seconds, **clock.seconds},
        versions=versions(),
    )
    write_network(folder, again)
    return again


def add_test_error(experiment: Experiment, folder: Path, data_path: Path | None) -> float:
    """Return the error of a trial's generated C on the test split; run it only if that was not done yet.

    The figure is added to the trial's ``metrics.json``.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if metrics["test_error"] is None:
        test = experiment.read_data(data_path).test
        outputs, _ = _predict(read_program(folder / "model.int8.onnx", experiment.core), test)
        metrics["test_error"] = float(experiment.metric(outputs, test.targets))
        write_json(folder / "metrics.json", metrics)
    return float(metrics["test_error"])


def _predict(program: Program, split: Split) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Return real and quantised outputs of the program's C, compiled for this machine."""
    with host_model(program) as host:
        quantized = host.predict(quantize_input(program.graph, split.inputs))
    return dequantize_output(program.graph, quantized), quantized


def _objectives(experiment: Experiment, measured: Mapping[str, Any]) -> dict[str, float]:
    missing = [name for name in experiment.objectives if name not in measured]
    if missing:
        raise ExperimentError(
            f"measure= must return every objective besides {', '.join(MEASURED)}, but {missing} are missing; "
            "return them or drop them from objectives=."
        )
    values = {name: float(measured[name]) for name in experiment.objectives}
    bad = {name: value for name, value in values.items() if not np.isfinite(value)}
    if bad:
        raise ConfigError(f"objectives must be finite, got {bad}; mend metric= or measure=.")
    return values


def _warnings(network: TrainedNetwork, data: Data, outputs: npt.NDArray[np.float32]) -> tuple[str, ...]:
    warnings = list(network.warnings)
    if data.classes is not None:
        silent = never_predicted(outputs, data.classes)
        if silent:
            warnings.append(f"never predicted on the validation split: classes {list(silent)}")
    return tuple(warnings)
