from dataclasses import replace

import numpy as np
import pytest
from small_graphs import GraphBuilder

from tinypareto.mcu.graph import Add, Convolution, ConvolutionAdd, Window
from tinypareto.mcu.memory import plan_arena
from tinypareto.mcu.passes.fuse_add import fuse_add
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.reference import run_reference

SAME = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
POINT = Window(kernel=(1, 1))


def same_outputs(build, before, after):
    inputs = build.inputs(20)
    want = run_reference(before, inputs)
    assert (run_reference(after, inputs) == want).all()
    return len(np.unique(want)) > 50


@pytest.mark.parametrize("window", [SAME, POINT])
@pytest.mark.parametrize("convolution_first", [True, False])
def test_a_sum_becomes_part_of_the_convolution_before_it(window, convolution_first):
    build = GraphBuilder()
    convolved = build.conv("conv", build.x, 5, window)
    order = (convolved, build.x) if convolution_first else (build.x, convolved)
    graph = build.graph(build.add("add", *order))
    fused = fuse_add(graph)
    (operator,) = fused.operators
    assert isinstance(operator, ConvolutionAdd)
    assert (operator.inputs, operator.output) == (("x", "x"), "add")
    assert set(fused.tensors) == {"x", "add"}
    assert same_outputs(build, graph, fused)


def test_the_result_is_rounded_and_clamped_before_the_sum_as_before():
    build = GraphBuilder()
    graph = build.graph(build.add("add", build.conv("conv", build.x, 5, SAME), build.x))
    narrow = tuple(
        replace(op, clamp=(-9, 13)) if isinstance(op, Convolution) else op for op in graph.operators
    )
    graph = graph.with_operators(narrow)
    fused = fuse_add(graph)
    assert same_outputs(build, graph, fused)
    convolution, add = fused.operators[0].parts()
    assert convolution.clamp == (-9, 13)
    assert (add.inputs, add.clamp) == (("conv", "x"), graph.operators[1].clamp)


def test_of_two_convolutions_the_later_one_takes_the_sum():
    build = GraphBuilder()
    first, second = build.conv("first", build.x, 4, SAME), build.conv("second", build.x, 4, POINT)
    graph = build.graph(build.add("add", first, second))
    fused = fuse_add(graph)
    assert [(operator.name, operator.output) for operator in fused.operators] == [
        ("first", "first"),
        ("second", "add"),
    ]
    assert same_outputs(build, graph, fused)


def read_twice(build, convolved):
    return build.add("second", build.add("add", convolved, build.x), convolved)


def added_to_itself(build, convolved):
    return build.add("add", convolved, convolved)


def written_before_the_other(build, convolved):
    return build.add("add", convolved, build.lookup("lookup", build.x))


@pytest.mark.parametrize("tail", [read_twice, added_to_itself, written_before_the_other])
def test_a_convolution_that_others_read_or_that_comes_too_early_stays(tail):
    build = GraphBuilder()
    graph = build.graph(tail(build, build.conv("conv", build.x, 5, SAME)))
    assert fuse_add(graph).operators == graph.operators


def test_a_convolution_whose_result_the_caller_reads_stays():
    build = GraphBuilder()
    graph = build.graph(build.add("add", build.conv("conv", build.x, 5, SAME), build.x))
    graph = replace(graph, outputs=("conv", "add"))
    assert fuse_add(graph).operators == graph.operators


def test_a_depthwise_convolution_stays():
    build = GraphBuilder()
    graph = build.graph(build.add("add", build.conv("conv", build.x, 5, SAME, groups=5), build.x))
    assert fuse_add(graph).operators == graph.operators


def test_a_difference_stays():
    build = GraphBuilder()
    graph = build.graph(build.sub("sub", build.conv("conv", build.x, 5, SAME), build.x))
    assert fuse_add(graph).operators == graph.operators


def test_a_residual_network_needs_one_tensor_less_at_a_time():
    build = GraphBuilder((8, 8, 6))
    skip = build.conv("stem", build.x, 6, SAME)
    inner = build.conv("b", build.conv("a", skip, 6, SAME), 6, SAME)
    graph = build.graph(build.add("add", inner, skip))
    assert plan_arena(graph).lower_bound == 3 * 8 * 8 * 6
    fused = optimize(graph)
    plan = plan_arena(fused)
    assert plan.size == plan.lower_bound == 2 * 8 * 8 * 6
    assert plan.offsets["add"] == plan.offsets["stem"]
    assert not any(isinstance(operator, Add) for operator in fused.operators)
