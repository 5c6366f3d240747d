"""Sums of two tensors as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.fixed_point import pair_multiplier
from tinypareto.mcu.graph import Add


def emit_add(operator: Add, place: Place) -> OperatorText:
    """Return the operator as descriptor; its factors are few enough to stand in it."""
    pair = pair_multiplier(place.graph, operator)
    first, second = (place.graph.tensors[name] for name in operator.inputs)
    output = place.output(operator)
    offset = (1 << (pair.shift - 1)) - first.zero_point * pair.first - second.zero_point * pair.second
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: add, {shape_text(output.shape)}",
        struct="tp_add",
        function="tp_run_add",
        fields=(
            ("first", place.buffer(operator.inputs[0])),
            ("second", place.buffer(operator.inputs[1])),
            ("output", place.buffer(operator.output)),
            ("count", str(output.size)),
            ("first_multiplier", str(pair.first)),
            ("second_multiplier", str(pair.second)),
            ("offset", str(offset)),
            ("shift", str(pair.shift)),
            ("zero_point", str(output.zero_point)),
            ("low", str(operator.clamp[0])),
            ("high", str(operator.clamp[1])),
        ),
        sources=("add.c",),
    )
