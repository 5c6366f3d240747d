from dataclasses import replace

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.errors import ConfigError
from tinypareto.mcu.compilers import ZIG
from tinypareto.mcu.cores import cores
from tinypareto.mcu.firmware import build_firmware, write_program
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.simulator import simulate
from tinypareto.mcu.targets import STACK_ROOM, roomy, target, targets
from tinypareto.mcu.toolchain import compile_c


def test_every_target_is_found_by_its_name():
    assert [target(core.name) for core in targets()] == list(targets())


def test_an_unknown_target_is_refused_with_the_names_there_are():
    with pytest.raises(
        ConfigError, match=r"must be one of cortex-m0plus, .*got 'cortex-m99'; choose one of these"
    ):
        target("cortex-m99")


@pytest.mark.parametrize("sizes", [{"flash_bytes": -1}, {"ram_bytes": 0}, {"ram_bytes": -4096}])
def test_a_region_without_bytes_is_refused_with_a_remedy(sizes):
    with pytest.raises(ConfigError, match=r"must be positive, got .*give what the chip has"):
        replace(target("cortex-m4"), **sizes)


def test_a_program_that_fits_leaves_the_target_as_it_is():
    core = target("cortex-m4")
    assert roomy(core, core.flash_bytes, core.ram_bytes - STACK_ROOM) == core


def test_a_program_that_does_not_fit_gets_whole_pages_with_room_for_its_stack():
    core = replace(target("cortex-m4"), flash_bytes=8192, ram_bytes=8192 + STACK_ROOM)
    large = roomy(core, 8193, 8193)
    assert large.flash_bytes == 12288
    assert large.ram_bytes == 12288 + STACK_ROOM
    assert replace(large, flash_bytes=core.flash_bytes, ram_bytes=core.ram_bytes) == core


MAPS = ("arduino-zero", "pico", "nucleo-h743zi")  # memory elsewhere


@pytest.mark.parametrize("name", [*(core.name for core in cores()), *MAPS])
def test_a_network_gives_the_references_bytes_on_every_core_and_memory_map(name, tmp_path):
    graph, build = small_resnet()
    firmware = build_firmware(write_program(graph, target(name)), tmp_path)
    inputs = build.inputs(3)
    found = simulate(firmware.elf, target(name), inputs, check_alignment=True).outputs
    np.testing.assert_array_equal(found, run_reference(graph, inputs).reshape(3, -1))


@pytest.mark.parametrize("core", cores(), ids=lambda core: core.name)
def test_compiler_uses_dsp_instructions_where_the_core_has_them(core, tmp_path):
    wrong = "!defined" if core.has_dsp else "defined"
    (tmp_path / "dsp.c").write_text(f"#if {wrong}(__ARM_FEATURE_DSP)\n#error wrong\n#endif\n")
    compile_c(tmp_path, ["dsp.c"], [*ZIG.machine_flags(core), "-c"], "dsp.o")


def test_every_core_is_a_target_with_the_methods_memory():
    bare = [candidate for candidate in targets() if candidate.name == candidate.core.name]
    assert tuple(candidate.core for candidate in bare) == cores()
    assert {(candidate.flash_bytes, candidate.ram_bytes) for candidate in bare} == {(1024 * 1024, 256 * 1024)}
