"""Random graphs give the reference's bytes under sanitizers, between canaries and on simulated cores.

`make soak` runs many more of them.
"""

import numpy as np
import pytest
from guarded import check
from random_graphs import random_graph

from tinypareto.mcu.firmware import build_firmware, measure, write_program
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.targets import target

SEEDS = range(40)
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_graph_is_exact_and_stays_in_its_buffers(seed, tmp_path):
    graph, inputs = random_graph(seed)
    check(optimize(graph) if seed % 2 else graph, inputs, tmp_path, "undefined")


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_a_random_graph_is_exact_on_a_simulated_core(seed, tmp_path):
    graph, inputs = random_graph(seed)
    program = write_program(optimize(graph) if seed % 8 else graph, target(CORES[seed // 4 % len(CORES)]))
    measurement = measure(build_firmware(program, tmp_path), inputs)
    np.testing.assert_array_equal(measurement.outputs, run_reference(graph, inputs))


@pytest.mark.parametrize("seed", range(200))
def test_passes_change_no_byte_of_a_random_graph(seed):
    graph, inputs = random_graph(seed)
    np.testing.assert_array_equal(run_reference(optimize(graph), inputs), run_reference(graph, inputs))


def test_random_graphs_hold_every_operator_and_are_telling():
    kinds, telling = set(), 0
    for seed in SEEDS:
        graph, inputs = random_graph(seed)
        kinds |= {type(operator).__name__ for operator in graph.operators}
        telling += len(np.unique(run_reference(graph, inputs))) > 8
    assert kinds == {
        "Add", "ArgMax", "AveragePool", "Concat", "Convolution", "Dense", "Lookup", "MaxPool", "Mul", "Pad", "Relu",
        "Resize", "Slice", "Softmax", "Sub", "Transpose",
    }  # fmt: skip
    assert telling >= 20, "most graphs would prove little"
