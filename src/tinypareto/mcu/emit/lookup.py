"""Functions of one value, as tables of 256 bytes, as C."""

import numpy as np

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.text import TABLE_PREFIX, OperatorText, Table, shape_text
from tinypareto.mcu.graph import Lookup


def emit_lookup(operator: Lookup, place: Place) -> OperatorText:
    """Return the operator as descriptor and table, which is clamped already."""
    output = place.output(operator)
    table = f"{TABLE_PREFIX}{place.name}_table"
    return OperatorText(
        name=place.name,
        comment=f"{operator.name}: lookup, {shape_text(output.shape)}",
        struct="tp_lookup",
        function="tp_run_lookup",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            ("table", table),
            ("count", str(output.size)),
        ),
        sources=("lookup.c",),
        tables=(Table(name=table, ctype="int8_t", values=np.clip(operator.table, *operator.clamp)),),
    )
