"""Pieces of C text: constant tables, descriptors and numbers, the same bytes on every run."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tinypareto.errors import UnsupportedModelError

TABLE_PREFIX = "model_weights_"  # the linker script collects these tables in a section of their own
DESCRIPTOR_PREFIX = "model_operator_"
ARENA = "model_arena"
MAX_DIMENSION = 65535  # descriptors hold shapes in 16 bits
_VALUES_PER_LINE = 20
_BYTES = {"int8_t": 1, "uint16_t": 2, "int32_t": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A constant array of the generated program; ``values`` is flat.

    ``words`` says that kernels load four bytes at a time, so that it has to lie on a multiple of 4.
    """

    name: str
    ctype: str
    values: npt.NDArray[np.int32] | npt.NDArray[np.int8] = field(repr=False)
    words: bool = False

    @property
    def declaration(self) -> str:
        """The table's name and type as they stand before an initialiser."""
        alignment = " __attribute__((aligned(4)))" if self.words else ""
        return f"const {self.ctype} {self.name}[{self.values.size}]{alignment}"

    @property
    def alignment(self) -> int:
        """Bytes of which the table's address is a multiple."""
        return 4 if self.words else _BYTES[self.ctype]

    @property
    def size(self) -> int:
        """Bytes of the table."""
        return self.values.size * _BYTES[self.ctype]

    def lines(self) -> Iterator[str]:
        """Yield the initialiser's lines."""
        numbers = list(map(str, self.values.tolist()))
        for start in range(0, len(numbers), _VALUES_PER_LINE):
            yield ", ".join(numbers[start : start + _VALUES_PER_LINE]) + ","


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorText:
    """One operator of the generated program.

    ``struct`` and ``function`` are the kernel library's descriptor type and entry; ``fields`` are the
    descriptor's designated initialisers; ``sources`` are the library files it needs.
    """

    name: str
    comment: str
    struct: str
    function: str
    fields: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    tables: tuple[Table, ...] = ()


def identifier(text: str) -> str:
    """Return text as the tail of a C identifier.

    Example:
        >>> identifier("/layer1.0/Conv")
        'layer1_0_Conv'
    """
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")


def comment_text(text: str) -> str:
    """Return text that can stand in a comment of C or make: one line that ends no comment early.

    Example:
        >>> comment_text("a */ b")
        'a * / b'
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/")


def float_constant(value: float) -> str:
    """Return a float32 as a C constant that reads back bit for bit.

    Raises:
        UnsupportedModelError: If the value is not finite.

    Example:
        >>> float_constant(0.1)
        '0x1.99999a0000000p-4f'
    """
    if not math.isfinite(value):
        raise UnsupportedModelError(f"A scale must be finite, got {value}; calibrate the model again.")
    return float(np.float32(value)).hex() + "f"


def dimension(value: int, what: str) -> str:
    """Return a size of a shape as C text.

    Raises:
        UnsupportedModelError: If a descriptor cannot hold it.
    """
    if value > MAX_DIMENSION:
        raise UnsupportedModelError(
            f"{what} must be at most {MAX_DIMENSION}, got {value}; make the layer smaller."
        )
    return str(value)


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it.

    Example:
        >>> shape_text((8, 8, 16))
        '8x8x16'
    """
    return "x".join(map(str, shape))
