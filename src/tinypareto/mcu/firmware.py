"""From an int8 ONNX file to measured firmware: the stages of this half, in order."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from tinypareto.errors import SimulationError
from tinypareto.mcu.compilers import ZIG, Compiler, compiler
from tinypareto.mcu.emit.project import Files, c_sources, emit_linker_script, emit_project, scratch_bytes
from tinypareto.mcu.footprint import Footprint, read_footprint
from tinypareto.mcu.graph import Convolution, Dense, Graph, Int8Array, Lookup
from tinypareto.mcu.memory import ArenaPlan, plan_arena
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.samples import dequantize_outputs, quantize_input
from tinypareto.mcu.simulator import OperatorCount, simulate
from tinypareto.mcu.targets import Target, roomy, target
from tinypareto.mcu.toolchain import HostModel, build_elf, build_host_library

PROJECT = "firmware"  # the C project's folder
ELF = "firmware.elf"
MODEL = "model.int8.onnx"
SEED = 0  # of the random samples on which a model without data is simulated
UPPER_ESTIMATE = (
    "cycles are an upper estimate: this core can issue two instructions at a time, which is not modelled"
)
CODE_ROOM = 256 * 1024  # more than all kernels and descriptors together


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
        (Path(scratch) / "link.ld").write_text(script, encoding="utf-8")
        sources, link = c_sources(program.files), f"{scratch}/link.ld"
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


@contextmanager
def host_model(program: Program) -> Iterator[HostModel]:
    """Yield the program's C compiled for this machine."""
    graph, offsets = program.graph, program.plan.offsets
    with tempfile.TemporaryDirectory() as folder:
        write_files(program.files, Path(folder))
        yield HostModel(
            build_host_library(Path(folder), c_sources(program.files)),
            input_shape=graph.input_shape,
            output_shape=graph.output_shape,
            inputs=[(offsets[name], graph.tensors[name].size) for name in graph.inputs],
            outputs=[(offsets[name], graph.tensors[name].size) for name in graph.outputs],
        )


def compile_model(model: Path, target_name: str, folder: Path, toolchain: str = "zig") -> dict[str, Any]:
    """Compile an int8 QDQ file and return what ``tinypareto compile --json`` prints.

    The folder gets the C project, the ELF and a copy of the file. The simulated core and the host build
    are compared on two seeded random inputs.

    Raises:
        UnsupportedModelError: If the file cannot be compiled.
        ToolchainError: If the compiler refuses.
        SimulationError: If the two builds differ.
    """
    core = target(target_name)
    program = read_program(model, core, compiler(toolchain))
    folder.mkdir(parents=True, exist_ok=True)
    firmware = build_firmware(program, folder)
    if (folder / MODEL).resolve() != model.resolve():
        shutil.copyfile(model, folder / MODEL)
    (folder / "target.json").write_text(json.dumps({"target": core.name}), encoding="utf-8")
    shape = program.graph.input_shape
    inputs = np.random.default_rng(SEED).integers(-128, 128, size=(2, *shape), dtype=np.int8)
    measurement = measure(firmware, inputs)
    with host_model(program) as host:
        compare_outputs(measurement.outputs, host.predict(inputs))
    footprint = asdict(measurement.footprint)
    return {
        **{name: footprint[name] for name in ("rom_bytes", "code_bytes", "weight_bytes", "ram_bytes")},
        "arena_bytes": footprint["arena_bytes"],
        "arena_lower_bound": program.plan.lower_bound,
        "stack_bytes": footprint["stack_bytes"],
        "macs": graph_macs(program.graph),
        "breakdown": footprint["breakdown"],
    }


def simulate_folder(folder: Path, input_file: Path, output_file: Path) -> dict[str, Any]:
    """Run what `compile_model` left in ``folder`` on float32 samples; write float32 outputs.

    A network with several inputs reads an .npz file with an array for each by name; one with several
    outputs writes an .npz file.

    Returns:
        What ``tinypareto simulate --json`` prints; instructions are those of one inference.

    Raises:
        SimulationError: If the folder holds no firmware, the core faults or the samples cannot be read.
        ShapeError: If the samples have not the shape that the ONNX file takes.
    """
    try:
        core = target(json.loads((folder / "target.json").read_text(encoding="utf-8"))["target"])
    except (OSError, ValueError, KeyError) as error:
        raise SimulationError(
            f"{folder} must be a folder that `tinypareto compile` wrote, got {error}; compile the model first."
        ) from error
    graph = optimize(read_onnx(folder / MODEL))
    simulation = simulate(folder / ELF, core, quantize_input(graph, _load_samples(input_file)))
    outputs = dequantize_outputs(graph, simulation.outputs)
    if len(outputs) == 1:
        np.save(output_file, outputs[graph.outputs[0]])
    else:
        np.savez(output_file, allow_pickle=False, **outputs)
    note = {"cycles_note": UPPER_ESTIMATE} if core.core.is_upper_estimate else {}
    return {
        "instructions": simulation.instructions,
        "cycles": simulation.cycles,
        "stack_bytes": simulation.stack_bytes,
        "operators": [asdict(operator) for operator in simulation.operators],
        **note,
    }


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
    total = 0
    for operator in graph.operators:
        height, width, _ = graph.tensors[operator.output].shape
        if isinstance(operator, Convolution):
            total += height * width * operator.weight.size
        elif isinstance(operator, Dense):
            total += operator.weight.size
    return total


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
            weights += operator.weight.size + 16 * len(operator.bias)
        elif isinstance(operator, Lookup):
            weights += operator.table.size
    return roomy(program.target, weights + CODE_ROOM, program.plan.size)
