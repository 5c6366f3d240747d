"""Resize nodes: the very neighbours that onnxruntime picks."""

import numpy as np
import pytest
from onnx import helper
from small_onnx import refuses, samples, steps_apart, written_by_hand

from tinypareto.mcu.graph import Resize
from tinypareto.mcu.read_onnx import read_onnx

IMAGE, SERIES = (4, 7, 6), (4, 19)
SAME, OTHER = ("h", 0.05, -4), ("h", 0.11, 9)  # x's own scale and zero point, and others


def integers(**values):
    return {name: np.array(value, np.int64) for name, value in values.items()}


def one_node(folder, node, dims, output=OTHER, constants=None):
    return written_by_hand(folder, [node], constants, dims=dims, output=output)


def agrees(path, dims):
    """Check that the only operator resizes, exactly where it rescales nothing, and return it."""
    (operator,) = read_onnx(path).operators
    assert isinstance(operator, Resize)
    assert steps_apart(path, samples(dims)).max() <= (1 if operator.tables else 0)
    return operator


COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners")
ROUNDING = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDING)
@pytest.mark.parametrize("scales", [(2.0, 3.0), (1.7, 0.6), (0.5, 2.5), (0.3, 0.2)])
def test_a_resize_picks_the_neighbours_that_onnxruntime_picks(tmp_path, coordinates, rounding, scales):
    node = helper.make_node(
        "Resize", ["x_r", "", "scales"], ["h"], mode="nearest",
        coordinate_transformation_mode=coordinates, nearest_mode=rounding,
    )  # fmt: skip
    path = one_node(tmp_path, node, IMAGE, SAME, {"scales": np.array([1, 1, *scales], np.float32)})
    agrees(path, IMAGE)


@pytest.mark.parametrize(
    ("dims", "axes"), [(IMAGE, {2: 13, 3: 5}), (IMAGE, {2: 1, 3: 1}), (IMAGE, {3: 11}), (SERIES, {-1: 50})]
)
def test_a_resize_to_given_sizes_is_that_of_onnxruntime(tmp_path, dims, axes):
    node = helper.make_node("Resize", ["x_r", "", "", "sizes"], ["h"], axes=list(axes))
    agrees(one_node(tmp_path, node, dims, OTHER, integers(sizes=list(axes.values()))), dims)


TIES = {
    # 1.3 and 2.9 are no binary numbers: these positions lie one step of float32 beside a half
    "above a half": ("half_pixel", "round_prefer_floor", 16, {"scales": 1.3}),
    "below a half": ("half_pixel", "round_prefer_ceil", 20, {"scales": 2.9}),
    "above a half by size": ("asymmetric", "round_prefer_floor", 24, {"sizes": 112}),
    "two steps above a half": ("asymmetric", "round_prefer_floor", 49, {"scales": 1.2}),
    "symmetric below a whole": ("half_pixel_symmetric", "floor", 21, {"scales": 2.1}),
    "symmetric below one": ("half_pixel_symmetric", "floor", 9, {"sizes": 3}),
    "symmetric and rounded": ("half_pixel_symmetric", "round_prefer_floor", 56, {"scales": 2.3102596}),
    "nothing to resize": ("asymmetric", "floor", 18, {"scales": 1.0507735}),
}


@pytest.mark.parametrize("case", TIES)
def test_positions_between_two_neighbours_fall_where_onnxruntime_lets_them(tmp_path, case):
    coordinates, rounding, length, given = TIES[case]
    (name, value), dims = *given.items(), (4, length)
    node = helper.make_node(
        "Resize", ["x_r", "", *([""] if name == "sizes" else []), name], ["h"], mode="nearest",
        coordinate_transformation_mode=coordinates, nearest_mode=rounding, axes=[2],
    )  # fmt: skip
    constant = np.array([value], np.int64 if name == "sizes" else np.float32)
    agrees(one_node(tmp_path, node, dims, SAME, {name: constant}), dims)


@pytest.mark.parametrize(
    ("attributes", "scales", "said"),
    [
        ({"mode": "linear"}, [1, 1, 2, 2], "mode linear must be nearest"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, [1, 1, 2, 2], "must be one of half_pixel"),
        ({}, [1, 2, 2, 2], "keep the channels"),
        ({}, [2, 1, 2, 2], "keep the batch|batch"),
        ({}, [1, 1, 1e6, 2], "65536"),
        ({}, [1, 1, 0.01, 2], "1 to 65536|read as ONNX"),
    ],
)
def test_a_resize_of_another_kind_is_refused_with_a_remedy(tmp_path, attributes, scales, said):
    node = helper.make_node("Resize", ["x_r", "roi", "scales"], ["h"], **attributes)
    constants = {"scales": np.array(scales, np.float32), "roi": np.zeros(8, np.float32)}
    refuses(one_node(tmp_path, node, IMAGE, constants=constants), said)
