"""Host library == reference == simulated core, byte for byte, for every operator and awkward shapes."""

import shutil
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.mcu.compilers import GCC, ZIG
from tinypareto.mcu.cores import cores
from tinypareto.mcu.firmware import build_firmware, host_model, measure, write_program
from tinypareto.mcu.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    Relu,
    Resize,
    Slice,
    Softmax,
    Sub,
    Tensor,
    Transpose,
    Window,
)
from tinypareto.mcu.passes.fuse_add import fuse_add
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.simulator import simulate
from tinypareto.mcu.targets import target
from tinypareto.mcu.toolchain import compile_c

M4 = target("cortex-m4")
CORES = [M4, target("cortex-m0plus")]  # with DSP instructions and unaligned loads, and without either


def layer(rng, weight_shape, **settings):
    cout = weight_shape[0]
    return {
        "weight": rng.integers(-127, 128, weight_shape, dtype=np.int8),
        "bias": rng.integers(-2000, 2000, cout, dtype=np.int32),
        "weight_scale": rng.uniform(0.002, 0.02, cout),
        **settings,
    }


def output_size(size, window):
    def along(axis):
        padded = size[axis] + window.padding[axis] + window.padding[axis + 2]
        reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1
        return (padded - reach) // window.stride[axis] + 1

    return along(0), along(1)


def graph_of(operator, in_shape, out_shape, rng):
    tensors = {
        "x": Tensor(name="x", shape=in_shape, scale=0.05, zero_point=int(rng.integers(-20, 20))),
        "y": Tensor(name="y", shape=out_shape, scale=0.3, zero_point=int(rng.integers(-20, 20))),
    }
    return Graph(name="net", tensors=tensors, operators=(operator,), inputs=("x",), outputs=("y",))


def convolution(cin, cout, size, window, groups=1, seed=0, **settings):
    rng = np.random.default_rng(seed)
    operator = Convolution(
        name="conv", inputs=("x",), output="y", window=window, groups=groups,
        **layer(rng, (cout, *window.kernel, cin // groups)), **settings,
    )  # fmt: skip
    return graph_of(operator, (*size, cin), (*output_size(size, window), cout), rng)


def dense(n, cout, seed=0):
    rng = np.random.default_rng(seed)
    operator = Dense(name="dense", inputs=("x",), output="y", **layer(rng, (cout, n)))
    return graph_of(operator, (1, 1, n), (1, 1, cout), rng)


def pool(kind, size, channels, window, **settings):
    rng = np.random.default_rng(0)
    operator = kind(name="pool", inputs=("x",), output="y", window=window, **settings)
    graph = graph_of(operator, (*size, channels), (*output_size(size, window), channels), rng)
    return replace(graph, tensors={**graph.tensors, "y": replace(graph.tensors["y"], scale=0.04)})


def lookup(shape, **settings):
    rng = np.random.default_rng(4)
    table = rng.integers(-128, 128, 256, dtype=np.int8)
    return graph_of(
        Lookup(name="lookup", inputs=("x",), output="y", table=table, **settings), shape, shape, rng
    )


def arithmetic(kind, shape, *, per_channel=False, scale=0.3, **settings):
    """kind(x, pool(x)), where the pool copies x or takes each channel's mean."""
    rng = np.random.default_rng(5)
    kernel = shape[:2] if per_channel else (1, 1)
    middle = (1, 1, shape[2]) if per_channel else shape
    operators = (
        AveragePool(name="pool", inputs=("x",), output="r", window=Window(kernel=kernel)),
        kind(name="op", inputs=("x", "r"), output="y", **settings),
    )
    graph = replace(graph_of(operators[0], shape, shape, rng), operators=operators)
    factor = Tensor(name="r", shape=middle, scale=0.04 if not per_channel else 0.01, zero_point=-9)
    output = replace(graph.tensors["y"], scale=scale)
    return replace(graph, tensors={**graph.tensors, "r": factor, "y": output})


def residual():
    """relu(conv(x)) + x, the sum written in place."""
    rng = np.random.default_rng(3)
    graph = convolution(5, 5, (6, 7), Window(kernel=(3, 3), padding=(1, 1, 1, 1)))
    names = {"x": (0.05, 3), "a": (0.3, -7), "b": (0.25, -128), "y": (0.2, 11)}
    tensors = {n: Tensor(name=n, shape=(6, 7, 5), scale=s, zero_point=z) for n, (s, z) in names.items()}
    conv = replace(graph.operators[0], output="a", **layer(rng, (5, 3, 3, 5)))
    operators = (
        conv,
        Relu(name="relu", inputs=("a",), output="b"),
        Add(name="add", inputs=("b", "x"), output="y", clamp=(11, 127)),
    )
    return Graph(name="net", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",))


def two_by_two():
    """Inputs of unlike sizes; outputs are the first's pool, the second itself and a sum of both pools."""
    rng = np.random.default_rng(6)
    shapes = {"x": (4, 6, 3), "z": (2, 9, 3), "p": (2, 3, 3), "q": (2, 3, 3), "y": (2, 3, 3)}
    tensors = {
        name: Tensor(
            name=name, shape=shape, scale=rng.uniform(0.04, 0.06), zero_point=int(rng.integers(-9, 9))
        )
        for name, shape in shapes.items()
    }
    operators = (
        MaxPool(name="p", inputs=("x",), output="p", window=Window(kernel=(2, 2), stride=(2, 2))),
        AveragePool(name="q", inputs=("z",), output="q", window=Window(kernel=(1, 3), stride=(1, 3))),
        Add(name="add", inputs=("p", "q"), output="y"),
    )
    return Graph(name="net", tensors=tensors, operators=operators, inputs=("x", "z"), outputs=("p", "z", "y"))


def fused_sum(cin, cout, size, window, *, convolution_first):
    """conv(x) + pool(x), written over the pooled tensor; both of odd size."""
    graph = convolution(cin, cout, size, window, seed=6)
    shape = graph.tensors["y"].shape
    names = {"x": (0.05, 3), "s": (0.21, -7), "m": (0.3, 20), "y": (0.25, 11)}
    shapes = {"x": (*size, cin), "s": shape, "m": shape, "y": shape}
    tensors = {n: Tensor(name=n, shape=shapes[n], scale=s, zero_point=z) for n, (s, z) in names.items()}
    skip = replace(
        graph.operators[0],
        name="skip",
        output="s",
        **layer(np.random.default_rng(7), (cout, *window.kernel, cin)),
    )
    conv = replace(graph.operators[0], output="m", clamp=(-100, 90))
    order = ("m", "s") if convolution_first else ("s", "m")
    add = Add(name="add", inputs=order, output="y", clamp=(-77, 99))
    return fuse_add(replace(graph, tensors=tensors, operators=(skip, conv, add)))


def extreme_factors():
    """Channels whose requantisation vanishes, saturates or shifts left."""
    graph = convolution(3, 6, (4, 4), Window(kernel=(1, 1)))
    scales = np.array([1e-12, 1e-7, 0.01, 1.4, 3.1, 900.0])
    return graph.with_operators((replace(graph.operators[0], weight_scale=scales),))


def moved(kind, shape, out_shape, *, table=False, **settings):
    """One move of x; its table turns every value around."""
    tables = (np.arange(127, -129, -1).astype(np.int8),) if table else ()
    operator = kind(name="move", inputs=("x",), output="y", tables=tables, **settings)
    return graph_of(operator, shape, out_shape, np.random.default_rng(7))


def concatenated(axis, *shapes, **settings):
    """Inputs of unlike sizes side by side, the first rescaled."""
    rng = np.random.default_rng(8)
    names = ["x", *(f"x{number}" for number in range(1, len(shapes)))]
    tables = (rng.integers(-128, 128, 256, dtype=np.int8), *[None] * (len(shapes) - 1))
    shape = list(shapes[0])
    shape[axis] = sum(one[axis] for one in shapes)
    operator = Concat(name="cat", inputs=tuple(names), output="y", axis=axis, tables=tables, **settings)
    graph = graph_of(operator, shapes[0], tuple(shape), rng)
    more = {
        name: Tensor(name=name, shape=one, scale=0.3, zero_point=0)
        for name, one in zip(names, shapes, strict=True)
    }
    return replace(graph, tensors={**graph.tensors, **more}, inputs=tuple(names))


def ranked(kind, shape, out_shape, *, scale=0.004, zero_point=-100, **settings):
    operator = kind(name="op", inputs=("x",), output="y", **settings)
    graph = graph_of(operator, shape, out_shape, np.random.default_rng(9))
    tensor = Tensor(name="y", shape=out_shape, scale=scale, zero_point=zero_point)
    return replace(
        graph, tensors={**graph.tensors, "x": replace(graph.tensors["x"], scale=0.02), "y": tensor}
    )


SAME = (1, 1, 1, 1)
GRAPHS = {
    "3x3": convolution(4, 8, (8, 8), Window(kernel=(3, 3), padding=SAME)),
    "odd channels": convolution(3, 7, (5, 9), Window(kernel=(3, 3), padding=SAME)),
    "one channel": convolution(1, 1, (6, 6), Window(kernel=(3, 3), padding=SAME)),
    "padding wider than the window": convolution(3, 5, (4, 3), Window(kernel=(2, 3), padding=(5, 4, 3, 6))),
    "depthwise in wide padding": convolution(5, 5, (3, 4), Window(kernel=(3, 2), padding=(4, 3, 5, 2)), groups=5),
    "mean in wide padding": pool(AveragePool, (3, 4), 5, Window(kernel=(2, 2), padding=(3, 4, 5, 2)), count_padding=1),
    "maximum in wide padding": pool(MaxPool, (3, 4), 5, Window(kernel=(2, 2), padding=(3, 4, 5, 2))),
    "stride": convolution(5, 6, (9, 8), Window(kernel=(3, 3), stride=(2, 2), padding=SAME)),
    "lopsided padding": convolution(6, 5, (7, 7), Window(kernel=(3, 2), stride=(2, 1), padding=(0, 1, 2, 0))),
    "dilation": convolution(3, 4, (9, 9), Window(kernel=(3, 3), dilation=(2, 3), padding=(2, 3, 2, 3))),
    "groups": convolution(6, 9, (6, 6), Window(kernel=(3, 3), padding=SAME), groups=3),
    "series": convolution(5, 7, (1, 33), Window(kernel=(1, 5), stride=(1, 2), padding=(0, 2, 0, 2))),
    "clamped": convolution(4, 4, (6, 6), Window(kernel=(3, 3)), clamp=(-3, 40)),
    "pointwise": convolution(9, 5, (5, 5), Window(kernel=(1, 1))),
    "pointwise stride": convolution(8, 6, (7, 6), Window(kernel=(1, 1), stride=(2, 2))),
    "depthwise": convolution(7, 7, (8, 6), Window(kernel=(3, 3), padding=SAME), groups=7),
    "depthwise, odd and wide": convolution(9, 9, (5, 45), Window(kernel=(3, 3), padding=SAME), groups=9),
    "depthwise dilation": convolution(
        5, 5, (9, 9), Window(kernel=(3, 3), dilation=(2, 1), padding=(2, 1, 2, 1)), groups=5
    ),
    "depthwise tall stride": convolution(
        4, 4, (11, 9), Window(kernel=(5, 3), stride=(2, 1), padding=(2, 1, 2, 1)), groups=4
    ),
    "depthwise series": convolution(6, 6, (1, 37), Window(kernel=(1, 9), padding=(0, 4, 0, 4)), groups=6),
    "depthwise, three channels": convolution(3, 3, (8, 6), Window(kernel=(3, 3), padding=SAME), groups=3),
    "depthwise stride": convolution(6, 6, (1, 21), Window(kernel=(1, 5), stride=(1, 2), padding=(0, 2) * 2), groups=6),
    "dense": dense(37, 11),
    "dense one output": dense(64, 1),
    "dense of many weights": dense(129, 66),
    "dense of many weights, one more": dense(1024, 9),
    "max pool": pool(MaxPool, (7, 7), 5, Window(kernel=(3, 3), stride=(2, 2), padding=SAME)),
    "average pool": pool(AveragePool, (6, 6), 3, Window(kernel=(2, 2), stride=(2, 2))),
    "padded average": pool(AveragePool, (6, 6), 3, Window(kernel=(3, 3), padding=SAME), count_padding=True),
    "average inside": pool(AveragePool, (6, 7), 3, Window(kernel=(3, 2), stride=(2, 1), padding=(1, 1, 2, 0))),
    "global average": pool(AveragePool, (5, 3), 9, Window(kernel=(5, 3))),
    "lookup": lookup((5, 3, 7)),
    "clamped lookup": lookup((1, 9, 2), clamp=(-70, 30)),
    "difference": arithmetic(Sub, (5, 3, 7), scale=0.05),
    "clamped difference": arithmetic(Sub, (1, 9, 2), scale=0.01, clamp=(-40, 90)),
    "product": arithmetic(Mul, (5, 3, 7)),
    "clamped product": arithmetic(Mul, (1, 9, 2), clamp=(-40, 90)),
    "product per channel": arithmetic(Mul, (5, 3, 7), per_channel=True, scale=0.02),
    "product of one channel": arithmetic(Mul, (6, 3, 1), per_channel=True, scale=0.02),
    "product that saturates": arithmetic(Mul, (5, 3, 7), scale=0.004),
    "concat of rows": concatenated(0, (2, 3, 5), (1, 3, 5), (4, 3, 5)),
    "concat of columns": concatenated(1, (3, 1, 5), (3, 4, 5)),
    "concat of channels": concatenated(2, (3, 4, 1), (3, 4, 5), (3, 4, 2)),
    "clamped concat": concatenated(2, (1, 1, 9), (1, 1, 5), clamp=(-20, 90)),
    "slice": moved(Slice, (7, 6, 5), (3, 2, 2), start=(1, 2, 3), step=(2, 3, 1)),
    "slice of rows": moved(Slice, (7, 6, 5), (4, 6, 5), start=(2, 0, 0), table=True),
    "slice of every other channel": moved(Slice, (1, 9, 7), (1, 9, 3), start=(0, 0, 1), step=(1, 1, 2)),
    "pad": moved(Pad, (3, 4, 5), (6, 5, 9), before=(1, 0, 3), value=-77),
    "clamped pad": moved(Pad, (1, 9, 2), (1, 13, 2), before=(0, 4, 0), value=-77, clamp=(-30, 90), table=True),
    "resize": moved(Resize, (3, 4, 5), (6, 3, 5), rows=(0, 0, 1, 1, 2, 2), columns=(0, 1, 3), table=True),
    "transpose": moved(Transpose, (3, 4, 5), (5, 3, 4), view=(3, 4, 5), axes=(2, 0, 1)),
    "transpose of a view": moved(Transpose, (1, 1, 60), (3, 4, 5), view=(5, 3, 4), axes=(1, 2, 0), table=True),
    "transpose that moves nothing": moved(Transpose, (1, 4, 5), (4, 1, 5), view=(1, 4, 5), axes=(1, 0, 2)),
    "softmax": ranked(Softmax, (5, 3, 7), (5, 3, 7)),
    "softmax of a vector": ranked(Softmax, (1, 1, 10), (1, 1, 10), scale=1 / 256, zero_point=-128),
    "softmax of columns": ranked(Softmax, (4, 9, 3), (4, 9, 3), axis=1, clamp=(-120, 90)),
    "softmax of one": ranked(Softmax, (4, 5, 1), (4, 5, 1), scale=1 / 100, axis=0),
    "index of the largest": ranked(ArgMax, (5, 6, 17), (5, 6, 1)),
    "index of the largest row": ranked(ArgMax, (9, 4, 5), (1, 4, 5), axis=0),
    "residual": residual(),
    "fused sum": fused_sum(3, 5, (5, 7), Window(kernel=(3, 3), padding=SAME), convolution_first=True),
    "fused pointwise sum": fused_sum(6, 3, (3, 7), Window(kernel=(1, 1)), convolution_first=False),
    "fused sum of even size": fused_sum(4, 8, (4, 6), Window(kernel=(1, 1)), convolution_first=True),
    "several inputs and outputs": two_by_two(),
    "extreme factors": extreme_factors(),
}  # fmt: skip


@pytest.mark.parametrize("name", list(GRAPHS))
def test_host_simulated_core_and_reference_agree_in_every_byte(name, tmp_path):
    graph = GRAPHS[name]
    program = write_program(graph, M4)
    inputs = np.random.default_rng(1).integers(-128, 128, (6, *graph.input_shape), dtype=np.int8)
    inputs[0], inputs[1] = -128, 127
    expected = run_reference(graph, inputs)
    assert name == "extreme factors" or len(np.unique(expected)) > 5, "the case would prove little"
    with host_model(program) as host:
        np.testing.assert_array_equal(host.predict(inputs), expected)
    for core in CORES:
        firmware = build_firmware(write_program(graph, core), tmp_path / core.name)
        found = simulate(firmware.elf, core, inputs, check_alignment=True).outputs.reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, core.name)


STRICT = ("-std=gnu99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-ffreestanding")


@pytest.mark.parametrize(
    ("compiler", "machine"),
    [
        (ZIG, ()),
        *((ZIG, ZIG.machine_flags(core.core)) for core in CORES),
        *((GCC, GCC.machine_flags(core.core)) for core in CORES),
    ],
    ids=["host", *(f"{compiler} {core.name}" for compiler in ("zig", "gcc") for core in CORES)],
)
def test_kernels_compile_alone_without_a_warning(compiler, machine, tmp_path):
    if shutil.which(compiler.command[0]) is None:
        pytest.skip(f"needs {compiler.command[0]}: {compiler.remedy}")
    folder = resources.files("tinypareto.mcu.kernels")
    for source in sorted(str(file) for file in folder.iterdir() if file.name.endswith(".c")):
        compile_c(tmp_path, [source], [*machine, *STRICT, "-c"], "out.o", compiler)


@pytest.mark.parametrize("core", cores(), ids=lambda core: core.name)
def test_gcc_builds_the_same_network(core, tmp_path):
    if shutil.which(GCC.command[0]) is None:
        pytest.skip(f"needs {GCC.command[0]}: {GCC.remedy}")
    graph, build = small_resnet()
    inputs = build.inputs(3)
    program = write_program(graph, target(core.name), GCC)
    measurement = measure(build_firmware(program, tmp_path), inputs)
    np.testing.assert_array_equal(measurement.outputs, run_reference(graph, inputs))


def test_shapes_decide_and_values_do_not(tmp_path):
    seen = set()
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        graph = GRAPHS["odd channels"]
        other = replace(graph.operators[0], **layer(rng, (7, 3, 3, 3)))
        program = write_program(graph.with_operators((other,)), M4)
        inputs = rng.integers(-128, 128, (1, 5, 9, 3), dtype=np.int8)
        found = measure(build_firmware(program, tmp_path / str(seed)), inputs)
        footprint = found.footprint
        seen.add((footprint.code_bytes, footprint.weight_bytes, footprint.stack_bytes, found.instructions))
    assert len(seen) == 1
