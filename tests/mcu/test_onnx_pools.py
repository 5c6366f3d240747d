"""Maxima and means, under windows and over whole axes: at most one step from onnxruntime."""

import numpy as np
import pytest
from onnx import helper
from small_onnx import int8_weight, is_exact, normal, qdq, refuses, samples, steps_apart, written_by_hand

from tinypareto.mcu.graph import AveragePool, MaxPool, Transpose
from tinypareto.mcu.moves import stays_in_place
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

IMAGE, SERIES = (4, 7, 6), (4, 19)


POOLS = {
    "maximum": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "strides": [2, 2]}, MaxPool),
    "padded maximum": ("MaxPool", IMAGE, {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2]}, MaxPool),
    "dilated maximum": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "dilations": [3, 2]}, MaxPool),
    "maximum of a series": (
        "MaxPool",
        SERIES,
        {"kernel_shape": [3], "strides": [2], "pads": [1, 1]},
        MaxPool,
    ),
    "rounded up": ("MaxPool", IMAGE, {"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1}, MaxPool),
    "rounded up, padding only": (
        "MaxPool",
        IMAGE,
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        MaxPool,
    ),
    "global maximum": ("GlobalMaxPool", IMAGE, {}, MaxPool),
    "mean": ("AveragePool", IMAGE, {"kernel_shape": [2, 3], "strides": [2, 1]}, AveragePool),
    "padded mean": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "count_include_pad": 1},
        AveragePool,
    ),
    "mean inside": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [3, 2], "pads": [1, 1, 2, 0], "strides": [2, 3]},
        AveragePool,
    ),
    "mean rounded up": (
        "AveragePool",
        IMAGE,
        {"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1},
        AveragePool,
    ),
    "mean of a series": ("AveragePool", SERIES, {"kernel_shape": [4], "strides": [3]}, AveragePool),
    "global mean": ("GlobalAveragePool", IMAGE, {}, AveragePool),
    "global mean of a series": ("GlobalAveragePool", SERIES, {}, AveragePool),
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_is_at_most_one_step_from_onnxruntime(tmp_path, case):
    kind, dims, attributes, make = POOLS[case]
    middle = [helper.make_node(kind, ["x_r"], ["h"], name="pool", **attributes)]
    path = written_by_hand(tmp_path, middle, dims=dims, output=("h", 0.03, 7))
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, make)
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


SUBSETS = [
    *((IMAGE, axes) for axes in ([1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3], [-3], [-1, -2])),
    *((SERIES, axes) for axes in ([1], [2], [1, 2], [-1])),
    ((23,), [1]),
]
REDUCTIONS = {"ReduceMean": (AveragePool, 0.005, 5), "ReduceMax": (MaxPool, 0.02, -70)}


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize(("dims", "axes"), SUBSETS)
def test_a_reduction_is_at_most_one_step_from_onnxruntime(tmp_path, dims, axes, kind, keep):
    make, *steps = REDUCTIONS[kind]
    middle = [helper.make_node(kind, ["x_r", "axes"], ["h"], keepdims=keep)]
    path = written_by_hand(tmp_path, middle, {"axes": np.array(axes)}, dims=dims, output=("h", *steps))
    graph = read_onnx(path)
    assert isinstance(graph.operators[-1], make)
    reduced = {axis % (len(dims) + 1) for axis in axes}
    rest = tuple(1 if axis in reduced else size for axis, size in enumerate(dims, start=1))
    assert graph.output_dims == (rest if keep else tuple(size for size in rest if size > 1),)
    assert steps_apart(path, samples(dims, seed=3)).max() <= 1


@pytest.mark.parametrize("axes", [[1], [2, 3], [1, 2]])
def test_axes_are_an_attribute_in_older_operator_sets(tmp_path, axes):
    middle = [helper.make_node("ReduceMean", ["x_r"], ["h"], axes=axes, keepdims=0)]
    path = written_by_hand(tmp_path, middle, dims=IMAGE, output=("h", 0.005, 5), opset=17)
    assert steps_apart(path, samples(IMAGE, seed=3)).max() <= 1


@pytest.mark.parametrize("axes", [[1], [2], [1, 2], [3], [1, 3], [2, 3], [1, 2, 3]])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_mean_of_what_lies_channels_last_is_at_most_one_step_from_onnxruntime(tmp_path, axes, keep):
    dims = (3, 5, 6) if 3 in axes else (7, 6)
    weight, constants = int8_weight(rows=dims[-1])
    product, rounding = qdq("p", 0.06, 5)
    middle = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"]),
        *product,
        helper.make_node("ReduceMean", ["p_r", "axes"], ["h"], keepdims=keep),
    ]
    constants |= {**rounding, "axes": np.array(axes)}
    path = written_by_hand(tmp_path, middle, constants, dims=dims, output=("h", 0.01, 5))
    is_exact(path, samples(dims, count=4), tmp_path)
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize(
    ("axes", "moving"), [([1], 0), ([1, 3], 0), ([1, 2, 3], 0), ([1, 2], 1)], ids=["C", "CW", "CHW", "CH"]
)
def test_a_mean_over_channels_moves_only_what_does_not_lie_side_by_side(tmp_path, axes, moving):
    middle = [helper.make_node("ReduceMean", ["x_r", "axes"], ["h"])]
    path = written_by_hand(tmp_path, middle, {"axes": np.array(axes)}, dims=IMAGE, output=("h", 0.005, 5))
    graph = is_exact(path, samples(IMAGE, count=4), tmp_path)
    moves = [operator for operator in graph.operators if isinstance(operator, Transpose)]
    assert sum(not stays_in_place(operator) for operator in moves) == moving


def test_a_mean_over_channels_solved_by_hand(tmp_path):
    middle = [helper.make_node("ReduceMean", ["x_r", "axes"], ["h"], keepdims=0)]
    path = written_by_hand(tmp_path, middle, {"axes": np.array([1])}, dims=(3, 2), output=("h", 0.05, 0))
    graph = read_onnx(path)
    x = np.float32(0.05) * np.array([[[1, 8], [2, -3], [9, 1]]], np.float32)
    real = dequantize_output(graph, run_reference(graph, quantize_input(graph, x)))
    assert np.rint(real / 0.05).tolist() == [[4, 2]]


def test_what_a_mean_over_channels_leaves_can_be_read_as_an_image(tmp_path):
    """As spatial attention does: the mean beside the maximum, then a convolution."""
    (mean, first), (most, second) = qdq("m", 0.05, -4), qdq("n", 0.05, -4)
    (both, third), weight = qdq("b", 0.05, -4), normal(1, 2, 3, 3)
    middle = [
        helper.make_node("ReduceMean", ["x_r", "axes"], ["m"]), *mean,
        helper.make_node("ReduceMax", ["x_r", "axes"], ["n"]), *most,
        helper.make_node("Concat", ["m_r", "n_r"], ["b"], axis=1), *both,
        helper.make_node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"]),
        helper.make_node("Conv", ["b_r", "w"], ["h"], pads=[1, 1, 1, 1]),
    ]  # fmt: skip
    constants = {"w_q": np.rint(40 * weight).astype(np.int8), "w_s": np.float32(0.02), "w_z": np.int8(0)}
    constants |= {"axes": np.array([1]), **first, **second, **third}
    path = written_by_hand(tmp_path, middle, constants, dims=IMAGE, output=("h", 0.05, 3))
    is_exact(path, samples(IMAGE, count=4), tmp_path)
    assert steps_apart(path, samples(IMAGE)).max() <= 2


@pytest.mark.parametrize(
    ("axes", "said"),
    [([0, 2], "axis 0 must name one of the 3 axes"), (None, r"must name its axes \(1\.\.3\)")],
)
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
def test_a_reduction_of_the_batch_is_refused(tmp_path, kind, axes, said):
    constants = {} if axes is None else {"axes": np.array(axes)}
    middle = [helper.make_node(kind, ["x_r", *constants], ["h"], name="mean")]
    path = written_by_hand(tmp_path, middle, constants, dims=IMAGE)
    refuses(path, rf"'mean' \({kind}\).*{said}")


def test_a_mean_that_sees_nothing_of_the_input_is_refused(tmp_path):
    attributes = {"kernel_shape": [2, 2], "pads": [0, 7, 0, 7], "dilations": [1, 8]}
    middle = [helper.make_node("AveragePool", ["x_r"], ["h"], name="mean", **attributes)]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), r"'mean' \(AveragePool\).*use less padding")


def test_a_mean_with_a_partial_window_is_refused(tmp_path):
    middle = [
        helper.make_node(
            "AveragePool",
            ["x_r"],
            ["h"],
            kernel_shape=[2, 2],
            strides=[2, 2],
            ceil_mode=1,
            count_include_pad=1,
        )
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "set ceil_mode=False")


def test_padding_as_wide_as_the_pool_is_refused(tmp_path):
    middle = [
        helper.make_node("MaxPool", ["x_r"], ["h"], name="pool", kernel_shape=[2, 2], pads=[0, 2, 0, 0])
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "must be smaller than the window")


def test_a_window_larger_than_the_image_is_refused(tmp_path):
    middle = [helper.make_node("MaxPool", ["x_r"], ["h"], name="pool", kernel_shape=[8, 2])]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), "larger than the padded input")


def test_a_pool_whose_indices_are_used_is_refused(tmp_path):
    middle = [
        helper.make_node("MaxPool", ["x_r"], ["p", "where"], name="pool", kernel_shape=[2, 2]),
        helper.make_node("Cast", ["where"], ["place"], to=1),
        helper.make_node("Add", ["p", "place"], ["h"]),
    ]
    refuses(written_by_hand(tmp_path, middle, dims=IMAGE), r"'pool' \(MaxPool\).*only its first output")
