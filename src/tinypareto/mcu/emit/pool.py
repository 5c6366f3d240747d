"""Maximum and average pooling as C."""

from dataclasses import replace

import numpy as np

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.scales import scale_fields, scale_tables, window_fields
from tinypareto.mcu.emit.text import OperatorText, Table, shape_text
from tinypareto.mcu.graph import AveragePool, MaxPool
from tinypareto.mcu.means import mean_varies, windows_by_count


def emit_pool(operator: MaxPool | AveragePool, place: Place) -> OperatorText:
    """Return the operator as descriptor and tables."""
    source, output, tables = place.source(operator), place.output(operator), _tables(operator, place)
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
            ("divisor_varies", str(int(len(tables[0].values) > 1))),
        ),
        sources=("pool.c",),
        tables=tables,
    )


def _tables(operator: MaxPool | AveragePool, place: Place) -> tuple[Table, ...]:
    """Return multipliers and exponents: one of each, or one for each number of values under the window."""
    if isinstance(operator, MaxPool) or not mean_varies(operator):
        return scale_tables(place.graph, operator, place.name)
    by_count = [scale_tables(place.graph, mean, place.name) for mean in windows_by_count(operator)]
    return tuple(
        replace(tables[0], values=np.concatenate([table.values for table in tables]))
        for tables in zip(*by_count, strict=True)
    )
