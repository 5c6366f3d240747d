"""Sums and differences of two tensors as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.fixed_point import pair_multiplier
from tinypareto.mcu.graph import Add, Sub


def emit_add(operator: Add | Sub, place: Place) -> OperatorText:
    """Return the operator as descriptor; its factors are few enough to stand in it.

    A difference is a sum whose second factor is negative.
    """
    pair = pair_multiplier(place.graph, operator)
    kind, second_factor = ("sub", -pair.second) if isinstance(operator, Sub) else ("add", pair.second)
    first, second = (place.graph.tensors[name] for name in operator.inputs)
    output = place.output(operator)
    offset = (1 << (pair.shift - 1)) - first.zero_point * pair.first - second.zero_point * second_factor
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
            ("first_multiplier", str(pair.first)),
            ("second_multiplier", str(second_factor)),
            ("offset", str(offset)),
            ("shift", str(pair.shift)),
            ("zero_point", str(output.zero_point)),
            ("low", str(operator.clamp[0])),
            ("high", str(operator.clamp[1])),
        ),
        sources=("add.c",),
    )
