"""Each node that moves values alone: the very values that onnxruntime gives, in every shape and layout."""

import math

import numpy as np
import pytest
from onnx import helper
from small_onnx import float_file, normal, qdq, quantized_file, steps_apart, written_by_hand

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import Concat, Lookup, Pad, Slice, Transpose
from tinypareto.mcu.read_onnx import read_onnx

IMAGE, SERIES, VECTOR = (4, 7, 6), (4, 19), (23,)
SAME = ("h", 0.05, -4)  # x's own scale and zero point, so that nothing is rescaled
OTHER = ("h", 0.11, 9)


def samples(dims, seed=1):
    return normal(32, *dims, seed=seed)


def integers(**values):
    return {name: np.array(value, np.int64) for name, value in values.items()}


def one_node(folder, node, dims, output=OTHER, constants=None):
    return written_by_hand(folder, [node], constants, dims=dims, output=output)


def agrees(path, dims, kind):
    """Check one operator of a kind, exact where it rescales nothing, and return it."""
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, kind)
    rescales = isinstance(operator, Lookup) or bool(operator.tables)
    assert steps_apart(path, samples(dims)).max() <= rescales
    return operator


@pytest.mark.parametrize("output", [SAME, OTHER], ids=["same scale", "rescaled"])
@pytest.mark.parametrize(
    ("dims", "axis"),
    [(IMAGE, 1), (IMAGE, 2), (IMAGE, -1), (SERIES, -2), (SERIES, 2), (VECTOR, 1), (VECTOR, -1)],
)
def test_a_concatenation_rescales_each_input_that_needs_it(tmp_path, dims, axis, output):
    (nodes, constants) = qdq("g", 0.03, -60)
    middle = [
        helper.make_node("Relu", ["x_r"], ["g"]),
        *nodes,
        helper.make_node("Concat", ["x_r", "g_r", "x_r"], ["h"], axis=axis),
    ]
    path = written_by_hand(tmp_path, middle, constants, dims=dims, output=output)
    operator = read_onnx(path).operators[-1]
    assert isinstance(operator, Concat)
    assert [table is None for table in operator.tables] == [output == SAME, False, output == SAME]
    assert steps_apart(path, samples(dims)).max() <= 1


@pytest.mark.parametrize(
    ("dims", "axis", "sizes"),
    [
        (IMAGE, 1, [1, 3]),
        (IMAGE, 2, [2, 4, 1]),
        (IMAGE, -1, [5, 1]),
        (SERIES, -1, [9, 10]),
        (VECTOR, 1, [20, 3]),
    ],
)
def test_parts_of_unequal_size_are_put_together_again(tmp_path, dims, axis, sizes):
    names = [f"p{number}" for number in range(len(sizes))]
    quantized = [qdq(name, 0.05, -4) for name in names]
    middle = [
        helper.make_node("Split", ["x_r", "sizes"], names, axis=axis),
        *(node for nodes, _ in quantized for node in nodes),
        helper.make_node("Concat", [f"{name}_r" for name in reversed(names)], ["h"], axis=axis),
    ]
    constants = {name: value for _, constants in quantized for name, value in constants.items()}
    path = written_by_hand(tmp_path, middle, {**constants, **integers(sizes=sizes)}, dims=dims, output=SAME)
    operators = read_onnx(path).operators
    assert [type(operator) for operator in operators] == [*[Slice] * len(sizes), Concat]
    assert len({operator.name for operator in operators}) == len(operators)
    assert steps_apart(path, samples(dims)).max() == 0


def test_equal_parts_need_no_sizes_and_the_last_may_be_smaller(tmp_path):
    node = helper.make_node("Split", ["x_r"], ["a", "b", "h"], axis=1, num_outputs=3)
    path = one_node(tmp_path, node, VECTOR, SAME)
    assert read_onnx(path).output_dims == ((7,),)  # 8, 8 and 7 of 23
    assert steps_apart(path, samples(VECTOR)).max() == 0


SLICES = {
    "channels": (IMAGE, {"starts": [1], "ends": [3], "axes": [1]}),
    "from behind": (IMAGE, {"starts": [-5], "ends": [-1], "axes": [-2]}),
    "to the end": (IMAGE, {"starts": [2, 1], "ends": [2**62, 99], "axes": [3, 2]}),
    "steps": (IMAGE, {"starts": [1, 0], "ends": [7, 6], "axes": [2, 3], "steps": [2, 3]}),
    "series": (SERIES, {"starts": [3], "ends": [18], "axes": [-1], "steps": [4]}),
    "vector": (VECTOR, {"starts": [-20], "ends": [23], "axes": [1], "steps": [3]}),
}


@pytest.mark.parametrize("case", SLICES)
@pytest.mark.parametrize("output", [SAME, OTHER], ids=["same scale", "rescaled"])
def test_a_slice_is_that_of_onnxruntime(tmp_path, case, output):
    dims, values = SLICES[case]
    node = helper.make_node("Slice", ["x_r", *values], ["h"])
    agrees(one_node(tmp_path, node, dims, output, integers(**values)), dims, Slice)


PADS = {
    "image": (IMAGE, [0, 0, 1, 2, 0, 0, 0, 3], 0.0),
    "channels too": (IMAGE, [0, 2, 0, 0, 0, 1, 1, 0], -0.37),
    "series": (SERIES, [0, 0, 4, 0, 0, 2], 1.5),
    "vector": (VECTOR, [0, 3, 0, 0], -math.inf),
}


@pytest.mark.parametrize("case", PADS)
@pytest.mark.parametrize("output", [SAME, OTHER], ids=["same scale", "rescaled"])
def test_padding_is_that_of_onnxruntime(tmp_path, case, output):
    dims, pads, value = PADS[case]
    node = helper.make_node("Pad", ["x_r", "pads", "value"], ["h"])
    constants = {**integers(pads=pads), "value": np.float32(value)}
    agrees(one_node(tmp_path, node, dims, output, constants), dims, Pad)


def test_padding_of_named_axes_defaults_to_zero(tmp_path):
    node = helper.make_node("Pad", ["x_r", "pads", "", "axes"], ["h"])
    constants = integers(pads=[1, 2, 3, 0], axes=[-1, 1])
    operator = agrees(one_node(tmp_path, node, IMAGE, SAME, constants), IMAGE, Pad)
    assert (operator.before, operator.value) == ((0, 1, 2), -4)


@pytest.mark.parametrize(
    ("dims", "order"),
    [(IMAGE, p) for p in ((0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1), (0, 2, 1, 3), (0, 1, 2, 3))]
    + [(SERIES, (0, 2, 1)), (VECTOR, (0, 1))],
)  # fmt: skip
@pytest.mark.parametrize("output", [SAME, OTHER], ids=["same scale", "rescaled"])
def test_a_transposition_is_that_of_onnxruntime(tmp_path, dims, order, output):
    node = helper.make_node("Transpose", ["x_r"], ["h"], perm=order)
    path = one_node(tmp_path, node, dims, output)
    agrees(
        path, dims, Transpose | Lookup
    )  # where an end in the file's order moves nothing, it rescales at most
    assert read_onnx(path).output_dims == (tuple(dims[axis - 1] for axis in order[1:]),)


@pytest.mark.parametrize("groups", [2, 4])
def test_a_channel_shuffle_is_that_of_onnxruntime(tmp_path, groups):
    dims = (8, 5, 3)
    (nodes, constants) = qdq("t", 0.05, -4)
    middle = [
        helper.make_node("Reshape", ["x_r", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]),
        *nodes,
        helper.make_node("Reshape", ["t_r", "whole"], ["w"]),
        helper.make_node("MaxPool", ["w"], ["h"], kernel_shape=[1, 1]),
    ]
    constants |= integers(split=[0, groups, 8 // groups, 5, 3], whole=[0, 8, 5, 3])
    path = written_by_hand(tmp_path, middle, constants, dims=dims, output=SAME)
    assert isinstance(read_onnx(path).operators[0], Transpose)
    assert steps_apart(path, samples(dims)).max() == 0


def test_any_other_permutation_of_four_axes_is_refused(tmp_path):
    for number, (split, order) in enumerate((
        ([0, 2, 2, 7, 6], [0, 1, 2, 4, 3]),
        ([0, 4, 7, 2, 3], [0, 2, 1, 3, 4]),
    )):
        (tmp_path / str(number)).mkdir()
        middle = [
            helper.make_node("Reshape", ["x_r", "split"], ["s"]),
            helper.make_node("Transpose", ["s"], ["h"], perm=order),
        ]
        path = written_by_hand(tmp_path / str(number), middle, integers(split=split), dims=IMAGE)
        with pytest.raises(UnsupportedModelError, match="use at most three axes besides the batch"):
            read_onnx(path)


REFUSED = {
    "reversed": (
        "Slice",
        {"starts": [-1], "ends": [-9], "axes": [1], "steps": [-1]},
        {},
        "reverse the order",
    ),
    "nothing left": ("Slice", {"starts": [3], "ends": [3], "axes": [1]}, {}, "must keep something of axis 1"),
    "batch sliced": ("Slice", {"starts": [0], "ends": [1], "axes": [0]}, {}, "axis 0 must name one of the 3"),
    "pads beyond": ("Pad", {"pads": [0, 0, -1, 0, 0, 0, 0, 0]}, {}, "crop with Slice"),
    "batch padded": ("Pad", {"pads": [1, 0, 0, 0, 0, 0, 0, 0]}, {}, "axis 0 must name"),
    "mirrored": (
        "Pad",
        {"pads": [0, 0, 1, 0, 0, 0, 0, 0]},
        {"mode": "reflect"},
        "mode reflect must be constant",
    ),
    "batch moved": ("Transpose", {}, {"perm": [1, 0, 2, 3]}, "keep the batch first"),
    "one input": ("Concat", {}, {"axis": 0}, "axis 0 must name one of the 3 axes"),
    "sizes that do not sum": ("Split", {"sizes": [1, 2]}, {"axis": 1}, r"1 parts \[1, 2\] must|read as ONNX"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_moved_is_refused_with_a_remedy(tmp_path, case):
    kind, values, attributes, said = REFUSED[case]
    node = helper.make_node(kind, ["x_r", *values], ["h"], name="node", **attributes)
    path = one_node(tmp_path, node, IMAGE, constants=integers(**values))
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value), "one line"


def test_a_value_of_padding_that_is_no_number_is_refused(tmp_path):
    node = helper.make_node("Pad", ["x_r", "pads", "value"], ["h"])
    constants = {**integers(pads=[0, 1, 0, 0]), "value": np.float32(math.nan)}
    with pytest.raises(UnsupportedModelError, match="one constant number; pad with a constant"):
        read_onnx(one_node(tmp_path, node, VECTOR, constants=constants))


def test_inputs_that_do_not_fit_side_by_side_are_refused(tmp_path):
    (nodes, constants) = qdq("g", 0.03, -60)
    middle = [
        helper.make_node("MaxPool", ["x_r"], ["g"], kernel_shape=[2]),
        *nodes,
        helper.make_node("Concat", ["x_r", "g_r"], ["h"], axis=1),
    ]
    path = written_by_hand(tmp_path, middle, constants, dims=SERIES)
    with pytest.raises(UnsupportedModelError, match=r"must differ along axis 1 only|read as ONNX"):
        read_onnx(path)


NETWORK = {
    "Concat": (["x", "t"], {"axis": 1}, {}),
    "Slice": (["t", "starts", "ends", "axes"], {}, integers(starts=[1], ends=[3], axes=[2])),
    "Pad": (
        ["t", "pads", "value"],
        {},
        {**integers(pads=[0, 0, 1, 1, 0, 0, 1, 1]), "value": np.float32(0.4)},
    ),
    "Resize": (["t", "", "scales"], {"mode": "nearest"}, {"scales": np.array([1, 1, 2, 2], np.float32)}),
    "Transpose": (["t"], {"perm": [0, 2, 3, 1]}, {}),
    "Split": (["t"], {"axis": 1, "num_outputs": 2}, {}),
}


@pytest.mark.parametrize("kind", NETWORK)
def test_files_of_onnxruntimes_quantiser_are_read(tmp_path, kind):
    inputs, attributes, constants = NETWORK[kind]
    outputs = ["a", "b"] if kind == "Split" else ["a"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node(kind, inputs, outputs, **attributes),
        helper.make_node("MaxPool", ["a"], ["y"], kernel_shape=[1, 1]),
    ]
    weight = normal(4, 4, 1, 1)
    path = float_file(tmp_path / "net.onnx", nodes, {"w": weight, **constants}, IMAGE)
    path = quantized_file(path, normal(16, *IMAGE))
    assert steps_apart(path, samples(IMAGE)).max() <= 2
