"""C sources -> object files; those of the kernel library are compiled once per machine.

A kernel's object follows from its text, the library's headers, the flags and the compiler's version, so it is kept
under a hash of these. What belongs to one model is compiled anew.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tinypareto.mcu.compiler_call import cache_folder, compile_c

KERNELS = "kernels/"


def compile_objects(folder: Path, sources: Sequence[str], flags: Sequence[str], scratch: Path) -> list[Path]:
    """Return one object file for each of the library's sources, in their order, then one for all the others.

    A call of the compiler takes 20 ms before it does anything.

    Args:
        folder: Holds the sources.
        sources: Paths of C files; those below ``kernels/`` are the library's.
        flags: Zig's, for compiling.
        scratch: Where the other object goes.

    Raises:
        ToolchainError: If the compiler is missing or refuses.
    """
    library = _library_hash(folder, flags)
    kernels = [source for source in sources if source.startswith(KERNELS)]
    own = [source for source in sources if source not in kernels]
    return [
        *(_kernel_object(folder, source, flags, library) for source in kernels),
        compile_c(folder, own, [*flags, "-r"], str(scratch / "model.o")),
    ]


def _library_hash(folder: Path, flags: Sequence[str]) -> str:
    """Return what decides all kernels' objects besides their own text."""
    parts = [version("ziglang"), *flags]
    for header in sorted((folder / KERNELS).glob("*.h")):
        parts += [header.name, header.read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _kernel_object(folder: Path, source: str, flags: Sequence[str], library: str) -> Path:
    text = (folder / source).read_text(encoding="utf-8")
    name = hashlib.sha256(f"{library}{source}\0{text}".encode()).hexdigest()
    kept = cache_folder() / "objects" / f"{name}.o"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Several trials may compile it at the same time: each moves a whole file into place.
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            os.replace(compile_c(folder, [source], [*flags, "-c"], f"{scratch}/kernel.o"), kept)
    return kept
