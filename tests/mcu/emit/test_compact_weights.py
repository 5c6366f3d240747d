import shutil

import numpy as np
import pytest

from tinypareto.mcu.compilers import GCC, ZIG
from tinypareto.mcu.cores import core
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.emit.compact_weights import compact_weights
from tinypareto.mcu.emit.text import Table
from tinypareto.mcu.toolchain import compile_c

EVERY_BYTE = np.arange(-128, 128, dtype=np.int8)
WORDS = np.array([0, -1, 2**31 - 1, -(2**31), 7], dtype=np.int32)
TABLES = [
    Table(name="odd", ctype="int8_t", values=EVERY_BYTE[::-1][:255]),
    Table(name="aligned", ctype="int8_t", values=np.tile(EVERY_BYTE, 40), words=True),
    Table(name="wide", ctype="int32_t", values=WORDS),
    Table(name="one", ctype="int8_t", values=EVERY_BYTE[:1]),
]
LISTS = "".join(f"{table.declaration} = {{ {' '.join(table.lines())} }};\n" for table in TABLES)
LINK = "SECTIONS { .weights 0x8000 : { KEEP(*(.rodata .rodata.*)) } /DISCARD/ : { *(.ARM.*) *(.comment) *(.eh*) } }"


def linked(folder, text, compiler):
    folder.mkdir()
    (folder / "weights.c").write_text(text)
    (folder / "link.ld").write_text(LINK)
    flags = (*compiler.compile_flags(core("cortex-m4")), "-nostdlib", "-Wl,-e,0x8000", "-T", "link.ld")
    image = read_elf(compile_c(folder, ["weights.c"], flags, "weights.elf", compiler))
    section = image.sections[".weights"]
    return image.code(section.address, section.size), image.symbols


@pytest.mark.parametrize("compiler", [ZIG, GCC], ids=["zig", "gcc"])
def test_both_forms_give_the_same_bytes_at_the_same_places(compiler, tmp_path):
    if compiler is GCC and shutil.which(GCC.command[0]) is None:
        pytest.skip(f"needs {GCC.command[0]}: {GCC.remedy}")
    lists = linked(tmp_path / "lists", f"#include <stdint.h>\n{LISTS}", compiler)
    compact = linked(tmp_path / "compact", compact_weights(TABLES), compiler)
    assert compact == lists
    start = compact[1]["aligned"].address
    assert start % 4 == 0
    assert compact[0][start - 0x8000 :][: 40 * 256] == np.tile(EVERY_BYTE, 40).tobytes()
