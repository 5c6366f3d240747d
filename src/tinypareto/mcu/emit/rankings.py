"""Softmax and the index of the largest value as C."""

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import Fields, scale_fields
from tinypareto.mcu.emit.text import TABLE_PREFIX, OperatorText, Table, shape_text
from tinypareto.mcu.graph import ArgMax, Softmax
from tinypareto.mcu.rankings import exponentials, runs, share_requantization


def emit_softmax(operator: Softmax, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables."""
    output, table = place.output(operator), f"{TABLE_PREFIX}{place.name}"
    multiplier, shift = share_requantization(place.graph, operator)
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: softmax, {shape_text(output.shape)}",
        struct="tp_softmax",
        function="tp_run_softmax",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            ("exponentials", f"{table}_exponentials"),
            *scale_fields("scale", place.name, output, operator.clamp),
            *_run_fields(operator, place),
        ),
        sources=("softmax.c",),
        tables=(
            Table(name=f"{table}_exponentials", ctype="uint16_t", values=exponentials(place.graph, operator)),
            Table(name=f"{table}_multipliers", ctype="int32_t", values=multiplier),
            Table(name=f"{table}_shifts", ctype="int8_t", values=shift),
        ),
    )


def emit_arg_max(operator: ArgMax, place: Place) -> OperatorText:
    """Return the operator as descriptor."""
    shapes = f"{shape_text(place.source(operator).shape)} -> {shape_text(place.output(operator).shape)}"
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: index of the largest, {shapes}",
        struct="tp_arg_max",
        function="tp_run_arg_max",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            *_run_fields(operator, place),
            ("low", str(operator.clamp[0])),
            ("high", str(operator.clamp[1])),
        ),
        sources=("arg_max.c",),
    )


def _run_fields(operator: Softmax | ArgMax, place: Place) -> Fields:
    outer, count, inner = runs(place.source(operator).shape, operator.axis)
    return ("outer", str(outer)), ("count", str(count)), ("inner", str(inner))
