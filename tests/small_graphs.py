"""Small int8 graphs built by hand, with scales that keep values from saturating."""

import numpy as np

from tinypareto.mcu.graph import (
    Add,
    AveragePool,
    Convolution,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Mul,
    Relu,
    Sub,
    Tensor,
    Window,
)

SPREAD = 40  # standard deviation that outputs get, in steps
PRODUCT_SPREAD = 73.0 * 60.0  # of one product of a random weight and a typical activation


class GraphBuilder:
    """Adds operators one by one; every method returns the name of its output tensor."""

    def __init__(self, shape=(7, 9, 5), seed=0):
        self.rng = np.random.default_rng(seed)
        self.tensors, self.operators = {}, []
        self.x = self._tensor("x", shape)

    def graph(self, output, name="small"):
        return Graph(
            name=name,
            tensors=dict(self.tensors),
            operators=tuple(self.operators),
            inputs=("x",),
            outputs=(output,),
        )

    def conv(self, name, source, cout, window, groups=1, factor=None, limit=127):
        """Add a convolution; ``factor`` is the real requantisation factor, by default a sensible one."""
        channels = self.tensors[source].shape[2]
        weight = self._integers(limit, (cout, *window.kernel, channels // groups))
        output = self._tensor(name, (*windowed(self.tensors[source].shape, window), cout))
        self.operators.append(
            Convolution(
                name=name,
                inputs=(source,),
                output=output,
                clamp=self._clamp(),
                window=window,
                weight=weight,
                bias=self._bias(cout, weight[0].size),
                weight_scale=self._weight_scale(source, output, cout, weight[0].size, factor),
                groups=groups,
            )
        )
        return output

    def dense(self, name, source, cout):
        depth = self.tensors[source].size
        output = self._tensor(name, (1, 1, cout))
        self.operators.append(
            Dense(
                name=name,
                inputs=(source,),
                output=output,
                weight=self._integers(127, (cout, depth)),
                bias=self._bias(cout, depth),
                weight_scale=self._weight_scale(source, output, cout, depth, None),
            )
        )
        return output

    def add(self, name, first, second):
        output = self._tensor(name, self.tensors[first].shape)
        self.operators.append(Add(name=name, inputs=(first, second), output=output, clamp=self._clamp()))
        return output

    def sub(self, name, first, second):
        output = self._tensor(name, self.tensors[first].shape)
        self.operators.append(Sub(name=name, inputs=(first, second), output=output, clamp=self._clamp()))
        return output

    def mul(self, name, first, second):
        output = self._tensor(name, self.tensors[first].shape)
        self.operators.append(Mul(name=name, inputs=(first, second), output=output, clamp=self._clamp()))
        return output

    def max_pool(self, name, source, window):
        return self._pool(MaxPool, name, source, window)

    def average_pool(self, name, source, window):
        return self._pool(AveragePool, name, source, window)

    def relu(self, name, source):
        output = self._tensor(name, self.tensors[source].shape)
        self.operators.append(Relu(name=name, inputs=(source,), output=output))
        return output

    def lookup(self, name, source):
        output = self._tensor(name, self.tensors[source].shape)
        table = self._integers(127, 256)
        self.operators.append(
            Lookup(name=name, inputs=(source,), output=output, table=table, clamp=self._clamp())
        )
        return output

    def inputs(self, count, seed=1):
        shape = (count, *self.tensors[self.x].shape)
        return np.random.default_rng(seed).integers(-128, 128, size=shape, dtype=np.int8)

    def _pool(self, kind, name, source, window):
        shape = self.tensors[source].shape
        output = self._tensor(name, (*windowed(shape, window), shape[2]))
        self.operators.append(
            kind(name=name, inputs=(source,), output=output, window=window, clamp=self._clamp())
        )
        return output

    def _tensor(self, name, shape):
        self.tensors[name] = Tensor(
            name=name,
            shape=shape,
            scale=float(np.float32(self.rng.uniform(0.03, 0.06))),
            zero_point=int(self.rng.integers(-100, 100)),
        )
        return name

    def _integers(self, limit, shape):
        return self.rng.integers(-limit, limit + 1, size=shape).astype(np.int8)

    def _bias(self, cout, depth):
        reach = int(PRODUCT_SPREAD * np.sqrt(depth))
        return self.rng.integers(-reach, reach + 1, size=cout).astype(np.int32)

    def _clamp(self):
        return (int(self.rng.integers(-128, -100)), int(self.rng.integers(100, 128)))

    def _weight_scale(self, source, output, cout, depth, factor):
        sensible = SPREAD / (PRODUCT_SPREAD * np.sqrt(depth)) * self.rng.uniform(0.5, 2.0, size=cout)
        wanted = sensible if factor is None else np.broadcast_to(factor, cout)
        return wanted * self.tensors[output].scale / self.tensors[source].scale


def windowed(shape, window):
    """Return height and width of what a window makes of a tensor."""
    top, left, bottom, right = window.padding
    sizes = (shape[0] + top + bottom, shape[1] + left + right)
    return tuple(
        (size - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, dilation in zip(
            sizes, window.kernel, window.stride, window.dilation, strict=True
        )
    )


def small_resnet(seed=0, width=5):
    """Return a residual network with odd channel counts, and its builder for inputs of its shape."""
    build = GraphBuilder((6, 6, 3), seed)
    same = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    half = Window(kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1))
    stem = build.conv("stem", build.x, width, same)
    first = build.add(
        "first/add", build.conv("first/b", build.conv("first/a", stem, width, same), width, same), stem
    )
    short = build.conv("short", first, width + 2, Window(kernel=(1, 1), stride=(2, 2)))
    second = build.add("second/add", build.conv("second/a", first, width + 2, half), short)
    pooled = build.average_pool("pool", second, Window(kernel=(3, 3)))
    return build.graph(build.dense("head", pooled, 4), name="small_resnet"), build
