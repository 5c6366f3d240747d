import pytest

from tinypareto.mcu.compilers import ZIG
from tinypareto.mcu.cores import core
from tinypareto.mcu.cycles import block_cost, decode
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.toolchain import compile_c

M0PLUS, M3, M4 = (core(name).costs for name in ("cortex-m0plus", "cortex-m3", "cortex-m4"))


KINDS = {
    "adds r0, r0, r1": "other",
    "cmp r0, #7": "other",
    "lsls r0, r1, #3": "other",
    "bx lr": "other",
    "blx r3": "other",
    "beq .": "other",
    "b .": "other",
    "cbz r0, 1f": "other",
    "nop": "other",
    "1: mov r0, r1": "other",
    "it eq": "other",
    "addeq r0, r0, r1": "other",
    "sxtb r0, r1": "other",
    "rev r0, r1": "other",
    "add sp, #16": "other",
    "muls r0, r1, r0": "multiply",
    "ldr r0, [r1, #4]": "load",
    "ldr r0, [sp, #4]": "load",
    "ldrb r0, [r1, #4]": "load",
    "ldrh r0, [r1, #4]": "load",
    "ldr r0, [r1, r2]": "load",
    "ldrsb r0, [r1, r2]": "load",
    "ldrsh r0, [r1, r2]": "load",
    "str r0, [r1, #4]": "store",
    "strb r0, [r1, #4]": "store",
    "strh r0, [r1, #4]": "store",
    "str r0, [sp, #4]": "store",
    "str r0, [r1, r2]": "indexed_store",
    "strb r0, [r1, r2]": "indexed_store",
    "push {r4, r5}": ("multiple", 2),
    "push {r4, r5, lr}": ("multiple", 3),
    "pop {r4, r5, r6}": ("multiple", 3),
    "pop {r4, pc}": ("linked_multiple", 2),
    "stmia r0!, {r1, r2, r3}": ("multiple", 3),
    "ldmia r0!, {r1, r2}": ("multiple", 2),
    "bl .": "linked",
    # from here on 32 bits wide: not on an M0+
    "add.w r0, r1, r2": "other",
    "b.w .": "other",
    "beq.w .": "other",
    "movw r0, #4660": "other",
    "ubfx r0, r1, #3, #5": "other",
    "ssat r0, #8, r1": "other",
    "sxtb16 r0, r1": "other",
    "sxtb16 r0, r1, ror #8": "other",
    "clz r0, r1": "other",
    "ldr.w r0, [r1, #400]": "load",
    "ldr r0, [r1], #4": "load",
    "ldrsb r9, [r1, #1]!": "load",
    "ldrsh.w r0, [r1, r2, lsl #1]": "load",
    "str.w r0, [r1, #400]": "store",
    "strb r0, [r1], #1": "store",
    "str r0, [r1, #-4]!": "store",
    "str.w r9, [r1, r2, lsl #2]": "indexed_store",
    "push.w {r4, r5, r8, r9, lr}": ("multiple", 5),
    "pop.w {r4, r8, pc}": ("linked_multiple", 3),
    "pop.w {r4, r8}": ("multiple", 2),
    "ldm r0, {r1, r8}": ("multiple", 2),
    "ldrd r0, r1, [r2]": ("multiple", 2),
    "strd r0, r1, [r2, #8]": ("multiple", 2),
    "tbb [pc, r0]": "load",
    "mul r9, r1, r2": "multiply",
    "mla r0, r1, r2, r3": "multiply_add",
    "mls r0, r1, r2, r3": "multiply_add",
    "smlad r0, r1, r2, r3": "multiply",
    "smlabb r0, r1, r2, r3": "multiply",
    "smulbb r0, r1, r2": "multiply",
    "smmul r0, r1, r2": "multiply",
    "smmla r0, r1, r2, r3": "multiply",
    "smull r0, r1, r2, r3": "long_multiply",
    "umull r0, r1, r2, r3": "long_multiply",
    "smlal r0, r1, r2, r3": "long_multiply_add",
    "umlal r0, r1, r2, r3": "long_multiply_add",
    "smlald r0, r1, r2, r3": "long_multiply_add",
    "sdiv r0, r1, r2": "divide",
    "udiv r0, r1, r2": "divide",
}


def assemble(folder, lines):
    (folder / "code.s").write_text("\n".join([".syntax unified", ".thumb", ".text", *lines, ""]))
    (folder / "flat.ld").write_text("SECTIONS { .text 0x1000 : { *(.text) } /DISCARD/ : { *(.ARM.*) } }")
    flags = [*ZIG.machine_flags(core("cortex-m4")), "-nostdlib", "-T", "flat.ld", "-Wl,-e,0x1001"]
    image = read_elf(compile_c(folder, ["code.s"], flags, "code.elf"))
    section = image.sections[".text"]
    return image.code(section.address, section.size)


def test_instructions_are_told_apart_by_what_they_cost(tmp_path):
    code = assemble(tmp_path, KINDS)
    found = [(one.kind, one.registers) for one in decode(code)]
    wanted = [kind if isinstance(kind, tuple) else (kind, 0) for kind in KINDS.values()]
    assert dict(zip(KINDS, found, strict=True)) == dict(zip(KINDS, wanted, strict=True))


@pytest.mark.parametrize(
    ("lines", "m0plus", "m3", "m4"),
    [
        (["adds r0, r0, r1", "cmp r0, r2", "nop"], 3, 3, 3),
        (["ldr r0, [r1]"], 2, 2, 2),
        (["ldr r0, [r1]", "ldr r2, [r3]", "ldr r4, [r5]"], 6, 4, 4),  # pipelined where the core can
        (["ldr r0, [r1]", "adds r2, r2, r2", "ldr r4, [r5]"], 5, 5, 5),
        (["str r0, [r1]", "str r0, [r1, r2]"], 4, 3, 3),
        (["ldr r0, [r1, r2]", "str r1, [r3, r2]"], 4, 3, 3),
        (["push {r4, r5, r6, lr}"], 5, 5, 5),
        (["pop {r4, r5, r6, pc}"], 6, 5, 5),  # and the refill, which a taken branch adds
        (["bl ."], 2, 1, 1),
    ],
)
def test_a_block_costs_what_the_manuals_say(lines, m0plus, m3, m4, tmp_path):
    code = assemble(tmp_path, lines)
    assert [block_cost(code, costs).cycles for costs in (M0PLUS, M3, M4)] == [m0plus, m3, m4]
    assert block_cost(code, M4).instructions == len(lines)


def test_multiplications_are_slower_on_an_m3(tmp_path):
    lines = ["mla r0, r1, r2, r3", "smull r0, r1, r2, r3", "smlal r0, r1, r2, r3", "mul r9, r1, r2"]
    code = assemble(tmp_path, lines)
    assert (block_cost(code, M3).cycles, block_cost(code, M4).cycles) == (2 + 5 + 7 + 1, 4)
