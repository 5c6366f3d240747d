"""From an int8 ONNX file to measured firmware: the stages of this half, in order."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinypareto.errors import SimulationError
from tinypareto.mcu.compilers import ZIG, Compiler
from tinypareto.mcu.emit.project import (
    HEADER,
    WEIGHTS,
    Files,
    c_sources,
    emit_compact_weights,
    emit_header,
    emit_linker_script,
    emit_project,
    scratch_bytes,
)
from tinypareto.mcu.footprint import Footprint, read_footprint
from tinypareto.mcu.graph import Convolution, Dense, Graph, Int8Array, Lookup, Operator
from tinypareto.mcu.memory import ArenaPlan, plan_arena
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.simulator import OperatorCount, simulate
from tinypareto.mcu.targets import Target, roomy
from tinypareto.mcu.toolchain import HostModel, build_elf, build_host_library

PROJECT = "firmware"  # the C project's folder
ELF = "firmware.elf"
CODE_ROOM = 256 * 1024  # more than all kernels and descriptors together
PACKING = 4  # bytes at most for a weight, which may be filled up to a word


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """A C project that is not built yet."""

    graph: Graph
    plan: ArenaPlan
    target: Target
    files: Files
    compiler: Compiler = ZIG


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Firmware:
    """A linked program: ``folder`` holds the C project in ``firmware/`` and ``firmware.elf``."""

    program: Program
    folder: Path
    elf: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """What the simulated core showed; instructions, cycles and operators are of one inference."""

    footprint: Footprint
    instructions: int
    cycles: int
    operators: tuple[OperatorCount, ...]
    outputs: Int8Array  # n x Ho x Wo x Co, or n x bytes of several outputs


def write_program(graph: Graph, core: Target, compiler: Compiler = ZIG) -> Program:
    """Return the C project of a graph, planned and emitted."""
    plan = plan_arena(graph, scratch_bytes(graph))
    files = emit_project(graph, plan, core, compiler)
    return Program(graph=graph, plan=plan, target=core, files=files, compiler=compiler)


def read_program(model: Path, core: Target, compiler: Compiler = ZIG) -> Program:
    """Return the C project of an int8 QDQ file.

    Raises:
        UnsupportedModelError: If the file is something else or holds what cannot be compiled.
    """
    return write_program(optimize(read_onnx(model)), core, compiler)


def build_firmware(program: Program, folder: Path) -> Firmware:
    """Write the project to ``folder/firmware`` and link ``folder/firmware.elf``.

    A model that exceeds the target's memory is linked all the same, with larger regions, so that its
    size can be measured; the project's own linker script keeps the target's.

    Raises:
        ToolchainError: If the compiler refuses.
    """
    project = folder / PROJECT
    write_files(program.files, project)
    script = emit_linker_script(program.graph, program.plan, _roomy_target(program))
    with tempfile.TemporaryDirectory() as scratch:
        weights = emit_compact_weights(program.graph, program.plan)
        write_files({"link.ld": script, WEIGHTS: weights}, Path(scratch))
        sources = [f"{scratch}/{WEIGHTS}" if name == WEIGHTS else name for name in c_sources(program.files)]
        link = f"{scratch}/link.ld"
        built = build_elf(project, sources, program.target, link, program.compiler)
        elf = Path(shutil.move(built, folder / ELF))
    return Firmware(program=program, folder=folder, elf=elf)


def measure(firmware: Firmware, inputs: Int8Array) -> Measurement:
    """Run the firmware on a simulated core and read its sizes off the ELF.

    Args:
        firmware: As linked.
        inputs: Quantised samples, n x H x W x C or n x bytes of several inputs, at least one.

    Raises:
        SimulationError: If the core faults.
    """
    program = firmware.program
    simulation = simulate(firmware.elf, program.target, inputs)
    return Measurement(
        footprint=read_footprint(firmware.elf, simulation.stack_bytes),
        instructions=simulation.instructions,
        cycles=simulation.cycles,
        operators=simulation.operators,
        outputs=simulation.outputs.reshape(-1, *program.graph.output_shape),
    )


def record_sizes(firmware: Firmware, measurement: Measurement) -> None:
    """Add what was measured to the project's ``model.h``, as macros; no byte of the program changes."""
    program, footprint = firmware.program, measurement.footprint
    measured = {
        "MODEL_ROM_BYTES": footprint.rom_bytes,
        "MODEL_CODE_BYTES": footprint.code_bytes,
        "MODEL_WEIGHT_BYTES": footprint.weight_bytes,
        "MODEL_RAM_BYTES": footprint.ram_bytes,
        "MODEL_STACK_BYTES": footprint.stack_bytes,
        "MODEL_INSTRUCTIONS": measurement.instructions,
        "MODEL_CYCLES": measurement.cycles,
    }
    header = emit_header(program.graph, program.plan, program.target, program.compiler, measured)
    write_files({HEADER: header}, firmware.folder / PROJECT)


@contextmanager
def host_model(program: Program) -> Iterator[HostModel]:
    """Yield the program's C compiled for this machine."""
    graph, offsets = program.graph, program.plan.offsets
    with tempfile.TemporaryDirectory() as folder:
        write_files({**program.files, WEIGHTS: emit_compact_weights(graph, program.plan)}, Path(folder))
        yield HostModel(
            build_host_library(Path(folder), c_sources(program.files)),
            input_shape=graph.input_shape,
            output_shape=graph.output_shape,
            inputs=[(offsets[name], graph.tensors[name].size) for name in graph.inputs],
            outputs=[(offsets[name], graph.tensors[name].size) for name in graph.outputs],
        )


def compare_outputs(simulated: Int8Array, host: Int8Array) -> None:
    """Check that the simulated core and the host build gave the same bytes.

    Raises:
        SimulationError: If they differ.
    """
    if not np.array_equal(simulated, host):
        wrong = int((simulated != host).reshape(len(host), -1).any(axis=1).sum())
        raise SimulationError(
            f"the simulated core and the host build must give the same bytes, but differ on {wrong} of "
            f"{len(host)} samples; keep the folder and report it as a bug."
        )


def graph_macs(graph: Graph) -> int:
    """Return the multiply-accumulates of convolutions and dense layers in one inference."""
    return sum(operator_macs(graph, operator) for operator in graph.operators)


def operator_macs(graph: Graph, operator: Operator) -> int:
    """Return the multiply-accumulates of one operator; what is no convolution or dense layer has none."""
    if isinstance(operator, Convolution):
        height, width, _ = graph.tensors[operator.output].shape
        return int(height * width * operator.weight.size)
    return int(operator.weight.size) if isinstance(operator, Dense) else 0


def write_files(files: Files, folder: Path) -> None:
    """Write the project's files, with their folders."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _roomy_target(program: Program) -> Target:
    weights = 0
    for operator in program.graph.operators:
        if isinstance(operator, Convolution | Dense):
            weights += PACKING * operator.weight.size + 16 * len(operator.bias)
        elif isinstance(operator, Lookup):
            weights += operator.table.size
    return roomy(program.target, weights + CODE_ROOM, program.plan.size)
