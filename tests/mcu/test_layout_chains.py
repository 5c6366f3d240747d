"""Random chains of nodes that change shapes and layouts and round nothing: to the byte what onnxruntime computes."""

import numpy as np
import pytest
from onnx import helper
from small_onnx import is_exact, normal, qdq, run_onnx, written_by_hand

from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.samples import dequantize_output, quantize_input

STEP, ZERO_POINT = 0.05, -4  # of every tensor, so that nothing is rescaled
SEEDS = range(120)


class Chain:
    """Adds random nodes one by one; each reads the last value, some an earlier one of the same dims too."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.dims = tuple(int(size) for size in self.rng.integers(1, 7, size=self.rng.integers(1, 4)))
        if int(np.prod(self.dims)) < 6:
            self.dims = (*self.dims[:-1], 6)
        self.input_dims, self.nodes, self.constants, self.name = self.dims, [], {}, "x_r"
        self.earlier = {self.name: self.dims}
        for _ in range(int(self.rng.integers(2, 8))):
            self.extend()

    def extend(self):
        makers = (
            self._transpose, self._reshape, self._product, self._product, self._largest, self._summand, self._sign,
            self._twins, self._slice, self._pair,
        )  # fmt: skip
        made = None
        while made is None:
            made = makers[self.rng.integers(len(makers))]()
        kind, inputs, dims, attributes = made
        if np.prod(dims) < 2 or np.prod(dims) > 500:
            return
        name = f"t{len(self.nodes)}"
        quantized, constants = qdq(name, STEP, ZERO_POINT)
        self.nodes += [
            helper.make_node(kind, [self.name, *inputs], [name], name=f"{kind} {name}", **attributes)
        ]
        self.nodes += quantized
        self.constants |= constants
        self.name, self.dims = f"{name}_r", tuple(int(size) for size in dims)
        self.earlier[self.name] = self.dims

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def _transpose(self):
        order = self.rng.permutation(len(self.dims))
        if len(self.dims) > 3:
            return None
        return "Transpose", [], [self.dims[axis] for axis in order], {"perm": [0, *(order + 1).tolist()]}

    def _reshape(self):
        left, dims = int(np.prod(self.dims)), []
        for _ in range(self.rng.integers(1, 4)):
            dims.append(int(self.rng.choice([size for size in range(1, left + 1) if left % size == 0])))
            left //= dims[-1]
        dims[self.rng.integers(len(dims))] *= left
        return "Reshape", [self.constant([0, *dims])], dims, {}

    def _product(self):
        """Permute the last axis with a matrix, an output of which may be left out."""
        depth = self.dims[-1]
        outputs = int(self.rng.integers(max(1, depth - 1), depth + 1))
        name = f"w{len(self.nodes)}"
        matrix = np.eye(depth, dtype=np.int8)[:, self.rng.permutation(depth)[:outputs]]
        self.constants |= {f"{name}_q": matrix, f"{name}_s": np.float32(1), f"{name}_z": np.int8(0)}
        inputs = [f"{name}_q", f"{name}_s", f"{name}_z"]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name))
        return "MatMul", [name], (*self.dims[:-1], outputs), {}

    def _largest(self):
        if len(self.dims) < 2:
            return None
        axis, keep = int(self.rng.integers(len(self.dims))), int(self.rng.integers(2))
        dims = (*self.dims[:axis], *([1] if keep else []), *self.dims[axis + 1 :])
        return "ReduceMax", [self.constant([axis + 1])], dims, {"keepdims": keep}

    def _broadcast(self, values):
        shape = [size if self.rng.random() < 0.5 else 1 for size in self.dims]
        return self.constant(self.rng.choice(values, size=shape).astype(np.float32))

    def _summand(self):
        return (
            str(self.rng.choice(["Add", "Sub"])),
            [self._broadcast(np.float32(STEP) * np.arange(-2, 3))],
            self.dims,
            {},
        )

    def _sign(self):
        return "Mul", [self._broadcast([-1.0, 1.0])], self.dims, {}

    def _twins(self):
        """Add or subtract an earlier value of the same dims."""
        twins = [name for name, dims in self.earlier.items() if dims == self.dims and name != self.name]
        if not twins:
            return None
        return str(self.rng.choice(["Add", "Sub"])), [str(self.rng.choice(twins))], self.dims, {}

    def _slice(self):
        axis = int(self.rng.integers(len(self.dims)))
        if self.dims[axis] < 3 or len(self.dims) > 3:
            return None
        inputs = [self.constant([value]) for value in (1, 9999, axis + 1)]
        return "Slice", inputs, (*self.dims[:axis], self.dims[axis] - 1, *self.dims[axis + 1 :]), {}

    def _pair(self):
        axis = int(self.rng.integers(len(self.dims)))
        twins = [name for name, dims in self.earlier.items() if dims == self.dims]
        dims = (*self.dims[:axis], 2 * self.dims[axis], *self.dims[axis + 1 :])
        return "Concat", [str(self.rng.choice(twins))], dims, {"axis": axis + 1}

    def file(self, folder):
        last = helper.make_node("LeakyRelu", [self.name], ["h"], alpha=1.0)
        return written_by_hand(
            folder, [*self.nodes, last], self.constants, dims=self.input_dims, output=("h", STEP, ZERO_POINT)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_of_layouts_gives_the_bytes_of_onnxruntime(tmp_path, seed):
    chain = Chain(seed)
    path, x = chain.file(tmp_path), normal(16, *chain.input_dims, seed=seed)
    want, graph = run_onnx(path, x), read_onnx(path)
    for form in (graph, optimize(graph)):
        got = dequantize_output(form, run_reference(form, quantize_input(form, x)))
        np.testing.assert_array_equal(got, want)


def test_chains_of_layouts_are_telling(tmp_path):
    kinds, telling = set(), 0
    for seed in SEEDS:
        chain = Chain(seed)
        kinds |= {node.op_type for node in chain.nodes}
        results = run_onnx(chain.file(tmp_path), normal(4, *chain.input_dims, seed=seed))
        telling += len(np.unique(results)) > 8
    assert {"Add", "Concat", "MatMul", "Mul", "ReduceMax", "Reshape", "Slice", "Sub", "Transpose"} <= kinds
    assert telling >= 0.9 * len(SEEDS), "a constant output shows nothing"


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_the_generated_code_of_a_chain_gives_the_bytes_of_the_reference(tmp_path, seed):
    chain = Chain(seed)
    is_exact(chain.file(tmp_path), normal(3, *chain.input_dims, seed=seed), tmp_path)
