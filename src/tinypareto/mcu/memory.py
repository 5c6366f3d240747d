"""Graph -> arena plan: where each tensor and each operator's scratch lies in one static buffer.

Operators are numbered 0, 1, ... in execution order. A tensor lives from the operator that writes it
to the last one that reads it, both included; the network's inputs live from operator 0 on, its outputs
until the caller has read them. What lives at the same time must not overlap, with one exception: an
elementwise operator may write exactly over an input that nothing reads later, since each of its output
bytes depends on the input bytes at the same place only. So may a convolution over what it adds, and a softmax,
which writes last.

The network's inputs are no exception: their bytes may be overwritten as soon as the last reader is done,
so the caller fills them anew before each inference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinypareto.errors import ConfigError
from tinypareto.mcu.graph import Add, ConvolutionAdd, Graph, Lookup, Move, Mul, Operator, Relu, Softmax, Sub
from tinypareto.mcu.moves import stays_in_place

ALIGNMENT = 4  # bytes: kernels load words
CLIMBING_STEPS = 2000  # of hill climbing; most graphs meet the lower bound within a few
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaPlan:
    """Byte offsets of tensors and of operators' scratch in an arena of ``size`` bytes.

    No legal plan is smaller than ``lower_bound``, the most bytes that live at one time.
    """

    offsets: dict[str, int]
    scratch_offsets: dict[str, int]
    size: int
    lower_bound: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """``size`` bytes, a multiple of 4, needed from step ``first`` to step ``last`` inclusive."""

    size: int
    first: int
    last: int


def plan_arena(graph: Graph, scratch: Mapping[str, int] | None = None) -> ArenaPlan:
    """Return a plan that is deterministic and, where hill climbing meets the lower bound, optimal.

    Args:
        graph: Operators in execution order.
        scratch: Bytes that an operator, by name, needs while it runs; absent means none.

    Raises:
        ConfigError: If ``scratch`` names no operator of the graph or is negative.
    """
    needed = {name: size for name, size in (scratch or {}).items() if size}
    _check_scratch(graph, needed)
    lives = tensor_lifetimes(graph)
    owners = _share_in_place(graph, lives)
    blocks = {("tensor", owner): _merged(lives, owners, owner) for owner in dict.fromkeys(owners.values())}
    for step, operator in enumerate(graph.operators):
        if operator.name in needed:
            size = _aligned(needed[operator.name])
            blocks["scratch", operator.name] = Block(size=size, first=step, last=step)
    bound = _most_alive(list(blocks.values()))
    places, size = _best_places(list(blocks.values()), bound)
    offset = dict(zip(blocks, places, strict=True))
    return ArenaPlan(
        offsets={name: offset["tensor", owners[name]] for name in graph.tensors},
        scratch_offsets={name: place for (kind, name), place in offset.items() if kind == "scratch"},
        size=size,
        lower_bound=bound,
    )


def tensor_lifetimes(graph: Graph) -> dict[str, Block]:
    """Return each tensor's bytes and the steps in which it lives; the caller reads outputs in the last."""
    end = len(graph.operators)
    first = dict.fromkeys(graph.inputs, 0)
    last = dict(first)
    for step, operator in enumerate(graph.operators):
        first[operator.output] = last[operator.output] = step
        last.update(dict.fromkeys(operator.inputs, step))
    last.update(dict.fromkeys(graph.outputs, end))
    return {
        name: Block(size=_aligned(tensor.size), first=first[name], last=last[name])
        for name, tensor in graph.tensors.items()
    }


def overwritable_inputs(graph: Graph, step: int, lives: Mapping[str, Block]) -> tuple[str, ...]:
    """Return the inputs of the operator at ``step`` over which its output may lie exactly."""
    operator: Operator = graph.operators[step]
    if isinstance(operator, Move) and stays_in_place(operator):
        return tuple(name for name in operator.inputs if lives[name].last == step)
    if isinstance(operator, ConvolutionAdd):  # reads its first input anywhere, the second where it writes
        source, skip = operator.inputs
        return (skip,) if lives[skip].last == step and skip != source else ()
    if not isinstance(operator, Add | Lookup | Mul | Relu | Softmax | Sub):
        return ()
    shape = graph.tensors[operator.output].shape  # a Mul's second input may be smaller, and is read again
    return tuple(
        name for name in operator.inputs if lives[name].last == step and graph.tensors[name].shape == shape
    )


def _share_in_place(graph: Graph, lives: Mapping[str, Block]) -> dict[str, str]:
    """Return, for each tensor, the tensor whose bytes it uses: its own or an input's it is written over."""
    owners = {name: name for name in graph.tensors}
    for step, operator in enumerate(graph.operators):
        free = overwritable_inputs(graph, step, lives)
        if free:
            owners[operator.output] = owners[free[0]]
    return owners


def _merged(lives: Mapping[str, Block], owners: Mapping[str, str], owner: str) -> Block:
    """Return the life of all tensors that use one tensor's bytes; it has no gap."""
    return replace(lives[owner], last=max(lives[name].last for name in owners if owners[name] == owner))


def _best_places(blocks: list[Block], bound: int) -> tuple[list[int], int]:
    """Place big blocks first, then swap places in the order as long as it does not get worse."""
    order = sorted(range(len(blocks)), key=lambda i: (-blocks[i].size, blocks[i].first))
    first, last = (np.array([getattr(block, end) for block in blocks]) for end in ("first", "last"))
    meet = (first[:, None] <= last) & (first <= last[:, None])  # needed in a common step
    rivals = [set(np.flatnonzero(row).tolist()) for row in meet]
    best, best_size = _placed(blocks, rivals, order)
    rng = np.random.default_rng(SEED)
    for _ in range(CLIMBING_STEPS):
        if best_size == bound or len(blocks) < 2:
            break
        i, j = rng.choice(len(blocks), size=2, replace=False)
        swapped = order.copy()
        swapped[i], swapped[j] = swapped[j], swapped[i]
        places, size = _placed(blocks, rivals, swapped)
        if size <= best_size:
            order, best, best_size = swapped, places, size
    return best, best_size


def _placed(blocks: list[Block], rivals: list[set[int]], order: list[int]) -> tuple[list[int], int]:
    """Give each block, in order, the lowest offset that is free as long as it lives."""
    places = [0] * len(blocks)
    for position, i in enumerate(order):
        before = rivals[i].intersection(order[:position])
        taken = sorted((places[j], places[j] + blocks[j].size) for j in before)
        for start, stop in taken:
            if start - places[i] >= blocks[i].size:
                break
            places[i] = max(places[i], stop)
    return places, max((place + block.size for place, block in zip(places, blocks, strict=True)), default=0)


def _most_alive(blocks: list[Block]) -> int:
    steps = {block.first for block in blocks}  # the sum only grows where a block begins
    return max((sum(b.size for b in blocks if b.first <= step <= b.last) for step in steps), default=0)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _check_scratch(graph: Graph, scratch: Mapping[str, int]) -> None:
    """Refuse scratch that no operator could use.

    Raises:
        ConfigError: If a name is no operator's or a size is negative.
    """
    names = {operator.name for operator in graph.operators}
    for name, size in scratch.items():
        if name not in names or size < 0:
            raise ConfigError(
                f"Scratch must be at least 0 bytes for an operator of the graph, got {size} for '{name}'; "
                f"the operators are {', '.join(sorted(names))}."
            )
