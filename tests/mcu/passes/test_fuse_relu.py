import numpy as np
import pytest

from tinypareto.mcu.graph import Add, Dense, Graph, Lookup, Relu, Tensor
from tinypareto.mcu.passes.fuse_relu import fuse_relu
from tinypareto.mcu.reference import run_reference


def dense(name, source, output, clamp=(-128, 127)):
    return Dense(
        name=name,
        inputs=(source,),
        output=output,
        clamp=clamp,
        weight=np.array([[100, -50], [-30, 90]], np.int8),
        bias=np.array([50, -20], np.int32),
        weight_scale=np.array([0.01, 0.02]),
    )


def relu(source, output, clamp=(-128, 127)):
    return Relu(name=f"relu_{output}", inputs=(source,), output=output, clamp=clamp)


def network(*operators, output="y", **zero_points):
    names = dict.fromkeys(["x", *(name for op in operators for name in (*op.inputs, op.output))])
    tensors = {
        name: Tensor(name=name, shape=(1, 1, 2), scale=1.0, zero_point=zero_points.get(name, -5))
        for name in names
    }
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=(output,))


def every_input():
    grid = np.arange(-128, 128, 5, dtype=np.int8)
    return np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 1, 2)


def same_outputs(before, after):
    x = every_input()
    got, want = run_reference(after, x), run_reference(before, x)
    assert (got == want).all()
    return len(np.unique(want)) > 20


def test_a_relu_behind_a_layer_becomes_its_clamp():
    graph = network(dense("fc", "x", "h"), relu("h", "y"))
    fused = fuse_relu(graph)
    assert [operator.name for operator in fused.operators] == ["fc"]
    assert fused.operators[0].clamp == (-5, 127)
    assert "h" not in fused.tensors
    assert same_outputs(graph, fused)


@pytest.mark.parametrize(
    ("before", "behind"), [((-128, 20), (-128, 127)), ((10, 60), (0, 40)), ((-128, -60), (-128, 127))]
)
def test_the_clamps_of_both_operators_hold(before, behind):
    graph = network(dense("fc", "x", "h", clamp=before), relu("h", "y", clamp=behind))
    fused = fuse_relu(graph)
    assert len(fused.operators) == 1
    same_outputs(graph, fused)


def table(source, output, values):
    return Lookup(name=f"table_{output}", inputs=(source,), output=output, table=np.asarray(values, np.int8))


def test_a_table_that_only_clips_becomes_a_clamp_of_the_layer_before_it():
    graph = network(dense("fc", "x", "h"), table("h", "y", np.clip(np.arange(-128, 128), -30, 90)))
    fused = fuse_relu(graph)
    assert [(operator.name, operator.clamp) for operator in fused.operators] == [("fc", (-30, 90))]
    assert same_outputs(graph, fused)


@pytest.mark.parametrize(
    "values",
    [
        -np.arange(-127, 129),
        np.abs(np.arange(-128, 128)).clip(0, 127),
        np.arange(-128, 128).clip(-30, 90) + 1,
    ],
    ids=["negative", "magnitude", "off by one"],
)
def test_a_table_that_does_more_stays(values):
    graph = network(dense("fc", "x", "h"), table("h", "y", values))
    assert len(fuse_relu(graph).operators) == 2


def test_two_relus_in_a_row_are_both_fused():
    graph = network(
        dense("a", "x", "g"), dense("b", "g", "h"), relu("h", "i"), relu("i", "y", clamp=(-128, 40))
    )
    fused = fuse_relu(graph)
    assert [operator.clamp for operator in fused.operators] == [(-128, 127), (-5, 40)]
    assert same_outputs(graph, fused)


def test_the_fused_operator_stays_in_its_producers_place():
    graph = network(
        dense("a", "x", "h"),
        dense("b", "x", "i"),
        relu("h", "r"),
        Add(name="sum", inputs=("r", "i"), output="y"),
    )
    fused = fuse_relu(graph)
    assert [operator.name for operator in fused.operators] == ["a", "b", "sum"]
    assert same_outputs(graph, fused)


def test_a_relu_stays_if_another_operator_reads_its_input():
    graph = network(dense("fc", "x", "h"), relu("h", "r"), Add(name="sum", inputs=("h", "r"), output="y"))
    assert fuse_relu(graph) == graph


def test_a_relu_stays_if_the_caller_reads_its_input():
    graph = network(dense("fc", "x", "y"), relu("y", "r"))
    assert fuse_relu(graph) == graph


def test_a_relu_on_the_networks_input_stays():
    graph = network(relu("x", "y"))
    assert fuse_relu(graph) == graph


def test_a_relu_that_changes_the_zero_point_stays():
    graph = network(dense("fc", "x", "h"), relu("h", "y"), h=-100, y=0)
    assert fuse_relu(graph) == graph
