"""The intermediate representation: an int8 network as tensors and operators.

Every activation is int8 in HWC order without a batch axis; a series (1-D) has H = 1 and a vector is
1 x 1 x C. real = scale * (q - zero_point). Operators stand in execution order and name their tensors.
Values are immutable: a pass returns a new graph.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

INT8_MIN, INT8_MAX = -128, 127

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An int8 activation of shape height x width x channels, quantised per tensor."""

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Number of elements, which is also the number of bytes."""
        height, width, channels = self.shape
        return height * width * channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A sliding window; pairs are (height, width), padding is (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """What all operators have; ``clamp`` bounds the output and carries fused activations."""

    name: str
    inputs: tuple[str, ...]
    output: str
    clamp: tuple[int, int] = (INT8_MIN, INT8_MAX)  # of the output, in quantised units


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Operator):
    """Convolution of any group count; depthwise when ``groups`` equals the input's channels.

    ``weight`` is cout x kh x kw x (cin / groups), symmetric; ``weight_scale`` has cout entries (equal
    ones if quantised per tensor). ``bias`` is int32 with scale input_scale * weight_scale, as in the
    ONNX file: the input's zero point is not folded into it yet.
    """

    window: Window
    weight: Int8Array = field(repr=False)
    bias: Int32Array = field(repr=False)
    weight_scale: FloatArray = field(repr=False)
    groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Operator):
    """Matrix product with the input flattened in HWC order; ``weight`` is cout x (H * W * C).

    The outputs fill their tensor in HWC order, whatever its shape.
    """

    weight: Int8Array = field(repr=False)
    bias: Int32Array = field(repr=False)
    weight_scale: FloatArray = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Operator):
    """Sum of two tensors of equal shape, each with its own scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionAdd(Convolution):
    """Convolution that adds its second input, of its output's shape, to its own result.

    The result is rounded and clamped to int8 before the sum as it was in the model's file: ``middle`` is
    that tensor, which no memory holds. ``clamp`` is the sum's.
    """

    middle: Tensor
    middle_clamp: tuple[int, int]

    def parts(self) -> tuple[Convolution, Add]:
        """Return the convolution, which writes ``middle``, and the sum of that and the second input."""
        convolution = Convolution(
            name=self.name,
            inputs=self.inputs[:1],
            output=self.middle.name,
            clamp=self.middle_clamp,
            window=self.window,
            weight=self.weight,
            bias=self.bias,
            weight_scale=self.weight_scale,
            groups=self.groups,
        )
        summed = (self.middle.name, self.inputs[1])
        return convolution, Add(name=self.name, inputs=summed, output=self.output, clamp=self.clamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sub(Operator):
    """First minus second tensor, of equal shape, each with its own scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Operator):
    """Product of two tensors, element by element.

    The second has the first's shape, or is 1 x 1 x C and scales each channel (squeeze-and-excite).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Operator):
    """Largest value under the window; padding never wins. Requantised if the scales differ."""

    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(Operator):
    """Mean under the window; a global mean has the input's size as kernel.

    Padding counts as real zeros if ``count_padding``, else it is left out of the mean.
    """

    window: Window
    count_padding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relu(Operator):
    """max(x, 0) that could not be fused; requantised if the scales differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Operator):
    """Any function of one value: output = table[q + 128], then clamped.

    The table holds both scales, so nothing is requantised.
    """

    table: Int8Array = field(repr=False)  # 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Operator):
    """Values that change their place and nothing else.

    An input whose scale is not the output's has a table that rescales it: q becomes table[q + 128].
    ``tables`` has one entry per input, None where the scales agree; empty if they agree for all.
    """

    tables: tuple[Int8Array | None, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Move):
    """Tensors side by side along ``axis`` of height, width, channels (0, 1, 2)."""

    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Move):
    """Every ``step``-th value from ``start`` on, along height, width and channels; steps are at least 1."""

    start: tuple[int, int, int] = (0, 0, 0)
    step: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Move):
    """The input, ``before`` behind the output's edges; all around it lies ``value``, in output steps."""

    before: tuple[int, int, int] = (0, 0, 0)
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Move):
    """The input's ``rows`` and ``columns`` in the order in which they are listed, some of them repeatedly."""

    rows: tuple[int, ...] = field(repr=False)
    columns: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Move):
    """The input seen as ``view`` and its ``axes`` permuted; the output's shape may group the values otherwise."""

    view: tuple[int, int, int]
    axes: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Operator):
    """exp(x) over the sum of all exp(x) along ``axis`` of height, width, channels."""

    axis: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgMax(Operator):
    """Index of the largest value along ``axis``, the first of equals; scale 1 and zero point -128 hold 0..255."""

    axis: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A network: its tensors by name, its operators in execution order, its inputs and outputs.

    ``input_dims`` and ``output_dims`` are the shapes that the model's file uses, one for each input and
    output, without the batch axis: (C, H, W), (C, L) or (F,); empty means (C, H, W) for all. The inputs and outputs
    in ``channels_last`` lie in the file's own order instead, (H, W, C) or (L, C).
    """

    name: str
    tensors: dict[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_dims: tuple[tuple[int, ...], ...] = ()
    output_dims: tuple[tuple[int, ...], ...] = ()
    channels_last: frozenset[str] = frozenset()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one quantised sample: H x W x C, or the bytes of several inputs, one behind the other."""
        return self._sample_shape(self.inputs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one sample's quantised result: H x W x C, or the bytes of several outputs."""
        return self._sample_shape(self.outputs)

    def with_operators(self, operators: tuple[Operator, ...]) -> "Graph":
        """Return this graph with other operators; tensors that none of them uses are dropped."""
        used = {*self.inputs, *self.outputs}
        for operator in operators:
            used.update(operator.inputs, (operator.output,))
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        return replace(self, tensors=tensors, operators=operators)

    def with_tensor(self, tensor: Tensor) -> "Graph":
        """Return this graph with one more tensor."""
        return replace(self, tensors=self.tensors | {tensor.name: tensor})

    def is_elementwise(self, operator: Operator) -> bool:
        """Say whether each value of the output depends on the values at its own place alone, everywhere alike."""
        shapes = {self.tensors[name].shape for name in (*operator.inputs, operator.output)}
        return isinstance(operator, Add | Lookup | Mul | Relu | Sub) and len(shapes) == 1

    def _sample_shape(self, names: tuple[str, ...]) -> tuple[int, ...]:
        if len(names) == 1:
            return self.tensors[names[0]].shape
        return (sum(self.tensors[name].size for name in names),)
