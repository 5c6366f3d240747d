"""Cancel transpositions that undo each other, also where elementwise operators stand between them.

Exporters that think in channels last transpose before each layer and back behind it, with activations and sums between.
What treats each value alike computes the same in every order, so it can read what the transpositions before it read:

    convolution -> transpose -> relu -> transpose back    becomes    convolution -> relu

Requires: nothing.
Ensures: no Transpose leaves every value where it is, and none undoes those before it with nothing but elementwise
    operators between them that compute for it alone, unless the shape changes or the caller reads both sides of it;
    outputs are unchanged, byte for byte.
"""

from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import Graph, Lookup, Operator, Relu, Transpose
from tinypareto.mcu.moves import IDENTITY, keeps_values, permutation
from tinypareto.mcu.passes.drop_dead import drop_dead

Order: TypeAlias = npt.NDArray[np.intp]


def cancel_transposes(graph: Graph) -> Graph:
    """Return the graph without transpositions that undo each other."""
    while found := _transposes(graph):
        shorter = _cancelled(graph)
        if _transposes(shorter) == found:
            return shorter
        graph = shorter  # an operator that others read too may by now be read once
    return graph


def _transposes(graph: Graph) -> int:
    return sum(isinstance(operator, Transpose) for operator in graph.operators)


def _cancelled(graph: Graph) -> Graph:
    fixed: set[str] = set()  # outputs of operators that others read too: moved, they would be computed twice
    while True:
        walk = _Walk(graph, fixed)
        shorter = walk.cancelled()
        twice = walk.both_alive(shorter)
        if not twice:
            return shorter
        fixed |= twice


@dataclass(frozen=True, slots=True)
class _Moved:
    """How a tensor's values lie in ``source``, a tensor before the transpositions: at the places ``order``."""

    source: str
    order: Order


class _Walk:
    """One walk over the operators; each behind a transposition gets a twin that computes the same before it.

    Who reads the twins, and thereby which of the two live, is decided by the transpositions that cancel.
    """

    def __init__(self, graph: Graph, fixed: set[str]) -> None:
        self.graph, self.fixed = graph, fixed
        self.tensors = dict(graph.tensors)
        self.operators: list[Operator] = []
        self.moved: dict[str, _Moved] = {}
        self.twins: dict[str, str] = {}  # by the output of the original
        self.same: dict[str, str] = {}  # tensors that equal earlier ones
        self.renamed: dict[str, str] = {}  # tensors that become outputs of the network

    def cancelled(self) -> Graph:
        for found in self.graph.operators:
            operator = replace(found, inputs=tuple(self.same.get(name, name) for name in found.inputs))
            if isinstance(operator, Transpose):
                self._transpose(operator)
            else:
                self.operators.append(operator)
                self._elementwise(operator)
        operators = [
            replace(
                operator, inputs=tuple(map(self._final, operator.inputs)), output=self._final(operator.output)
            )
            for operator in self.operators
        ]
        return drop_dead(replace(self.graph, tensors=self.tensors).with_operators(tuple(operators)))

    def both_alive(self, shorter: Graph) -> set[str]:
        """Return the outputs of operators that are computed in both places."""
        alive = {operator.output for operator in shorter.operators}
        return {name for name, twin in self.twins.items() if {self._final(name), self._final(twin)} <= alive}

    def _final(self, name: str) -> str:
        return self.renamed.get(name, name)

    def _transpose(self, operator: Transpose) -> None:
        (source,) = operator.inputs
        order = permutation(operator)
        if source in self.moved:
            source, order = self.moved[source].source, self.moved[source].order[order]
        there_already = self._holding(source, order)
        if there_already is not None:
            self._unmoved(operator, there_already)
            return
        self.operators.append(operator)
        if keeps_values(operator):
            self.moved[operator.output] = _Moved(source, order)
        elif operator.output not in self.fixed:
            self.moved[operator.output] = _Moved(self._twin(self._values_of(operator, source)), order)

    def _holding(self, source: str, order: Order) -> str | None:
        """Return the tensor that holds the values of ``source`` in that order; None if none does yet."""
        if (order == np.arange(order.size)).all():
            return source
        alike = (
            name
            for name, moved in self.moved.items()
            if name not in self.twins and moved.source == source and np.array_equal(moved.order, order)
        )
        return next(alike, None)

    def _elementwise(self, operator: Operator) -> None:
        found = [self.moved[name] for name in operator.inputs if name in self.moved]
        if len(found) < len(operator.inputs) or operator.output in self.fixed:
            return
        shapes = {self.tensors[moved.source].shape for moved in found}
        alike = all(np.array_equal(moved.order, found[0].order) for moved in found)
        if alike and len(shapes) == 1 and self.graph.is_elementwise(operator):
            twin = replace(operator, inputs=tuple(moved.source for moved in found))
            self.moved[operator.output] = _Moved(self._twin(twin), found[0].order)

    def _twin(self, operator: Operator) -> str:
        """Append an operator that writes what ``operator`` would, in the order of its inputs; return its output."""
        name = next(free for n in count() if (free := f"{operator.output}/unmoved {n}") not in self.tensors)
        shape = self.tensors[operator.inputs[0]].shape
        self.tensors[name] = replace(self.tensors[operator.output], name=name, shape=shape)
        self.operators.append(replace(operator, output=name))
        self.twins[operator.output] = name
        return name

    def _unmoved(self, operator: Transpose, source: str) -> None:
        """Append what is left of a transposition whose values all lie where they lie in ``source``."""
        before, after = self.tensors[source].shape, self.tensors[operator.output].shape
        if before == after and not keeps_values(operator):
            self.operators.append(self._values_of(operator, source))
        elif before == after and operator.output not in self.graph.outputs:
            self.same[operator.output] = source
        elif before == after and self._is_free(source):
            self.renamed[source] = operator.output
        else:
            self.operators.append(replace(operator, inputs=(source,), view=before, axes=(0, 1, 2)))

    def _is_free(self, name: str) -> bool:
        """Say whether a tensor may have the name of an output."""
        return name not in {*self.graph.inputs, *self.graph.outputs, *self.renamed}

    def _values_of(self, operator: Transpose, source: str) -> Operator:
        """Return what makes of ``source`` the values that a transposition writes, but leaves them in their place."""
        name, output, clamp = operator.name, operator.output, operator.clamp
        (table,) = operator.tables or (None,)
        if (
            table is None and clamp[0] >= self.tensors[output].zero_point
        ):  # fuse_relu may make it a clamp again
            return Relu(name=name, inputs=(source,), output=output, clamp=clamp)
        table = IDENTITY if table is None else table
        return Lookup(name=name, inputs=(source,), output=output, clamp=clamp, table=table)
