import pytest

from tinypareto.mcu.emit.buffers import buffers
from tinypareto.mcu.graph import Graph, Tensor
from tinypareto.mcu.memory import plan_arena


def macros(*names):
    tensors = {n: Tensor(name=n, shape=(1, 1, 4), scale=1.0, zero_point=0) for n in names}
    graph = Graph(name="g", tensors=tensors, operators=(), inputs=names, outputs=names[:1])
    plan = plan_arena(graph)
    found = buffers("IN", graph, plan, names)
    assert [buffer.offset for buffer in found] == [plan.offsets[name] for name in names]
    assert len({buffer.offset for buffer in found}) == len(names)
    return [buffer.macro for buffer in found]


def test_a_tensor_alone_needs_no_name():
    assert macros("input.1") == ["IN"]


def test_several_have_their_names():
    assert macros("left ear", "right::ear") == ["IN_LEFT_EAR", "IN_RIGHT_EAR"]


@pytest.mark.parametrize("names", [("a", "A"), ("::", "b"), ("a", "a bytes"), ("x", "y", "y_scale")])
def test_names_that_would_make_two_macros_one_are_numbered(names):
    assert macros(*names) == [f"IN_{number}" for number in range(len(names))]
