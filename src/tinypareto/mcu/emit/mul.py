"""Products of two tensors as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import scale_fields, scale_tables
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.graph import Mul


def emit_mul(operator: Mul, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables; the second input is read once or once per pixel."""
    first, second = (place.graph.tensors[name] for name in operator.inputs)
    output = place.output(operator)
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: mul, {shape_text(first.shape)} by {shape_text(second.shape)}",
        struct="tp_mul",
        function="tp_run_mul",
        fields=(
            ("first", place.buffer(operator.inputs[0])),
            ("second", place.buffer(operator.inputs[1])),
            ("output", place.buffer(operator.output)),
            *scale_fields("scale", place.name, output, operator.clamp),
            ("count", str(second.size)),
            ("repeats", str(first.size // second.size)),
            ("first_zero_point", str(first.zero_point)),
            ("second_zero_point", str(second.zero_point)),
        ),
        sources=("mul.c",),
        tables=scale_tables(place.graph, operator, place.name),
    )
