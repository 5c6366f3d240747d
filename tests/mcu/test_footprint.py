from collections import Counter

import pytest
from small_graphs import GraphBuilder

from tinypareto.errors import ToolchainError
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.firmware import build_firmware, write_program
from tinypareto.mcu.footprint import read_footprint
from tinypareto.mcu.graph import Window
from tinypareto.mcu.targets import target
from tinypareto.mcu.toolchain import build_elf

SOURCE = """
#include <stdint.h>
int8_t model_arena[300];
int32_t counter = 7;              /* data: in flash and in RAM */
int32_t scratch[5];               /* bss: in RAM only */
const int8_t model_weights_00_a_weights[64] = {1, 2, 3};
const int32_t model_weights_00_a_biases[4] = {4};
const int32_t model_weights_00_a_multipliers[4] = {5};
const int32_t model_operator_00_a[6] = {6};
const int32_t odd_constants[3] = {7};
void model_invoke(void)
{
    for (int i = 0; i < 4; i++) {
        counter += model_weights_00_a_weights[i] * model_weights_00_a_biases[i] + odd_constants[i % 3];
        scratch[i] = model_weights_00_a_multipliers[i] + model_operator_00_a[i] + model_arena[i];
    }
}
"""
SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 65536
         RAM (rw) : ORIGIN = 0x20000000, LENGTH = 65536 }
SECTIONS {
    .weights : { *(.rodata.model_weights_*) } > FLASH
    .text : { *(.text .text.* .rodata .rodata.*) } > FLASH
    .data : { *(.data .data.*) } > RAM AT > FLASH
    .bss (NOLOAD) : { *(.bss .bss.* COMMON) } > RAM
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .comment .note*) }
}
"""


def build(folder, source):
    (folder / "model.c").write_text(source)
    (folder / "link.ld").write_text(SCRIPT)
    return build_elf(folder, ["model.c"], target("cortex-m4"))


@pytest.fixture(scope="module")
def footprint(tmp_path_factory):
    return read_footprint(build(tmp_path_factory.mktemp("footprint"), SOURCE), stack_bytes=48)


def test_weights_are_the_tables_and_nothing_else(footprint):
    assert footprint.weight_bytes == 64 + 16 + 16
    assert footprint.breakdown["rom: weights"] == 64
    assert footprint.breakdown["rom: biases"] == 16
    assert footprint.breakdown["rom: requantisation"] == 16


def test_ram_is_arena_static_data_and_stack(footprint):
    assert footprint.arena_bytes == 300
    assert footprint.static_bytes == 4 + 20
    assert footprint.ram_bytes == 300 + 24 + 48
    assert footprint.breakdown["ram: stack"] == 48


def test_initial_values_of_static_data_count_as_rom_and_the_arena_does_not(footprint):
    code = footprint.breakdown["rom: kernels"]
    assert footprint.breakdown["rom: descriptors"] == 24
    # 12 bytes of constants, 4 of the counter's first value, perhaps some to align
    assert 16 <= footprint.breakdown["rom: padding and constants"] <= 24
    assert footprint.rom_bytes < 96 + code + 24 + 30


def test_parts_add_up(footprint):
    parts = footprint.breakdown.items()
    assert sum(size for name, size in parts if name.startswith("rom: ")) == footprint.rom_bytes
    assert sum(size for name, size in parts if name.startswith("ram: ")) == footprint.ram_bytes
    assert footprint.rom_bytes == footprint.code_bytes + footprint.weight_bytes


def test_program_without_an_arena_is_refused(tmp_path):
    elf = build(tmp_path, "void model_invoke(void) {}")
    with pytest.raises(ToolchainError, match="must define model_arena"):
        read_footprint(elf, stack_bytes=0)


def series_network():
    """Return a 1-D network, which calls memset and, on an M0+, the compiler's long product too."""
    build = GraphBuilder((1, 32, 4))
    stem = build.conv("stem", build.x, 6, Window(kernel=(1, 5), padding=(0, 2, 0, 2)))
    same = Window(kernel=(1, 3), padding=(0, 1, 0, 1))
    return build.graph(build.dense("head", build.conv("depthwise", stem, 6, same, groups=6), 3))


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4"])
def test_function_of_several_names_is_counted_once(name, tmp_path):
    elf = build_firmware(write_program(series_network(), target(name)), tmp_path).elf
    functions = [symbol for symbol in read_elf(elf).symbols.values() if symbol.kind == "STT_FUNC"]
    names = Counter(symbol.address for symbol in functions)
    assert max(names.values()) > 1, "without aliases this shows nothing"
    found = read_footprint(elf, stack_bytes=48)
    assert found.breakdown["rom: kernels"] == sum(
        {symbol.address: symbol.size for symbol in functions}.values()
    )
    for kind, total in (("rom", found.rom_bytes), ("ram", found.ram_bytes)):
        parts = [size for part, size in found.breakdown.items() if part.startswith(f"{kind}: ")]
        assert sum(parts) == total
        assert min(parts) >= 0
