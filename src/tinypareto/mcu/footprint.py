"""What a linked program needs of flash and RAM, broken down."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinypareto.mcu.elf import Image, Symbol, read_elf
from tinypareto.mcu.emit.text import ARENA, DESCRIPTOR_PREFIX, TABLE_PREFIX

WEIGHTS_SECTION = ".weights"
RAM_SECTIONS = {".data", ".bss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes of flash and RAM.

    ``rom_bytes = code_bytes + weight_bytes`` and ``ram_bytes = arena_bytes + static_bytes + stack_bytes``.
    Weights are weights, biases and requantisation tables; code is everything else in flash.
    ``breakdown`` has one entry for each part, ``rom: ...`` and ``ram: ...``; they add up to the two sums.
    """

    rom_bytes: int
    code_bytes: int
    weight_bytes: int
    ram_bytes: int
    arena_bytes: int
    static_bytes: int  # besides the arena
    stack_bytes: int
    breakdown: dict[str, int]


def read_footprint(elf: Path, stack_bytes: int) -> Footprint:
    """Return what a linked program needs.

    Args:
        elf: Linked by this package.
        stack_bytes: Deepest stack that was seen on the simulated core.

    Raises:
        ToolchainError: If the file is no firmware of ours.
    """
    image = read_elf(elf)
    weight_bytes = _section_bytes(image, WEIGHTS_SECTION)
    rom_bytes = sum(section.size for section in image.sections.values() if section.in_file)
    arena_bytes = image.symbol(ARENA).size
    static_bytes = sum(_section_bytes(image, name) for name in RAM_SECTIONS) - arena_bytes
    ram = {"ram: arena": arena_bytes, "ram: static data": static_bytes, "ram: stack": stack_bytes}
    return Footprint(
        rom_bytes=rom_bytes,
        code_bytes=rom_bytes - weight_bytes,
        weight_bytes=weight_bytes,
        ram_bytes=arena_bytes + static_bytes + stack_bytes,
        arena_bytes=arena_bytes,
        static_bytes=static_bytes,
        stack_bytes=stack_bytes,
        breakdown=_rom_parts(image, rom_bytes) | ram,
    )


def _section_bytes(image: Image, name: str) -> int:
    return image.sections[name].size if name in image.sections else 0


def _rom_parts(image: Image, rom_bytes: int) -> dict[str, int]:
    """Return the bytes of flash by what they hold; what no symbol claims is padding and constants."""
    parts = {"rom: kernels": 0, "rom: descriptors": 0}
    parts |= {f"rom: {kind}": 0 for kind in ("weights", "biases", "requantisation")}
    for symbol in _one_per_address(image):
        if symbol.kind == "STT_FUNC":
            parts["rom: kernels"] += symbol.size
        elif symbol.name.startswith(DESCRIPTOR_PREFIX):
            parts["rom: descriptors"] += symbol.size
        elif symbol.name.startswith(TABLE_PREFIX):
            kind = symbol.name.rpartition("_")[2]
            parts[f"rom: {kind if kind in {'weights', 'biases'} else 'requantisation'}"] += symbol.size
    return {**parts, "rom: padding and constants": rom_bytes - sum(parts.values())}


def _one_per_address(image: Image) -> Iterable[Symbol]:
    """Return one symbol for each address: the largest, of equals the one whose name comes first.

    The compiler's library has several names for one function: __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8.
    """
    ranked = sorted(image.symbols.values(), key=lambda symbol: (-symbol.size, symbol.name))
    chosen: dict[int, Symbol] = {}
    for symbol in ranked:
        chosen.setdefault(symbol.address, symbol)
    return chosen.values()
