"""One set of hyperparameters -> objective values and artefacts, stage by stage."""

import json
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tinypareto.errors import ConfigError, ExperimentError, TinyParetoError
from tinypareto.evaluation_record import Evaluation, step_folder, versions, write_json, write_network
from tinypareto.experiment import MEASURED, Experiment, Parameters, parameters_at, train_and_prune
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
from tinypareto.network.cost import macs
from tinypareto.network.data import Data, Split
from tinypareto.network.device import choose_device
from tinypareto.network.metrics import never_predicted
from tinypareto.network.train import NetworkOnPath, TrainedNetwork, build_network, predict
from tinypareto.network.training_loop import EpochRecord
from tinypareto.stop_rule import StopRule

SIMULATED_SAMPLES = 16  # of every trial: host build and simulated core must give the same bytes


def evaluate(
    experiment: Experiment,
    data: Data,
    parameters: Parameters,
    seed: int,
    folder: Path,
    harvest: Collection[int] = (),
    stop: StopRule | None = None,
    device: str = "cpu",
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
        harvest: Steps of the training's path whose networks shall be measured too, unless a later network is better
            in everything; each in a folder of its own, ``folder/step3``.
        stop: When the training ends before its last epoch; it must be that of `train_and_prune`.
        device: Where to train: ``cpu``, ``cuda`` or ``auto``, see `choose_device`.

    Raises:
        TinyParetoError: Of the stage that failed.
    """
    clock = _Clock()
    write_json(folder / "parameters.json", {"seed": seed, "parameters": dict(parameters)})
    print(f"{experiment.name}, seed {seed}: {dict(parameters)}")
    with clock.stage("train"):
        network, curve, trained_on = _trained(
            experiment, data, parameters, seed, stop, device, keep_path=len(harvest) > 0
        )
    expected_error = stop.expected(curve) if stop is not None and stop.ends(curve) else None
    stopped = expected_error is not None
    if stopped:
        print(f"stopped after {len(curve)} epochs: nothing to come could improve the front noticeably")
        evaluation = Evaluation(
            parameters=dict(parameters),
            seed=seed,
            warnings=network.warnings,
            versions=versions(),
            stopped=True,
            expected_error=expected_error,
        )
    else:
        evaluation = _measured(experiment, data, network, parameters, seed, folder, clock)
    harvested: tuple[Evaluation, ...] = ()
    if harvest:
        with clock.stage("harvest"):
            deployable: list[NetworkOnPath | TrainedNetwork] = [
                *network.path,
                *(() if stopped else (network,)),
            ]
            unbeaten = list(_unbeaten(experiment, data, deployable, trained_on))
            harvested = tuple(
                _harvested(experiment, data, network, unbeaten, parameters, seed, folder, harvest)
            )
    evaluation = replace(evaluation, curve=curve, harvested=harvested, seconds=clock.seconds)
    print(f"objectives: {evaluation.objectives}")
    write_network(folder, evaluation)
    return evaluation


def _trained(
    experiment: Experiment,
    data: Data,
    parameters: Parameters,
    seed: int,
    stop: StopRule | None,
    device: str,
    *,
    keep_path: bool,
) -> tuple[TrainedNetwork, tuple[float, ...], torch.device]:
    """Return the network, the errors that the rule was applied to if there is one, and where it was trained."""
    model = build_network(experiment.build_model, parameters, data, seed)
    trained_on = choose_device(device, macs(model, torch.zeros(1, *data.sample_shape)))
    print(f"device: {trained_on}")
    model = model.to(trained_on)
    if experiment.train is not train_and_prune:
        return experiment.train(model, data, parameters, seed), (), trained_on
    curve: list[float] = []

    def on_epoch(record: EpochRecord, model: nn.Module) -> bool:
        outputs = predict(model, data.validation.inputs)
        curve.append(float(experiment.metric(outputs, data.validation.targets)))
        print(f"epoch {record.epoch + 1}: loss {record.loss:.4g}, error {curve[-1]:.4g}")
        return stop is not None and stop.ends(curve)

    watching = None if stop is None else on_epoch
    network = train_and_prune(model, data, parameters, seed, watching, keep_path=keep_path)
    return network, tuple(curve), trained_on


def _measured(
    experiment: Experiment,
    data: Data,
    network: TrainedNetwork,
    parameters: Parameters,
    seed: int,
    folder: Path,
    clock: "_Clock",
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
    clock = _Clock()
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


def _harvested(
    experiment: Experiment,
    data: Data,
    network: TrainedNetwork,
    unbeaten: Iterable[NetworkOnPath],
    parameters: Parameters,
    seed: int,
    folder: Path,
    harvest: Collection[int],
) -> Iterator[Evaluation]:
    """Yield what those networks on a training's path give that are asked for."""
    for passed in unbeaten:
        if passed.at.step not in harvest:
            continue
        own, at = step_folder(folder, passed.at.step), parameters_at(parameters, passed.at)
        really = {**at, **({"epochs": passed.at.epochs} if "epochs" in at else {})}
        print(f"step {passed.at.step}: {really}")
        then = replace(
            network,
            model=passed.model,
            history=network.history[: passed.at.epochs],
            warnings=(),
            macs=passed.macs,
            parameters=passed.parameters,
            path=(),
        )
        own.mkdir(exist_ok=True)
        write_json(own / "parameters.json", {"seed": seed, "step": passed.at.step, "parameters": really})
        try:
            evaluation = _measured(experiment, data, then, at, seed, own, _Clock())
        except TinyParetoError as error:  # the training itself is done and shall count
            print(f"warning: step {passed.at.step} gave no firmware: {error}")
            continue
        evaluation = replace(evaluation, parameters=really, step=passed.at.step)
        write_network(own, evaluation)
        yield evaluation


def _unbeaten(
    experiment: Experiment,
    data: Data,
    networks: Sequence[NetworkOnPath | TrainedNetwork],
    device: torch.device,
) -> Iterator[NetworkOnPath]:
    """Yield the networks on a path that are better than all later ones in error, operations or parameters."""

    def costs(network: NetworkOnPath | TrainedNetwork) -> tuple[float, int, int]:
        outputs = predict(network.model.to(device), data.validation.inputs)
        return float(experiment.metric(outputs, data.validation.targets)), network.macs, network.parameters

    values = [costs(network) for network in networks]
    for place, network in enumerate(networks):
        later = values[place + 1 :]
        beaten = any(all(a <= b for a, b in zip(other, values[place], strict=True)) for other in later)
        if isinstance(network, NetworkOnPath) and not beaten:
            yield network


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
