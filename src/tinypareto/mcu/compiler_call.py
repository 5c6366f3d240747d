"""One call of a compiler or linker, whose complaints become one line."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tinypareto.errors import ToolchainError
from tinypareto.mcu.compilers import ZIG, ZIG_LINKER, Compiler


def compile_c(
    folder: Path, sources: Sequence[str], flags: Sequence[str], output: str, compiler: Compiler = ZIG
) -> Path:
    """Run the compiler in ``folder`` and return the path of what it wrote.

    Raises:
        ToolchainError: If the compiler is missing or refuses; the message ends in its first error.
    """
    return _call([*compiler.command, *flags, *sources, "-o", output], folder, output, compiler)


def link_with_lld(folder: Path, objects: Sequence[Path], flags: Sequence[str], output: str) -> Path:
    """Run zig's ELF linker alone in ``folder``: no library is looked for, so it takes a tenth of the time.

    Raises:
        ToolchainError: If it refuses, for instance since something of the compiler's library is needed.
    """
    return _call([*ZIG_LINKER, *flags, *map(str, objects), "-o", output], folder, output, ZIG)


def cache_folder() -> Path:
    """Return the folder in which this package keeps what it has compiled."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinypareto"


def _call(command: Sequence[str], folder: Path, output: str, compiler: Compiler) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            # The arguments are our own paths and flags.
            done = subprocess.run(
                command, cwd=folder, env=_environment(scratch), capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise ToolchainError(
                f"The C compiler must start, but {command[0]} failed: {error}; {compiler.remedy}."
            ) from error
    if done.returncode:
        raise ToolchainError(
            f"{output} must compile in {folder}, but the compiler said: {_first_error(done.stderr)}; "
            f"if the disk is not full, {compiler.remedy}."
        )
    return folder / output


def _environment(scratch: str) -> dict[str, str]:
    """Return this process's environment with zig's caches.

    What zig builds for each core, its library, is kept; what it caches of one model's sources would only pile up.
    """
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"), "ZIG_LOCAL_CACHE_DIR": scratch}
    return caches | dict(os.environ)


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "undefined reference" in line]
    return (errors or lines or ["nothing"])[0]
