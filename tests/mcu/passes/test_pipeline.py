import numpy as np

from tinypareto.mcu.graph import AveragePool, Graph, Relu, Tensor, Window
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.reference import run_reference


def test_a_dead_reader_does_not_keep_a_relu_from_being_fused():
    operators = (
        AveragePool(name="mean", inputs=("x",), output="h", window=Window(kernel=(1, 2))),
        Relu(name="dead", inputs=("h",), output="dead"),
        Relu(name="relu", inputs=("h",), output="y"),
    )
    tensors = {
        name: Tensor(name=name, shape=(1, 2 if name == "x" else 1, 1), scale=1.0, zero_point=3)
        for name in ("x", "h", "dead", "y")
    }
    graph = Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",))
    short = optimize(graph)
    assert [operator.name for operator in short.operators] == ["mean"]
    x = np.arange(-60, 60, dtype=np.int8).reshape(-1, 1, 2, 1)
    assert (run_reference(short, x) == run_reference(graph, x)).all()
