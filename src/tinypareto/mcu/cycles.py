"""Machine code -> instructions and modelled cycles of a basic block.

Instructions are told apart by their encoding (Thumb, in ARM's reference manuals of ARMv6-M, v7-M and v8-M), only as far
as their cost differs. Not modelled, since it depends on more than the code: wait states, unaligned data, the cycle that
an address loses which the instruction before has just computed, and all that a core does at the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tinypareto.mcu.cores import CycleCosts

WORDS_32 = 0b11101  # a halfword whose top five bits are at least this begins a 32-bit instruction


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its kind, mostly a field of `CycleCosts`, and how many registers a ``multiple`` moves."""

    kind: str
    registers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCost:
    """What one pass through a block takes, up to its last branch, not counting whether that is taken."""

    instructions: int
    cycles: int


def block_cost(code: bytes, costs: CycleCosts) -> BlockCost:
    """Return the cost of a block of Thumb code."""
    count = cycles = 0
    before = "other"
    for instruction in decode(code):
        count += 1
        cycles += _cycles(instruction, before, costs)
        before = instruction.kind
    return BlockCost(instructions=count, cycles=cycles)


def decode(code: bytes) -> Iterator[Instruction]:
    """Walk over the instructions of a block.

    Yields:
        One instruction after the other.
    """
    position = 0
    while position < len(code):
        first = int.from_bytes(code[position : position + 2], "little")
        if first >> 11 >= WORDS_32:
            yield _wide(first, int.from_bytes(code[position + 2 : position + 4], "little"))
            position += 4
        else:
            yield _narrow(first)
            position += 2


def _cycles(instruction: Instruction, before: str, costs: CycleCosts) -> int:
    match instruction.kind:
        case "other":
            return 1
        case "multiple":
            return 1 + instruction.registers
        case "linked_multiple":
            return 1 + instruction.registers + costs.linked
        case "linked":
            return 1 + costs.linked
        case "load" | "indexed_store" if before == "load":
            return costs.after_load
        case kind:
            cycles: int = getattr(costs, kind)
            return cycles


def _narrow(word: int) -> Instruction:
    """Tell a 16-bit instruction's kind."""
    match word >> 12:
        case 0x4:
            return _LOAD if word & 0x0800 else (_MULTIPLY if word >> 6 == 0b0100001101 else _OTHER)
        case 0x5:  # with an index register
            return _LOAD if (word >> 9) & 7 >= 3 else _INDEXED_STORE
        case 0x6 | 0x7 | 0x8 | 0x9:
            return _LOAD if word & 0x0800 else _STORE
        case 0xB if word & 0x0600 == 0x0400:  # PUSH, POP; bit 8 is LR or PC
            kind = "linked_multiple" if word & 0x0900 == 0x0900 else "multiple"
            return Instruction(kind, (word & 0x01FF).bit_count())
        case 0xC:  # STM, LDM
            return Instruction("multiple", (word & 0x00FF).bit_count())
        case _:
            return _OTHER


def _wide(first: int, second: int) -> Instruction:
    """Tell a 32-bit instruction's kind."""
    match first >> 9:
        case 0b1110100:
            return _multiple_or_double(first, second)
        case 0b1111100:
            if first & 0x0010:
                return _LOAD
            indexed = not first & 0x0080 and second & 0x0FC0 == 0
            return _INDEXED_STORE if indexed else _STORE
        case 0b1111101 if first & 0x0100:
            return _product(first, second)
        case _:
            is_call = first >> 11 == 0b11110 and second & 0xD000 == 0xD000
            return Instruction("linked") if is_call else _OTHER


def _multiple_or_double(first: int, second: int) -> Instruction:
    if not first & 0x0040:
        kind = "linked_multiple" if first & 0x0010 and second & 0x8000 else "multiple"
        return Instruction(kind, second.bit_count())
    is_table_branch = first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000
    return _LOAD if is_table_branch else Instruction("multiple", 2)


def _product(first: int, second: int) -> Instruction:
    """Tell multiplications and divisions apart; bits 4 to 6 of the first halfword are the operation."""
    operation = (first >> 4) & 7
    if not first & 0x0080:
        adds = operation == 0 and second >> 12 != 15
        return Instruction("multiply_add") if adds else _MULTIPLY
    if operation in {1, 3}:
        return Instruction("divide")
    return Instruction("long_multiply" if operation in {0, 2} else "long_multiply_add")


_OTHER, _LOAD, _STORE = Instruction("other"), Instruction("load"), Instruction("store")
_INDEXED_STORE, _MULTIPLY = Instruction("indexed_store"), Instruction("multiply")
