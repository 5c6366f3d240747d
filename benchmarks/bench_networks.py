"""Is the firmware of whole networks exact on every core, and how far from onnxruntime is it?

    python benchmarks/bench_networks.py                     completes benchmarks/results/networks.csv (an hour)
    python benchmarks/bench_networks.py --networks DS-CNN   only these; several processes may share the file
    python benchmarks/bench_networks.py --table             what docs/benchmarks.md shows

Each network is trained for a few steps on made-up classes (a pattern of each, and noise), so that its outputs tell
something apart; unpruned or pruned by three eighths, which leaves odd widths; quantised with scales per channel or per
tensor. Then, on samples that it has not seen:

    exact     host build == integer reference == simulated core, byte for byte, on two samples for every target
    steps     largest distance between the C's outputs and onnxruntime's, in steps of the output, on 2,000
    top-1     share of the 2,000 for which both have the same class in front
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from rows import append_row, read_rows
from torch import nn

from tinypareto.experiments import digits, mobilenetv3_daliac, resnet18_cifar10
from tinypareto.mcu.cores import cores
from tinypareto.mcu.firmware import build_firmware, graph_macs, host_model, measure, write_program
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input
from tinypareto.mcu.targets import target
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.prune import PruningConfig
from tinypareto.network.quantize import QuantizationConfig, quantize_network, run_onnx
from tinypareto.provenance import provenance
from tinypareto.threads import use_one_thread

RESULTS = Path(__file__).resolve().parent / "results" / "networks.csv"
SAMPLES, CALIBRATION, EXACT_SAMPLES = 2000, 128, 2
SPARSITY = 3 / 8
TRAINING_STEPS, BATCH, NOISE = 30, 32, 0.7
FIELDS = (
    "network", "pruned", "per_channel", "parameters", "macs", "exact_on", "steps", "differing", "top1", "seconds",
    "commit", "machine", "versions",
)  # fmt: skip


class DSCNN(nn.Module):
    """MLPerf Tiny's keyword spotter: one convolution, then depthwise and pointwise ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _layer(1, 64, (10, 4), stride=2, padding=(4, 1))
        self.blocks = nn.Sequential(
            *(nn.Sequential(_layer(64, 64, 3, groups=64, padding=1), _layer(64, 64, 1)) for _ in range(4))
        )
        self.classifier = nn.Linear(64, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))


class Autoencoder(nn.Module):
    """MLPerf Tiny's anomaly detector: dense layers alone."""

    def __init__(self) -> None:
        super().__init__()
        widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
        layers = [
            nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
            for before, after in pairwise(widths)
        ]
        self.layers = nn.Sequential(*layers, nn.Linear(128, 640))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def _layer(cin: int, cout: int, kernel: int | tuple[int, int], **settings: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, bias=False, **settings), nn.BatchNorm2d(cout), nn.ReLU()
    )


def resnet8() -> nn.Module:
    """Return MLPerf Tiny's residual network, for three colours."""
    model = digits.ResNet8(16)
    model.stem[0] = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return model


@dataclass(frozen=True)
class Case:
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int  # 0: it reproduces its input


CASES = {
    "ResNet-8": Case(resnet8, (3, 32, 32), 10),
    "DS-CNN": Case(DSCNN, (1, 49, 10), 12),
    "autoencoder": Case(Autoencoder, (640,), 0),
    "MobileNetV3-1D": Case(lambda: mobilenetv3_daliac.build_model({}), (24, 1024), 13),
    "ResNet18, 3 stages": Case(lambda: resnet18_cifar10.build_model({}), (3, 32, 32), 10),
}


def made_up(case: Case, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return samples, count x shape, and their classes; each class has a smooth pattern, the same for every rng."""
    n_patterns = case.classes or 10
    patterns = torch.from_numpy(np.random.default_rng(0).standard_normal((n_patterns, *case.shape)))
    if len(case.shape) > 1:
        pool = nn.AvgPool2d(5, 1, 2) if len(case.shape) == 3 else nn.AvgPool1d(25, 1, 12)
        patterns = pool(patterns)
    patterns = patterns / patterns.std()
    labels = rng.integers(n_patterns, size=count)
    noise = NOISE * rng.standard_normal((count, *case.shape))
    return (patterns.numpy()[labels] + noise).astype(np.float32), labels


def trained(case: Case, pruned: bool) -> nn.Module:
    torch.manual_seed(0)
    model = case.build()
    if pruned:
        prune_untrained(model, torch.zeros(1, *case.shape), PruningConfig(sparsity={"": SPARSITY}))
    optimizer, rng = torch.optim.Adam(model.parameters(), 2e-3), np.random.default_rng(1)
    model.train()
    for _ in range(TRAINING_STEPS):
        samples, labels = made_up(case, BATCH, rng)
        inputs = torch.from_numpy(samples)
        outputs = model(inputs)
        loss = (
            nn.functional.cross_entropy(outputs, torch.from_numpy(labels))
            if case.classes
            else nn.functional.mse_loss(outputs, inputs)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def check(case: Case, model: nn.Module, per_channel: bool, folder: Path) -> dict[str, object]:
    """Return a row's figures; wrong bytes on any target end the run."""
    calibration, _ = made_up(case, CALIBRATION, np.random.default_rng(2))
    samples, _ = made_up(case, SAMPLES, np.random.default_rng(3))
    config = QuantizationConfig(per_channel=per_channel)
    path = quantize_network(model, calibration, folder, config).int8_path
    graph = optimize(read_onnx(path))
    inputs = quantize_input(graph, samples[:EXACT_SAMPLES])
    expected = run_reference(graph, inputs)
    exact_on = []
    for core in cores():
        program = write_program(graph, target(core.name))
        with host_model(program) as host:
            np.testing.assert_array_equal(host.predict(inputs), expected)
        np.testing.assert_array_equal(measure(build_firmware(program, folder), inputs).outputs, expected)
        exact_on.append(core.name)
    with host_model(program) as host:
        ours = dequantize_output(graph, host.predict(quantize_input(graph, samples)))
    theirs = run_onnx(path, samples)
    distance = np.abs(ours - theirs) / graph.tensors[graph.outputs[0]].scale
    return {
        "macs": graph_macs(graph),
        "exact_on": " ".join(exact_on),
        "steps": round(float(distance.max()), 3),
        "differing": f"{np.mean(distance > 0.5):.6f}",
        "top1": f"{np.mean(ours.argmax(1) == theirs.argmax(1)):.4f}" if case.classes else "",
    }


def complete(names: Sequence[str]) -> None:
    done = {(row["network"], row["pruned"], row["per_channel"]) for row in read_rows(RESULTS)}
    for name in names:
        for pruned in (False, True):
            missing = [scales for scales in (True, False) if (name, str(pruned), str(scales)) not in done]
            if not missing:
                continue
            model = trained(CASES[name], pruned)
            for per_channel in missing:
                begun = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    found = check(CASES[name], model, per_channel, Path(folder))
                row = {
                    "network": name,
                    "pruned": pruned,
                    "per_channel": per_channel,
                    "parameters": sum(p.numel() for p in model.parameters()),
                    **found,
                    "seconds": round(time.monotonic() - begun),
                    **provenance("torch", "onnxruntime", "ziglang", "unicorn"),
                }
                append_row(RESULTS, FIELDS, row)
                print({key: row[key] for key in FIELDS[:-3]}, flush=True)


def print_table() -> None:
    print(
        "| network | widths | scales | parameters | MACs | exact on | steps | outputs that differ | top-1 equal |"
    )
    print("|---" * 9 + "|")
    for row in sorted(
        read_rows(RESULTS), key=lambda r: (list(CASES).index(r["network"]), r["pruned"], r["per_channel"])
    ):
        cells = [
            row["network"],
            "pruned" if row["pruned"] == "True" else "whole",
            "per channel" if row["per_channel"] == "True" else "per tensor",
            f"{int(row['parameters']):,}",
            f"{int(row['macs']):,}",
            f"{len(row['exact_on'].split())} cores",
            row["steps"],
            f"{100 * float(row['differing']):.3f} %",
            f"{100 * float(row['top1']):.2f} %" if row["top1"] else "",
        ]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=";".join(CASES), help="separated by semicolons")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    use_one_thread()
    if arguments.table:
        print_table()
    else:
        complete(arguments.networks.split(";"))


if __name__ == "__main__":
    main()
