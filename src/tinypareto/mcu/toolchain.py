"""C project -> ELF for the target, or shared library for this machine.

Zig, the compiler from pip, caches what it has compiled by content, so a kernel is compiled once per machine.
"""

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tinypareto.errors import ShapeError, ToolchainError
from tinypareto.mcu.compilers import ZIG, Compiler
from tinypareto.mcu.graph import Int8Array
from tinypareto.mcu.targets import Target

Span: TypeAlias = tuple[int, int]  # offset and size, in bytes

# Sanitizers off: zig turns some on for unoptimised code, and they would call a runtime.
HOST_FLAGS = ("-std=gnu99", "-O3", "-g0", "-fPIC", "-shared", "-fno-sanitize=all")


def build_elf(
    folder: Path,
    sources: Sequence[str],
    target: Target,
    linker_script: str = "link.ld",
    compiler: Compiler = ZIG,
) -> Path:
    """Compile and link a written project and return the path of its ``firmware.elf``.

    Args:
        folder: Holds the sources and the linker script.
        sources: Paths of C files, relative to ``folder``.
        target: Names the core.
        linker_script: Relative to ``folder``.
        compiler: That compiles and links.

    Raises:
        ToolchainError: If the compiler is missing or refuses, for instance since a region overflows.
    """
    flags = (*compiler.compile_flags(target.core), *compiler.link_flags, "-T", linker_script)
    return compile_c(folder, [*sources, *compiler.libraries], flags, "firmware.elf", compiler)


def build_host_library(folder: Path, sources: Sequence[str]) -> Path:
    """Compile the same sources, which take their portable path, for this machine; return ``model.so``.

    Raises:
        ToolchainError: If the compiler is missing or refuses.
    """
    return compile_c(folder, sources, HOST_FLAGS, output="model.so")


def compile_c(
    folder: Path, sources: Sequence[str], flags: Sequence[str], output: str, compiler: Compiler = ZIG
) -> Path:
    """Run the compiler in ``folder`` and return the path of what it wrote.

    Raises:
        ToolchainError: If the compiler is missing or refuses; the message ends in its first error.
    """
    command = [*compiler.command, *flags, *sources, "-o", output]
    try:
        # The arguments are our own paths and flags.
        done = subprocess.run(
            command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
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


class HostModel:
    """The generated C as a library of this machine; not reentrant, since the model has one arena.

    Args:
        library: What :func:`build_host_library` returned.
        input_shape: Of one sample: H x W x C, or the bytes of all inputs.
        output_shape: Of one result likewise.
        inputs: Offset in the arena and size of each input, in bytes.
        outputs: The same of each output.
    """

    def __init__(
        self,
        library: Path,
        *,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        inputs: Sequence[Span],
        outputs: Sequence[Span],
    ) -> None:
        self._library = ctypes.CDLL(str(library.resolve()))
        arena = ctypes.addressof(ctypes.c_int8.in_dll(self._library, "model_arena"))
        self._inputs = [(arena + offset, size) for offset, size in inputs]
        self._outputs = [(arena + offset, size) for offset, size in outputs]
        self.input_shape, self.output_shape = input_shape, output_shape

    def predict(self, inputs: Int8Array) -> Int8Array:
        """Return the results, n x output_shape, of quantised samples, n x input_shape.

        Raises:
            ShapeError: If the samples are not int8 of the model's shape.
        """
        check_inputs(inputs, self.input_shape)
        batch = np.ascontiguousarray(inputs)
        results = np.empty((len(batch), *self.output_shape), dtype=np.int8)
        source, sink, invoke = batch.ctypes.data, results.ctypes.data, self._library.model_invoke
        for _ in range(len(batch)):
            for place, size in self._inputs:
                ctypes.memmove(place, source, size)
                source += size
            invoke()
            for place, size in self._outputs:
                ctypes.memmove(sink, place, size)
                sink += size
        return results


def check_inputs(inputs: Int8Array, shape: tuple[int, ...]) -> None:
    """Refuse inputs that are not int8 of shape n x ``shape``.

    Raises:
        ShapeError: If they are not.
    """
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape:
        raise ShapeError(
            f"Inputs must be int8 of shape n x {' x '.join(map(str, shape))}, got {inputs.dtype} of shape "
            f"{inputs.shape}; pass what quantize_input returns."
        )


def _environment() -> dict[str, str]:
    """Return this process's environment with the compiler's caches in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = str(Path(base) / "tinypareto" / "zig")
    return {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache} | dict(os.environ)


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "undefined reference" in line]
    return (errors or lines or ["nothing"])[0]
