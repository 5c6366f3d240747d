import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_onnx import normal, two_by_two
from torch import nn

from tinypareto.errors import ConfigError, ShapeError, SimulationError, TargetMemoryError
from tinypareto.mcu import compiled_folder
from tinypareto.mcu.compiled_folder import compile_model, compile_to_folder, simulate_folder
from tinypareto.mcu.compilers import GCC, ZIG
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.firmware import read_program
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_outputs, quantize_input
from tinypareto.mcu.targets import target
from tinypareto.network.quantize import QuantizationConfig, quantize_network, run_onnx

INPUTS = np.random.default_rng(0).normal(size=(40, 2, 9, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 7, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(7, 4),
    ).eval()  # fmt: skip
    return quantize_network(network, INPUTS, tmp_path_factory.mktemp("onnx"), QuantizationConfig()).int8_path


@pytest.fixture(scope="module")
def compiled(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    return folder, compile_model(model, "cortex-m4", folder)


def test_compile_reports_every_key_and_sums_that_add_up(compiled):
    _, said = compiled
    assert set(said) == {
        "rom_bytes", "code_bytes", "weight_bytes", "ram_bytes", "arena_bytes", "arena_lower_bound",
        "stack_bytes", "macs", "breakdown",
    }  # fmt: skip
    assert said["rom_bytes"] == said["code_bytes"] + said["weight_bytes"]
    assert said["ram_bytes"] == said["arena_bytes"] + said["stack_bytes"]
    assert said["arena_bytes"] >= said["arena_lower_bound"]
    assert said["macs"] == 9 * 7 * 5 * 18 + 7 * 45 + 4 * 7
    # weights in whole words, int32 biases, int32 multipliers and int8 shifts
    tables = 5 * 20 + 7 * 48 + 4 * 8 + (5 + 7 + 4) * 9
    assert tables <= said["weight_bytes"] <= tables + 64
    json.dumps(said)


def test_simulated_outputs_are_those_of_onnxruntime_within_two_steps(compiled, model, tmp_path):
    folder, _ = compiled
    np.save(tmp_path / "x.npy", INPUTS)
    said = simulate_folder(folder, tmp_path / "x.npy", tmp_path / "y.npy")
    outputs, expected = np.load(tmp_path / "y.npy"), run_onnx(model, INPUTS)
    step = np.diff(np.unique(expected)).min()
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() <= 2.001 * step
    for what in ("instructions", "cycles"):
        assert said[what] == sum(operator[what] for operator in said["operators"])
    assert set(said) == {"instructions", "cycles", "stack_bytes", "operators"}


def test_cycles_of_a_core_that_is_not_modelled_in_full_are_called_an_upper_estimate(model, tmp_path):
    compile_model(model, "cortex-m7", tmp_path)
    np.save(tmp_path / "x.npy", INPUTS[:1])
    said = simulate_folder(tmp_path, tmp_path / "x.npy", tmp_path / "y.npy")
    assert "upper estimate" in said["cycles_note"]


def test_several_inputs_and_outputs_are_read_and_written_by_name(tmp_path):
    path, folder = two_by_two(tmp_path), tmp_path / "out"
    compile_model(path, "cortex-m4", folder)
    header = (folder / "firmware" / "model.h").read_text()
    for macro in ("MODEL_INPUT_X_BYTES 6", "MODEL_INPUT_Z_SCALE", "MODEL_OUTPUT_G ", "MODEL_OUTPUT_H_SCALE"):
        assert f"#define {macro}" in header
    values = {"x": normal(9, 6), "z": normal(9, 6, seed=1)}
    np.savez(tmp_path / "in.npz", **values)
    simulate_folder(folder, tmp_path / "in.npz", tmp_path / "out.npz")
    graph = read_onnx(path)
    expected = dequantize_outputs(graph, run_reference(graph, quantize_input(graph, values)))
    with np.load(tmp_path / "out.npz") as outputs:
        assert set(outputs) == {"g", "h"}
        for name, want in expected.items():
            np.testing.assert_array_equal(outputs[name], want)


def test_project_is_byte_identical_from_run_to_run(model):
    core = target("cortex-m4")
    assert read_program(model, core).files == read_program(model, core).files


HASH_OF_ALL_FILES = """
import hashlib, pathlib, sys
from tinypareto.mcu.firmware import read_program
from tinypareto.mcu.targets import target
files = read_program(pathlib.Path(sys.argv[1]), target("cortex-m4")).files
print(hashlib.sha256(repr(list(files.items())).encode()).hexdigest())
"""


def test_project_does_not_depend_on_the_order_of_sets(model):
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH_OF_ALL_FILES, str(model)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("name", "compiler"), [("cortex-m0plus", ZIG), ("cortex-m4", ZIG), ("cortex-m0plus", GCC)]
)
def test_project_builds_by_itself_to_the_same_program(model, name, compiler, tmp_path):
    for tool, remedy in (("make", "install make"), (compiler.command[0], compiler.remedy)):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: {remedy}")
    compile_to_folder(model, name, tmp_path, toolchain=compiler.name)
    project = tmp_path / "firmware"
    command = ["make", "TOOLCHAIN=" + compiler.name, f"CC={' '.join(compiler.command)}"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    ours, theirs = (read_elf(path) for path in (tmp_path / "firmware.elf", project / "firmware.elf"))
    assert ours.sections == theirs.sections
    assert [ours.code(s.address, s.size) for s in ours.sections.values() if s.in_file] == [
        theirs.code(s.address, s.size) for s in theirs.sections.values() if s.in_file
    ]


def test_header_says_what_was_measured(compiled):
    folder, said = compiled
    header = (folder / "firmware" / "model.h").read_text()
    macros = dict(re.findall(r"#define MODEL_(\w+) (\d+)$", header, re.MULTILINE))
    for name in ("ROM", "CODE", "WEIGHT", "RAM", "ARENA", "STACK"):
        assert int(macros[f"{name}_BYTES"]) == said[f"{name.lower()}_bytes"]
    assert 2 * said["macs"] < int(macros["INSTRUCTIONS"]) < int(macros["CYCLES"])


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"rom_bytes": 2000}, r"bytes of flash, ([\d,]+) more than the 2,000 .*'/3/Conv' with 315 w"),
        ({"ram_bytes": 400}, r"of RAM besides its stack, ([\d,]+) more than the 400 .*with 315 bytes \(9 x 7 x 5\)"),
    ],
)  # fmt: skip
def test_model_that_exceeds_a_limit_says_by_how_much_and_leaves_nothing(
    model, compiled, limits, said, tmp_path
):
    with pytest.raises(TargetMemoryError, match=said) as caught:
        compile_to_folder(model, "cortex-m4", tmp_path / "new" / "out", **limits)
    ((what, limit),) = limits.items()
    excess = int(re.search(said, str(caught.value)).group(1).replace(",", ""))
    stack = (
        compiled[1]["stack_bytes"] if what == "ram_bytes" else 0
    )  # told apart, since nothing was simulated
    assert excess == compiled[1][what] - stack - limit
    assert everything_below(tmp_path) == []


def test_what_is_too_large_without_its_stack_is_not_simulated(model, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_folder, "measure", lambda *_: pytest.fail("it was simulated"))
    with pytest.raises(TargetMemoryError, match="bytes of flash"):
        compile_to_folder(model, "cortex-m4", tmp_path / "out", rom_bytes=500)


def test_model_that_just_fits_is_compiled_and_simulated_with_these_limits(model, compiled, tmp_path):
    limits = {name: compiled[1][name] for name in ("rom_bytes", "ram_bytes")}
    compile_to_folder(model, "cortex-m4", tmp_path / "out", **limits)
    script = (tmp_path / "out" / "firmware" / "link.ld").read_text()
    assert f"LENGTH = {limits['rom_bytes']}\n" in script
    assert f"LENGTH = {limits['ram_bytes']}\n" in script
    np.save(tmp_path / "x.npy", INPUTS[:1])
    said = simulate_folder(tmp_path / "out", tmp_path / "x.npy", tmp_path / "y.npy")
    assert said["stack_bytes"] == compiled[1]["stack_bytes"]


def test_failure_leaves_an_earlier_compilation_and_other_files_as_they_were(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    compile_to_folder(model, "cortex-m4", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TargetMemoryError):
        compile_to_folder(model, "cortex-m0plus", tmp_path, rom_bytes=100)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    compile_to_folder(tmp_path / "model.int8.onnx", "cortex-m0plus", tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after[tmp_path / "notes.txt"] == b"mine"
    assert after[tmp_path / "firmware.elf"] != before[tmp_path / "firmware.elf"]
    assert "cortex-m0plus" in (tmp_path / "firmware" / "Makefile").read_text()


def test_folder_that_cannot_be_is_refused(model, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ConfigError, match=r"file is a file; give another --out"):
            compile_to_folder(model, "cortex-m4", folder)


def test_folder_without_firmware_and_unreadable_samples_are_errors(compiled, tmp_path):
    with pytest.raises(SimulationError, match="compile the model first"):
        simulate_folder(tmp_path, tmp_path / "x.npy", tmp_path / "y.npy")
    with pytest.raises(SimulationError, match=r"write it with numpy\.save"):
        simulate_folder(compiled[0], tmp_path / "none.npy", tmp_path / "y.npy")
    np.save(tmp_path / "x.npy", INPUTS[:1])
    with pytest.raises(SimulationError, match="give another --output"):
        simulate_folder(compiled[0], tmp_path / "x.npy", tmp_path / "none" / "y.npy")
    np.save(tmp_path / "x.npy", INPUTS[:, :1])
    with pytest.raises(ShapeError):
        simulate_folder(compiled[0], tmp_path / "x.npy", tmp_path / "y.npy")
