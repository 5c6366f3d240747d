"""What a linked ELF file holds: segments, sections and symbols."""

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinypareto.errors import ToolchainError

_ALLOCATED = 0x2  # SHF_ALLOC


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Memory that is loaded: ``file_bytes`` of it stand in the file from ``file_offset`` on.

    ``load_address`` is where flash holds them, ``address`` where the program expects them.
    """

    address: int
    load_address: int
    file_offset: int
    file_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A named part of the program; ``in_file`` is false for memory that is only reserved."""

    name: str
    address: int
    size: int
    in_file: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A named address; ``kind`` is STT_FUNC, STT_OBJECT or STT_NOTYPE. Functions are without Thumb bit."""

    name: str
    address: int
    size: int
    kind: str

    def holds(self, address: int) -> bool:
        """Tell whether the address lies within the symbol."""
        return self.address <= address < self.address + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A linked program."""

    path: Path
    segments: tuple[Segment, ...]
    sections: dict[str, Section]
    symbols: dict[str, Symbol]

    def symbol(self, name: str) -> Symbol:
        """Return a symbol that every generated program has.

        Raises:
            ToolchainError: If it is missing.
        """
        if name not in self.symbols:
            raise ToolchainError(
                f"{self.path} must define {name}, but does not; build it from a project written by tinypareto."
            )
        return self.symbols[name]

    def code(self, address: int, size: int) -> bytes:
        """Return the bytes that the file loads at an address.

        Raises:
            ToolchainError: If it loads nothing there.
        """
        for segment in self.segments:
            offset = address - segment.address
            if 0 <= offset and offset + size <= segment.file_bytes:
                with self.path.open("rb") as stream:
                    stream.seek(segment.file_offset + offset)
                    return stream.read(size)
        raise ToolchainError(f"{self.path} must hold code at {address:#x}, but does not; build it again.")

    def function_at(self, address: int) -> str:
        """Return the name of the function that holds the address, or the address itself."""
        for symbol in self.symbols.values():
            if symbol.kind == "STT_FUNC" and symbol.holds(address):
                return symbol.name
        return hex(address)


def read_elf(path: Path) -> Image:
    """Return what the file holds.

    Raises:
        ToolchainError: If it cannot be read or is no ELF file.
    """
    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            return Image(
                path=path,
                segments=tuple(_segments(file)),
                sections={section.name: section for section in _sections(file)},
                symbols={symbol.name: symbol for symbol in _symbols(file)},
            )
    except (OSError, ELFError, ValueError) as error:  # names that are no text are a ValueError
        raise ToolchainError(
            f"{path} must be a linked ELF file: {error}; build the firmware again."
        ) from error


def _segments(file: ELFFile) -> list[Segment]:
    return [
        Segment(
            address=header["p_vaddr"],
            load_address=header["p_paddr"],
            file_offset=header["p_offset"],
            file_bytes=header["p_filesz"],
            memory_bytes=header["p_memsz"],
        )
        for header in file.iter_segments("PT_LOAD")
    ]


def _sections(file: ELFFile) -> list[Section]:
    return [
        Section(
            name=section.name,
            address=section["sh_addr"],
            size=section["sh_size"],
            in_file=section["sh_type"] != "SHT_NOBITS",
        )
        for section in file.iter_sections()
        if section["sh_flags"] & _ALLOCATED
    ]


def _symbols(file: ELFFile) -> list[Symbol]:
    table = file.get_section_by_name(".symtab")
    return [
        Symbol(
            name=symbol.name,
            address=symbol["st_value"] & ~int(symbol["st_info"]["type"] == "STT_FUNC"),
            size=symbol["st_size"],
            kind=symbol["st_info"]["type"],
        )
        for symbol in (
            table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
        )  # stripped: none
        if symbol.name and symbol["st_info"]["type"] in {"STT_FUNC", "STT_OBJECT", "STT_NOTYPE"}
    ]
