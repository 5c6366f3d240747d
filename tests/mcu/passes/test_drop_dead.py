import numpy as np

from tinypareto.mcu.graph import Add, Graph, Relu, Tensor
from tinypareto.mcu.passes.drop_dead import drop_dead
from tinypareto.mcu.reference import run_reference


def relu(source, output):
    return Relu(name=f"relu_{output}", inputs=(source,), output=output)


def network(*operators):
    names = dict.fromkeys(["x", *(operator.output for operator in operators)])
    tensors = {
        name: Tensor(name=name, shape=(1, 1, 2), scale=1.0, zero_point=index)
        for index, name in enumerate(names)
    }
    return Graph(name="g", tensors=tensors, operators=operators, inputs=("x",), outputs=("y",))


def test_a_chain_that_reaches_nobody_is_dropped_with_its_tensors():
    graph = network(relu("x", "a"), relu("a", "dead"), relu("dead", "deader"), relu("a", "y"))
    short = drop_dead(graph)
    assert [operator.output for operator in short.operators] == ["a", "y"]
    assert set(short.tensors) == {"x", "a", "y"}
    x = np.arange(-8, 8, dtype=np.int8).reshape(-1, 1, 1, 2)
    assert (run_reference(short, x) == run_reference(graph, x)).all()


def test_both_inputs_of_a_sum_are_kept():
    graph = network(relu("x", "a"), relu("x", "b"), Add(name="sum", inputs=("a", "b"), output="y"))
    assert drop_dead(graph) == graph
