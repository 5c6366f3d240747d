"""Graph -> bytes of flash and RAM, without a compiler: what changes with the shapes is counted, the rest linked once.

Weights are tables in the order in which they are linked, each on a multiple of its alignment, and the arena is
the plan's. Code (kernels, descriptors, the calls of one kernel after the other) and the deepest stack are the same
for the same sequence of calls, unless channels are very few, so they are read off the first program that makes these.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tinypareto.mcu.emit.project import emit_operators, scratch_bytes
from tinypareto.mcu.emit.text import OperatorText, Table
from tinypareto.mcu.firmware import build_firmware, graph_macs, measure, write_program
from tinypareto.mcu.footprint import Footprint
from tinypareto.mcu.graph import Graph
from tinypareto.mcu.memory import plan_arena
from tinypareto.mcu.targets import Target

FEW = 4  # channels that kernels take at once
Calls = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSizes:
    """What a network needs, known from its shapes alone; bytes, and ``flops`` of one inference."""

    code_bytes: int
    weight_bytes: int
    arena_bytes: int
    static_bytes: int  # of RAM besides the arena
    stack_bytes: int
    flops: int

    @property
    def rom_bytes(self) -> int:
        """Bytes of flash."""
        return self.code_bytes + self.weight_bytes

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM."""
        return self.arena_bytes + self.static_bytes + self.stack_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeModel:
    """Sizes of graphs for one target; ``linked`` remembers what the compiler said of each sequence of calls."""

    target: Target
    linked: dict[Calls, Footprint] = field(default_factory=dict, repr=False)

    def sizes(self, graph: Graph) -> StaticSizes:
        """Return the graph's sizes; the first graph of a sequence of calls is compiled, linked and run once.

        Raises:
            UnsupportedModelError: If an operator has no kernel.
            ToolchainError: If the compiler refuses.
        """
        plan = plan_arena(graph, scratch_bytes(graph))
        operators = tuple(emit_operators(graph, plan))
        calls = tuple(_call(operator) for operator in operators) + _few_channels(graph)
        if calls not in self.linked:
            self.linked[calls] = _link(graph, self.target)
        linked = self.linked[calls]
        return StaticSizes(
            code_bytes=linked.code_bytes,
            weight_bytes=_end(table for operator in operators for table in operator.tables),
            arena_bytes=plan.size,
            static_bytes=linked.static_bytes,
            stack_bytes=linked.stack_bytes,
            flops=2 * graph_macs(graph),
        )


def _call(operator: OperatorText) -> tuple[str, ...]:
    """Return what decides an operator's code: its function and which fields of its descriptor are set."""
    return (operator.function, operator.struct, *operator.sources, *(name for name, _ in operator.fields))


def _few_channels(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Return what else decides the stack: kernels leave out their inner functions where channels are few."""
    shapes = (
        (graph.tensors[name].shape for name in (*operator.inputs, operator.output))
        for operator in graph.operators
    )
    return tuple(tuple(str(min(channels, FEW)) for _, _, channels in tensors) for tensors in shapes)


def _link(graph: Graph, target: Target) -> Footprint:
    with TemporaryDirectory() as folder:
        firmware = build_firmware(write_program(graph, target), Path(folder))
        return measure(firmware, np.zeros((1, *graph.input_shape), np.int8)).footprint


def _end(tables: Iterable[Table]) -> int:
    """Return where the last table ends if they are put one behind the other."""
    end = 0
    for table in tables:
        end = -(-end // table.alignment) * table.alignment + table.size
    return end
