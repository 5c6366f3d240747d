"""Every layout of a value can be had from every other, and is then in the value's own shape."""

from itertools import product

import numpy as np
import pytest

from tinypareto.mcu.graph import Graph, Tensor
from tinypareto.mcu.moves import move, stays_in_place
from tinypareto.mcu.onnx_layouts import arranged, axis_places, is_neutral, own_shape

SIZES = (1, 2, 3, 4)
DIMS = [(24,), (4, 6), (6, 4), (1, 24), (24, 1), (2, 3, 4), (4, 1, 6), (1, 4, 6), (4, 6, 1), (3, 2, 2, 2)]
TENSORS = [
    (2, 3, 4),
    (1, 4, 6),
    (1, 6, 4),
    (1, 1, 24),
    (24, 1, 1),
    (4, 6, 1),
    (1, 24, 1),
    (6, 1, 4),
    (2, 2, 6),
]


def value_of(values, dims, channels_last):
    """Return what an n x H x W x C tensor holds, as the file sees it."""
    in_order = values if channels_last else values.transpose(0, 3, 1, 2)
    return in_order.reshape(dims)


@pytest.mark.parametrize(("channels_last", "wanted_last"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("dims", DIMS, ids=str)
@pytest.mark.parametrize("shape", TENSORS, ids=str)
def test_a_value_stays_what_it_is_in_another_layout(shape, dims, channels_last, wanted_last):
    if len(dims) > 3 and not wanted_last:
        return  # has no axes of the tensor for all of its own
    tensor = Tensor(name="x", shape=shape, scale=0.1, zero_point=0)
    values = np.random.default_rng(0).permutation(24).astype(np.int8).reshape(1, *shape)
    want = value_of(values, dims, channels_last)
    for operator, result in arranged(tensor, dims, channels_last=channels_last, wanted_last=wanted_last):
        graph = Graph(
            name="g",
            tensors={result.name: result},
            operators=(operator,),
            inputs=("x",),
            outputs=(result.name,),
        )
        values = move(graph, operator, [values])
        shape = result.shape
    assert shape == own_shape(dims, channels_last=wanted_last)
    np.testing.assert_array_equal(value_of(values, dims, wanted_last), want)
    if len(dims) <= 3:  # each axis of the value is one of the tensor
        places = axis_places(len(dims), channels_last=wanted_last)
        rest = tuple(place for place in range(3) if place not in places)
        np.testing.assert_array_equal(values[0].transpose((*places, *rest)).reshape(dims), want)


def test_what_lies_as_it_should_is_left_alone():
    tensor = Tensor(name="x", shape=(1, 5, 3), scale=0.1, zero_point=0)
    assert arranged(tensor, (3, 5), channels_last=False, wanted_last=False) == []
    assert arranged(tensor, (5, 3), channels_last=True, wanted_last=True) == []


@pytest.mark.parametrize("dims", [(15,), (5, 3), (5, 3, 1), (1, 15, 1)])
def test_with_channels_last_a_reshape_moves_nothing(dims):
    tensor = Tensor(name="x", shape=(1, 5, 3), scale=0.1, zero_point=0)
    moves = arranged(tensor, dims, channels_last=True, wanted_last=True)
    assert all(stays_in_place(operator) for operator, _ in moves)


def test_layouts_of_one_tensor_have_different_names():
    tensor = Tensor(name="x", shape=(2, 2, 4), scale=0.1, zero_point=0)
    names = [
        arranged(tensor, (4, 4), channels_last=False, wanted_last=last)[-1][1].name for last in (False, True)
    ]
    assert names == ["x/as 1x4x4", "x/last 1x4x4"]


@pytest.mark.parametrize(("shape", "neutral"), [((1, 1, 9), True), ((3, 3, 1), True), ((1, 2, 3), False)])
def test_vectors_and_single_channels_lie_alike_in_both_layouts(shape, neutral):
    assert is_neutral(shape) == neutral
