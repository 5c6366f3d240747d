"""Damaged and hostile ONNX files, made from valid ones; a seed is a file.

Some have bytes changed, most are well-formed files whose content lies.
"""

import contextlib
import io
import signal
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from small_onnx import float_file, int8_weight, normal, qdq, quantized_file, two_by_two, written_by_hand

from tinypareto.errors import TinyParetoError
from tinypareto.mcu.firmware import read_program
from tinypareto.mcu.targets import target

SECONDS = 20  # a file of a few KB is read in a fraction of one
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    -128,
    255,
    1 << 16,
    (1 << 31) - 1,
    -(1 << 31),
    1 << 40,
    (1 << 63) - 1,
    -(1 << 63),
)
SCALES = (0.0, -1.0, float("nan"), float("inf"), 1e-30, 1e-45, 1e30, 3.4e38)
KINDS = (
    "Conv", "Gemm", "MatMul", "Add", "Mul", "Sub", "Relu", "Clip", "Concat", "Split", "Slice", "Pad", "Resize",
    "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Softmax", "ArgMax", "ReduceMean", "MaxPool",
    "AveragePool", "GlobalMaxPool", "Identity", "Constant", "QuantizeLinear", "DequantizeLinear", "Loop", "If",
    "Div", "ReduceMax", "Shape", "Gather", "Cast", "Floor",
)  # fmt: skip
ATTRIBUTES = (
    "axis", "axes", "kernel_shape", "strides", "pads", "dilations", "group", "perm", "alpha", "keepdims", "transB",
    "auto_pad", "ceil_mode", "mode", "split", "num_outputs", "value", "starts", "count_include_pad",
    "start", "end", "to",
)  # fmt: skip


def valid_files(folder: Path) -> list[bytes]:
    """Return files that the reader takes, with nearly every operator among them."""
    weight, constants = int8_weight()
    dense = [
        weight,
        helper.make_node("MatMul", ["x_r", "w"], ["p"]),
        helper.make_node("Add", ["b", "p"], ["q"]),
        helper.make_node("Clip", ["q", "", "top"], ["h"]),
    ]
    more = {"b": normal(9), "top": np.float32(3)}
    paths = [two_by_two(_new(folder)), written_by_hand(_new(folder), dense, {**constants, **more})]
    paths += [_network(_new(folder)), _moves(_new(folder)), _tokens(_new(folder))]
    return [path.read_bytes() for path in paths]


def mutated(files: list[bytes], seed: int) -> bytes:
    """Return one of the files after one to four mutations."""
    rng = np.random.default_rng(seed)
    content = files[rng.integers(len(files))]
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 5)):
            content = _damaged(content, rng)
        return content
    model = onnx.load_from_string(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with contextlib.suppress(ValueError):  # an earlier lie may have left nothing to change
            _lie(model.graph, rng)
    return model.SerializeToString()


def read_within(content: bytes, folder: Path) -> bool:
    """Read a file; return whether it was taken. Anything but an error of ours, or a hang, is raised."""
    path = folder / "mutated.onnx"
    path.write_bytes(content)

    def give_up(signum, frame):
        raise RuntimeError(f"the reader hangs: not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            read_program(path, target("cortex-m4"))
    except TinyParetoError as error:
        said = str(error)
    else:
        return True
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert "\n" not in said, f"more than one line: {said}"
    return False


def _new(folder: Path) -> Path:
    made = folder / f"valid{len(list(folder.glob('valid*')))}"
    made.mkdir(parents=True)
    return made


def _network(folder: Path) -> Path:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "d"], ["e"], group=5, kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"], transB=1),
    ]
    weights = {"w": normal(5, 3, 3, 3), "d": normal(5, 1, 2, 2), "g": normal(4, 20)}
    path = float_file(folder / "net.onnx", nodes, weights, (3, 7, 6))
    return quantized_file(path, normal(8, 3, 7, 6))


def _moves(folder: Path) -> Path:
    middle, constants = [], {
        "pads": np.array([0, 0, 1, 2, 0, 0, 0, 3]),
        "starts": np.array([1]), "ends": np.array([9]), "axes": np.array([2]), "steps": np.array([2]),
        "scales": np.array([1, 1, 2, 1.5], np.float32), "sizes": np.array([1, 3]),
    }  # fmt: skip
    for nodes, name in (
        ([helper.make_node("Pad", ["x_r", "pads"], ["p"])], "p"),
        ([helper.make_node("Slice", ["p_r", "starts", "ends", "axes", "steps"], ["s"])], "s"),
        ([helper.make_node("Resize", ["s_r", "", "scales"], ["r"], mode="nearest")], "r"),
        ([helper.make_node("Transpose", ["r_r"], ["t"], perm=[0, 2, 3, 1])], "t"),
        ([helper.make_node("Concat", ["t_r", "t_r"], ["c"], axis=-1)], "c"),
        ([helper.make_node("AveragePool", ["c_r"], ["m"], kernel_shape=[2, 2], pads=[1, 1, 0, 0])], "m"),
        ([helper.make_node("Sigmoid", ["m_r"], ["g"]), helper.make_node("Mul", ["g", "m_r"], ["v"])], "v"),
        ([helper.make_node("Reshape", ["v_r", "flat"], ["h"])], None),
    ):
        middle += nodes
        if name:
            quantized, more = qdq(name, 0.05, -4)
            middle, constants = [*middle, *quantized], {**constants, **more}
    constants["flat"] = np.array([0, -1])
    return written_by_hand(folder, middle, constants, dims=(4, 7, 6), output=("h", 0.05, -4))


def _tokens(folder: Path) -> Path:
    """Write layers over the last axis, constants of every shape, a mean over channels and computed sizes."""
    weight, constants = int8_weight(rows=6, columns=6)
    constants |= {
        "bias": normal(6), "each": normal(7, 1), "all": normal(4, 7, 6), "axes": np.array([3]),
        "sizes": np.array([9, 5]), "zero": np.array([0]), "two": np.array([2]),
    }  # fmt: skip
    middle = [weight]
    for nodes, name in (
        ([helper.make_node("MatMul", ["x_r", "w"], ["p"])], "p"),
        ([helper.make_node("Add", ["p_r", "bias"], ["a"])], "a"),
        ([helper.make_node("Mul", ["a_r", "each"], ["m"])], "m"),
        ([helper.make_node("Sub", ["m_r", "all"], ["s"])], "s"),
        ([helper.make_node("Softmax", ["s_r"], ["t"], axis=-1)], "t"),
        ([helper.make_node("ReduceMean", ["t_r", "axes"], ["r"], keepdims=1)], "r"),
    ):
        quantized, more = qdq(name, 0.05, -4)
        middle, constants = [*middle, *nodes, *quantized], {**constants, **more}
    middle += [
        helper.make_node("Shape", ["r_r"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two", "zero"], ["kept"]),
        helper.make_node("Concat", ["kept", "sizes"], ["to"], axis=0),
        helper.make_node("Resize", ["r_r", "", "", "to"], ["h"], mode="nearest"),
    ]
    return written_by_hand(folder, middle, constants, dims=(4, 7, 6), output=("h", 0.05, -4))


def _damaged(content: bytes, rng) -> bytes:
    if not content:
        return content
    place, size = int(rng.integers(len(content))), int(rng.integers(1, 20))
    kind = rng.integers(5)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + rng.bytes(size) + content[place + size :]
    if kind == 2:
        return content[:place] + content[place + size :]
    if kind == 3:
        other = int(rng.integers(len(content)))
        return content[:place] + content[other : other + 5 * size] + content[place:]
    return content[:place] + bytes([content[place] ^ (1 << int(rng.integers(8)))]) + content[place + 1 :]


def _lie(graph, rng) -> None:
    """Change one thing of a well-formed graph."""
    if not graph.node:
        return
    node = graph.node[rng.integers(len(graph.node))]
    constant = graph.initializer[rng.integers(len(graph.initializer))] if graph.initializer else None
    number = NUMBERS[rng.integers(len(NUMBERS))]
    names = [name for one in graph.node for name in (*one.input, *one.output)] + [""]
    name = names[rng.integers(len(names))]
    choice = rng.integers(14)
    if choice == 0 and node.input:
        node.input[rng.integers(len(node.input))] = name
    elif choice == 1 and node.output:
        node.output[rng.integers(len(node.output))] = name
    elif choice == 2:
        node.op_type = KINDS[rng.integers(len(KINDS))]
    elif choice == 3:
        graph.node.remove(node)
    elif choice == 4 and constant is not None:
        graph.initializer.remove(constant)
    elif choice == 5 and constant is not None and constant.dims:
        constant.dims[rng.integers(len(constant.dims))] = number
    elif choice == 6 and constant is not None:
        constant.data_type = int(rng.integers(0, 24))
    elif choice == 7 and constant is not None and all(0 <= size < 1000 for size in constant.dims):
        scale = SCALES[rng.integers(len(SCALES))]
        constant.CopyFrom(
            numpy_helper.from_array(np.full(tuple(constant.dims), scale, np.float32), constant.name)
        )
    elif choice == 8:
        key = ATTRIBUTES[rng.integers(len(ATTRIBUTES))]
        values = (number, [number], [number, 1], 0.5, "x", [1, 1, 1, 1], [], np.float32(2))
        value = values[rng.integers(len(values))]
        kept = [attribute for attribute in node.attribute if attribute.name != key]
        del node.attribute[:]
        node.attribute.extend(kept)
        if isinstance(value, np.float32):
            value = numpy_helper.from_array(np.asarray(value))
        node.attribute.append(helper.make_attribute(key, value, attr_type=None if value != [] else 7))
    elif choice == 9 and node.attribute:
        node.attribute.remove(node.attribute[rng.integers(len(node.attribute))])
    elif choice == 10 and node.attribute:
        attribute = node.attribute[rng.integers(len(node.attribute))]
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = number
        else:
            attribute.i = number
    elif choice == 11 and graph.input:
        shape = graph.input[0].type.tensor_type.shape
        if shape.dim:
            shape.dim[rng.integers(len(shape.dim))].dim_value = number
    elif choice == 12 and constant is not None:
        integers = constant.data_type == TensorProto.INT64
        if integers and constant.raw_data and min(constant.dims, default=1) > 0:
            values = np.atleast_1d(numpy_helper.to_array(constant)).copy()
            values.reshape(-1)[rng.integers(values.size)] = number
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    elif graph.input:
        graph.input[0].type.tensor_type.elem_type = int(rng.integers(0, 24))
