from dataclasses import replace

import numpy as np
import pytest
from random_graphs import random_graph
from small_graphs import GraphBuilder, small_resnet

from tinypareto.errors import UnknownFootprintError
from tinypareto.mcu.graph import Concat, Convolution, Pad, Slice, Transpose, Window
from tinypareto.mcu.pruned_graph import pruned_graph

POINT = Window(kernel=(1, 1))


def weights(graph):
    return {
        operator.name: operator.weight.shape for operator in graph.operators if hasattr(operator, "weight")
    }


def shapes(graph):
    return {name: tensor.shape for name, tensor in graph.tensors.items()}


def test_a_graph_becomes_the_narrower_one():
    wide, _ = small_resnet(width=8)
    narrow, _ = small_resnet(width=5)
    result = pruned_graph(wide, weights(narrow))
    assert shapes(result) == shapes(narrow)
    assert weights(result) == weights(narrow)
    assert not any(operator.weight.any() for operator in result.operators if hasattr(operator, "weight"))


def test_depthwise_layers_get_as_many_groups_as_channels():
    def graph(width):
        build = GraphBuilder((6, 6, 3))
        inner = build.conv("first", build.x, width, POINT)
        return build.graph(build.conv("depthwise", inner, width, Window(kernel=(3, 3)), groups=width))

    result = pruned_graph(graph(9), weights(graph(4)))
    assert result.operators[1].groups == 4
    assert shapes(result) == shapes(graph(4))


@pytest.mark.parametrize("seed", range(40))
def test_a_graph_of_unchanged_weights_keeps_every_shape(seed):
    graph, _ = random_graph(seed)
    assert shapes(pruned_graph(graph, {})) == shapes(graph)


def moved(move, output_channels):
    """Return a graph of 6 channels, whatever ``move`` makes of them, and a convolution of that."""
    build = GraphBuilder((4, 4, 3))
    first = build.conv("first", build.x, 6, POINT)
    output = build._tensor("moved", (4, 4, output_channels))
    build.operators.append(move(name="move", inputs=(first,), output=output))
    return build.graph(build.conv("last", output, 2, POINT))


def test_channels_side_by_side_add_up():
    build = GraphBuilder((4, 4, 3))
    first, second = build.conv("first", build.x, 6, POINT), build.conv("second", build.x, 5, POINT)
    both = build._tensor("both", (4, 4, 11))
    build.operators.append(Concat(name="concat", inputs=(first, second), output=both, axis=2))
    graph = build.graph(build.conv("last", both, 2, POINT))
    result = pruned_graph(graph, {"first": (4, 1, 1, 3), "last": (2, 1, 1, 9)})
    assert result.tensors["both"].shape == (4, 4, 9)


def test_padded_channels_stay_in_addition():
    graph = moved(lambda **names: Pad(**names, before=(0, 0, 1), value=0), 8)
    result = pruned_graph(graph, {"first": (4, 1, 1, 3), "last": (2, 1, 1, 6)})
    assert result.tensors["moved"].shape == (4, 4, 6)


def test_a_slice_of_rows_lets_channels_pass():
    graph = moved(lambda **names: Slice(**names, start=(0, 0, 0)), 6)
    result = pruned_graph(graph, {"first": (4, 1, 1, 3), "last": (2, 1, 1, 4)})
    assert result.tensors["moved"].shape == (4, 4, 4)


@pytest.mark.parametrize(
    "move",
    [
        lambda **names: Slice(**names, start=(0, 0, 3)),
        lambda **names: Transpose(**names, view=(16, 2, 3), axes=(0, 2, 1)),
    ],
)
def test_channels_that_are_taken_apart_are_not_guessed(move):
    graph = moved(move, 3 if move(name="", inputs=(), output="").__class__ is Slice else 6)
    with pytest.raises(UnknownFootprintError, match="takes its channels apart"):
        pruned_graph(graph, {"first": (4, 1, 1, 3)})


def test_weights_that_do_not_fit_are_refused():
    graph, _ = small_resnet()
    stem = next(operator for operator in graph.operators if operator.name == "stem")
    with pytest.raises(UnknownFootprintError, match="do not fit its weights"):
        pruned_graph(graph, {"stem": (3, *stem.weight.shape[1:])})  # the next layer still has its old inputs


def test_one_scale_for_all_channels_stays_one():
    graph, _ = small_resnet()
    whole = [
        replace(operator, weight_scale=np.array([0.01])) if isinstance(operator, Convolution) else operator
        for operator in graph.operators
    ]
    result = pruned_graph(graph.with_operators(tuple(whole)), {})
    assert all(
        len(operator.weight_scale) == 1 for operator in result.operators if isinstance(operator, Convolution)
    )
