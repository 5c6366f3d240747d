"""C project -> ELF for the target, or shared library for this machine."""

import ctypes
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tinypareto.errors import ShapeError, ToolchainError
from tinypareto.mcu.compiler_call import compile_c, link_with_lld
from tinypareto.mcu.compilers import ENTRY, ZIG, Compiler
from tinypareto.mcu.graph import Int8Array
from tinypareto.mcu.objects import compile_objects
from tinypareto.mcu.targets import Target

Span: TypeAlias = tuple[int, int]  # offset and size, in bytes

# Sanitizers off: zig turns some on for unoptimised code, and they would call a runtime.
HOST_FLAGS = ("-std=gnu99", "-O3", "-g0", "-fPIC", "-fno-sanitize=all")


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
    compiling, output = compiler.compile_flags(target.core), "firmware.elf"
    linking = (*compiler.link_flags, "-T", linker_script)
    if compiler is not ZIG:
        return compile_c(folder, [*sources, *compiler.libraries], (*compiling, *linking), output, compiler)
    plain = ("--gc-sections", "-e", ENTRY, "-T", linker_script)
    return _build(folder, sources, compiling, linking, plain, output)


def build_host_library(folder: Path, sources: Sequence[str]) -> Path:
    """Compile the same sources, which take their portable path, for this machine; return ``model.so``.

    Raises:
        ToolchainError: If the compiler is missing or refuses.
    """
    return _build(folder, sources, HOST_FLAGS, ("-shared",), ("-shared",), "model.so")


def _build(
    folder: Path,
    sources: Sequence[str],
    compiling: Sequence[str],
    linking: Sequence[str],
    plain_linking: Sequence[str],
    output: str,
) -> Path:
    """Compile with zig and link: by the linker alone if that will do, else with the compiler's library."""
    with tempfile.TemporaryDirectory() as scratch:
        objects = compile_objects(folder, sources, compiling, Path(scratch))
        with suppress(ToolchainError):
            return link_with_lld(folder, objects, plain_linking, output)
        return compile_c(folder, [*map(str, objects)], (*compiling, *linking), output)


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
