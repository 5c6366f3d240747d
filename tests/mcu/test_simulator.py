import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.errors import ShapeError, SimulationError, ToolchainError
from tinypareto.mcu import simulator
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.firmware import build_firmware, write_program
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.simulator import simulate
from tinypareto.mcu.targets import target

M4 = target("cortex-m4")

# One instruction at a time, as slow and as plain as it gets, on the same core.
STEP_BY_STEP = """
import json, sys
sys.path.insert(0, sys.argv[1])
import simulated_core, unicorn
job = json.loads(sys.stdin.buffer.readline())
core = simulated_core.Core(job)
count, conditional = 0, set()
def step(uc, address, size, data):
    global count
    if address in conditional:  # counted with its IT, since the hook stays silent where the condition fails
        return
    count += 1
    low, high = uc.mem_read(address, 2)
    mask = low & 15
    if high == 0xBF and mask:  # IT makes the next 1 to 4 instructions conditional
        place = address + 2
        for _ in range(4 - (mask & -mask).bit_length() + 1):
            conditional.add(place)
            place += 4 if uc.mem_read(place + 1, 1)[0] >> 3 >= 0b11101 else 2
            count += 1
core.uc.hook_add(unicorn.UC_HOOK_CODE, step)
core.run(sys.stdin.buffer.read())
print(count)
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    graph, builder = small_resnet()
    return build_firmware(write_program(graph, M4), tmp_path_factory.mktemp("firmware")), builder


def broken(tmp_path, pattern, text, core=M4):
    """Link the network's C after one change to it."""
    program = write_program(small_resnet()[0], core)
    model, count = re.subn(pattern, text, program.files["model.c"], count=1)
    assert count == 1
    return build_firmware(replace(program, files={**program.files, "model.c": model}), tmp_path).elf


def test_every_sample_is_run_on_its_own(network):
    firmware, builder = network
    inputs = builder.inputs(5)
    together = simulate(firmware.elf, M4, inputs)
    expected = run_reference(firmware.program.graph, inputs).reshape(5, -1)
    np.testing.assert_array_equal(together.outputs, expected)
    np.testing.assert_array_equal(simulate(firmware.elf, M4, inputs[3:4]).outputs, expected[3:4])


def test_instructions_are_those_counted_one_by_one(network):
    firmware, builder = network
    inputs = builder.inputs(1)
    job = json.dumps(simulator._job(read_elf(firmware.elf), M4)).encode() + b"\n"
    folder = str(simulator._PROGRAM.parent)
    stepped = subprocess.run(
        [sys.executable, "-c", STEP_BY_STEP, folder],
        input=job + inputs.tobytes(),
        capture_output=True,
        check=True,
    )
    simulation = simulate(firmware.elf, M4, inputs)
    assert simulation.instructions == int(stepped.stdout)
    assert simulation.instructions == sum(operator.instructions for operator in simulation.operators)


@pytest.mark.parametrize(("name", "cycles"), [("cortex-m4", 1 + 20 + 9 * 2), ("cortex-m0plus", 1 + 20 + 9)])
def test_a_loop_costs_its_instructions_and_a_refill_for_each_branch_taken(tmp_path, name, cycles):
    loop = '__asm__ volatile("movs r0, #10; 1: subs r0, #1; bne 1b" ::: "r0", "cc");'
    plain = broken(tmp_path / "plain", "int8_t model_arena", "int8_t model_arena", core=target(name))
    more = broken(
        tmp_path / "more", r"void model_invoke\(void\)\s*\{", rf"\g<0>\n    {loop}\n", core=target(name)
    )
    inputs = small_resnet()[1].inputs(1)
    before, after = (simulate(elf, target(name), inputs) for elf in (plain, more))
    assert after.instructions - before.instructions == 1 + 20
    assert after.cycles - before.cycles == cycles
    assert after.cycles == sum(operator.cycles for operator in after.operators)


def test_operators_are_named_in_execution_order(network):
    firmware, builder = network
    names = [operator.name for operator in simulate(firmware.elf, M4, builder.inputs(1)).operators]
    wanted = [f"{i:02d}_{op.name}" for i, op in enumerate(firmware.program.graph.operators)]
    assert names == ["model_invoke", *(re.sub(r"\W", "_", name) for name in wanted)]


def test_stack_reaches_as_deep_as_a_function_that_fills_it(tmp_path):
    plain = broken(tmp_path / "plain", "int8_t model_arena", "int8_t model_arena")
    deep = broken(
        tmp_path / "deep",
        r"void model_invoke\(void\)\s*\{",
        r"\g<0>\n    volatile char room[1000];\n    for (int i = 0; i < 1000; i++) { room[i] = 1; }\n",
    )
    inputs = small_resnet()[1].inputs(1)
    difference = simulate(deep, M4, inputs).stack_bytes - simulate(plain, M4, inputs).stack_bytes
    assert 1000 <= difference <= 1016


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        (
            r"\.input = model_arena \+ 0,",
            ".input = (const int8_t *)0x60000000,",
            r"operator 01_first_a, tp_run_convolution: read at 0x600000",
        ),
        (
            r"\.output = model_arena \+ 180,",
            ".output = (int8_t *)0x08000000,",
            r"operator 01_first_a, .*: write at 0x0800",
        ),
        (r"\.input = model_arena \+ 180,", ".input = 0,", r"operator 00_stem, .*: read at 0x0000"),
        (
            r"\.output = model_arena \+ 180,",
            ".output = model_arena + MODEL_ARENA_BYTES,",
            r"operator 01_first_a, .*: write at 0x2000",
        ),
        (
            r"\.input = model_arena \+ 180,",
            ".input = model_arena + 200000,",
            r"operator 00_stem, .*: read at 0x2003",
        ),
        (
            r"\.input = model_arena \+ 180,",
            ".input = (const int8_t *)0x08080000,",
            r"operator 00_stem, .*: read at 0x0808",
        ),
    ],
)
def test_access_out_of_bounds_names_operator_function_and_address(tmp_path, pattern, text, said):
    with pytest.raises(SimulationError, match=said):
        simulate(broken(tmp_path, pattern, text), M4, small_resnet()[1].inputs(1))


LOAD = '__asm__ volatile("{} r2, {}[%0]" : : "r"(model_arena + 1) : "r2", "r3", "memory");'


@pytest.mark.parametrize(
    ("name", "instruction", "faults"),
    [
        ("cortex-m0plus", LOAD.format("ldr", ""), True),
        ("cortex-m0plus", LOAD.format("ldrb", ""), False),
        ("cortex-m4", LOAD.format("ldr", ""), False),
        ("cortex-m4", LOAD.format("ldrd", "r3, "), True),
        ("cortex-m4", LOAD.format("strd", "r3, "), True),
        ("cortex-m4", '__asm__ volatile("ldm %0, {r2, r3}" : : "r"(model_arena + 2) : "r2", "r3");', True),
    ],
)
def test_unaligned_access_is_an_error_where_the_core_has_none(tmp_path, name, instruction, faults):
    core = target(name)
    elf = broken(tmp_path, r"void model_invoke\(void\)\s*\{", rf"\g<0>\n    {instruction}\n", core=core)
    inputs = small_resnet()[1].inputs(1)
    if faults:
        with pytest.raises(SimulationError, match=r"model_invoke: unaligned access at 0x2000"):
            simulate(elf, core, inputs, check_alignment=True)
    else:
        simulate(elf, core, inputs, check_alignment=True)


def test_firmware_that_does_not_return_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "TIMEOUT_SECONDS", 2)
    endless = broken(
        tmp_path, r"void model_invoke\(void\)\s*\{", r"\g<0>\n    for (volatile int i = 0;;) { i = 1; }\n"
    )
    with pytest.raises(SimulationError, match="must return within 2 s"):
        simulate(endless, M4, small_resnet()[1].inputs(1))


def test_inputs_that_do_not_fit_are_refused(network):
    firmware, builder = network
    for wrong in (builder.inputs(0), builder.inputs(2)[:, 1:], builder.inputs(1).astype(np.float32)):
        with pytest.raises(ShapeError, match="at least one input of 108 int8 values"):
            simulate(firmware.elf, M4, wrong)


def test_file_that_is_no_firmware_is_refused(tmp_path):
    (tmp_path / "firmware.elf").write_bytes(b"something else")
    with pytest.raises(ToolchainError):
        simulate(tmp_path / "firmware.elf", M4, small_resnet()[1].inputs(1))
