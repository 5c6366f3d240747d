import itertools
from dataclasses import FrozenInstanceError

import pytest

from tinypareto.mcu.graph import Graph, Relu, Tensor


def tensor(name, shape=(1, 1, 4)):
    return Tensor(name=name, shape=shape, scale=0.5, zero_point=0)


def chain(*names):
    operators = tuple(
        Relu(name=f"relu_{after}", inputs=(before,), output=after)
        for before, after in itertools.pairwise(names)
    )
    tensors = {name: tensor(name) for name in names}
    return Graph(name="chain", tensors=tensors, operators=operators, inputs=names[:1], outputs=names[-1:])


def test_a_tensor_has_as_many_bytes_as_elements():
    assert tensor("t", shape=(2, 3, 5)).size == 30


def test_tensors_that_no_remaining_operator_uses_are_dropped():
    graph = chain("x", "a", "y")
    short = graph.with_operators((Relu(name="only", inputs=("x",), output="y"),))
    assert set(short.tensors) == {"x", "y"}
    assert set(graph.tensors) == {"x", "a", "y"}, "the first graph must stay as it was"


def test_input_and_output_stay_even_without_operators():
    assert set(chain("x", "a", "y").with_operators(()).tensors) == {"x", "y"}


def test_values_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        chain("x", "y").operators[0].output = "z"
