from dataclasses import replace

import numpy as np
import pytest

from tinypareto.mcu.emit.moves import Block, emit_moves
from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.graph import Concat, Graph, Pad, Slice, Tensor, Transpose
from tinypareto.mcu.memory import ArenaPlan, plan_arena


def texts(operator, shapes, offsets=None):
    tensors = {name: Tensor(name=name, shape=s, scale=1.0, zero_point=0) for name, s in shapes.items()}
    inputs = tuple(dict.fromkeys(operator.inputs))
    graph = Graph(name="g", tensors=tensors, operators=(operator,), inputs=inputs, outputs=("y",))
    plan = plan_arena(graph)
    if offsets:
        plan = ArenaPlan(offsets=offsets, scratch_offsets={}, size=999, lower_bound=999)
    return list(emit_moves(operator, Place(graph=graph, plan=plan, name="00_move")))


def fields(text):
    return dict(text.fields)


@pytest.mark.parametrize(
    ("block", "counts", "steps"),
    [
        (Block(counts=(2, 3, 4), in_steps=(12, 4, 1), out_steps=(12, 4, 1)), (1, 1, 24), (0, 0, 1)),
        (Block(counts=(2, 3, 4), in_steps=(12, 4, 1), out_steps=(30, 4, 1)), (1, 2, 12), (0, 12, 1)),
        (Block(counts=(2, 3, 4), in_steps=(12, 4, 1), out_steps=(30, 5, 1)), (2, 3, 4), (12, 4, 1)),
        (Block(counts=(5, 1, 4), in_steps=(4, 99, 1), out_steps=(4, 77, 1)), (1, 1, 20), (0, 0, 1)),
        (Block(counts=(1, 1, 1), in_steps=(9, 9, 9), out_steps=(9, 9, 9)), (1, 1, 1), (0, 0, 0)),
    ],
)
def test_axes_whose_bytes_lie_side_by_side_become_one(block, counts, steps):
    merged = block.merged()
    assert (merged.counts, merged.in_steps) == (counts, steps)


def test_merging_moves_the_same_bytes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = tuple(rng.integers(1, 4, 3).tolist())
        dense = (counts[1] * counts[2], counts[2], 1)
        wide = (counts[1] * (counts[2] + 2), counts[2] + 2, 1)
        steps = [dense if rng.random() < 0.5 else wide for _ in "io"]
        block = Block(counts=counts, in_steps=steps[0], out_steps=steps[1], in_offset=3, out_offset=5)
        assert moves(block) == moves(block.merged())


def moves(block):
    """Return (from, to) of every byte."""
    return {
        tuple(
            offset + sum(i * step for i, step in zip(index, steps, strict=True))
            for offset, steps in ((block.in_offset, block.in_steps), (block.out_offset, block.out_steps))
        )
        for index in np.ndindex(*block.counts)
    }


def test_each_input_of_a_concatenation_is_one_copy_behind_the_one_before():
    operator = Concat(name="cat", inputs=("a", "b"), output="y", axis=2)
    first, second = texts(operator, {"a": (2, 3, 4), "b": (2, 3, 1), "y": (2, 3, 5)})
    assert [text.name for text in (first, second)] == ["00_move_0", "00_move_1"]
    assert fields(first)["output"].endswith("+ 0")
    assert fields(second)["output"].endswith("+ 4")
    assert (fields(second)["width"], fields(second)["channels"]) == ("1", "6"), (
        "one byte for each of 6 pixels"
    )


def test_what_lies_in_its_place_already_is_not_copied():
    same = Transpose(name="t", inputs=("x",), output="y", view=(1, 4, 5), axes=(1, 0, 2))
    shapes = {"x": (1, 4, 5), "y": (4, 1, 5)}
    assert texts(same, shapes, {"x": 8, "y": 8}) == []
    assert len(texts(same, shapes, {"x": 8, "y": 28})) == 1
    rows = Slice(name="s", inputs=("x",), output="y", start=(1, 0, 0))
    assert texts(rows, {"x": (3, 4, 1), "y": (2, 4, 1)}, {"x": 8, "y": 12}) == []
    clamped = replace(same, clamp=(-9, 9))
    assert len(texts(clamped, shapes, {"x": 8, "y": 8})) == 1, "its values change"


def test_a_pad_fills_before_it_copies():
    pad = Pad(name="p", inputs=("x",), output="y", before=(1, 2, 0), value=-9)
    fill, copy = texts(pad, {"x": (2, 3, 4), "y": (4, 6, 4)})
    assert (fill.function, copy.function) == ("tp_run_padding", "tp_run_move")
    assert fields(fill)["value"] == "-9"
    assert fields(copy)["output"].endswith(f"+ {1 * 24 + 2 * 4}")
