"""ReLUs that stand alone as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import scale_fields, scale_tables
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.graph import Relu


def emit_relu(operator: Relu, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables; real zero is the lower bound of its clamp."""
    source, output = place.source(operator), place.output(operator)
    clamp = (max(operator.clamp[0], output.zero_point), operator.clamp[1])
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: relu, {shape_text(output.shape)}",
        struct="tp_relu",
        function="tp_run_relu",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            *scale_fields("scale", place.name, output, clamp),
            ("count", str(output.size)),
            ("in_zero_point", str(source.zero_point)),
        ),
        sources=("relu.c",),
        tables=scale_tables(place.graph, operator, place.name),
    )
