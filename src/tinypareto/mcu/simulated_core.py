"""The simulated core, a program of its own: job on stdin, results on stdout.

Run as a script by :mod:`tinypareto.mcu.simulator` and never imported: unicorn is licensed under GPL-2.0
and stays in this process. It imports nothing else that is not in the standard library.

Job: one line of JSON, then the inputs. Result: one line of JSON, then the outputs.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import unicorn
from unicorn import arm_const

PAINT = 0xA5
PAGE_BYTES = 4096  # memory is simulated in whole pages
STACK_ALIGNMENT = 8
RETURN_ADDRESS = 0x1FFF_0000  # below RAM, where the core may execute; reaching it ends the run
NEAR_STACK = 4096  # bytes at the top of RAM; generated programs take some 300
WORDS_32 = 0b11101  # Thumb: a halfword whose top five bits are at least this begins a 32-bit instruction
REGISTERS = [getattr(arm_const, f"UC_ARM_REG_R{number}") for number in range(15)]
PC = 15

Job = dict[str, Any]


class Core:
    """A core with its memory, ready to run ``model_invoke``."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.fault: dict[str, Any] | None = None
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{job['cpu']}"))
        self._map("flash", unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._map("ram", unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        self._paint()
        self._load()
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._note_fault)

    def run(self, image: bytes) -> bytes:
        """Write the inputs, call the model, return the outputs, one behind the other.

        Raises:
            UcError: If the core faults or the guard stopped it.
        """
        start = 0
        for address, count in self.job["inputs"]:
            self.uc.mem_write(address, image[start : start + count])
            start += count
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, self.top)
        self.uc.reg_write(arm_const.UC_ARM_REG_LR, RETURN_ADDRESS | 1)
        self.uc.emu_start(self.job["invoke"] | 1, RETURN_ADDRESS)
        if self.fault is not None:
            raise unicorn.UcError(unicorn.UC_ERR_OK)  # stopped by the guard
        return b"".join(bytes(self.uc.mem_read(*output)) for output in self.job["outputs"])

    @property
    def top(self) -> int:
        """Where the stack begins, downwards."""
        origin, size = self.job["ram"]
        return int((origin + size) // STACK_ALIGNMENT * STACK_ALIGNMENT)

    def stack_bytes(self) -> int:
        """Return how far below the top of memory the paint is gone."""
        origin, size = self.job["ram"]
        stack = bytes(self.uc.mem_read(self.job["static_end"], origin + size - self.job["static_end"]))
        return len(stack.lstrip(bytes([PAINT])))

    def _map(self, region: str, rights: int) -> None:
        origin, size = self.job[region]
        self.uc.mem_map(origin, -(-size // PAGE_BYTES) * PAGE_BYTES, rights)

    def _paint(self) -> None:
        """Paint all memory, so that neither the stack's reach nor a read before a write stays hidden."""
        origin, size = self.job["ram"]
        self.uc.mem_write(origin, bytes([PAINT]) * size)

    def _load(self) -> None:
        with open(self.job["elf"], "rb") as file:
            for segment in self.job["segments"]:
                file.seek(segment["file_offset"])
                content = file.read(segment["file_bytes"])
                for address in {segment["load_address"], segment["address"]} if content else ():
                    self.uc.mem_write(address, content)

    def _note_fault(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        kinds = {
            unicorn.UC_MEM_READ_UNMAPPED: "read",
            unicorn.UC_MEM_WRITE_UNMAPPED: "write",
            unicorn.UC_MEM_WRITE_PROT: "write",
        }
        self.fault = {"access": kinds.get(access, "fetch"), "address": address}
        return False


class Guard:
    """Refuses RAM between the program's data and the NEAR_STACK bytes that its stack may take.

    What is allowed must not be watched: a hook that returns has the simulator misread the rest of an IT block.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        begin, end = core.job["static_end"], sum(core.job["ram"]) - NEAR_STACK
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        core.uc.hook_add(kinds, self._stop, begin=begin, end=end - 1)

    def _stop(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> None:
        kind = "write" if access == unicorn.UC_MEM_WRITE else "read"
        self.core.fault = {"access": kind, "address": address}
        uc.emu_stop()


class Alignment:
    """Refuses unaligned accesses on which a real core faults and the simulated one does not.

    A core without unaligned access faults on each, all others in instructions that move several registers. Each such
    instruction in the blocks is watched, which makes a run some twenty times slower.
    """

    def __init__(self, core: Core, blocks: set[tuple[int, int]]) -> None:
        self.core = core
        self.watched: dict[int, tuple[tuple[int, ...], int]] = {}
        for address, size in blocks:
            for place, access in accesses(bytes(core.uc.mem_read(address, size)), core.job["unaligned"]):
                self.watched[address + place] = access
        for address in self.watched:
            core.uc.hook_add(unicorn.UC_HOOK_CODE, self._check, begin=address, end=address)

    def _check(self, uc: Any, address: int, size: int, data: Any) -> None:
        registers, alignment = self.watched[address]
        place = sum(uc.reg_read(REGISTERS[register]) for register in registers) & 0xFFFF_FFFF
        if place % alignment:
            self.core.fault = {"access": "unaligned access", "address": place, "pc": address}
            uc.emu_stop()


def accesses(code: bytes, unaligned: bool) -> Iterator[tuple[int, tuple[tuple[int, ...], int]]]:
    """Walk over a block's accesses to memory that must be aligned.

    Args:
        code: Of the block.
        unaligned: Whether loads and stores of one register may lie anywhere.

    Yields:
        Offset of the instruction, the registers that add up to its address and what that must be a multiple of. Offsets
        within the instruction are multiples of it in any case.
    """
    position = 0
    while position < len(code):
        first = int.from_bytes(code[position : position + 2], "little")
        if first >> 11 >= WORDS_32:
            second = int.from_bytes(code[position + 2 : position + 4], "little")
            is_table_branch = first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000
            if (
                first >> 9 == 0b1110100 and first & 15 != PC and not is_table_branch
            ):  # LDM, LDRD and their kin
                yield position, ((first & 15,), 4)
        elif first >> 12 == 0xC:  # LDM, STM
            yield position, (((first >> 8) & 7,), 4)
        elif not unaligned and (access := _single(first)) is not None:
            yield position, access
        position += 4 if first >> 11 >= WORDS_32 else 2


def _single(word: int) -> tuple[tuple[int, ...], int] | None:
    """Return what must be aligned in a 16-bit load or store of one register, if it moves more than a byte."""
    base = (word >> 3) & 7
    match word >> 12, (word >> 9) & 7:
        case 0x5, 0 | 4:
            return (base, (word >> 6) & 7), 4
        case 0x5, 1 | 5 | 7:
            return (base, (word >> 6) & 7), 2
        case 0x6, _:
            return (base,), 4
        case 0x8, _:
            return (base,), 2
    return None


class Counters:
    """Executions of each basic block, apart for each operator, which is its descriptor's address.

    A block's key is where the block before it ended, where it begins and its size: the branch between the
    two was taken if end and beginning differ.
    """

    def __init__(self, core: Core) -> None:
        self.entries = set(core.job["entries"])
        self.first, self.last = core.job["invoke"], core.job["invoke_end"]
        self.operators: dict[int, Counter[tuple[int, int, int]]] = {0: Counter()}
        self.current = self.operators[0]
        self.operator = 0
        self.address = self.end = core.job["invoke"]
        self.lowest = core.top  # stack pointer
        core.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._count)

    def _count(self, uc: Any, address: int, size: int, data: Any) -> None:
        if address in self.entries:
            self.operator = uc.reg_read(arm_const.UC_ARM_REG_R0)
            self.current = self.operators.setdefault(self.operator, Counter())
        elif self.first <= address < self.last:
            self.operator, self.current = 0, self.operators[0]
        block = self.end, address, size
        times = self.current[block]
        if times == 0:
            self.lowest = min(self.lowest, uc.reg_read(arm_const.UC_ARM_REG_SP))
        self.current[block] = times + 1
        self.address, self.end = address, address + size

    def blocks(self) -> set[tuple[int, int]]:
        """Return address and size of every block that was executed."""
        return {(address, size) for counter in self.operators.values() for _, address, size in counter}

    def executions(self) -> dict[int, dict[str, Any]]:
        """Return, by the descriptor's address, [address, size, times] of each block and the branches taken.

        0 is model_invoke itself.
        """
        return {operator: _totals(counter) for operator, counter in self.operators.items()}


def _totals(counter: Counter[tuple[int, int, int]]) -> dict[str, Any]:
    blocks: Counter[tuple[int, int]] = Counter()
    taken = 0
    for (end, address, size), times in counter.items():
        blocks[address, size] += times
        taken += times if end != address else 0
    return {"blocks": [[*block, times] for block, times in blocks.items()], "taken": taken}


def simulate(job: Job, inputs: bytes) -> tuple[dict[str, Any], bytes]:
    """Run the first input on a counting and guarded core, all others on a plain one, which is faster."""
    size = sum(count for _, count in job["inputs"])
    images = [inputs[start : start + size] for start in range(0, len(inputs), size)]
    counting = Core(job)
    Guard(counting)
    counters = Counters(counting)
    outputs, cores = [], [counting]
    try:
        outputs.append(counting.run(images[0]))
        if job["check_alignment"]:
            cores.append(Core(job))
            Alignment(cores[-1], counters.blocks())
            cores[-1].run(images[0])
        if len(images) > 1:
            cores.append(Core(job))
            outputs.extend(cores[-1].run(image) for image in images[1:])
    except unicorn.UcError as error:
        core = cores[-1]
        if core is counting:
            where = {"pc": counters.address, "operator": counters.operator}
        else:
            where = {"pc": core.uc.reg_read(arm_const.UC_ARM_REG_PC)}
        return {"error": str(error), **where, **(core.fault or {})}, b""
    # Frames count whole, written to or not: an interrupt's begins below them.
    stack = max(counting.top - counters.lowest, *(core.stack_bytes() for core in cores))
    return {"stack_bytes": stack, "operators": counters.executions()}, b"".join(outputs)


def main() -> None:
    """Read the job, run it, write the result."""
    job = json.loads(sys.stdin.buffer.readline())
    result, outputs = simulate(job, sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(result).encode() + b"\n" + outputs)


if __name__ == "__main__":
    main()
