"""Random int8 graphs: every operator, odd shapes and channels, strides, extreme scales and values.

A seed is a graph and its inputs; tests and tools/soak.py share them.
"""

from dataclasses import replace

import numpy as np

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.graph import (
    Add,
    ArgMax,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Move,
    Mul,
    Pad,
    Relu,
    Resize,
    Slice,
    Softmax,
    Sub,
    Tensor,
    Transpose,
    Window,
)
from tinypareto.mcu.reference import run_reference

SAMPLES = 4
LARGEST = 4000  # bytes of a tensor; more only costs time
EVERY_VALUE = (-128, 128)
EXTREME_VALUES = np.array([-128, -127, -1, 0, 1, 126, 127], np.int8)


def random_graph(seed):
    """Return a graph and four inputs: random, extreme, all smallest and all largest values."""
    build = _Builder(seed)
    for _ in range(int(build.rng.integers(1, 3))):
        build.source()
    for _ in range(int(build.rng.integers(3, 11))):
        build.operator()
    return build.graph(), build.samples()


class _Builder:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.tensors, self.values, self.operators, self.inputs = {}, {}, [], []

    def graph(self):
        written = [operator.output for operator in self.operators]
        chosen = self.rng.choice(written, size=min(3, len(written)), replace=False).tolist()
        outputs = tuple(dict.fromkeys((written[-1], *chosen[: self.rng.integers(0, 3)])))
        return Graph(
            name="random", tensors=self.tensors, operators=tuple(self.operators), inputs=tuple(self.inputs),
            outputs=outputs,
        )  # fmt: skip

    def samples(self):
        size = sum(self.tensors[name].size for name in self.inputs)
        rows = [
            self.rng.integers(*EVERY_VALUE, size=size, dtype=np.int8),
            self.rng.choice(EXTREME_VALUES, size=size),
            np.full(size, -128, np.int8),
            np.full(size, 127, np.int8),
        ]
        return np.stack(rows).reshape(SAMPLES, *self.graph().input_shape)

    def source(self):
        series = self.rng.random() < 0.3
        shape = (1 if series else self._int(1, 10), self._int(1, 20 if series else 10), self._int(1, 14))
        name = f"x{len(self.inputs)}"
        self.tensors[name] = self._tensor(name, shape)
        self.values[name] = self.rng.integers(*EVERY_VALUE, size=(2, *shape), dtype=np.int8)
        self.inputs.append(name)

    def operator(self):
        """Add one operator of a random kind that reads recent tensors."""
        makers = (
            self._convolution, self._convolution, self._depthwise, self._pointwise, self._dense, self._pool,
            self._pool, self._sum, self._product, self._relu, self._lookup, self._concat, self._slice, self._pad,
            self._resize, self._transpose, self._softmax, self._arg_max, self._constants, self._over_channels,
        )  # fmt: skip
        while True:
            made = makers[self.rng.integers(len(makers))](self._recent(), f"t{len(self.operators)}")
            if made is not None and np.prod(made[1]) <= LARGEST and self._settle(*made):
                return

    def _settle(self, operator, shape):
        """Give the output a scale with which the operator can be compiled, mostly one that shows much."""
        first = self._tensor(operator.output, shape)
        fair = self.rng.random() < 0.85
        kept = [] if not isinstance(operator, Move) else [
            self.tensors[name]
            for name, table in zip(operator.inputs, operator.tables or (None,) * len(operator.inputs), strict=True)
            if table is None
        ]  # fmt: skip
        if kept:  # what is not rescaled has the output's scale
            first, fair = replace(first, scale=kept[0].scale, zero_point=kept[0].zero_point), False
        tried = {}
        for factor in (1, 30, 1e-3, 1e3, 1e-1, 1e5, 1e7, 1e10):
            output = replace(first, scale=first.scale * factor)
            try:
                values = self._run(operator, output)
            except UnsupportedModelError:
                continue
            tried[len(np.unique(values))] = (output, values)
            if not fair or max(tried) > 50:
                break
        if not tried:
            return False
        self.tensors[first.name], self.values[first.name] = tried[max(tried)]
        self.operators.append(operator)
        return True

    def _run(self, operator, output):
        """Return the output for two samples of all tensors so far."""
        tensors = {**self.tensors, output.name: output}
        inputs = tuple(dict.fromkeys(operator.inputs))
        part = Graph(
            name="part", tensors=tensors, operators=(operator,), inputs=inputs, outputs=(output.name,)
        )
        known = np.concatenate([self.values[name].reshape(2, -1) for name in inputs], axis=1)
        return run_reference(part, known.reshape(2, *part.input_shape))

    def _tensor(self, name, shape):
        low, high = (-3, -0.5) if self.rng.random() < 0.7 else (-9, 6)
        zero_point = self.rng.choice([-128, 127, 0, self._int(-128, 128)])
        scale = float(np.float32(10 ** self.rng.uniform(low, high)))
        return Tensor(name=name, shape=tuple(map(int, shape)), scale=scale, zero_point=int(zero_point))

    def _recent(self):
        names = list(self.tensors)[-5:]
        return names[self.rng.integers(len(names))]

    def _int(self, low, high):
        return int(self.rng.integers(low, high))

    def _base(self, name, *inputs):
        clamp = (self._int(-128, 0), self._int(0, 128)) if self.rng.random() < 0.3 else (-128, 127)
        return {"name": f"op/{name}", "inputs": inputs, "output": name, "clamp": clamp}

    def _weights(self, shape):
        values = self.rng.integers(*EVERY_VALUE, size=shape, dtype=np.int8)
        return self.rng.choice(EXTREME_VALUES, size=shape) if self.rng.random() < 0.2 else values

    def _layer(self, shape):
        cout, depth = shape[0], int(np.prod(shape[1:]))
        reach = 10 ** self.rng.uniform(0, 7)
        spread = 4.0 if self.rng.random() < 0.2 else 0.3  # decades between the scales of channels
        scale = (
            10 ** (self.rng.uniform(-3, -2) + self.rng.uniform(-spread, spread / 4, size=cout)) / depth**0.5
        )
        return {
            "weight": self._weights(shape),
            "bias": self.rng.integers(-reach, reach + 1, size=cout).astype(np.int32),
            "weight_scale": scale,
        }

    def _window(self, shape, largest=5):
        """Return a window that fits the image, with stride, padding and dilation, or None."""
        kernel = (1 if shape[0] == 1 else self._int(1, largest), self._int(1, largest))
        dilation = tuple(self._int(1, 3) if self.rng.random() < 0.2 else 1 for _ in kernel)
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        padding = (
            tuple(self._int(0, size) for size in (*reach, *reach)) if self.rng.random() < 0.6 else (0,) * 4
        )
        window = Window(
            kernel=kernel, stride=(self._int(1, 4), self._int(1, 4)), padding=padding, dilation=dilation
        )
        return window if min(_windowed(shape, window)) >= 1 else None

    def _convolution(self, source, name):
        shape = self.tensors[source].shape
        groups = int(self.rng.choice([g for g in range(1, shape[2] + 1) if shape[2] % g == 0]))
        return self._windowed_layer(source, name, groups * self._int(1, 1 + max(16 // groups, 1)), groups)

    def _depthwise(self, source, name):
        channels = self.tensors[source].shape[2]
        return self._windowed_layer(source, name, channels, channels)

    def _windowed_layer(self, source, name, cout, groups):
        shape = self.tensors[source].shape
        window = self._window(shape)
        if window is None:
            return None
        weights = self._layer((cout, *window.kernel, shape[2] // groups))
        made = Convolution(**self._base(name, source), window=window, groups=groups, **weights)
        return made, (*_windowed(shape, window), cout)

    def _pointwise(self, source, name):
        shape, cout = self.tensors[source].shape, self._int(1, 18)
        window = Window(kernel=(1, 1), stride=(self._int(1, 3), self._int(1, 3)))
        made = Convolution(**self._base(name, source), window=window, **self._layer((cout, 1, 1, shape[2])))
        return made, (*_windowed(shape, window), cout)

    def _dense(self, source, name):
        cout = self._int(1, 20)
        made = Dense(**self._base(name, source), **self._layer((cout, self.tensors[source].size)))
        return made, (1, 1, cout)

    def _constants(self, source, name):
        """Add arithmetic with a constant per channel, as it is read: one pixel, factors of 127, -127 and 0."""
        shape = self.tensors[source].shape
        layer = self._layer((shape[2], 1, 1, 1))
        layer["weight"] = self.rng.choice(np.array([127, 127, -127, 0], np.int8), size=(shape[2], 1, 1, 1))
        made = Convolution(**self._base(name, source), window=Window(kernel=(1, 1)), groups=shape[2], **layer)
        return made, shape

    def _over_channels(self, source, name):
        """Add a mean or maximum over channels, perhaps with rows or columns: they become columns of one channel."""
        shape, first = self.tensors[source].shape, self._int(0, 3)
        axes = [(0, 1, 2), (0, 1, 2), (1, 0, 2)][first]
        depth = int(np.prod([shape[axis] for axis in axes[2 if first == 0 else 1 :]]))
        pixels = self.tensors[source].size // depth
        seen = Transpose(
            name=f"op/{name}", inputs=(source,), output=name, view=shape, axes=axes, tables=(None,)
        )
        if not self._settle(seen, (pixels, depth, 1)):
            return None
        make = MaxPool if self.rng.random() < 0.4 else AveragePool
        window = Window(kernel=(1, depth), stride=(1, depth))
        made = make(**self._base(f"t{len(self.operators)}", name), window=window)
        return made, (pixels, 1, 1)

    def _pool(self, source, name):
        shape = self.tensors[source].shape
        window = self._window(shape) if self.rng.random() < 0.8 else Window(kernel=shape[:2])
        if window is None:
            return None
        made = MaxPool(**self._base(name, source), window=window)
        if self.rng.random() < 0.6:
            counts = bool(self.rng.random() < 0.4)
            if not counts and not _always_sees(shape, window):
                return None
            made = AveragePool(**self._base(name, source), window=window, count_padding=counts)
        return made, (*_windowed(shape, window), shape[2])

    def _sum(self, source, name):
        make = Add if self.rng.random() < 0.5 else Sub
        shape = self.tensors[source].shape
        twins = [other for other, tensor in self.tensors.items() if tensor.shape == shape]
        return make(**self._base(name, source, twins[self.rng.integers(len(twins))])), shape

    def _product(self, source, name):
        shape = self.tensors[source].shape
        twins = [n for n, t in self.tensors.items() if t.shape in {shape, (1, 1, shape[2])}]
        return Mul(**self._base(name, source, twins[self.rng.integers(len(twins))])), shape

    def _relu(self, source, name):
        return Relu(**self._base(name, source)), self.tensors[source].shape

    def _lookup(self, source, name):
        return Lookup(**self._base(name, source), table=self._weights(256)), self.tensors[source].shape

    def _tables(self, count):
        return tuple(self._weights(256) if self.rng.random() < 0.4 else None for _ in range(count))

    def _concat(self, source, name):
        shape, axis = self.tensors[source].shape, self._int(0, 3)
        rest = [size for i, size in enumerate(shape) if i != axis]
        twins = [
            other
            for other, tensor in self.tensors.items()
            if [size for i, size in enumerate(tensor.shape) if i != axis] == rest
        ]
        names = [source, *self.rng.choice(twins, size=self._int(0, 3)).tolist()]
        total = sum(self.tensors[other].shape[axis] for other in names)
        made = Concat(**self._base(name, *names), axis=axis, tables=self._tables(len(names)))
        return made, (*shape[:axis], total, *shape[axis + 1 :])

    def _slice(self, source, name):
        shape = self.tensors[source].shape
        start = tuple(self._int(0, size) if self.rng.random() < 0.6 else 0 for size in shape)
        step = tuple(self._int(1, 4) if self.rng.random() < 0.4 else 1 for _ in shape)
        sizes = [self._int(1, 1 + -(-(n - a) // b)) for n, a, b in zip(shape, start, step, strict=True)]
        return Slice(**self._base(name, source), start=start, step=step, tables=self._tables(1)), sizes

    def _pad(self, source, name):
        before, behind = ([self._int(0, 4) if self.rng.random() < 0.5 else 0 for _ in range(3)] for _ in "ab")
        shape = [sum(sizes) for sizes in zip(before, self.tensors[source].shape, behind, strict=True)]
        value = int(self.rng.choice([self._int(*EVERY_VALUE), self.tensors[source].zero_point, -128]))
        if self.rng.random() < 0.5:
            before[2], shape[2] = 0, self.tensors[source].shape[2]
        made = Pad(**self._base(name, source), before=tuple(before), value=value, tables=self._tables(1))
        return made, shape

    def _resize(self, source, name):
        height, width, channels = self.tensors[source].shape
        rows, columns = (
            tuple(sorted(self.rng.integers(0, size, size=self._int(1, 2 * size + 1)).tolist()))
            for size in (height, width)
        )
        made = Resize(**self._base(name, source), rows=rows, columns=columns, tables=self._tables(1))
        return made, (len(rows), len(columns), channels)

    def _softmax(self, source, name):
        return Softmax(**self._base(name, source), axis=self._int(0, 3)), self.tensors[source].shape

    def _arg_max(self, source, name):
        axis, shape = self._int(0, 3), list(self.tensors[source].shape)
        if self.rng.random() < 0.6:
            return None  # whatever reads an index sees little
        shape[axis] = 1
        return ArgMax(**self._base(name, source), axis=axis), shape

    def _transpose(self, source, name):
        view = tuple(self.rng.permutation(self.tensors[source].shape).tolist())
        axes = tuple(self.rng.permutation(3).tolist())
        made = Transpose(**self._base(name, source), view=view, axes=axes, tables=self._tables(1))
        return made, [view[axis] for axis in axes]


def _windowed(shape, window):
    top, left, bottom, right = window.padding
    spans = (shape[0] + top + bottom, shape[1] + left + right)
    return tuple(
        (span - d * (k - 1) - 1) // s + 1
        for span, d, k, s in zip(spans, window.dilation, window.kernel, window.stride, strict=True)
    )


def _always_sees(shape, window):
    """Tell whether every place of the window has a value of the image under it."""
    for axis, count in enumerate(_windowed(shape, window)):
        first = np.arange(count)[:, None] * window.stride[axis] - window.padding[axis]
        taps = first + window.dilation[axis] * np.arange(window.kernel[axis])
        if not ((taps >= 0) & (taps < shape[axis])).any(axis=1).all():
            return False
    return True
