"""The generated project builds by its own files, for the target and for this machine, and its examples run."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from small_graphs import GraphBuilder, small_resnet
from small_onnx import two_by_two

from tinypareto.mcu.compilers import GCC, ZIG
from tinypareto.mcu.cores import cores
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.firmware import build_firmware, measure, read_program, write_files, write_program
from tinypareto.mcu.graph import Window
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.targets import target
from tinypareto.mcu.toolchain import compile_c

STRICT = ("-std=gnu99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
ZIG_CC = " ".join(ZIG.command)

# Starts as the core does, from the vector table, and stops where the program jumps to itself.
BOOT = """
import sys, unicorn
from unicorn import arm_const as arm
from elftools.elf.elffile import ELFFile
cpu, flash, ram, ram_bytes = sys.argv[2], *(int(value) for value in sys.argv[3:6])
uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
uc.ctl_set_cpu_model(getattr(arm, "UC_CPU_ARM_" + cpu))
uc.mem_map(flash, 1 << 20, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
uc.mem_map(ram, ram_bytes)
uc.mem_write(ram, bytes([0xA5]) * ram_bytes)
elf = ELFFile(open(sys.argv[1], "rb"))
for segment in elf.iter_segments("PT_LOAD"):
    if segment["p_filesz"]:
        uc.mem_write(segment["p_paddr"], segment.data())
stack, start = (int.from_bytes(uc.mem_read(flash + 4 * i, 4), "little") for i in range(2))
assert start & 1 and stack == ram + ram_bytes
def loop(uc, address, size, data):
    if size == 2 and bytes(uc.mem_read(address, 2)) == bytes([0xFE, 0xE7]):
        uc.emu_stop()
uc.hook_add(unicorn.UC_HOOK_BLOCK, loop)
uc.reg_write(arm.UC_ARM_REG_SP, stack)
uc.emu_start(start, 0, timeout=60_000_000)
symbol = {s.name: s for s in elf.get_section_by_name(".symtab").iter_symbols()}
output = symbol["model_output_0"]["st_value"]
size = symbol["model_output_0_bytes"]["st_value"]
largest = int.from_bytes(uc.mem_read(symbol["main_largest"]["st_value"], 4), "little")
print(largest, bytes(uc.mem_read(output, size)).hex())
"""


def needs(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: install it with the system's package manager")


def written(folder, name="cortex-m4", compiler=ZIG):
    graph, build = small_resnet()
    program = write_program(graph, target(name), compiler)
    write_files(program.files, folder)
    return program, build


def run(folder, *command, **more):
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, **more)


def booted(elf, core):
    arguments = (core.core.simulated_cpu, core.flash_origin, core.ram_origin, core.ram_bytes)
    done = run(elf.parent, sys.executable, "-c", BOOT, elf, *map(str, arguments))
    largest, output = done.stdout.split()
    return int(largest), np.frombuffer(bytes.fromhex(output.decode()), dtype=np.int8)


def expected(program):
    graph = program.graph
    zeros = graph.tensors[graph.inputs[0]]
    inputs = np.full((1, *zeros.shape), zeros.zero_point, dtype=np.int8)
    return run_reference(graph, inputs).ravel()


@pytest.mark.parametrize(
    ("name", "compiler"),
    [("cortex-m4", ZIG), ("nucleo-g071rb", ZIG), ("nano-33-ble", GCC), ("arduino-zero", GCC)],
    ids=str,
)
def test_bare_metal_example_starts_from_its_vector_table_and_runs_the_network(name, compiler, tmp_path):
    needs("make", *([compiler.command[0]] if compiler is GCC else []))
    program, _ = written(tmp_path, name, compiler)
    run(tmp_path, "make", "application", f"CC={' '.join(compiler.command)}")
    want = expected(program)
    largest, outputs = booted(tmp_path / "application.elf", program.target)
    assert largest == want.argmax()
    np.testing.assert_array_equal(outputs, want)


@pytest.mark.parametrize(("initial", "value"), [("", 0), (" = 77", 77)])
def test_start_up_sets_static_data(initial, value, tmp_path):
    needs("make")
    program, _ = written(tmp_path)
    text = re.sub(r"main_largest = largest.*;", "main_largest++;", program.files["main.c"])
    (tmp_path / "main.c").write_text(
        text.replace("uint32_t main_largest;", f"uint32_t main_largest{initial};")
    )
    run(tmp_path, "make", "application", f"CC={ZIG_CC}")
    assert booted(tmp_path / "application.elf", program.target)[0] == value + 1


def test_vector_table_is_the_first_thing_in_flash(tmp_path):
    needs("make")
    written(tmp_path, "bluepill-f103c8")
    run(tmp_path, "make", "application", f"CC={ZIG_CC}")
    image = read_elf(tmp_path / "application.elf")
    table = image.sections[".vectors"]
    assert (table.address, table.size) == (0x0800_0000, 64)
    handlers = np.frombuffer(image.code(table.address, 64), dtype="<u4")
    assert handlers[0] == 0x2000_0000 + 20 * 1024
    assert handlers[1] == image.symbol("reset_handler").address | 1
    assert {image.function_at(handler - 1) for handler in handlers[2:].tolist()} == {"stop"}


def check_host(program, build, command):
    inputs = build.inputs(5)
    done = subprocess.run([command], input=inputs.tobytes(), capture_output=True, check=True)
    want = run_reference(program.graph, inputs)
    assert done.stdout == want.tobytes()
    cut = subprocess.run([command], input=inputs.tobytes()[:-1], capture_output=True, check=True)
    assert cut.stdout == want[:-1].tobytes()


def test_host_example_gives_the_references_bytes(tmp_path):
    needs("make")
    program, build = written(tmp_path)
    run(tmp_path, "make", "host", f"HOSTCC={ZIG_CC}")
    check_host(program, build, tmp_path / "model_host")


def test_examples_hand_over_several_inputs_and_outputs_one_behind_the_other(tmp_path):
    needs("make")
    program = read_program(two_by_two(tmp_path), target("cortex-m4"))
    write_files(program.files, tmp_path)
    run(tmp_path, "make", "host", f"HOSTCC={ZIG_CC}")
    run(tmp_path, "make", "application", f"CC={ZIG_CC}")
    inputs = np.random.default_rng(0).integers(-128, 128, (4, *program.graph.input_shape), dtype=np.int8)
    done = run(tmp_path, tmp_path / "model_host", input=inputs.tobytes())
    assert done.stdout == run_reference(program.graph, inputs).tobytes()
    for buffer in ("MODEL_INPUT_X", "MODEL_INPUT_Z", "MODEL_OUTPUT_G", "MODEL_OUTPUT_H"):
        assert f"{buffer}[i]" in program.files["README.md"]


def test_cmake_builds_the_host_example(tmp_path):
    needs("cmake", "make", "cc")
    program, build = written(tmp_path)
    run(tmp_path, "cmake", "-B", "build")
    run(tmp_path, "cmake", "--build", "build")
    check_host(program, build, tmp_path / "build" / "model_host")


def test_cmake_builds_the_bare_metal_example(tmp_path):
    needs("cmake", "make", GCC.command[0])
    program, _ = written(tmp_path)
    run(tmp_path, "cmake", "-B", "build", "-DCMAKE_TOOLCHAIN_FILE=arm-none-eabi.cmake")
    run(tmp_path, "cmake", "--build", "build")
    _, outputs = booted(tmp_path / "build" / "application.elf", program.target)
    np.testing.assert_array_equal(outputs, expected(program))


def test_a_project_that_includes_this_one_links_the_model(tmp_path):
    needs("cmake", "make", "cc")
    written(tmp_path / "firmware")
    (tmp_path / "app.c").write_text(
        '#include "model.h"\nint main(void) { model_invoke(); return MODEL_OUTPUT_BYTES - 4; }\n'
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(app LANGUAGES C)\nadd_subdirectory(firmware)\n"
        "add_executable(app app.c)\ntarget_link_libraries(app PRIVATE model)\n"
    )
    run(tmp_path, "cmake", "-B", "build")
    run(tmp_path, "cmake", "--build", "build")
    run(tmp_path, tmp_path / "build" / "app")


@pytest.mark.parametrize("core", cores(), ids=lambda core: core.name)
def test_readme_says_whether_instructions_depend_on_the_values(core, tmp_path):
    build = GraphBuilder()
    pooled = build.max_pool("pool", build.relu("relu", build.x), Window(kernel=(3, 3)))
    graph = build.graph(build.conv("conv", pooled, 4, Window(kernel=(3, 3))))
    firmware = build_firmware(write_program(graph, target(core.name)), tmp_path)
    counts = {measure(firmware, build.inputs(1, seed)).instructions for seed in range(3)}
    readme = (tmp_path / "firmware" / "README.md").read_text(encoding="utf-8")
    assert ("takes the same instructions whatever the values" in readme) == (len(counts) == 1)
    assert ("depends a little on the values" in readme) == (len(counts) > 1)


@pytest.mark.parametrize("compiler", [ZIG, GCC], ids=["zig", "gcc"])
def test_every_file_compiles_without_a_warning(compiler, tmp_path):
    needs(*([compiler.command[0]] if compiler is GCC else []))
    program, _ = written(tmp_path)
    machine = compiler.machine_flags(program.target.core)
    for source in sorted(name for name in program.files if name.endswith(".c") and name != "main_host.c"):
        compile_c(tmp_path, [source], [*machine, *STRICT, "-O2", "-ffreestanding", "-c"], "out.o", compiler)
    compile_c(tmp_path, ["main_host.c"], [*STRICT, "-c"], "out.o", ZIG)
