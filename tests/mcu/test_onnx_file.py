"""The order of a file's nodes."""

from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper

from tinypareto.mcu.onnx_file import sort_nodes


def network(seed, count=40):
    """Return nodes in order, each of which reads one to three earlier ones, the input or nothing (\"\")."""
    rng = np.random.default_rng(seed)
    names = ["x", *(f"t{index}" for index in range(count))]
    return [
        helper.make_node(
            "Sum",
            [*rng.choice(names[: index + 1], size=rng.integers(1, 4)).tolist(), ""],
            [names[index + 1], ""],
        )
        for index in range(count)
    ]


def sorted_names(nodes):
    graph = helper.make_graph(nodes, "net", [], [])
    sort_nodes(graph)
    return [node.output[0] for node in graph.node]


def names_by_walks(nodes):
    """Return the order that walks over the nodes give which take what has all its inputs."""
    missing, order = {node.output[0] for node in nodes}, []
    while nodes:
        for node in list(nodes):
            if missing.isdisjoint(node.input):
                missing.remove(node.output[0])
                nodes = [other for other in nodes if other is not node]
                order.append(node.output[0])
    return order


@pytest.mark.parametrize("seed", range(20))
def test_order_is_that_of_repeated_walks(seed):
    nodes = network(seed)
    shuffled = [nodes[index] for index in np.random.default_rng(seed).permutation(len(nodes))]
    order = sorted_names(shuffled)
    assert order == names_by_walks(shuffled)
    assert order != [node.output[0] for node in shuffled]


@pytest.mark.parametrize("seed", range(5))
def test_ordered_nodes_stay_where_they_are(seed):
    nodes = network(seed)
    assert sorted_names(nodes) == [node.output[0] for node in nodes]


def test_nodes_that_read_each_other_stay_for_the_checker():
    pairs = [("b", "a"), ("a", "b"), ("d", "c"), ("x", "d")]
    nodes = [helper.make_node("Relu", [source], [name]) for source, name in pairs]
    assert sorted_names(nodes) == ["a", "b", "c", "d"]


class CountingNode:
    """Reads the node before it and counts how often someone asks for that."""

    def __init__(self, index):
        self.index, self.output, self.asked = index, [f"t{index}"], 0

    @property
    def input(self):
        self.asked += 1
        return [f"t{self.index - 1}"]


def test_each_of_many_reversed_nodes_is_looked_at_once():
    nodes = [CountingNode(index) for index in reversed(range(2000))]
    graph = SimpleNamespace(node=list(nodes))
    sort_nodes(graph)
    assert [node.index for node in graph.node] == list(range(2000))
    assert max(node.asked for node in nodes) == 1
