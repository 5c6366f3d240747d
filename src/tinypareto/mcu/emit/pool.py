"""Maximum and average pooling as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import scale_fields, scale_tables, window_fields
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.graph import AveragePool, MaxPool


def emit_pool(operator: MaxPool | AveragePool, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables."""
    source, output = place.source(operator), place.output(operator)
    kind = "max" if isinstance(operator, MaxPool) else "average"
    shapes = f"{shape_text(source.shape)} -> {shape_text(output.shape)}"
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: {kind} pool, {shapes}, window {shape_text(operator.window.kernel)}",
        struct="tp_pool",
        function=f"tp_run_{kind}_pool",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            *scale_fields("scale", place.name, output, operator.clamp),
            *window_fields(operator.window, source, output, operator.name),
            ("in_zero_point", str(source.zero_point)),
        ),
        sources=("pool.c",),
        tables=scale_tables(place.graph, operator, place.name),
    )
