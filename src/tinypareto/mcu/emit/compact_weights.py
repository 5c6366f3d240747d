"""The constants of weights.c once more, in a form that compilers read twenty times faster.

A list of two million numbers takes clang four seconds, a string of as many bytes a fifth of one. Programs that are
built here link this file, so that a search does not wait; the project that people read has weights.c. Names, types,
order and alignment are the same, and so is the linked program.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from tinypareto.mcu.emit.text import Table

_ESCAPED = tuple(f"\\{byte:03o}" for byte in range(256))
_BYTES_PER_LINE = 64


def compact_weights(tables: Iterable[Table]) -> str:
    """Return C text that defines the tables."""
    return "\n".join(["#include <stdint.h>", *(_definition(table) for table in tables), ""])


def _definition(table: Table) -> str:
    values = "\n".join(_strings(table) if table.values.dtype == np.int8 else table.lines())
    return f"{table.declaration} = {{\n{values}\n}};"


def _strings(table: Table) -> Iterator[str]:
    data = table.values.tobytes()
    for start in range(0, len(data), _BYTES_PER_LINE):
        yield f'"{"".join(map(_ESCAPED.__getitem__, data[start : start + _BYTES_PER_LINE]))}"'
