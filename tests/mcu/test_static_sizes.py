from dataclasses import replace

import pytest
from random_graphs import random_graph
from small_graphs import GraphBuilder, small_resnet

from tinypareto.mcu.firmware import build_firmware, measure, write_program
from tinypareto.mcu.graph import Window
from tinypareto.mcu.static_sizes import SizeModel
from tinypareto.mcu.targets import target


def linked(graph, core, folder, inputs):
    footprint = measure(build_firmware(write_program(graph, target(core)), folder), inputs).footprint
    return footprint.rom_bytes, footprint.ram_bytes


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_sizes_are_those_of_the_linked_program(core, tmp_path):
    sizes = SizeModel(target=target(core))
    for width in (4, 5, 7):
        graph, build = small_resnet(width=width)
        known = sizes.sizes(graph)
        assert (known.rom_bytes, known.ram_bytes) == linked(graph, core, tmp_path, build.inputs(2))
    assert len(sizes.linked) == 1  # the other widths were counted


def test_single_channels_leave_inner_functions_out(tmp_path):
    sizes = SizeModel(target=target("cortex-m4"))
    for width in (5, 1, 7):  # the stack of the second is less deep
        build = GraphBuilder((5, 6, 3))
        inner = build.conv("first", build.x, width, Window(kernel=(1, 1)))
        graph = build.graph(build.conv("second", inner, 5, Window(kernel=(1, 1))))
        known = sizes.sizes(graph)
        assert (known.rom_bytes, known.ram_bytes) == linked(graph, "cortex-m4", tmp_path, build.inputs(2))
    assert len(sizes.linked) == 2


@pytest.mark.parametrize("seed", range(9))
def test_sizes_of_random_graphs_are_those_of_the_linked_program(seed, tmp_path):
    graph, inputs = random_graph(seed)
    known = SizeModel(target=target("cortex-m4")).sizes(graph)
    assert (known.rom_bytes, known.ram_bytes) == linked(graph, "cortex-m4", tmp_path, inputs)


def stem_alone(graph):
    first = graph.operators[:1]
    return replace(graph, outputs=(first[0].output,)).with_operators(first)


def test_another_sequence_of_kernels_is_linked_anew():
    sizes = SizeModel(target=target("cortex-m4"))
    graph, _ = small_resnet()
    assert sizes.sizes(graph).code_bytes > sizes.sizes(stem_alone(graph)).code_bytes


def test_flops_are_two_for_each_multiplication():
    graph, _ = small_resnet(width=5)  # its stem: 6 x 6 pixels, 5 filters of 3 x 3 x 3
    assert SizeModel(target=target("cortex-m4")).sizes(stem_alone(graph)).flops == 2 * 36 * 5 * 27
