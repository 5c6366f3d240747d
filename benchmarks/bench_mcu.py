"""How many instructions does a multiply-accumulate cost, and how large are code and arena?

python benchmarks/bench_mcu.py [NAME ...]
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from mcu_networks import autoencoder, ds_cnn, one_convolution, resnet8, resnet18

from tinypareto.mcu.firmware import build_firmware, graph_macs, host_model, measure, write_program
from tinypareto.mcu.graph import Graph
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.targets import target

NETWORKS: dict[str, Callable[[], Graph]] = {
    "resnet8": resnet8,
    "conv3x3_16": partial(one_convolution, "conv", (16, 16, 16), 16),
    "conv3x3_64": partial(one_convolution, "conv", (16, 16, 64), 64),
    "conv3x3_odd": partial(one_convolution, "conv", (16, 16, 13), 13),
    "pointwise32": partial(one_convolution, "conv", (16, 16, 32), 32, (1, 1)),
    "pointwise64": partial(one_convolution, "conv", (16, 16, 64), 64, (1, 1)),
    "depthwise3x3": partial(one_convolution, "conv", (32, 32, 32), 32, groups=32),
    "depthwise3x3_16": partial(one_convolution, "conv", (16, 16, 32), 32, groups=32),
    "depthwise3x3_s2": partial(one_convolution, "conv", (32, 32, 32), 32, groups=32, stride=2),
    "depthwise1x9": partial(one_convolution, "conv", (1, 128, 32), 32, (1, 9), groups=32),
    "dscnn": ds_cnn,
    "autoencoder": autoencoder,
    "resnet18": resnet18,
}


def show(name: str) -> None:
    graph = optimize(NETWORKS[name]())
    program = write_program(graph, target("cortex-m4"))
    shape = graph.input_shape
    inputs = np.random.default_rng(0).integers(-128, 128, (1, *shape), dtype=np.int8)
    with tempfile.TemporaryDirectory() as folder, host_model(program) as host:
        found = measure(build_firmware(program, Path(folder)), inputs)
        np.testing.assert_array_equal(found.outputs, host.predict(inputs))
    foot, macs = found.footprint, graph_macs(graph)
    print(
        f"{name:16} {found.instructions:11,} {macs:11,} {found.instructions / macs:6.3f} "
        f"code {foot.code_bytes} weights {foot.weight_bytes} arena {foot.arena_bytes} "
        f"(bound {program.plan.lower_bound}) stack {foot.stack_bytes}"
    )
    if len(graph.operators) > 1:
        for operator in found.operators:
            print(f"    {operator.name:20} {operator.instructions:11,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(NETWORKS))
    for name in parser.parse_args().names or [name for name in NETWORKS if name != "resnet18"]:
        show(name)


if __name__ == "__main__":
    main()
