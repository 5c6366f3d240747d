"""Fully connected layers as C."""

from tinypareto.mcu.emit.packing import pack_pairs
from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import channel_fields, channel_tables
from tinypareto.mcu.emit.text import OperatorText, shape_text
from tinypareto.mcu.graph import Dense

_MANY_WEIGHTS = 8192  # from here on the faster kernel's 300 bytes of code are a small price


def emit_dense(operator: Dense, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables."""
    many = operator.weight.size >= _MANY_WEIGHTS
    source, output = place.source(operator), place.output(operator)
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: dense, {shape_text(source.shape)} -> {shape_text(output.shape)}",
        struct="tp_dense",
        function="tp_run_dense_fours" if many else "tp_run_dense",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            *channel_fields(place.name, output, operator.clamp),
            ("in_count", str(source.size)),
            ("out_count", str(output.size)),
        ),
        sources=("dense.c", "dense_fours.c") if many else ("dense.c",),
        tables=channel_tables(place.graph, operator, pack_pairs(operator.weight), place.name),
    )
