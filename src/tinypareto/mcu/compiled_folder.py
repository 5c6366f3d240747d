"""The folder that `tinypareto compile` writes and `tinypareto simulate` reads.

It holds the C project ``firmware/``, ``firmware.elf``, a copy of the ONNX file and ``target.json``. It appears whole or
not at all: everything is made in a temporary folder beside it and moved there at the end.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ConfigError, SimulationError
from tinypareto.mcu.compilers import compiler
from tinypareto.mcu.firmware import (
    ELF,
    PROJECT,
    Measurement,
    Program,
    build_firmware,
    compare_outputs,
    graph_macs,
    host_model,
    measure,
    read_program,
    record_sizes,
)
from tinypareto.mcu.footprint import read_footprint
from tinypareto.mcu.limits import check_memory
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.samples import dequantize_outputs, quantize_input
from tinypareto.mcu.simulator import simulate
from tinypareto.mcu.targets import Target, limited, target

MODEL = "model.int8.onnx"
TARGET = "target.json"
PARTS = (PROJECT, ELF, MODEL, TARGET)
SEED = 0  # of the random samples on which a model without data is simulated
UPPER_ESTIMATE = (
    "cycles are an upper estimate: this core can issue two instructions at a time, which is not modelled"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compilation:
    """A compiled model: its program and what the simulated core showed on one random sample."""

    program: Program
    measurement: Measurement

    def summary(self) -> dict[str, Any]:
        """Return what ``tinypareto compile --json`` prints."""
        footprint = self.measurement.footprint
        return {
            "rom_bytes": footprint.rom_bytes,
            "code_bytes": footprint.code_bytes,
            "weight_bytes": footprint.weight_bytes,
            "ram_bytes": footprint.ram_bytes,
            "arena_bytes": footprint.arena_bytes,
            "arena_lower_bound": self.program.plan.lower_bound,
            "stack_bytes": footprint.stack_bytes,
            "macs": graph_macs(self.program.graph),
            "breakdown": footprint.breakdown,
        }


def compile_model(model: Path, target_name: str, folder: Path) -> dict[str, Any]:
    """Compile an int8 QDQ file into a folder and return what ``tinypareto compile --json`` prints.

    Raises:
        TinyParetoError: As `compile_to_folder` does.
    """
    return compile_to_folder(model, target_name, folder).summary()


def compile_to_folder(
    model: Path,
    target_name: str,
    folder: Path,
    *,
    toolchain: str = "zig",
    rom_bytes: int | None = None,
    ram_bytes: int | None = None,
) -> Compilation:
    """Compile an int8 QDQ file; the simulated core and the host build must agree on two random inputs.

    Args:
        model: Written by onnxruntime's static quantiser.
        target_name: Of a core or board.
        folder: What it holds already is kept, but for an earlier compilation.
        toolchain: ``zig`` or ``gcc``.
        rom_bytes: Limit in place of the target's flash.
        ram_bytes: Limit in place of the target's RAM.

    Raises:
        UnsupportedModelError: If the file cannot be compiled.
        TargetMemoryError: If it needs more memory than there is.
        ToolchainError: If the compiler refuses.
        SimulationError: If the two builds differ.
        ConfigError: If the target or the toolchain is unknown or the folder cannot be written.
    """
    core = limited(target(target_name), rom_bytes, ram_bytes)
    program = read_program(model, core, compiler(toolchain))
    with _appearing_whole(folder) as new:
        firmware = build_firmware(program, new)
        shutil.copyfile(model, new / MODEL)
        memory = {"rom_bytes": core.flash_bytes, "ram_bytes": core.ram_bytes}
        (new / TARGET).write_text(json.dumps({"target": core.name, **memory}), encoding="utf-8")
        shape = program.graph.input_shape
        inputs = np.random.default_rng(SEED).integers(-128, 128, size=(2, *shape), dtype=np.int8)
        # What is too large without its stack already need not be simulated, which may take minutes.
        check_memory(program.graph, core, read_footprint(firmware.elf, stack_bytes=0))
        measurement = measure(firmware, inputs)
        check_memory(program.graph, core, measurement.footprint)
        record_sizes(firmware, measurement)
        with host_model(program) as host:
            compare_outputs(measurement.outputs, host.predict(inputs))
    return Compilation(program=program, measurement=measurement)


def simulate_folder(folder: Path, input_file: Path, output_file: Path) -> dict[str, Any]:
    """Run what `compile_to_folder` left in ``folder`` on float32 samples; write float32 outputs.

    A network with several inputs reads an .npz file with an array for each by name; one with several
    outputs writes an .npz file.

    Returns:
        What ``tinypareto simulate --json`` prints; instructions and cycles are those of one inference.

    Raises:
        SimulationError: If the folder holds no firmware, the core faults or the samples cannot be read.
        ShapeError: If the samples have not the shape that the ONNX file takes.
    """
    core = _read_target(folder)
    graph = optimize(read_onnx(folder / MODEL))
    simulation = simulate(folder / ELF, core, quantize_input(graph, _load_samples(input_file)))
    _save_outputs(output_file, dequantize_outputs(graph, simulation.outputs))
    note = {"cycles_note": UPPER_ESTIMATE} if core.core.is_upper_estimate else {}
    return {
        "instructions": simulation.instructions,
        "cycles": simulation.cycles,
        "stack_bytes": simulation.stack_bytes,
        "operators": [asdict(operator) for operator in simulation.operators],
        **note,
    }


@contextmanager
def _appearing_whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose parts are moved to ``folder`` if no error comes up.

    Raises:
        ConfigError: If there can be no such folder.
    """
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        if place.exists():
            raise ConfigError(f"{folder} must be a folder, but {place} is a file; give another --out.")
        place = place.parent
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".tinypareto-") as name:
            new = Path(name)
            yield new
            folder.mkdir(parents=True, exist_ok=True)
            for part in PARTS:
                _replace(new / part, folder / part)
    except OSError as error:
        raise ConfigError(
            f"{folder} must be a folder that can be written: {error}; give another --out or make room."
        ) from error


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    os.replace(new, old)


def _read_target(folder: Path) -> Target:
    try:
        written = json.loads((folder / TARGET).read_text(encoding="utf-8"))
        return limited(target(written["target"]), written["rom_bytes"], written["ram_bytes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SimulationError(
            f"{folder} must be a folder that `tinypareto compile` wrote, got {error}; compile the model first."
        ) from error


def _load_samples(path: Path) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    """Return the array of an .npy file or those of an .npz file by name.

    Raises:
        SimulationError: If it is neither.
    """
    try:
        samples = np.load(path, allow_pickle=False)
        return samples if isinstance(samples, np.ndarray) else dict(samples)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise SimulationError(
            f"{path} must be a .npy file of numbers: {error}; write it with numpy.save, several inputs with "
            "numpy.savez."
        ) from error


def _save_outputs(path: Path, outputs: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write one output as an .npy file, several as an .npz file, to exactly this path.

    Raises:
        SimulationError: If it cannot be written.
    """
    try:
        with path.open("wb") as file:
            if len(outputs) == 1:
                np.save(file, next(iter(outputs.values())))
            else:
                np.savez(file, allow_pickle=False, **outputs)
    except OSError as error:
        raise SimulationError(
            f"{path} must be a file that can be written: {error}; give another --output or make room."
        ) from error
