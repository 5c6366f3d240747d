"""The buffers in which the application and the network hand each other values."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinypareto.mcu.emit.text import identifier
from tinypareto.mcu.graph import Graph, Tensor
from tinypareto.mcu.memory import ArenaPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """An input or output of the network; ``macro`` begins all its macros, ``offset`` is in the arena.

    ``in_file_order`` says that its axes are those of the model's file, not height x width x channels.
    """

    macro: str
    tensor: Tensor
    offset: int
    in_file_order: bool


def buffers(macro: str, graph: Graph, plan: ArenaPlan, names: Sequence[str]) -> list[Buffer]:
    """Return the buffers of the tensors ``names``.

    A tensor alone is called ``macro``, one of several ``macro``_NAME; where names would make two macros
    one, they are numbered from 0 on.

    Example:
        >>> from tinypareto.mcu.graph import Graph, Tensor
        >>> from tinypareto.mcu.memory import plan_arena
        >>> tensors = {n: Tensor(name=n, shape=(1, 1, 4), scale=1.0, zero_point=0) for n in ("gyro", "acc")}
        >>> graph = Graph(name="g", tensors=tensors, operators=(), inputs=("gyro", "acc"), outputs=("acc",))
        >>> [buffer.macro for buffer in buffers("MODEL_INPUT", graph, plan_arena(graph), graph.inputs)]
        ['MODEL_INPUT_GYRO', 'MODEL_INPUT_ACC']
    """
    return [
        Buffer(
            macro=unique,
            tensor=graph.tensors[name],
            offset=plan.offsets[name],
            in_file_order=name in graph.channels_last,
        )
        for unique, name in zip(_macros(macro, names), names, strict=True)
    ]


def _macros(macro: str, names: Sequence[str]) -> list[str]:
    if len(names) == 1:
        return [macro]
    macros = [f"{macro}_{identifier(name).upper()}" for name in names]
    # MODEL_INPUT_A_BYTES may be the size of A or an input called a_bytes.
    clash = f"{macro}_" in macros or any(
        f"{other}_".startswith(f"{mine}_")
        for i, mine in enumerate(macros)
        for j, other in enumerate(macros)
        if i != j
    )
    return [f"{macro}_{number}" for number in range(len(names))] if clash else macros
