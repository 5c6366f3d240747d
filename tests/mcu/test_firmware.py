from dataclasses import replace

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.errors import SimulationError
from tinypareto.mcu.firmware import build_firmware, compare_outputs, graph_macs, measure, write_program
from tinypareto.mcu.targets import target

M4 = target("cortex-m4")


def test_model_that_exceeds_the_target_is_measured_all_the_same(tmp_path):
    graph, build = small_resnet()
    tiny = replace(M4, flash_bytes=4096, ram_bytes=512)
    big = measure(build_firmware(write_program(graph, M4), tmp_path / "big"), build.inputs(1))
    small = measure(build_firmware(write_program(graph, tiny), tmp_path / "small"), build.inputs(1))
    assert big.footprint.rom_bytes > tiny.flash_bytes
    assert big.footprint.ram_bytes > tiny.ram_bytes
    assert small.footprint == big.footprint


def test_macs_are_those_of_convolutions_and_dense_layers():
    graph, _ = small_resnet(width=5)
    stem, first = 36 * 5 * 27, 2 * 36 * 5 * 45
    assert graph_macs(graph) == stem + first + 9 * 7 * 5 + 9 * 7 * 45 + 7 * 4


def test_differing_bytes_are_an_error():
    with pytest.raises(SimulationError, match="differ on 1 of 3 samples"):
        compare_outputs(np.array([[1], [2], [3]], dtype=np.int8), np.array([[1], [2], [4]], dtype=np.int8))
