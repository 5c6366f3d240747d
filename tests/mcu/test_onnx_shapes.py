"""Sizes that a file computes from shapes: constant, since only the batch may vary."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_onnx import refuses, samples, steps_apart, written_by_hand

from tinypareto.mcu.onnx_shapes import fold
from tinypareto.mcu.onnx_values import NetworkInput, Node
from tinypareto.mcu.read_onnx import read_onnx

IMAGE = (4, 7, 6)


def node(kind, *inputs, opset=18, **attributes):
    return Node(
        name="node", kind=kind, attributes=attributes, inputs=tuple(map(np.asarray, inputs)), opset=opset
    )


F32 = np.float32
FOLDED = {
    "sum": (node("Add", [1, 2], [3]), np.array([4, 5])),
    "difference": (node("Sub", [1, 2], [3]), np.array([-2, -1])),
    "product": (node("Mul", F32([1, 2]), F32(1.5)), F32([1.5, 3])),
    "quotient": (node("Div", F32([1, 2]), F32(4)), F32([0.25, 0.5])),
    "integers divide towards zero": (node("Div", [7, -7], [2]), np.array([3, -3])),
    "floor": (node("Floor", F32([1.5, -1.5])), F32([1, -2])),
    "ceiling": (node("Ceil", F32([1.5, -1.5])), F32([2, -1])),
    "cast": (node("Cast", F32([1.9, 2]), to=TensorProto.INT64), np.array([1, 2])),
    "concatenation": (node("Concat", [1], [2, 3], axis=0), np.array([1, 2, 3])),
    "one element": (node("Gather", [5, 6, 7], 2), np.array(7)),
    "elements": (node("Gather", [5, 6, 7], [-1, 0], axis=0), np.array([7, 5])),
    "slice": (node("Slice", [5, 6, 7, 8], [2], [2**62], [0], [1]), np.array([7, 8])),
    "slice from behind": (node("Slice", [5, 6, 7, 8], [-1], [-5], [0], [-1]), np.array([8, 7, 6, 5])),
    "slice of an older set": (node("Slice", [5, 6, 7, 8], starts=[1], ends=[3], axes=[0]), np.array([6, 7])),
    "squeeze": (node("Squeeze", [[5]], [0]), np.array([5])),
    "squeeze of an older set": (node("Squeeze", [[5]], axes=[0]), np.array([5])),
    "squeeze of all": (node("Squeeze", [[5]]), np.array(5)),
    "unsqueeze": (node("Unsqueeze", 5, [0]), np.array([5])),
    "reshape": (node("Reshape", [[5, 6]], [-1]), np.array([5, 6])),
    "reshape that keeps": (node("Reshape", [[5, 6]], [0, -1]), np.array([[5, 6]])),
    "identity": (node("Identity", [5, 6]), np.array([5, 6])),
    "shape of a constant": (node("Shape", np.zeros((2, 3))), np.array([2, 3])),
}


@pytest.mark.parametrize("case", FOLDED)
def test_a_node_of_constants_is_folded_as_the_specification_says(case):
    asked, want = FOLDED[case]
    got = fold(asked)
    np.testing.assert_array_equal(got, want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)


@pytest.mark.parametrize("case", [case for case in FOLDED if "older" not in case])
def test_what_is_folded_is_what_onnx_computes(case):
    asked, _ = FOLDED[case]
    names = [f"i{number}" for number in range(len(asked.inputs))]
    proto = helper.make_node(asked.kind, names, ["y"], **asked.attributes)
    (want,) = onnx.reference.ReferenceEvaluator(proto).run(None, dict(zip(names, asked.inputs, strict=True)))
    np.testing.assert_array_equal(fold(asked), want)


@pytest.mark.parametrize(
    ("attributes", "want"),
    [({}, [1, 3, 9, 8]), ({"start": 2}, [9, 8]), ({"end": -1}, [1, 3, 9]), ({"start": -3, "end": 3}, [3, 9])],
)
def test_the_shape_of_a_value_has_a_batch_of_one(attributes, want):
    value = NetworkInput(name="x", dims=(3, 9, 8))
    asked = Node(name="node", kind="Shape", attributes=attributes, inputs=(value,))
    assert fold(asked).tolist() == want


@pytest.mark.parametrize("asked", [node("Relu", [1.0]), node("MatMul", [[1.0]], [[1.0]]), node("Add")])
def test_what_is_no_arithmetic_of_constants_is_not_folded(asked):
    assert fold(asked) is None


BROKEN = {
    "index beyond": (node("Gather", [1, 2], [7]), "must fit each other"),
    "shapes": (node("Add", [1, 2], [1, 2, 3]), "must fit each other"),
    "axis missing": (node("Concat", [1], [2]), "must fit each other"),
    "axis beyond": (node("Squeeze", [1], [4]), "must fit each other"),
    "odd steps": (node("Slice", [1, 2], [0], [1], [0], [0]), "must fit each other"),
    "odd type": (node("Cast", [1], to=99), "must fit each other"),
    "no ends": (node("Slice", [1, 2], [0]), "starts and ends must be given"),
    "many numbers": (node("Add", np.zeros(999), np.zeros(2)), "more than 1000 constants; fold them"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_constants_that_do_not_fit_are_refused_with_a_remedy(case):
    asked, said = BROKEN[case]
    with pytest.raises(ValueError, match=rf"'node' \({asked.kind}\).*{said}"):
        fold(asked)


def resized(sizes):
    """Return the nodes ``sizes``, which compute s, and a Resize to that."""
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return [*sizes, helper.make_node("Resize", ["x_r", "", "", "s"], ["h"], **attributes)]


PROGRAMS = {
    # what exporters make of interpolate(x, size=(11, 9))
    "size": [
        helper.make_node("Shape", ["x_r"], ["shape"], start=0, end=2),
        helper.make_node("Concat", ["shape", "wanted"], ["s"], axis=0),
    ],
    # of interpolate(x, size=y.shape[2:]), the older exporter
    "size of another value": [
        helper.make_node("Shape", ["x"], ["all"]),
        helper.make_node("Slice", ["all", "zero", "two", "zero"], ["front"]),
        helper.make_node("Gather", ["all", "three"], ["width"]),
        helper.make_node("Unsqueeze", ["width", "zero"], ["column"]),
        helper.make_node("Cast", ["column"], ["cast"], to=TensorProto.INT64),
        helper.make_node("Concat", ["front", "cast", "cast"], ["s"], axis=0),
    ],
    # of interpolate(x, scale_factor=1.7, recompute_scale_factor=True)
    "size times a factor": [
        helper.make_node("Shape", ["x_r"], ["all"]),
        helper.make_node("Slice", ["all", "two", "four"], ["back"]),
        helper.make_node("Cast", ["back"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "factor"], ["larger"]),
        helper.make_node("Floor", ["larger"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Slice", ["all", "zero", "two"], ["front"]),
        helper.make_node("Concat", ["front", "whole"], ["s"], axis=0),
    ],
}
SIZES = {"size": (11, 9), "size of another value": (6, 6), "size times a factor": (11, 10)}
CONSTANTS = {
    "zero": np.array([0]), "two": np.array([2]), "three": np.array(3), "four": np.array([4]),
    "wanted": np.array([11, 9]), "factor": np.float32(1.7),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_resize_to_computed_sizes_is_that_of_onnxruntime(tmp_path, program):
    path = written_by_hand(
        tmp_path, resized(PROGRAMS[program]), CONSTANTS, dims=IMAGE, output=("h", 0.05, -4)
    )
    assert read_onnx(path).output_dims == ((4, *SIZES[program]),)
    assert steps_apart(path, samples(IMAGE)).max() == 0


def test_a_reshape_to_computed_sizes_is_that_of_onnxruntime(tmp_path):
    middle = [
        helper.make_node("Shape", ["x_r"], ["all"]),
        helper.make_node("Gather", ["all", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x_r", "to"], ["r"]),
        helper.make_node("Relu", ["r"], ["h"]),
    ]
    constants = {"zero": np.array([0]), "rest": np.array([28, 6])}
    path = written_by_hand(tmp_path, middle, constants, dims=IMAGE)
    assert read_onnx(path).output_dims == ((28, 6),)
    assert steps_apart(path, samples(IMAGE)).max() <= 1


def test_sizes_of_the_batch_are_refused(tmp_path):
    middle = [
        helper.make_node("Shape", ["x_r"], ["all"]),
        helper.make_node("Mul", ["all", "twice"], ["s"]),
        helper.make_node("Resize", ["x_r", "", "", "s"], ["h"], name="resize"),
    ]
    path = written_by_hand(tmp_path, middle, {"twice": np.array([2])}, dims=IMAGE)
    refuses(path, r"'resize' \(Resize\).*must keep the batch")
