"""What kernels write: every tensor byte for byte, and nothing outside their buffers, on both builds."""

import ctypes
import re
from dataclasses import replace

import numpy as np
import pytest
from guarded import GAP, PAINT, spread_plan
from small_graphs import GraphBuilder

from tinypareto.mcu.emit.project import c_sources, emit_project, scratch_bytes
from tinypareto.mcu.firmware import write_files
from tinypareto.mcu.graph import Window
from tinypareto.mcu.passes.fuse_add import fuse_add
from tinypareto.mcu.reference import run_reference_tensors
from tinypareto.mcu.simulator import simulate
from tinypareto.mcu.targets import target
from tinypareto.mcu.toolchain import HostModel, build_elf, build_host_library

M4 = target("cortex-m4")
SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
POINT = Window(kernel=(1, 1))


def every_operator(seed):
    """Return a graph whose operators read tensors of many channel counts, and its builder."""
    build, rng = GraphBuilder((7, 9, 5), seed), np.random.default_rng(seed)
    sources = [build.x] + [build.conv(f"to{c}", build.x, c, POINT) for c in (1, 4, 6, 7, 8, 13)]
    for index in range(10):
        source = sources[rng.integers(len(sources))]
        channels, window = build.tensors[source].shape[2], random_window(rng)
        groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        build.conv(f"conv{index}", source, groups * int(rng.integers(1, 4)), window, groups=groups)
        build.conv(f"depthwise{index}", source, channels, window, groups=channels)
        build.max_pool(f"max{index}", source, window)
        build.average_pool(f"average{index}", source, replace(window, dilation=(1, 1)))
    build.conv("depthwise", "to7", 7, SAME, groups=7)
    build.conv("pointwise", "to8", 7, replace(POINT, stride=(3, 2)))
    build.conv("padded point", "to8", 3, replace(POINT, padding=(1, 0, 0, 1)))
    build.conv("factors", build.x, 6, SAME, factor=[0.0, 1e-11, 0.3, 0.7, 3.0, 2.0**18], limit=2)
    build.relu("relu", build.add("add", "to8", build.conv("like8", "to8", 8, SAME)))
    build.add("twice", "to13", "to13")
    build.lookup("lookup", "to7")
    build.sub("difference", "to8", "add")
    build.mul("product", "to8", "add")
    build.mul("scaled", "to7", build.average_pool("mean7", "to7", Window(kernel=(7, 9))))
    build.add("point sum", build.conv("like4", "to7", 4, POINT), "to4")
    return fuse_add(build.graph(build.dense("dense", "to13", 11))), build


def random_window(rng):
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 5)))
    return Window(
        kernel=kernel,
        stride=(int(rng.integers(1, 4)), int(rng.integers(1, 3))),
        padding=tuple(int(rng.integers(0, size)) for size in (*kernel, *kernel)),
        dilation=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
    )


@pytest.fixture(scope="module", params=[0, 1, 2])
def runs(request, tmp_path_factory):
    """Run a graph; return it, its plan, its inputs and the arena after each input on both builds."""
    graph, build = every_operator(request.param)
    plan, inputs = spread_plan(graph), build.inputs(2)
    files, folder = emit_project(graph, plan, M4), tmp_path_factory.mktemp("arena")
    # The whole arena is handed back in place of the output.
    script = re.sub(r"model_output_0 = .*;", "model_output_0 = model_arena;", files["link.ld"])
    files["link.ld"] = re.sub(r"output_0_bytes = \d+;", f"output_0_bytes = {plan.size};", script)
    write_files(files, folder)
    simulated = simulate(build_elf(folder, c_sources(files), M4), M4, inputs).outputs
    library = build_host_library(folder, c_sources(files))
    arena = (ctypes.c_uint8 * plan.size).in_dll(ctypes.CDLL(str(library)), "model_arena")
    ctypes.memset(arena, PAINT, plan.size)
    shapes = {"input_shape": inputs.shape[1:], "output_shape": (1, 1, plan.size)}
    spans = {"inputs": [(plan.offsets["x"], inputs[0].size)], "outputs": [(0, plan.size)]}
    host = HostModel(library, **shapes, **spans)
    return graph, plan, inputs, {"host": host.predict(inputs).reshape(2, -1), "core": simulated}


@pytest.mark.parametrize("side", ["host", "core"])
def test_every_tensor_is_that_of_the_reference(runs, side):
    graph, plan, inputs, arenas = runs
    for name, expected in run_reference_tensors(graph, inputs).items():
        start, size = plan.offsets[name], graph.tensors[name].size
        found = arenas[side][:, start : start + size].reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("side", ["host", "core"])
def test_no_byte_between_the_buffers_is_touched(runs, side):
    graph, plan, _, arenas = runs
    outside = np.ones(plan.size, dtype=bool)
    for name, tensor in graph.tensors.items():
        outside[plan.offsets[name] :][: tensor.size] = False
    for name, size in scratch_bytes(graph).items():
        outside[plan.scratch_offsets[name] :][:size] = False
    assert outside.sum() >= GAP * len(graph.tensors)
    assert (arenas[side][:, outside].astype(np.uint8) == PAINT).all()


def test_the_cases_are_telling(runs):
    graph, _, inputs, _ = runs
    constant = [
        name for name, values in run_reference_tensors(graph, inputs).items() if len(np.unique(values)) < 2
    ]
    assert not constant
    kinds = {type(operator).__name__ for operator in graph.operators}
    assert kinds == {
        "Add",
        "AveragePool",
        "Convolution",
        "ConvolutionAdd",
        "Dense",
        "Lookup",
        "MaxPool",
        "Mul",
        "Relu",
        "Sub",
    }
