"""One set of hyperparameters -> objective values and artefacts, stage by stage."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tinypareto.errors import TinyParetoError
from tinypareto.evaluation_record import Evaluation, step_folder, versions, write_json, write_network
from tinypareto.experiment import Experiment, Parameters, parameters_at, train_and_prune
from tinypareto.measured_network import StageClock, measure_network
from tinypareto.network.cost import macs
from tinypareto.network.data import Data
from tinypareto.network.device import choose_device
from tinypareto.network.train import NetworkOnPath, TrainedNetwork, build_network, predict
from tinypareto.network.training_loop import EpochRecord
from tinypareto.stop_rule import StopRule


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
    clock = StageClock()
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
        evaluation = measure_network(experiment, data, network, parameters, seed, folder, clock)
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
            evaluation = measure_network(experiment, data, then, at, seed, own, StageClock())
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
