import numpy as np
import pytest

from tinypareto.errors import DataError, ShapeError
from tinypareto.mcu.graph import Graph, Relu, Tensor
from tinypareto.mcu.samples import dequantize_output, dequantize_outputs, quantize_input, split_samples


def relu(shape, scale=1.0, zero_point=0, **dims):
    tensors = {name: Tensor(name=name, shape=shape, scale=scale, zero_point=zero_point) for name in "xy"}
    operators = (Relu(name="relu", inputs=("x",), output="y"),)
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",), **dims)


def two_inputs():
    """Inputs a (2 x 1 x 3) and b (1 x 1 x 2), which are the outputs too, in the other order."""
    tensors = {
        "a": Tensor(name="a", shape=(2, 1, 3), scale=0.5, zero_point=0),
        "b": Tensor(name="b", shape=(1, 1, 2), scale=0.25, zero_point=1),
    }
    return Graph(
        name="g", tensors=tensors, operators=(), inputs=("a", "b"), outputs=("b", "a"),
        input_dims=((3, 2, 1), (2,)), output_dims=((2,), (6,)),
    )  # fmt: skip


def test_an_input_is_rounded_half_to_even_shifted_clamped_and_turned_to_hwc():
    graph = relu(
        (1, 3, 2),
        scale=0.5,
        zero_point=10,
        input_dims=((2, 3),),
    )
    series = [[0.25, 0.75, -0.25], [1000.0, -1000.0, 1.0]]  # channel, position
    quantized = quantize_input(graph, [series])
    assert quantized.shape == (1, 1, 3, 2)
    assert quantized[0, 0, :, 0].tolist() == [10, 12, 10]
    assert quantized[0, 0, :, 1].tolist() == [127, -128, 12]


def test_an_output_returns_to_the_files_layout():
    graph = relu(
        (2, 2, 3),
        scale=0.5,
        zero_point=1,
        output_dims=((12,),),
    )
    hwc = np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3)
    want = (np.arange(12).reshape(4, 3).T.ravel() - 1) * 0.5
    assert dequantize_output(graph, hwc).tolist() == [want.tolist()]


def test_quantising_what_was_dequantised_gives_the_same_bytes():
    graph = relu(
        (2, 3, 4),
        scale=0.037,
        zero_point=-3,
    )
    x = np.random.default_rng(0).integers(-128, 128, size=(5, 2, 3, 4), dtype=np.int8)
    assert (quantize_input(graph, dequantize_output(graph, x)) == x).all()


def test_floats_of_another_shape_are_refused_with_a_remedy():
    graph = relu((2, 3, 4))
    with pytest.raises(ShapeError, match=r"n x 4 x 2 x 3 .* own layout"):
        quantize_input(graph, np.zeros((1, 2, 3, 4)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_refused_with_a_remedy(value):
    graph = relu((1, 1, 2))
    with pytest.raises(DataError, match="clean the data"):
        quantize_input(graph, np.array([0.0, value]).reshape(1, 2, 1, 1))


def test_several_inputs_lie_one_behind_the_other():
    a, b = np.arange(6.0).reshape(1, 3, 2, 1), np.array([[0.25, 0.5]])
    graph = two_inputs()
    quantized = quantize_input(graph, {"b": b, "a": a})
    # a in h x w x c order, doubled; b times 4 and 1
    assert quantized.tolist() == [[0, 4, 8, 2, 6, 10, 2, 3]]
    parts = split_samples(graph, graph.inputs, quantized)
    assert parts["a"].shape == (1, 2, 1, 3)
    assert parts["b"].tolist() == [[[[2, 3]]]]


def test_several_outputs_come_back_by_name_and_in_the_files_layout():
    outputs = np.array([[2, 3, 0, 4, 8, 2, 6, 10]], np.int8)
    real = dequantize_outputs(two_inputs(), outputs)
    assert list(real) == ["b", "a"]
    assert real["b"].tolist() == [[0.25, 0.5]]
    assert real["a"].tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
    with pytest.raises(ShapeError, match="one output here, not b, a; call dequantize_outputs"):
        dequantize_output(two_inputs(), outputs)


def test_inputs_that_are_missing_unknown_or_of_unlike_count_are_refused_with_a_remedy():
    a, b = np.zeros((2, 3, 2, 1)), np.zeros((2, 2))
    for wrong in ({"a": a}, {"a": a, "b": b, "c": b}, a):
        with pytest.raises(
            ShapeError, match=r"takes the inputs a, b, got .*; pass an array for each, by name"
        ):
            quantize_input(two_inputs(), wrong)
    with pytest.raises(ShapeError, match=r"as many samples as the others, got \[2, 1\]"):
        quantize_input(two_inputs(), {"a": a, "b": b[:1]})
