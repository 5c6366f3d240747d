"""What does a multiply-accumulate cost in the generated C, and how large are code and arena?

    python benchmarks/bench_mcu.py                 writes benchmarks/results/mcu.csv
    python benchmarks/bench_mcu.py NAME ...        prints these networks alone, operator by operator
    python benchmarks/bench_mcu.py --table         what docs/benchmarks.md shows
    python benchmarks/bench_mcu.py --plot          draws growth with channels and depth into docs/mcu_growth.png
    python benchmarks/bench_mcu.py --golden        renews tests/benchmarks/golden_instructions.json

Instructions and modelled cycles are of one inference on the simulated core, whose output must be that of the same C
compiled for this machine. They follow from shapes alone, so weights are random.
"""

import argparse
import csv
import json
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mcu_networks import (
    autoencoder,
    ds_cnn,
    mobilenetv3,
    one_convolution,
    residual_network,
    resnet8,
    resnet18,
)

from tinypareto.mcu.firmware import (
    Measurement,
    Program,
    build_firmware,
    graph_macs,
    host_model,
    measure,
    write_program,
)
from tinypareto.mcu.graph import Graph
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.targets import target

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mcu.csv"
PICTURE = ROOT / "docs" / "mcu_growth.png"
GOLDEN = ROOT / "tests" / "benchmarks" / "golden_instructions.json"
M4 = "cortex-m4"
FIELDS = (
    "network", "target", "macs", "instructions", "cycles", "code_bytes", "weight_bytes", "arena_bytes",
    "arena_lower_bound", "stack_bytes", "commit", "machine", "versions",
)  # fmt: skip

Network = Callable[[], Graph]
NETWORKS: dict[str, Network] = {
    "ResNet-8": resnet8,
    "ResNet18, 3 stages": resnet18,
    "MobileNetV3-small-1D": mobilenetv3,
    "DS-CNN": ds_cnn,
    "autoencoder": autoencoder,
}
OPERATORS: dict[str, Network] = {
    "3x3, 16 channels, 16x16": partial(one_convolution, (16, 16, 16), 16),
    "3x3, 64 channels, 16x16": partial(one_convolution, (16, 16, 64), 64),
    "3x3, 13 channels, 16x16": partial(one_convolution, (16, 16, 13), 13),
    "pointwise, 32 channels, 16x16": partial(one_convolution, (16, 16, 32), 32, (1, 1)),
    "pointwise, 64 channels, 16x16": partial(one_convolution, (16, 16, 64), 64, (1, 1)),
    "depthwise 3x3, 32 channels, 32x32": partial(one_convolution, (32, 32, 32), 32, groups=32),
    "depthwise 3x3, 32 channels, 16x16": partial(one_convolution, (16, 16, 32), 32, groups=32),
    "depthwise 3x3, stride 2, 32 channels, 32x32": partial(one_convolution, (32, 32, 32), 32, groups=32, stride=2),
    "depthwise 1x9, 32 channels, 1x128": partial(one_convolution, (1, 128, 32), 32, (1, 9), groups=32),
}  # fmt: skip
CHANNELS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
KINDS: dict[str, Callable[[int], Graph]] = {
    "3x3": lambda c: one_convolution((16, 16, c), c),
    "pointwise": lambda c: one_convolution((16, 16, c), c, (1, 1)),
    "depthwise 3x3": lambda c: one_convolution((16, 16, c), c, groups=c),
}
BLOCKS = (1, 2, 3, 4, 6, 8)
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33")
GOLDEN_NAMES = ("ResNet-8", "DS-CNN", "autoencoder", *list(OPERATORS)[:8])


def growing() -> dict[str, Network]:
    """Return networks that grow in channels or in depth, by name."""
    wide = {f"{kind}, growing: {c}": partial(build, c) for kind, build in KINDS.items() for c in CHANNELS}
    deep = {
        f"residual, growing: {n}": partial(residual_network, (16, 16, 3), (16, 32), blocks=n) for n in BLOCKS
    }
    return wide | deep


def run(network: Network, core: str = M4) -> tuple[Program, Measurement]:
    """Compile a network for the core and run it there, checked against the host's build."""
    graph = optimize(network())
    program = write_program(graph, target(core))
    inputs = np.random.default_rng(0).integers(-128, 128, (1, *graph.input_shape), dtype=np.int8)
    with tempfile.TemporaryDirectory() as folder, host_model(program) as host:
        found = measure(build_firmware(program, Path(folder)), inputs)
        np.testing.assert_array_equal(found.outputs, host.predict(inputs))
    return program, found


def row(name: str, core: str, program: Program, found: Measurement) -> dict[str, str]:
    foot = found.footprint
    values = (
        name, core, graph_macs(program.graph), found.instructions, found.cycles, foot.code_bytes,
        foot.weight_bytes, foot.arena_bytes, program.plan.lower_bound, foot.stack_bytes,
    )  # fmt: skip
    return dict(zip(FIELDS, map(str, values), strict=False))


def complete() -> None:
    """Measure everything and write it down."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    versions = " ".join(f"{name}={version(name)}" for name in ("ziglang", "unicorn"))
    origin = {"commit": commit, "machine": platform.machine(), "versions": versions}
    cases = [(name, M4, network) for name, network in (NETWORKS | OPERATORS | growing()).items()]
    cases += [("ResNet-8", core, resnet8) for core in CORES]
    rows = []
    for name, core, network in cases:
        rows.append(row(name, core, *run(network, core)) | origin)
        print(f"{name}, {core}: {per_mac(rows[-1], 'instructions'):.3f} instructions/MAC", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows() -> list[dict[str, str]]:
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def per_mac(found: dict[str, str], field: str) -> float:
    return int(found[field]) / int(found["macs"])


def show(name: str) -> None:
    program, found = run((NETWORKS | OPERATORS | growing())[name])
    print(" ".join(f"{key}={value}" for key, value in row(name, M4, program, found).items()))
    print(f"{found.instructions / graph_macs(program.graph):.3f} instructions/MAC")
    for operator in found.operators if len(program.graph.operators) > 1 else ():
        print(f"    {operator.name:24} {operator.instructions:12,} {operator.cycles:12,} cycles")


def print_table() -> None:
    print(
        "| network | core | MACs | instructions/MAC | modelled cycles/MAC | code, bytes | weights | arena (bound) |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for found in read_rows():
        if "growing" in found["network"]:
            continue
        sizes = [f"{int(found[key]):,}" for key in ("code_bytes", "weight_bytes")]
        arena = f"{int(found['arena_bytes']):,} ({int(found['arena_lower_bound']):,})"
        costs = [f"{per_mac(found, field):.2f}" for field in ("instructions", "cycles")]
        cells = (found["network"], found["target"], f"{int(found['macs']):,}", *costs, *sizes, arena)
        print(f"| {' | '.join(cells)} |")


def growth(rows: list[dict[str, str]]) -> Iterator[tuple[str, list[int], list[float]]]:
    """Yield each growing series: its kind, the sizes and instructions per multiply-accumulate."""
    for kind in (*KINDS, "residual"):
        mine = [r for r in rows if r["network"].startswith(f"{kind}, growing: ")]
        sizes = [int(r["network"].rpartition(" ")[2]) for r in mine]
        yield kind, sizes, [per_mac(r, "instructions") for r in mine]


def plot() -> None:
    import matplotlib.pyplot as plt

    figure, (wide, deep) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for kind, sizes, costs in growth(read_rows()):
        (deep if kind == "residual" else wide).plot(sizes, costs, "o-", label=kind)
    wide.set(xlabel="channels", ylabel="instructions per multiply-accumulate", xscale="log", ylim=(0, None))
    wide.set_xticks(CHANNELS, map(str, CHANNELS))
    wide.legend()
    deep.set(xlabel="residual blocks per stage", ylim=(0, 2))
    figure.savefig(PICTURE, dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--golden", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print_table()
    elif arguments.plot:
        plot()
    elif arguments.golden:
        counts = {name: run((NETWORKS | OPERATORS)[name])[1].instructions for name in GOLDEN_NAMES}
        GOLDEN.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    elif arguments.names:
        for name in arguments.names:
            show(name)
    else:
        complete()


if __name__ == "__main__":
    main()
