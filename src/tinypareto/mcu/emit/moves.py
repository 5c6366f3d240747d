"""Operators that only move values, as C: each is one or several copies of a block of bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.text import TABLE_PREFIX, OperatorText, Table, shape_text
from tinypareto.mcu.graph import Concat, Int8Array, Move, Pad, Resize, Slice, Transpose
from tinypareto.mcu.moves import clamped_tables, padding_value

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of bytes along axes, outermost first; steps are the bytes between neighbours."""

    counts: tuple[int, ...]
    in_steps: tuple[int, ...]
    out_steps: tuple[int, ...]
    in_offset: int = 0
    out_offset: int = 0

    def merged(self) -> "Block":
        """Return the same block with as few axes as its bytes allow, and axes of one in place of the others."""
        axes: list[tuple[int, int, int]] = []
        for count, into, out in zip(self.counts, self.in_steps, self.out_steps, strict=True):
            if count > 1 and axes and axes[-1][1:] == (count * into, count * out):
                axes[-1] = (axes[-1][0] * count, into, out)
            elif count > 1:
                axes.append((count, into, out))
        axes = [(1, 0, 0)] * (len(self.counts) - len(axes)) + axes
        counts, in_steps, out_steps = zip(*axes, strict=True)
        return replace(self, counts=counts, in_steps=in_steps, out_steps=out_steps)


def emit_moves(operator: Move, place: Place) -> Iterator[OperatorText]:
    """Yield the operator's copies; none where memory holds the values in their place already."""
    if isinstance(operator, Resize):
        yield _emit_resize(operator, place)
        return
    if isinstance(operator, Pad):
        yield _emit_fill(operator, place)
    blocks = [block.merged() for block in _blocks(operator, place)]
    offsets = place.plan.offsets
    for number, (name, block) in enumerate(zip(operator.inputs, blocks, strict=True)):
        table = clamped_tables(operator)[number]
        there = offsets[name] + block.in_offset == offsets[operator.output] + block.out_offset
        if not (there and table is None and block.in_steps == block.out_steps):
            suffix = f"_{number}" if len(blocks) > 1 else ""
            yield _emit_copy(operator, place, number, block, table, suffix)


def _blocks(operator: Move, place: Place) -> list[Block]:
    """Return the block that each input contributes."""
    source, output = place.source(operator).shape, place.output(operator).shape
    inside, outside = _steps(source), _steps(output)
    if isinstance(operator, Concat):
        return _side_by_side(operator, place)
    if isinstance(operator, Slice):
        steps = tuple(step * width for step, width in zip(operator.step, inside, strict=True))
        start = _position(operator.start, inside)
        return [Block(counts=output, in_steps=steps, out_steps=outside, in_offset=start)]
    if isinstance(operator, Pad):
        start = _position(operator.before, outside)
        return [Block(counts=source, in_steps=inside, out_steps=outside, out_offset=start)]
    assert isinstance(operator, Transpose)
    view = _steps(operator.view)
    a, b, c = operator.axes
    counts = operator.view[a], operator.view[b], operator.view[c]
    return [Block(counts=counts, in_steps=(view[a], view[b], view[c]), out_steps=_steps(counts))]


def _side_by_side(operator: Concat, place: Place) -> list[Block]:
    outside, start, blocks = _steps(place.output(operator).shape), 0, []
    for name in operator.inputs:
        shape = place.graph.tensors[name].shape
        blocks.append(Block(counts=shape, in_steps=_steps(shape), out_steps=outside, out_offset=start))
        start += shape[operator.axis] * outside[operator.axis]
    return blocks


def _position(index: Shape, steps: Shape) -> int:
    return sum(i * step for i, step in zip(index, steps, strict=True))


def _steps(shape: Shape) -> Shape:
    return shape[1] * shape[2], shape[2], 1


def _emit_copy(
    operator: Move, place: Place, number: int, block: Block, table: Int8Array | None, suffix: str
) -> OperatorText:
    name = place.name + suffix
    tables = (
        (Table(name=f"{TABLE_PREFIX}{name}_table", ctype="int8_t", values=table),)
        if table is not None
        else ()
    )
    sizes = {
        **dict(zip(("height", "width", "channels"), block.counts, strict=True)),
        **dict(zip(("in_row", "in_column", "in_channel"), block.in_steps, strict=True)),
        **dict(zip(("out_row", "out_column", "out_channel"), block.out_steps, strict=True)),
    }
    return OperatorText(
        name=name,
        comment=_comment(operator, place, number),
        struct="tp_move",
        function="tp_run_move",
        fields=(
            ("input", f"{place.buffer(operator.inputs[number])} + {block.in_offset}"),
            ("output", f"{place.buffer(operator.output)} + {block.out_offset}"),
            ("table", tables[0].name if tables else "0"),
            *((field, str(size)) for field, size in sizes.items()),
        ),
        sources=("move.c",),
        tables=tables,
    )


def _emit_fill(operator: Pad, place: Place) -> OperatorText:
    return OperatorText(
        name=f"{place.name}_fill",
        comment=f"{operator.name}: the padding of {shape_text(place.output(operator).shape)}",
        struct="tp_padding",
        function="tp_run_padding",
        fields=(
            ("output", place.buffer(operator.output)),
            ("count", str(place.output(operator).size)),
            ("value", str(padding_value(operator))),
        ),
        sources=("padding.c",),
    )


def _emit_resize(operator: Resize, place: Place) -> OperatorText:
    source, output = place.source(operator), place.output(operator)
    (table,) = clamped_tables(operator)
    row, column, _ = _steps(source.shape)
    offsets = {"rows": np.multiply(operator.rows, row), "columns": np.multiply(operator.columns, column)}
    tables = [
        Table(name=f"{TABLE_PREFIX}{place.name}_{axis}", ctype="int32_t", values=values.astype(np.int32))
        for axis, values in offsets.items()
    ]
    if table is not None:
        tables.append(Table(name=f"{TABLE_PREFIX}{place.name}_table", ctype="int8_t", values=table))
    height, width, channels = output.shape
    return OperatorText(
        name=place.name,
        comment=_comment(operator, place, 0),
        struct="tp_resize",
        function="tp_run_resize",
        fields=(
            ("input", place.buffer(operator.inputs[0])),
            ("output", place.buffer(operator.output)),
            ("table", tables[2].name if table is not None else "0"),
            ("rows", tables[0].name),
            ("columns", tables[1].name),
            ("height", str(height)),
            ("width", str(width)),
            ("channels", str(channels)),
        ),
        sources=("move.c",),
        tables=tuple(tables),
    )


def _comment(operator: Move, place: Place, number: int) -> str:
    kind = type(operator).__name__.lower()
    source, output = place.graph.tensors[operator.inputs[number]], place.output(operator)
    return f"{operator.name}: {kind}, {shape_text(source.shape)} -> {shape_text(output.shape)}"
