import re
from dataclasses import dataclass, replace

import pytest
from small_graphs import GraphBuilder, small_resnet

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.emit.packing import pack_pairs
from tinypareto.mcu.emit.project import (
    c_sources,
    emit_linker_script,
    emit_project,
    kernel_text,
    scratch_bytes,
)
from tinypareto.mcu.graph import Operator, Window
from tinypareto.mcu.memory import plan_arena
from tinypareto.mcu.targets import target

M4 = target("cortex-m4")
WIDE = Window(kernel=(3, 3), padding=(1, 31, 1, 30))  # 5 columns become 64, two strips of 32


def emitted(graph):
    return emit_project(graph, plan_arena(graph, scratch_bytes(graph)), M4)


@pytest.fixture(scope="module")
def resnet():
    return small_resnet()[0]


def test_equal_graphs_give_equal_bytes(resnet):
    again, _ = small_resnet()
    assert again is not resnet
    assert list(emitted(again).items()) == list(emitted(resnet).items())


def test_the_project_holds_the_kernels_in_use_and_no_others(resnet):
    files = emitted(resnet)
    kernels = {path for path in files if path.startswith("kernels/")}
    assert kernels == {
        "kernels/dsp.h",
        "kernels/tinypareto.h",
        "kernels/requantize.h",
        "kernels/multiply.h",
        "kernels/patch.h",
        "kernels/add.c",
        "kernels/convolution.c",
        "kernels/dense.c",
        "kernels/multiply_pair.c",
        "kernels/pointwise.c",
        "kernels/pool.c",
    }
    assert files["kernels/add.c"] == kernel_text("add.c")
    examples = {"main.c", "main_host.c"}
    assert c_sources(files) == sorted(p for p in files if p.endswith(".c") and p not in examples)


def test_every_local_include_is_part_of_the_project(resnet):
    files = emitted(resnet)
    for path, text in files.items():
        folder = path.rpartition("/")[0]
        for name in re.findall(r'#include "([^"]+)"', text):
            assert (f"{folder}/{name}" if folder else name) in files, f"{path} includes {name}"


def test_every_operator_is_labelled_with_its_name_and_shapes_and_runs_in_order(resnet):
    model = emitted(resnet)["model.c"]
    assert "/* stem: convolution, 6x6x3 -> 6x6x5, weights 5x3x3x3 */" in model
    assert "/* short: pointwise convolution, 6x6x5 -> 3x3x7, weights 7x1x1x5 */" in model
    calls = re.findall(r"tp_run_\w+\(&model_operator_\d\d_(\w+)\);", model)
    assert calls == [operator.name.replace("/", "_") for operator in resnet.operators]


def test_weights_stand_in_the_files_pair_by_pair_on_a_multiple_of_4(resnet):
    weights = emitted(resnet)["weights.c"]
    table = re.search(
        r"model_weights_00_stem_weights\[140\] __attribute__\(\(aligned\(4\)\)\) = \{([^}]*)\}", weights
    )
    numbers = [int(number) for number in table.group(1).rstrip().rstrip(",").split(",")]
    assert numbers == pack_pairs(resnet.operators[0].weight).tolist()


def test_depthwise_weights_stand_tap_by_tap():
    build = GraphBuilder((5, 5, 4))
    graph = build.graph(build.conv("dw", build.x, 4, Window(kernel=(3, 2)), groups=4))
    table = re.search(r"_dw_weights\[24\][^=]*= \{([^}]*)\}", emitted(graph)["weights.c"])
    numbers = [int(number) for number in table.group(1).rstrip().rstrip(",").split(",")]
    weight = graph.operators[0].weight  # cout x kh x kw x 1
    assert numbers == [weight[c, y, x, 0] for y in range(3) for x in range(2) for c in range(4)]


def test_the_header_says_where_input_and_output_lie_and_how_they_are_quantised(resnet):
    plan = plan_arena(resnet, scratch_bytes(resnet))
    header = emit_project(resnet, plan, M4)["model.h"]
    output = resnet.tensors[resnet.outputs[0]]
    assert f"#define MODEL_ARENA_BYTES {plan.size}\n" in header
    assert f"#define MODEL_INPUT (model_arena + {plan.offsets['x']})\n" in header
    assert f"#define MODEL_OUTPUT_SCALE {output.scale.hex()}f\n" in header
    assert f"#define MODEL_OUTPUT_ZERO_POINT ({output.zero_point})\n" in header
    assert "#define MODEL_INPUT_CHANNELS 3\n" in header


def test_the_linker_script_has_the_targets_regions(resnet):
    plan = plan_arena(resnet, scratch_bytes(resnet))
    small = replace(M4, flash_bytes=64 * 1024, ram_bytes=8 * 1024)
    script = emit_linker_script(resnet, plan, small)
    assert "ORIGIN = 0x08000000, LENGTH = 65536" in script
    assert "ORIGIN = 0x20000000, LENGTH = 8192" in script


def test_scratch_is_what_the_kernels_write():
    build = GraphBuilder((5, 5, 6))
    build.conv("general", build.x, 4, Window(kernel=(3, 2)))
    build.conv("grouped", build.x, 4, Window(kernel=(3, 3)), groups=2)
    build.conv("depthwise", build.x, 6, Window(kernel=(3, 3)), groups=6)
    last = build.conv("pointwise", build.x, 4, Window(kernel=(1, 1), stride=(2, 2)))
    build.conv("wide", build.conv("sixes", build.x, 4, Window(kernel=(1, 1))), 4, WIDE, groups=4)
    expected = {"general": 2 * 3 * 2 * 6, "grouped": 2 * 28, "pointwise": 2 * 8, "sixes": 2 * 8}
    # two sets of nine weights and three rows of 5 or of 32 + 2 columns, four channels in 8 bytes each
    expected |= {"depthwise": 8 * (2 * 9 + 3 * 5), "wide": 8 * (2 * 9 + 3 * 34)}
    assert scratch_bytes(build.graph(last)) == expected


def test_names_cannot_break_out_of_comments(resnet):
    first, *others = resnet.operators
    graph = replace(resnet, name="evil */\n#error", operators=(replace(first, name="*/ #error /*"), *others))
    for path, text in emitted(graph).items():
        assert "evil */" not in text, path
        assert not re.search(r"^\s*#error|\*/ #error", text, re.MULTILINE), path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Operator):
    """An operator that no emitter knows."""


def test_an_operator_without_a_kernel_is_refused_by_name(resnet):
    graph = resnet.with_operators((Unknown(name="odd", inputs=("x",), output=resnet.outputs[0]),))
    with pytest.raises(UnsupportedModelError, match="odd is a Unknown, which has no kernel; replace it by"):
        emitted(graph)
