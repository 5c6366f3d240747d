"""Small graphs that move values, and whether a pass leaves what they compute."""

import numpy as np

from tinypareto.mcu.graph import Add, Convolution, Dense, Graph, Lookup, Relu, Tensor, Transpose, Window
from tinypareto.mcu.reference import run_reference

X = (2, 3, 4)
STEPS = {"scale": 0.05, "zero_point": 3}


def transpose(source, output, view, axes, **settings):
    return Transpose(name=f"to {output}", inputs=(source,), output=output, view=view, axes=axes, **settings)


def lookup(source, output, seed=3):
    table = np.random.default_rng(seed).permutation(np.arange(-128, 128)).astype(np.int8)
    return Lookup(name=f"to {output}", inputs=(source,), output=output, table=table)


def relu(source, output):
    return Relu(name=f"to {output}", inputs=(source,), output=output, clamp=(3, 100))


def pair(first, second, output, kind=Add):
    return kind(name=f"to {output}", inputs=(first, second), output=output)


def pixels(source, output, channels=4):
    """Multiply each pixel by a matrix."""
    rng = np.random.default_rng(channels)
    return Convolution(
        name=f"to {output}", inputs=(source,), output=output, window=Window(kernel=(1, 1)),
        weight=rng.integers(-127, 128, (channels, 1, 1, channels), dtype=np.int8),
        bias=rng.integers(-999, 999, channels).astype(np.int32),
        weight_scale=rng.uniform(0.005, 0.01, channels),
    )  # fmt: skip


def dense(source, output, cout, depth=24):
    rng = np.random.default_rng(depth + cout)
    return Dense(
        name=f"to {output}", inputs=(source,), output=output,
        weight=rng.integers(-127, 128, (cout, depth), dtype=np.int8),
        bias=rng.integers(-999, 999, cout).astype(np.int32),
        weight_scale=rng.uniform(0.01, 0.02, cout),
    )  # fmt: skip


def network(*operators, outputs=("y",), wide=("y", "d"), **shapes):
    """Return a graph from x; the tensors in ``wide`` have a larger scale, those without a shape have that of x."""
    names = dict.fromkeys(["x", *(operator.output for operator in operators)])
    tensors = {
        name: Tensor(name=name, shape=shapes.get(name, X), scale=0.7 if name in wide else 0.05, zero_point=3)
        for name in names
    }
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=outputs)


def kinds_after(rewrite, graph):
    """Check that the outputs stay and return the kinds of the operators that are left."""
    shape = graph.input_shape
    inputs = np.random.default_rng(1).integers(-128, 128, (8, *shape), dtype=np.int8)
    expected = run_reference(graph, inputs)
    assert len(np.unique(expected)) > 10
    rewritten = rewrite(graph)
    np.testing.assert_array_equal(run_reference(rewritten, inputs), expected)
    return [type(operator) for operator in rewritten.operators]
