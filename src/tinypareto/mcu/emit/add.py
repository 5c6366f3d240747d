"""Sums and differences of two tensors as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.fixed_point import pair_multiplier
from tinypareto.mcu.graph import Add, Graph, Sub


def emit_add(operator: Add | Sub, place: Place) -> OperatorText:
    """Return the operator as descriptor; its factors are few enough to stand in it.

    A difference is a sum whose second factor is negative.
    """
    kind = "sub" if isinstance(operator, Sub) else "add"
    output = place.output(operator)
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: {kind}, {shape_text(output.shape)}",
        struct="tp_add",
        function="tp_run_add",
        fields=(
            ("first", place.buffer(operator.inputs[0])),
            ("second", place.buffer(operator.inputs[1])),
            ("output", place.buffer(operator.output)),
            ("count", str(output.size)),
            *sum_fields(place.graph, operator),
        ),
        sources=("add.c",),
    )


def sum_fields(graph: Graph, operator: Add | Sub) -> tuple[tuple[str, str], ...]:
    """Return the fields of a descriptor's tp_sum."""
    pair = pair_multiplier(graph, operator)
    second_factor = -pair.second if isinstance(operator, Sub) else pair.second
    first, second = (graph.tensors[name] for name in operator.inputs)
    offset = (1 << (pair.shift - 1)) - first.zero_point * pair.first - second.zero_point * second_factor
    values = {
        "first_multiplier": pair.first,
        "second_multiplier": second_factor,
        "offset": offset,
        "shift": pair.shift,
        "zero_point": graph.tensors[operator.output].zero_point,
        "low": operator.clamp[0],
        "high": operator.clamp[1],
    }
    return tuple((f"sum.{key}", str(value)) for key, value in values.items())
