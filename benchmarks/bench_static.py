"""Are sizes that are known before training those of the firmware, byte for byte, and how soon are they known?

    python benchmarks/bench_static.py                       completes benchmarks/results/static.csv (an hour)
    python benchmarks/bench_static.py --networks digits     only these; several processes may share the file
    python benchmarks/bench_static.py --table               what docs/benchmarks.md shows
    python benchmarks/bench_static.py --speed               seconds when cold, evaluations per second afterwards

200 random sets of hyperparameters of each network. Every one goes through the whole pipeline: training with pruning
(`digits` as its trials do, the large networks for one step on made-up data), quantisation, C code, linking, one
inference on the simulated core. Its ROM, RAM and FLOPs stand beside those that were known beforehand.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from rows import append_row, read_rows

from tinypareto.experiment import Experiment
from tinypareto.experiments import digits, mobilenetv3_daliac, resnet18_cifar10
from tinypareto.mcu.firmware import build_firmware, measure, read_program
from tinypareto.mcu.samples import quantize_input
from tinypareto.network.data import Data, Split
from tinypareto.network.train import build_network
from tinypareto.provenance import provenance
from tinypareto.space import Space
from tinypareto.static_footprint import KNOWN, StaticFootprint
from tinypareto.threads import use_one_thread

RESULTS = Path(__file__).resolve().parent / "results" / "static.csv"
CONFIGURATIONS, SPEED_CONFIGURATIONS = 200, 500
FIELDS = (
    "network", "number", *(f"known_{name}" for name in KNOWN), *(f"measured_{name}" for name in KNOWN), "commit",
    "machine", "versions",
)  # fmt: skip
LAYERS = {
    "resnet18_cifar10": ("stem", "stage1", "stage2", "stage3"),
    "mobilenetv3_daliac": ("stem", "blocks", "head", "dense"),
}
SAMPLES = 32  # of made-up data, one batch


def experiment_named(name: str) -> Experiment:
    """Return an experiment of the network; the large ones train for one step."""
    if name == "digits":
        return digits.experiment
    module = {"resnet18_cifar10": resnet18_cifar10, "mobilenetv3_daliac": mobilenetv3_daliac}[name]
    shape, classes = ((3, 32, 32), 10) if name == "resnet18_cifar10" else ((24, 1024), 13)
    space = {f"sparsity_{layer}": FloatDistribution(0.0, 0.9) for layer in LAYERS[name]}
    space |= {
        "per_channel": CategoricalDistribution([True, False]),
        "pruning_heuristic": CategoricalDistribution(["l1", "l2", "fpgm"]),
        "epochs": IntDistribution(1, 1),
        "batch_size": IntDistribution(SAMPLES, SAMPLES),
        "pruning_start": FloatDistribution(0.0, 0.0),
        "pruning_steps": IntDistribution(1, 1),
    }
    return Experiment(
        name=name, space=space, build_model=module.build_model, load_data=lambda: made_up(shape, classes)
    )


def made_up(shape: tuple[int, ...], classes: int) -> Data:
    """Return random samples; they serve for shapes alone."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((SAMPLES, *shape)).astype(np.float32)
    split = Split(inputs=inputs, targets=np.arange(SAMPLES) % classes)
    return Data(train=split, validation=split, test=split)


def parameters_of(experiment: Experiment, number: int) -> dict[str, Any]:
    """Return the number-th random set of hyperparameters."""
    space = Space(experiment.space)
    return space.decode(space.from_shares(np.random.default_rng(number).random((1, space.n_free)))[0])


def measured(experiment: Experiment, data: Data, parameters: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Return what the whole pipeline measures."""
    network = experiment.train(
        build_network(experiment.build_model, parameters, data, seed), data, parameters, seed
    )
    with tempfile.TemporaryDirectory() as folder:
        path = experiment.quantize(network, data, parameters, seed, Path(folder)).int8_path
        program = read_program(path, experiment.core)
        sample = quantize_input(program.graph, data.validation.inputs[:1])
        footprint = measure(build_firmware(program, Path(folder)), sample).footprint
    return {
        "rom_bytes": footprint.rom_bytes,
        "ram_bytes": footprint.ram_bytes,
        "flops": 2 * network.macs,
    }


def complete(names: Sequence[str]) -> None:
    for name in names:
        done = {int(row["number"]) for row in read_rows(RESULTS) if row["network"] == name}
        experiment = experiment_named(name)
        data = experiment.read_data()
        known = StaticFootprint(experiment, data)
        for number in range(CONFIGURATIONS):
            if number in done:
                continue
            parameters = parameters_of(experiment, number)
            before = known(parameters)
            row = {
                "network": name,
                "number": number,
                **{f"known_{size}": getattr(before, size) for size in KNOWN},
                **{
                    f"measured_{size}": value
                    for size, value in measured(experiment, data, parameters, number).items()
                },
                **provenance("torch", "torch-pruning", "onnxruntime", "ziglang"),
            }
            append_row(RESULTS, FIELDS, row)
            print({key: row[key] for key in FIELDS[:-3]}, flush=True)


def print_speed(names: Sequence[str]) -> None:
    for name in names:
        experiment = experiment_named(name)
        known = StaticFootprint(experiment, experiment.read_data())
        sets = [parameters_of(experiment, number) for number in range(SPEED_CONFIGURATIONS)]
        begun = time.perf_counter()
        for parameters in sets:  # every architecture and sequence of kernels is met
            known(parameters)
        first = time.perf_counter() - begun
        known.forget_sizes()
        begun = time.perf_counter()
        for parameters in sets:
            known(parameters)
        rate = len(sets) / (time.perf_counter() - begun)
        print(
            f"{name}: {rate:.0f} per second once traced and linked; {first - len(sets) / rate:.1f} s for that"
        )


def print_table() -> None:
    print("| network | sets | all three equal | ROM, KB | RAM, KB | MFLOPs |\n|---|---|---|---|---|---|")
    rows = read_rows(RESULTS)
    for name in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == name]
        equal = sum(all(row[f"known_{size}"] == row[f"measured_{size}"] for size in KNOWN) for row in own)
        spans = []
        for size, unit in zip(KNOWN, (1024, 1024, 1e6), strict=True):
            values = [int(row[f"measured_{size}"]) / unit for row in own]
            spans.append(f"{min(values):.1f} .. {max(values):.1f}")
        print(f"| {name} | {len(own)} | {equal} | {' | '.join(spans)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("digits", *LAYERS)
    parser.add_argument("--networks", default=",".join(names))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    use_one_thread()
    warnings.simplefilter("ignore")
    chosen = arguments.networks.split(",")
    if arguments.table:
        print_table()
    elif arguments.speed:
        print_speed(chosen)
    else:
        complete(chosen)


if __name__ == "__main__":
    main()
