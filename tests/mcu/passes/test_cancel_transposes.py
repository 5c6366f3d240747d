from functools import partial

import numpy as np
import pytest
from onnx import helper
from small_onnx import float_file, is_exact, normal, quantized_file, samples, steps_apart
from small_transposes import X, kinds_after, lookup, network, pair, pixels, relu, transpose

from tinypareto.mcu.graph import Add, Convolution, Lookup, MaxPool, Mul, Relu, Softmax, Sub, Transpose, Window
from tinypareto.mcu.moves import IDENTITY
from tinypareto.mcu.passes.cancel_transposes import cancel_transposes
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference

THERE, BACK, TURNED = (1, 2, 0), (2, 0, 1), (3, 4, 2)  # the axes of X, and its shape in between
CUBE = (3, 3, 3)
kinds_left = partial(kinds_after, cancel_transposes)


def there(source, output, **settings):
    return transpose(source, output, X, THERE, **settings)


def back(source, output, **settings):
    return transpose(source, output, TURNED, BACK, **settings)


def turned(*names):
    return dict.fromkeys(names, TURNED)


def test_two_transpositions_that_undo_each_other_vanish():
    graph = network(there("x", "a"), back("a", "b"), lookup("b", "y"), **turned("a"))
    assert kinds_left(graph) == [Lookup]


def test_two_that_undo_each_other_but_for_the_shape_move_nothing():
    graph = network(
        there("x", "a"), back("a", "b"), lookup("b", "y"), **turned("a"), b=(6, 1, 4), y=(6, 1, 4)
    )
    assert kinds_left(graph) == [Transpose, Lookup]
    assert cancel_transposes(graph).operators[0].axes == (0, 1, 2)


@pytest.mark.parametrize(
    "steps", [(THERE, THERE, THERE), ((0, 2, 1), (2, 1, 0), BACK), ((2, 1, 0), (1, 0, 2), BACK)]
)
def test_three_that_undo_each_other_together_vanish(steps):
    shapes = [X]
    for axes in steps:
        shapes.append(tuple(shapes[-1][axis] for axis in axes))
    moves = [transpose(*step) for step in zip("xab", "abc", shapes[:3], steps, strict=True)]
    graph = network(*moves, lookup("c", "y"), a=shapes[1], b=shapes[2])
    assert shapes[3] == X
    assert kinds_left(graph) == [Lookup]


def test_one_that_another_operator_is_behind_already_does_not_keep_that_operator():
    graph = network(
        there("x", "a"), lookup("a", "b"), back("b", "c"), there("c", "d"), pixels("c", "y"), pixels("d", "z", 2),
        **turned("a", "b", "d", "z"), outputs=("y", "z"), wide=("y", "z"),
    )  # fmt: skip
    assert kinds_left(graph) == [Lookup, Transpose, Convolution, Convolution]


def test_a_transposition_that_another_has_done_already_reads_its_result():
    graph = network(
        there("x", "a"), there("x", "b"), transpose("b", "c", TURNED, THERE), transpose("c", "d", (4, 2, 3), BACK),
        pair("a", "b", "s"), pair("s", "d", "z"), lookup("c", "y"), **turned("a", "b", "d", "s", "z"),
        c=(4, 2, 3), y=(4, 2, 3), outputs=("y", "z"), wide=("y", "z", "s"),
    )  # fmt: skip
    assert sorted(kind.__name__ for kind in kinds_left(graph)) == [
        "Add",
        "Add",
        "Lookup",
        "Transpose",
        "Transpose",
    ]


def test_transpositions_that_do_not_undo_each_other_stay():
    graph = network(
        there("x", "a"), transpose("a", "b", TURNED, THERE), lookup("b", "y"),
        **turned("a"), b=(4, 2, 3), y=(4, 2, 3),
    )  # fmt: skip
    assert kinds_left(graph) == [Transpose, Transpose, Lookup]


def test_an_output_that_equals_the_input_is_still_written():
    graph = network(there("x", "a"), back("a", "b"), **turned("a"), outputs=("b",))
    assert kinds_left(graph) == [Transpose]


def test_an_output_behind_a_pair_is_written_by_the_operator_before_it():
    graph = network(lookup("x", "a"), there("a", "b"), back("b", "c"), **turned("b"), outputs=("c",))
    assert kinds_left(graph) == [Lookup]
    assert cancel_transposes(graph).operators[0].output == "c"


def test_of_two_outputs_that_are_equal_one_is_a_view_of_the_other():
    graph = network(
        lookup("x", "a"), there("a", "b"), back("b", "c"), back("b", "d"), **turned("b"), outputs=("c", "d"), wide=(),
    )  # fmt: skip
    assert kinds_left(graph) == [Lookup, Transpose]


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("between", [lookup, relu])
def test_an_elementwise_operator_does_not_keep_a_pair_from_vanishing(between, axes):
    shape = tuple(X[axis] for axis in axes)
    inverse = tuple(int(axis) for axis in np.argsort(axes))
    graph = network(
        transpose("x", "a", X, axes), between("a", "b"), transpose("b", "c", shape, inverse), pixels("c", "y"),
        a=shape, b=shape,
    )  # fmt: skip
    assert [kind.__name__ for kind in kinds_left(graph)] == [between.__name__.capitalize(), "Convolution"]


@pytest.mark.parametrize("kind", [Add, Sub, Mul])
def test_arithmetic_of_two_values_that_are_transposed_alike_moves_before_them(kind):
    graph = network(
        lookup("x", "p"), there("p", "a"), there("x", "b"), relu("a", "r"), pair("r", "b", "s", kind), back("s", "t"),
        pixels("t", "y"), **turned("a", "b", "r", "s"), wide=("y", "s", "t"),
    )  # fmt: skip
    assert kinds_left(graph) == [Lookup, Relu, kind, Convolution]


def test_a_gate_over_its_own_input_moves_before_it():
    graph = network(
        there("x", "a"), relu("a", "r"), lookup("r", "g"), pair("r", "g", "m", Mul), back("m", "y"),
        **turned("a", "r", "g", "m"), wide=("m", "y"),
    )  # fmt: skip
    assert kinds_left(graph) == [Relu, Lookup, Mul]


def test_values_that_lie_differently_are_not_added_as_they_lie():
    graph = network(
        transpose("x", "a", CUBE, THERE), transpose("x", "b", CUBE, BACK), pair("a", "b", "s"),
        transpose("s", "t", CUBE, BACK), pixels("t", "y", 3), **dict.fromkeys("xabsty", CUBE),
    )  # fmt: skip
    assert kinds_left(graph) == [Transpose, Transpose, Add, Transpose, Convolution]


def test_values_of_different_shapes_are_not_added_as_they_lie():
    graph = network(
        transpose("x", "v", X, (0, 1, 2)), there("x", "a"), there("v", "b"), pair("a", "b", "s"), back("s", "y"),
        v=(6, 1, 4), **turned("a", "b", "s"), wide=("s", "y"),
    )  # fmt: skip
    assert kinds_left(graph)[-2:] == [Add, Transpose]


def test_operators_that_do_not_treat_each_value_alike_stay_where_they_are():
    largest = MaxPool(name="w", inputs=("a",), output="w", window=Window(kernel=(3, 4)))
    scaled = network(
        there("x", "a"), largest, pair("a", "w", "m", Mul), back("m", "y"), **turned("a", "m"), w=(1, 1, 2),
        wide=("m", "y"),
    )  # fmt: skip
    assert kinds_left(scaled) == [Transpose, MaxPool, Mul, Transpose]
    ranked = network(
        there("x", "a"), Softmax(name="s", inputs=("a",), output="s"), back("s", "y"), **turned("a", "s"),
        wide=(),
    )  # fmt: skip
    assert kinds_left(ranked) == [Transpose, Softmax, Transpose]


def test_what_others_read_too_is_not_computed_twice():
    graph = network(
        there("x", "a"), lookup("a", "b"), relu("b", "c"), back("c", "y"), lookup("b", "z"),
        **turned("a", "b", "c", "z"), outputs=("y", "z"),
    )  # fmt: skip
    assert kinds_left(graph) == [Transpose, Lookup, Relu, Transpose, Lookup]


def test_a_transposition_that_others_read_too_stays_for_them():
    graph = network(
        there("x", "a"), relu("a", "b"), back("b", "y"), pixels("a", "z", 2), **turned("a", "b", "z"),
        outputs=("y", "z"), wide=("z",),
    )  # fmt: skip
    assert sorted(kind.__name__ for kind in kinds_left(graph)) == ["Convolution", "Relu", "Transpose"]


def test_two_that_read_one_operator_go_together():
    graph = network(
        there("x", "a"), relu("a", "b"), back("b", "c"), back("b", "d"), pixels("c", "y"), pixels("d", "z"),
        **turned("a", "b"), outputs=("y", "z"), wide=("y", "z"),
    )  # fmt: skip
    assert kinds_left(graph) == [Relu, Convolution, Convolution]


def test_values_that_the_transpositions_change_are_changed_in_their_place():
    table = np.sort(np.random.default_rng(0).integers(-128, 128, 256, dtype=np.int8))
    for first, second, kinds in (
        ({"clamp": (3, 90)}, {}, [Relu, Convolution]),  # a ReLU
        ({}, {"clamp": (-9, 90)}, [Lookup, Convolution]),
        ({"tables": (table,)}, {"tables": (IDENTITY[::-1],), "clamp": (-100, 90)}, [Lookup, Lookup, Convolution]),
    ):  # fmt: skip
        graph = network(there("x", "a", **first), back("a", "b", **second), pixels("b", "y"), **turned("a"))
        assert kinds_left(graph) == kinds


def test_a_change_of_values_and_shape_stays_one():
    graph = network(there("x", "a"), back("a", "y", clamp=(-9, 90)), **turned("a"), y=(6, 1, 4), wide=())
    assert kinds_left(graph) == [Transpose]


def test_a_clamp_between_convolutions_is_the_first_ones_again():
    graph = network(
        pixels("x", "p"), there("p", "a", clamp=(3, 90)), back("a", "b"), pixels("b", "y"), **turned("a")
    )
    first, second = optimize(graph).operators
    assert (type(first), type(second)) == (Convolution, Convolution)
    assert first.clamp == (3, 90)
    assert kinds_after(optimize, graph) == [Convolution, Convolution]


def random_operator(rng, orders, sources, output):
    """Return a transposition by one of ``orders`` or an elementwise operator that reads some of ``sources``."""
    first, second = (str(name) for name in rng.choice(sources, 2))
    axes = tuple(orders[rng.integers(len(orders))])
    match rng.choice(["move", "change", "lookup", "relu", "pair"], p=[0.3, 0.2, 0.15, 0.15, 0.2]):
        case "move":
            return transpose(first, output, CUBE, axes)
        case "change":
            return transpose(
                first, output, CUBE, axes, tables=(lookup(first, output).table,), clamp=(-90, 90)
            )
        case "lookup":
            return lookup(first, output)
        case "relu":
            return relu(first, output)
        case _:
            return pair(first, second, output, [Add, Sub, Mul][rng.integers(3)])


def random_moves(seed):
    """Return a graph of transpositions of a cube, many of which undo earlier ones, and of elementwise operators."""
    rng, operators, names = np.random.default_rng(seed), [], ["x"]
    orders = rng.permutation([THERE, BACK, (0, 2, 1), (2, 1, 0)])[:3]
    orders = [*orders.tolist(), *np.argsort(orders).tolist()]
    for number in range(rng.integers(4, 14)):
        operators.append(random_operator(rng, orders, names[-3:], f"t{number}"))
        names.append(f"t{number}")
    outputs = tuple(dict.fromkeys((names[-1], str(rng.choice(names[1:])))))
    return network(*operators, outputs=outputs, wide=(), **dict.fromkeys(names, CUBE))


@pytest.mark.parametrize("seed", range(150))
def test_random_moves_compute_the_same_with_no_more_of_them(seed):
    graph = random_moves(seed)
    inputs = np.random.default_rng(seed).integers(-128, 128, (3, *CUBE), dtype=np.int8)
    shorter = cancel_transposes(graph)
    assert len(shorter.operators) <= len(graph.operators)
    np.testing.assert_array_equal(run_reference(shorter, inputs), run_reference(graph, inputs))
    assert len(cancel_transposes(shorter).operators) == len(shorter.operators)


def test_random_moves_are_telling():
    saved = [
        len(graph.operators) - len(cancel_transposes(graph).operators)
        for graph in map(random_moves, range(150))
    ]
    assert sum(count > 0 for count in saved) > 50


def channels_last_between(folder, kind, **quantization):
    """Write convolution -> to channels last -> ``kind`` -> back -> convolution, as onnxruntime quantises it."""
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], name="first", pads=[1] * 4),
        helper.make_node("Transpose", ["c"], ["t"], name="there", perm=[0, 2, 3, 1]),
        helper.make_node(kind, ["t"], ["m"], name="between"),
        helper.make_node("Transpose", ["m"], ["b"], name="back", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["b", "w"], ["y"], name="second", pads=[1] * 4),
    ]
    constants = {"v": 0.2 * normal(8, 3, 3, 3), "w": 0.2 * normal(5, 8, 3, 3, seed=1)}
    path = float_file(folder / "net.onnx", nodes, constants, (3, 9, 7))
    return quantized_file(path, samples((3, 9, 7)), **quantization)


@pytest.mark.parametrize(
    ("kind", "symmetric", "left"),
    [
        ("Relu", False, Lookup),  # the quantiser made the ReLU a rescaling
        ("Relu", True, Relu),
        ("Sigmoid", False, Lookup),
        ("LeakyRelu", True, Lookup),
    ],
)
def test_an_activation_in_channels_last_costs_no_transposition(tmp_path, kind, symmetric, left):
    path = channels_last_between(tmp_path, kind, ActivationSymmetric=symmetric)
    graph = read_onnx(path)
    assert sum(isinstance(operator, Transpose) for operator in graph.operators) == 2
    assert kinds_after(optimize, graph) == [Convolution, left, Convolution]
    x = samples((3, 9, 7), count=3)
    assert steps_apart(path, x, optimize(graph)).max() <= 2
    is_exact(path, x, tmp_path)
