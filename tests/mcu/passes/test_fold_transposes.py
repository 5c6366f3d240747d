from dataclasses import replace

import numpy as np
import pytest

from tinypareto.mcu.graph import Dense, Graph, Lookup, Tensor, Transpose
from tinypareto.mcu.passes.fold_transposes import fold_transposes
from tinypareto.mcu.reference import run_reference

X = (2, 3, 4)


def dense(source, output, cout, depth=24):
    rng = np.random.default_rng(depth + cout)
    return Dense(
        name=f"to {output}", inputs=(source,), output=output,
        weight=rng.integers(-127, 128, (cout, depth), dtype=np.int8),
        bias=rng.integers(-999, 999, cout).astype(np.int32),
        weight_scale=rng.uniform(0.01, 0.02, cout),
    )  # fmt: skip


def transpose(source, output, view, axes, **settings):
    return Transpose(name=f"to {output}", inputs=(source,), output=output, view=view, axes=axes, **settings)


def lookup(source, output):
    table = np.random.default_rng(3).permutation(np.arange(-128, 128)).astype(np.int8)
    return Lookup(name=f"to {output}", inputs=(source,), output=output, table=table)


def network(*operators, outputs=("y",), **shapes):
    scales = {name: 0.05 for name in ("x", "a", "b", "c")}
    tensors = {
        name: Tensor(name=name, shape=shape, scale=scales.get(name, 0.7), zero_point=3)
        for name, shape in {"x": X, **shapes}.items()
    }
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=outputs)


def kinds_after(graph):
    """Check that the outputs stay and return the kinds of the operators that are left."""
    folded = fold_transposes(graph)
    inputs = np.random.default_rng(1).integers(-128, 128, (8, *X), dtype=np.int8)
    expected = run_reference(graph, inputs)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(run_reference(folded, inputs), expected)
    return [type(operator) for operator in folded.operators]


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1), (1, 2, 0)])
def test_a_dense_layer_behind_a_transposition_takes_its_order(axes):
    graph = network(transpose("x", "a", X, axes), dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    assert kinds_after(graph) == [Dense]


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1), (1, 2, 0)])
def test_a_dense_layer_before_a_transposition_writes_in_its_order(axes):
    view, shape = (2, 5, 3), tuple((2, 5, 3)[axis] for axis in axes)
    graph = network(dense("x", "d", 30), transpose("d", "y", view, axes), d=(1, 1, 30), y=shape)
    assert kinds_after(graph) == [Dense]


def test_two_transpositions_that_undo_each_other_vanish():
    graph = network(
        transpose("x", "a", X, (1, 2, 0)), transpose("a", "b", (3, 4, 2), (2, 0, 1)), lookup("b", "y"),
        a=(3, 4, 2), b=X, y=X,
    )  # fmt: skip
    assert kinds_after(graph) == [Lookup]


def test_two_that_undo_each_other_but_for_the_shape_move_nothing():
    graph = network(
        transpose("x", "a", X, (1, 2, 0)), transpose("a", "b", (3, 4, 2), (2, 0, 1)), lookup("b", "y"),
        a=(3, 4, 2), b=(6, 1, 4), y=(6, 1, 4),
    )  # fmt: skip
    assert kinds_after(graph) == [Transpose, Lookup]
    assert fold_transposes(graph).operators[0].axes == (0, 1, 2)


def test_an_output_of_the_network_is_still_written():
    graph = network(
        transpose("x", "a", X, (1, 2, 0)),
        transpose("a", "b", (3, 4, 2), (2, 0, 1)),
        a=(3, 4, 2),
        b=X,
        outputs=("b",),
    )
    assert kinds_after(graph) == [Transpose]


def test_transpositions_that_do_not_undo_each_other_or_change_values_stay():
    turned = network(
        transpose("x", "a", X, (1, 2, 0)), transpose("a", "b", (3, 4, 2), (1, 2, 0)), lookup("b", "y"),
        a=(3, 4, 2), b=(4, 2, 3), y=(4, 2, 3),
    )  # fmt: skip
    assert kinds_after(turned) == [Transpose, Transpose, Lookup]
    clamped = transpose("x", "a", X, (2, 0, 1), clamp=(-60, 60))
    graph = network(clamped, dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    assert kinds_after(graph) == [Transpose, Dense]


def test_a_dense_layer_that_others_read_keeps_its_order():
    graph = network(
        dense("x", "d", 24), transpose("d", "e", X, (1, 2, 0)), lookup("d", "y"), d=(1, 1, 24), e=(3, 4, 2),
        y=(1, 1, 24), outputs=("y", "e"),
    )  # fmt: skip
    assert kinds_after(graph) == [Dense, Transpose, Lookup]


def test_the_graph_stays_as_it_was():
    graph = network(transpose("x", "a", X, (2, 0, 1)), dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    before = replace(graph.operators[1], weight=graph.operators[1].weight.copy())
    fold_transposes(graph)
    assert (graph.operators[1].weight == before.weight).all()
