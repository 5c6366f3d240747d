"""One set of hyperparameters -> objective values and artefacts, stage by stage."""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from optuna.distributions import CategoricalDistribution
from torch import nn

from tinypareto.errors import ConfigError, ExperimentError
from tinypareto.experiment import MEASURED, Experiment, Parameters
from tinypareto.mcu.firmware import (
    Program,
    build_firmware,
    compare_outputs,
    host_model,
    measure,
    read_program,
    record_sizes,
)
from tinypareto.mcu.samples import dequantize_output, quantize_input
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.data import Data, Split
from tinypareto.network.metrics import never_predicted
from tinypareto.network.train import TrainedNetwork, build_network

SIMULATED_SAMPLES = 16  # of every trial: host build and simulated core must give the same bytes
VERSIONS_OF = ("tinypareto", "torch", "torch-pruning", "onnx", "onnxruntime", "optuna", "ziglang", "unicorn")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one training gave: objective values, all minimised, and what a report wants to know."""

    parameters: Parameters
    seed: int
    objectives: Mapping[str, float]
    measured: Mapping[str, Any]  # everything that was measured, objectives or not
    breakdown: Mapping[str, int]  # bytes of ROM and RAM by what they hold
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]  # by stage
    test_error: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    experiment: Experiment, data: Data, parameters: Parameters, seed: int, folder: Path
) -> Evaluation:
    """Train, prune, quantise, compile and measure one network; its artefacts are left in ``folder``.

    ``error`` is that of the generated C on the whole validation split, run on this machine; the simulated
    core must give the same bytes on 16 of its samples. Progress is printed, since it goes to the
    trial's log.

    Args:
        experiment: What to build and for which core.
        data: Its three splits; the test split is not touched.
        parameters: One value for each parameter of the space.
        seed: Of weights, order of samples and calibration.
        folder: An existing folder.

    Raises:
        TinyParetoError: Of the stage that failed.
    """
    clock = _Clock()
    _write_json(folder / "parameters.json", {"seed": seed, "parameters": dict(parameters)})
    print(f"{experiment.name}, seed {seed}: {dict(parameters)}")
    with clock.stage("train"):
        model = build_network(experiment.build_model, parameters, data, seed)
        network = experiment.train(model, data, parameters, seed)
    with clock.stage("quantize"):
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
    footprint = measurement.footprint
    measured = {
        "error": float(experiment.metric(outputs, data.validation.targets)),
        "rom_bytes": footprint.rom_bytes,
        "ram_bytes": footprint.ram_bytes,
        "flops": 2 * network.macs,
        "instructions": measurement.instructions,
        "cycles": measurement.cycles,
        "code_bytes": footprint.code_bytes,
        "weight_bytes": footprint.weight_bytes,
        "arena_bytes": footprint.arena_bytes,
        "stack_bytes": footprint.stack_bytes,
        "parameters": network.parameters,
    }
    if experiment.measure is not None:
        measured |= {name: float(value) for name, value in experiment.measure(folder).items()}
    evaluation = Evaluation(
        parameters=dict(parameters),
        seed=seed,
        objectives=_objectives(experiment, measured),
        measured=measured,
        breakdown=footprint.breakdown,
        warnings=_warnings(network, data, outputs),
        seconds=clock.seconds,
        versions=versions(),
    )
    for warning in evaluation.warnings:
        print(f"warning: {warning}")
    print(f"objectives: {evaluation.objectives}")
    _write_json(folder / "metrics.json", asdict(evaluation))
    return evaluation


def read_evaluation(folder: Path, parameters: Parameters, seed: int) -> Evaluation | None:
    """Return what ``folder`` holds if it is the whole evaluation of just these parameters and this seed."""
    try:
        values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found = Evaluation(**{**values, "warnings": tuple(values["warnings"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.parameters == dict(parameters) and found.seed == seed else None


def add_test_error(experiment: Experiment, folder: Path, data_path: Path | None) -> float:
    """Return the error of a trial's generated C on the test split; run it only if that was not done yet.

    The figure is added to the trial's ``metrics.json``.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if metrics["test_error"] is None:
        test = experiment.read_data(data_path).test
        outputs, _ = _predict(read_program(folder / "model.int8.onnx", experiment.core), test)
        metrics["test_error"] = float(experiment.metric(outputs, test.targets))
        _write_json(folder / "metrics.json", metrics)
    return float(metrics["test_error"])


def objective_scales(experiment: Experiment, data: Data, folder: Path) -> dict[str, float]:
    """Return the value of each objective at which it counts as hopeless, for the hypervolume.

    That is what the experiment's ``scales`` or ``limits`` say, else chance for ``error`` and what the
    unpruned largest network of the space, untrained, needs for everything else.

    Args:
        experiment: Whose objectives.
        data: For calibration and the number of classes.
        folder: An empty folder to build the largest network in.

    Raises:
        ExperimentError: If an objective's scale cannot be known.
    """
    scales = {**experiment.limits, **experiment.scales}
    if "error" not in scales and data.classes is not None:
        scales["error"] = 1 - 1 / data.classes
    missing = [name for name in experiment.objectives if name not in scales]
    if missing == ["flops"]:  # needs no compiler
        scales["flops"] = float(2 * _macs(experiment, largest_parameters(experiment, data), data))
    elif missing:
        untrained = replace(experiment, train=_leave_untrained)
        largest = largest_parameters(experiment, data)
        with open(folder / "log.txt", "w", encoding="utf-8") as log, redirect_stdout(log):
            values = evaluate(untrained, data, largest, 0, folder).measured
        scales |= {name: float(values[name]) for name in missing if name in values}
    for name in experiment.objectives:
        if not scales.get(name, 0) > 0:
            raise ExperimentError(
                f"the hypervolume needs a scale for objective {name!r}, which has no limit; "
                f'give scales={{"{name}": value at which it is hopeless}}.'
            )
    return {name: float(scales[name]) for name in experiment.objectives}


def largest_parameters(experiment: Experiment, data: Data) -> dict[str, Any]:
    """Return the corner of the space whose unpruned network has most multiply-accumulates.

    Found parameter by parameter: the highest value of a range, unless the lowest makes a larger network;
    the category with the largest one, the first of equals.
    """
    candidates = {
        name: list(kind.choices) if isinstance(kind, CategoricalDistribution) else [kind.high, kind.low]  # type: ignore[attr-defined]
        for name, kind in experiment.space.items()
    }
    largest = {name: choices[0] for name, choices in candidates.items()}
    for name, choices in candidates.items():
        costs = [_macs(experiment, {**largest, name: choice}, data) for choice in choices]
        largest[name] = choices[int(np.argmax(costs))]
    return largest


def versions() -> dict[str, str]:
    """Return the versions of what decides a trial's result, and the machine's kind."""
    return {**{name: version(name) for name in VERSIONS_OF}, "machine": platform.machine()}


def _leave_untrained(model: nn.Module, data: Data, parameters: Parameters, seed: int) -> TrainedNetwork:
    """Stand in for ``Experiment.train`` where only the unpruned network's size is asked for."""
    model.eval()
    cost = macs(model, torch.zeros(1, *data.sample_shape))
    return TrainedNetwork(model=model, history=(), warnings=(), macs=cost, parameters=parameter_count(model))


def _macs(experiment: Experiment, parameters: Parameters, data: Data) -> int:
    model = build_network(experiment.build_model, parameters, data, 0)
    return macs(model, torch.zeros(1, *data.sample_shape))


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


class _Clock:
    """Seconds by stage, printed as they pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 3)
        print(f"{name}: {self.seconds[name]} s")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write whole or not at all, so that a reader never meets half a document."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
