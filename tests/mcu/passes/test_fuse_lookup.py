import numpy as np
import pytest

from tinypareto.mcu.graph import Add, Graph, Lookup, MaxPool, Mul, Relu, Sub, Tensor, Window
from tinypareto.mcu.passes.fuse_lookup import fuse_lookup
from tinypareto.mcu.reference import run_reference

SHAPE = (2, 4, 32)  # 256 values: one sample holds every input


def lookup(source, output, seed=0, clamp=(-128, 127)):
    table = np.sort(np.random.default_rng(seed).integers(-128, 128, 256, dtype=np.int8))
    return Lookup(name=f"to_{output}", inputs=(source,), output=output, table=table, clamp=clamp)


def pool(source, output, kernel=(1, 1)):
    return MaxPool(name=f"to_{output}", inputs=(source,), output=output, window=Window(kernel=kernel))


def network(*operators, output="y", **shapes):
    names = dict.fromkeys(["x", *(name for op in operators for name in (*op.inputs, op.output))])
    tensors = {
        name: Tensor(
            name=name, shape=shapes.get(name, SHAPE), scale=0.02 + 0.03 * place, zero_point=7 * place - 9
        )
        for place, name in enumerate(names)
    }
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=(output,))


def same_outputs(before, after):
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, *SHAPE)
    want = run_reference(before, x)
    assert (run_reference(after, x) == want).all()
    return len(np.unique(want)) > 20


@pytest.mark.parametrize("kind", [Add, Mul, Sub])
@pytest.mark.parametrize("inputs", [("x", "f"), ("f", "x"), ("f", "f")])
def test_a_value_and_its_own_function_become_one_table(kind, inputs):
    last = kind(name="last", inputs=inputs, output="y", clamp=(-100, 110))
    graph = network(lookup("x", "f", clamp=(-60, 90)), last)
    fused = fuse_lookup(graph)
    (operator,) = fused.operators
    assert (type(operator), operator.name, operator.inputs) == (Lookup, "last", ("x",))
    assert set(fused.tensors) == {"x", "y"}
    assert same_outputs(graph, fused) or (kind, inputs) == (Sub, ("f", "f")), "only f - f is constant"


def test_two_functions_of_one_tensor_become_one_table():
    both = Mul(name="both", inputs=("f", "g"), output="y")
    graph = network(lookup("x", "f"), lookup("x", "g", seed=1), both)
    fused = fuse_lookup(graph)
    assert [operator.name for operator in fused.operators] == ["both"]
    assert same_outputs(graph, fused)


def test_a_chain_of_functions_becomes_one_table():
    relu = Relu(name="relu", inputs=("g",), output="h")
    graph = network(lookup("x", "f"), lookup("f", "g", seed=1), relu, lookup("h", "y", seed=2))
    fused = fuse_lookup(graph)
    assert [operator.inputs for operator in fused.operators] == [("x",)]
    same_outputs(graph, fused)


@pytest.mark.parametrize(
    "graph",
    [
        network(lookup("x", "f"), pool("x", "p"), Mul(name="m", inputs=("p", "f"), output="y")),
        network(lookup("x", "f"), pool("f", "y")),
        network(lookup("x", "y"), Mul(name="m", inputs=("x", "y"), output="z")),
        network(
            lookup("x", "f"),
            Mul(name="m", inputs=("x", "f"), output="g"),
            Add(name="a", inputs=("g", "f"), output="y"),
        ),
        network(Relu(name="relu", inputs=("x",), output="y")),
    ],
    ids=["another tensor", "a pool", "the caller reads it", "read twice", "no table"],
)
def test_other_operators_stay(graph):
    assert fuse_lookup(graph) == graph


def test_a_factor_per_channel_stays():
    small = (1, 1, 32)
    graph = network(
        pool("x", "p", kernel=(2, 4)),
        lookup("p", "f"),
        Mul(name="m", inputs=("x", "f"), output="y"),
        p=small,
        f=small,
    )
    assert fuse_lookup(graph) == graph
