import io

import pytest
from rich.console import Console
from small_graphs import small_resnet

from tinypareto.mcu.compiled_folder import Compilation
from tinypareto.mcu.firmware import build_firmware, measure, write_program
from tinypareto.mcu.targets import target
from tinypareto.tables import compilation_tables, simulation_tables


def text_of(renderable):
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return console.file.getvalue()


def compilation(folder, name):
    graph, build = small_resnet()
    program = write_program(graph, target(name))
    measurement = measure(build_firmware(program, folder), build.inputs(1))
    return Compilation(program=program, measurement=measurement)


def test_compilation_shows_memory_arena_and_operators(tmp_path):
    compiled = compilation(tmp_path, "cortex-m4")
    said, measurement = text_of(compilation_tables(compiled)), compiled.measurement
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if "│" in line]
    assert ["ROM", f"{measurement.footprint.rom_bytes:,}", "1,048,576"] in rows
    assert ["stack", f"{measurement.footprint.stack_bytes:,}", ""] in rows
    stem = next(count for count in measurement.operators if count.name == "00_stem")
    macs = 6 * 6 * 5 * 27
    ratio = f"{stem.cycles / macs:.2f}"
    assert ["00_stem", f"{macs:,}", f"{stem.instructions:,}", f"{stem.cycles:,}", ratio] in rows
    assert sum(row[0].startswith(("0", "model_invoke")) for row in rows) == len(measurement.operators)
    assert "arena is" in said
    assert f"{measurement.cycles / 80e3:,.2f} ms at 80 MHz" in said
    assert "upper estimate" not in said


@pytest.mark.parametrize("name", ["cortex-m7", "cortex-m33"])
def test_upper_estimate_is_said_to_be_one(name, tmp_path):
    assert "upper estimate" in text_of(compilation_tables(compilation(tmp_path, name)))


def test_simulation_shows_each_operator_and_the_sum():
    counts = [{"name": f"0{i}_conv", "instructions": 1000 + i, "cycles": 2000 + i} for i in range(3)]
    said = {"instructions": 3003, "cycles": 6003, "stack_bytes": 224, "operators": counts}
    lines = text_of(simulation_tables(said)).splitlines()
    assert [line.split() for line in lines if "02_conv" in line] == [
        ["│", "02_conv", "│", "1,002", "│", "2,002", "│"]
    ]
    assert [line.split() for line in lines if "all" in line] == [
        ["│", "all", "│", "3,003", "│", "6,003", "│"]
    ]
    assert "stack: 224 bytes" in lines[-1]
    assert (
        text_of(simulation_tables({**said, "cycles_note": "an estimate"})).splitlines()[-1]
        == "note: an estimate"
    )
