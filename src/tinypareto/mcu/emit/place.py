"""Where an operator's buffers lie: C expressions for addresses in the arena."""

from dataclasses import dataclass

from tinypareto.mcu.graph import Graph, Operator, Tensor
from tinypareto.mcu.memory import ArenaPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An operator in its graph and arena; ``name`` is unique and a valid tail of a C identifier."""

    graph: Graph
    plan: ArenaPlan
    name: str

    def buffer(self, tensor: str) -> str:
        """Return the address of a tensor."""
        return f"model_arena + {self.plan.offsets[tensor]}"

    def scratch(self, operator: Operator) -> str:
        """Return the address of the operator's scratch memory."""
        return f"model_arena + {self.plan.scratch_offsets[operator.name]}"

    def source(self, operator: Operator) -> Tensor:
        """Return the operator's first input."""
        return self.graph.tensors[operator.inputs[0]]

    def output(self, operator: Operator) -> Tensor:
        """Return the operator's output."""
        return self.graph.tensors[operator.output]
