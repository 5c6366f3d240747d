from dataclasses import replace
from functools import partial

import pytest
from small_transposes import X, dense, kinds_after, lookup, network, transpose

from tinypareto.mcu.graph import Dense, Lookup, Transpose
from tinypareto.mcu.passes.fold_transposes import fold_transposes

kinds_folded = partial(kinds_after, fold_transposes)


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1), (1, 2, 0)])
def test_a_dense_layer_behind_a_transposition_takes_its_order(axes):
    graph = network(transpose("x", "a", X, axes), dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    assert kinds_folded(graph) == [Dense]


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 2, 1), (1, 2, 0)])
def test_a_dense_layer_before_a_transposition_writes_in_its_order(axes):
    view, shape = (2, 5, 3), tuple((2, 5, 3)[axis] for axis in axes)
    graph = network(dense("x", "d", 30), transpose("d", "y", view, axes), d=(1, 1, 30), y=shape)
    assert kinds_folded(graph) == [Dense]


def test_a_transposition_that_changes_values_stays():
    clamped = transpose("x", "a", X, (2, 0, 1), clamp=(-60, 60))
    graph = network(clamped, dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    assert kinds_folded(graph) == [Transpose, Dense]


def test_a_dense_layer_that_others_read_keeps_its_order():
    graph = network(
        dense("x", "d", 24), transpose("d", "e", X, (1, 2, 0)), lookup("d", "y"), d=(1, 1, 24), e=(3, 4, 2),
        y=(1, 1, 24), outputs=("y", "e"), wide=("y", "d", "e"),
    )  # fmt: skip
    assert kinds_folded(graph) == [Dense, Transpose, Lookup]


def test_the_graph_stays_as_it_was():
    graph = network(transpose("x", "a", X, (2, 0, 1)), dense("a", "y", 5), a=(1, 1, 24), y=(1, 1, 5))
    before = replace(graph.operators[1], weight=graph.operators[1].weight.copy())
    fold_transposes(graph)
    assert (graph.operators[1].weight == before.weight).all()
