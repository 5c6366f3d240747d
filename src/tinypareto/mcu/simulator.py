"""ELF, input -> output, instructions, modelled cycles and stack on a simulated core.

The core itself runs in a process of its own (simulated_core.py), which calls ``model_invoke`` as a
caller on the target would: nothing has to be linked into the firmware for it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinypareto.errors import ShapeError, SimulationError, ToolchainError
from tinypareto.mcu.cores import CycleCosts
from tinypareto.mcu.cycles import BlockCost, block_cost
from tinypareto.mcu.elf import Image, Symbol, read_elf
from tinypareto.mcu.emit.text import ARENA, DESCRIPTOR_PREFIX
from tinypareto.mcu.graph import Int8Array
from tinypareto.mcu.targets import Target, roomy

KERNEL_PREFIX = "tp_run_"
MAX_BYTES = 256 * 1024 * 1024  # of flash or RAM that is simulated for a program too large for any target
TIMEOUT_SECONDS = 600  # a network of a billion instructions takes about a minute
_PROGRAM = Path(__file__).with_name("simulated_core.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCount:
    """Instructions and modelled cycles of one operator in one inference.

    An instruction that the core issues and then skips, since its condition fails, counts: it takes a cycle as well.
    """

    name: str
    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What the core gave back; instructions, cycles and operators are counted on the first input.

    ``outputs`` is n x output bytes, ``stack_bytes`` the deepest stack over all inputs.
    """

    outputs: Int8Array
    instructions: int
    cycles: int
    stack_bytes: int
    operators: tuple[OperatorCount, ...]


def simulate(elf: Path, target: Target, inputs: Int8Array, *, check_alignment: bool = False) -> Simulation:
    """Run the firmware on each sample, n x H x W x C or n x bytes, on a simulated core of the target.

    Flash is read-only and RAM exactly as large as the target's; only a program that needs more than
    that, which could not run on the target, gets more, so that it can be measured all the same. While the
    first input runs, flash behind the program and RAM between its data and 4 KB of stack are out of bounds too.

    Args:
        elf: As linked by this package.
        target: Its core and memory.
        inputs: At least one.
        check_alignment: Run the first input once more, some twenty times slower, and refuse unaligned
            accesses on which the core would fault.

    Raises:
        ShapeError: If there is no input or one has not the size that the firmware expects.
        ToolchainError: If the file is no firmware of ours.
        SimulationError: If the core leaves its memory, faults or does not return.
    """
    image = read_elf(elf)
    job = {**_job(image, target), "check_alignment": check_alignment}
    wanted = sum(size for _, size in job["inputs"])
    if inputs.dtype != np.int8 or len(inputs) == 0 or inputs[0].size != wanted:
        raise ShapeError(
            f"The simulated core needs at least one input of {wanted} int8 values, got "
            f"{inputs.dtype} of shape {inputs.shape}; pass what quantize_input returns."
        )
    result, payload = _run(job, inputs.tobytes())
    if "error" in result:
        raise SimulationError(_fault_message(image, result))
    operators = _operator_counts(image, target.core.costs, result["operators"])
    return Simulation(
        outputs=np.frombuffer(payload, dtype=np.int8).reshape(len(inputs), -1).copy(),
        instructions=sum(operator.instructions for operator in operators),
        cycles=sum(operator.cycles for operator in operators),
        stack_bytes=result["stack_bytes"],
        operators=operators,
    )


def _job(image: Image, target: Target) -> dict[str, Any]:
    """Return the memory map and the addresses that the simulated core needs.

    Raises:
        ToolchainError: If the file is no firmware of ours for a target with this memory map.
    """
    invoke = image.symbol("model_invoke")
    loaded = [segment for segment in image.segments if segment.file_bytes]  # .bss takes no flash
    flash_end = max((one.load_address + one.file_bytes for one in loaded), default=target.flash_origin)
    static_end = image.symbol("model_static_end").address
    flash_bytes = flash_end - target.flash_origin
    if not (0 < flash_bytes <= MAX_BYTES and 0 <= static_end - target.ram_origin <= MAX_BYTES):
        raise ToolchainError(f"{image.path} must be linked for {target.name}, but is not; build it again.")
    ram_bytes = roomy(target, flash_bytes, static_end - target.ram_origin).ram_bytes
    entries = [symbol.address for symbol in image.symbols.values() if symbol.name.startswith(KERNEL_PREFIX)]
    return {
        "elf": str(image.path),
        "cpu": target.core.simulated_cpu,
        "unaligned": target.core.has_unaligned,
        "flash": (target.flash_origin, flash_bytes),  # what lies behind the program is nobody's
        "ram": (target.ram_origin, ram_bytes),
        "segments": [asdict(segment) for segment in image.segments],
        "static_end": static_end,
        "invoke": invoke.address,
        "invoke_end": invoke.address + invoke.size,
        "entries": entries,
        "inputs": _buffers(image, "input"),
        "outputs": _buffers(image, "output"),
    }


def _buffers(image: Image, kind: str) -> list[tuple[int, int]]:
    """Return address and bytes of each input or output, which the linker script keeps as symbols.

    Raises:
        ToolchainError: If one is missing or lies outside the arena, as in a damaged file.
    """
    arena, buffers = image.symbol(ARENA), []
    for number in range(image.symbol(f"model_{kind}s").address):
        name = f"model_{kind}_{number}"
        address, size = image.symbol(name).address, image.symbol(f"{name}_bytes").address
        if not arena.address <= address <= address + size <= arena.address + arena.size:
            raise ToolchainError(f"{image.path} must hold {name} in its arena, but does not; build it again.")
        buffers.append((address, size))
    return buffers


def _run(job: dict[str, Any], inputs: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what the simulated core's process answered: a result, and the outputs.

    Raises:
        SimulationError: If it does not answer.
    """
    message = json.dumps(job).encode() + b"\n" + inputs
    try:
        done = subprocess.run(
            [sys.executable, str(_PROGRAM)],
            input=message,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SimulationError(
            f"The firmware must return within {TIMEOUT_SECONDS} s of simulation, but does not; "
            "simulate fewer inputs or a smaller network."
        ) from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SimulationError(
            f"The simulated core must end by itself, but left with {done.returncode}: {' '.join(last)}; "
            "see whether unicorn is installed."
        )
    header, _, payload = done.stdout.partition(b"\n")
    return json.loads(header), payload


def _operator_counts(
    image: Image, costs: CycleCosts, executions: Mapping[str, Any]
) -> tuple[OperatorCount, ...]:
    """Name and price what was executed, whose keys are addresses of descriptors, in execution order."""
    descriptors = {
        symbol.address: symbol
        for symbol in image.symbols.values()
        if symbol.name.startswith(DESCRIPTOR_PREFIX)
    }
    blocks = {(address, size) for done in executions.values() for address, size, _ in done["blocks"]}
    prices = {block: block_cost(image.code(*block), costs) for block in blocks}
    return tuple(
        _operator_count(_operator_name(descriptors.get(int(address))), done, prices, costs)
        for address, done in executions.items()
    )


def _operator_count(
    name: str, done: Mapping[str, Any], prices: Mapping[tuple[int, int], BlockCost], costs: CycleCosts
) -> OperatorCount:
    passes = [(prices[address, size], times) for address, size, times in done["blocks"]]
    return OperatorCount(
        name=name,
        instructions=sum(price.instructions * times for price, times in passes),
        cycles=sum(price.cycles * times for price, times in passes) + costs.refill * done["taken"],
    )


def _operator_name(descriptor: Symbol | None) -> str:
    return "model_invoke" if descriptor is None else descriptor.name.removeprefix(DESCRIPTOR_PREFIX)


def _fault_message(image: Image, result: Mapping[str, Any]) -> str:
    names = {symbol.address: symbol for symbol in image.symbols.values() if symbol.kind == "STT_OBJECT"}
    place = image.function_at(result["pc"])
    if "operator" in result:
        place = f"operator {_operator_name(names.get(result['operator']))}, {place}"
    what = f"{result['access']} at {result['address']:#010x}" if "address" in result else result["error"]
    return (
        f"The firmware must stay within its flash, arena, static data and stack, but {place}: {what}; "
        "report it as a bug."
    )
