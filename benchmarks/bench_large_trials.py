"""How long does a trial of a large experiment take, stage by stage, and how many samples a second are trained?

    python benchmarks/bench_large_trials.py                             completes results/large_trials.csv (minutes)
    python benchmarks/bench_large_trials.py --experiments resnet18_cifar10 --device cuda
    python benchmarks/bench_large_trials.py --table                     what docs/benchmarks.md shows
    python benchmarks/bench_large_trials.py --drop imu                  forgets an experiment's rows

A whole trial: data files in the original format, made up and small, are read, normalised and mapped; the network is
trained for two epochs with a pruning step between them, quantised, compiled, linked, run on the validation split and
simulated. Figures are of speed alone: the samples are random, so errors mean nothing and are not kept. Training speed
is that of the unpruned network on random samples of the same shape, without the first batches. On a processor all
seconds but those of reading are ones that the process really had it, since cores may be shared.
"""

import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import append_row, drop_rows, read_rows

from tinypareto.datasets import cifar10, daliac
from tinypareto.datasets.places import CACHE_VARIABLE
from tinypareto.evaluation import evaluate
from tinypareto.experiment import Experiment, load_experiment
from tinypareto.network.cost import parameter_count
from tinypareto.network.data import Data, Split
from tinypareto.network.prune import PruningConfig
from tinypareto.network.train import build_network, train_network
from tinypareto.network.training_config import TrainingConfig
from tinypareto.provenance import provenance
from tinypareto.space import Space
from tinypareto.threads import use_one_thread

RESULTS = Path(__file__).resolve().parent / "results" / "large_trials.csv"
STAGES = ("train", "quantize", "compile", "validate", "simulate")
FIELDS = (
    "experiment", "device", "parameters", "trained", "validated", "read_seconds", "mapped_seconds",
    *(f"{stage}_seconds" for stage in STAGES), "macs", "rom_bytes", "ram_bytes", "batch_size",
    "samples_per_second", "device_name", "commit", "machine", "versions",
)  # fmt: skip
BRIEFLY = {"epochs": 2, "pruning_start": 0.5, "pruning_steps": 1, "batch_size": 64}
IMAGES = 100  # of each of CIFAR-10's six files
MOMENTS = 1024  # of each activity of each of DaLiAc's subjects
SPEED_BATCHES, WARM_BATCHES = 6, 2


def write_cifar(folder: Path) -> None:
    """Write random images in CIFAR-10's binary form."""
    rng = np.random.default_rng(0)
    for name in (*cifar10.TRAINING, cifar10.TEST):
        records = rng.integers(0, 256, (IMAGES, cifar10.PIXELS + 1), np.uint8)
        records[:, 0] = np.arange(IMAGES) % cifar10.CLASSES
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def write_daliac(folder: Path) -> None:
    """Write random series in DaLiAc's form; everybody does everything."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1, daliac.ACTIVITIES + 1), MOMENTS)
    form = ",".join(["%.3f"] * daliac.CHANNELS + ["%d"])
    for subject in (subject for own in daliac.SUBJECTS.values() for subject in own):
        values = rng.normal(size=(len(labels), daliac.CHANNELS))
        np.savetxt(folder / f"dataset_{subject}.txt", np.column_stack([values, labels]), form)


# Experiments, and what writes data in the format that they read, if any.
WRITERS: Mapping[str, Callable[[Path], None] | None] = {
    "resnet18_cifar10": write_cifar,
    "mobilenetv3_daliac": write_daliac,
    "imu": None,
}


def read_twice(
    experiment: Experiment, write: Callable[[Path], None] | None, folder: Path
) -> tuple[Data, float, float]:
    """Return the data and the seconds of reading it, and of mapping what was kept of that."""
    path = None
    if write is not None:
        path = folder / "made_up"
        path.mkdir()
        write(path)
    os.environ[CACHE_VARIABLE] = str(folder / "cache")
    begun = time.perf_counter()
    experiment.read_data(path)
    read = time.perf_counter()
    data = experiment.read_data(path)
    return data, read - begun, time.perf_counter() - read


def middle(experiment: Experiment) -> dict[str, Any]:
    """Return the middle of the space, trained briefly."""
    space = Space(experiment.space)
    return {**space.decode(space.from_shares(np.full((1, space.n_free), 0.5))[0]), **BRIEFLY}


def samples_per_second(experiment: Experiment, data: Data, device: str) -> float:
    """Return the speed at which the unpruned network is trained."""
    parameters = middle(experiment)
    size = int(parameters["batch_size"])
    clock = seconds_of(device)
    rng = np.random.default_rng(0)

    def random_data(batches: int) -> Data:
        count = batches * size
        inputs = rng.standard_normal((count, *data.sample_shape), np.float32)
        split = Split(inputs=inputs, targets=np.arange(count) % data.classes)
        return Data(train=split, validation=split, test=split)

    def seconds(batches: int) -> float:
        model = build_network(experiment.build_model, parameters, data, 0).to(device)
        training = TrainingConfig.from_parameters({**parameters, "epochs": 1})
        some = random_data(batches)
        begun = clock()
        train_network(model, some, training, PruningConfig(), seed=0)
        return clock() - begun

    seconds(WARM_BATCHES)
    few, many = seconds(WARM_BATCHES), seconds(WARM_BATCHES + SPEED_BATCHES)
    return SPEED_BATCHES * size / (many - few)  # without what a training needs but once


def seconds_of(device: str) -> Callable[[], float]:
    """Return a clock: the time that this process and its children had a processor; with a GPU that on the wall."""
    if device != "cpu":
        return time.perf_counter

    def clock() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    return clock


class StageWatch(io.StringIO):
    """Takes what a trial prints and notes how long each stage took when its end is said."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock, self._last = clock, clock()
        self.seconds: dict[str, float] = {}

    def write(self, text: str) -> int:
        stage = text.partition(":")[0]
        if stage in STAGES:
            now = self._clock()
            self.seconds[stage], self._last = now - self._last, now
        return super().write(text)


def run(name: str, device: str) -> dict[str, Any]:
    """Return one row."""
    experiment = load_experiment(name)
    parameters = middle(experiment)
    with tempfile.TemporaryDirectory() as scratch:
        data, read, mapped = read_twice(experiment, WRITERS[name], Path(scratch))
        folder = Path(scratch) / "trial"
        folder.mkdir()
        watch = StageWatch(seconds_of(device))
        with redirect_stdout(watch):
            evaluation = evaluate(experiment, data, parameters, 0, folder, device=device)
        rate = samples_per_second(experiment, data, device)
        network = build_network(experiment.build_model, parameters, data, 0)
    return {
        "experiment": name,
        "device": device,
        "parameters": parameter_count(network),
        "trained": len(data.train) * BRIEFLY["epochs"],
        "validated": len(data.validation),
        "read_seconds": round(read, 2),
        "mapped_seconds": round(mapped, 3),
        **{f"{stage}_seconds": round(watch.seconds[stage], 2) for stage in STAGES},
        "macs": evaluation.measured["flops"] // 2,
        "rom_bytes": evaluation.measured["rom_bytes"],
        "ram_bytes": evaluation.measured["ram_bytes"],
        "batch_size": BRIEFLY["batch_size"],
        "samples_per_second": round(rate, 1),
        "device_name": torch.cuda.get_device_name() if device == "cuda" else "1 thread",
        **provenance("torch", "torch-pruning", "onnxruntime", "ziglang"),
    }


def complete(names: list[str], device: str) -> None:
    """Add the rows that are missing."""
    for name in names:
        done = {row["device"] for row in read_rows(RESULTS) if row["experiment"] == name}
        if device not in done:
            row = run(name, device)
            append_row(RESULTS, FIELDS, row)
            print(row, flush=True)


def print_table() -> None:
    """Print what docs/benchmarks.md shows."""
    columns = ("read", "mapped", *STAGES)
    print(f"| experiment | device | {' | '.join(columns)} | MMACs | ROM, KB | RAM, KB | trained a second |")
    print("|---" * (len(columns) + 6) + "|")
    for row in read_rows(RESULTS):
        seconds = " | ".join(f"{float(row[f'{name}_seconds']):.1f}" for name in columns)
        sizes = [int(row["macs"]) / 1e6, int(row["rom_bytes"]) / 1024, int(row["ram_bytes"]) / 1024]
        said = " | ".join(f"{size:.1f}" for size in sizes)
        print(f"| {row['experiment']} | {row['device']} | {seconds} | {said} | {row['samples_per_second']} |")


def main() -> None:
    """Complete the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", default=",".join(WRITERS), metavar="A,B")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--drop", metavar="A,B", help="forget these experiments' rows")
    arguments = parser.parse_args()
    use_one_thread()
    warnings.simplefilter("ignore")
    if arguments.table:
        print_table()
    elif arguments.drop:
        drop_rows(RESULTS, "experiment", arguments.drop.split(","))
    else:
        complete(arguments.experiments.split(","), arguments.device)


if __name__ == "__main__":
    main()
