"""Graph and arena plan -> the files of a C project that builds by itself."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.compilers import COMPILE_FLAGS, GCC, ZIG, Compiler
from tinypareto.mcu.emit.add import emit_add
from tinypareto.mcu.emit.buffers import buffers
from tinypareto.mcu.emit.compact_weights import compact_weights
from tinypareto.mcu.emit.convolution import convolution_scratch, emit_convolution
from tinypareto.mcu.emit.dense import emit_dense
from tinypareto.mcu.emit.lookup import emit_lookup
from tinypareto.mcu.emit.moves import emit_moves
from tinypareto.mcu.emit.mul import emit_mul
from tinypareto.mcu.emit.place import Place
from tinypareto.mcu.emit.pool import emit_pool
from tinypareto.mcu.emit.rankings import emit_arg_max, emit_softmax
from tinypareto.mcu.emit.relu import emit_relu
from tinypareto.mcu.emit.text import (
    DESCRIPTOR_PREFIX,
    TABLE_PREFIX,
    OperatorText,
    comment_text,
    float_constant,
    identifier,
    shape_text,
)
from tinypareto.mcu.graph import (
    Add,
    ArgMax,
    AveragePool,
    Convolution,
    Dense,
    Graph,
    Lookup,
    MaxPool,
    Move,
    Mul,
    Operator,
    Relu,
    Softmax,
    Sub,
)
from tinypareto.mcu.memory import ArenaPlan
from tinypareto.mcu.targets import Target

Files = dict[str, str]

HEADER, WEIGHTS = "model.h", "weights.c"
EXAMPLES = ("main.c", "main_host.c")
_TEMPLATES = (
    *("model.c", "weights.h", WEIGHTS, *EXAMPLES),
    *("Makefile", "CMakeLists.txt", "arm-none-eabi.cmake", "README.md"),
)
_KERNEL_HEADERS = ("tinypareto.h", "requantize.h", "multiply.h", "patch.h", "dsp.h")


def scratch_bytes(graph: Graph) -> dict[str, int]:
    """Return the bytes of scratch memory of each operator that needs some, by the operator's name."""
    needs = {
        operator.name: convolution_scratch(operator, graph)
        for operator in graph.operators
        if isinstance(operator, Convolution)
    }
    return {name: size for name, size in needs.items() if size > 0}


def emit_project(graph: Graph, plan: ArenaPlan, target: Target, compiler: Compiler = ZIG) -> Files:
    """Return the project's files, relative path -> text; equal arguments give equal bytes.

    Args:
        graph: What to compute.
        plan: Where its tensors lie.
        target: The core, and the memory for the linker.
        compiler: That ``make`` calls unless told otherwise.

    Raises:
        UnsupportedModelError: If an operator has no kernel or a shape that no descriptor can hold.
    """
    operators = tuple(emit_operators(graph, plan))
    kernels = sorted({source for operator in operators for source in operator.sources})
    context = {
        **_common_context(graph, plan, target, compiler),
        "operators": operators,
        "sources": [
            *(f"kernels/{kernel}" for kernel in kernels),
            "model.c",
            WEIGHTS,
        ],  # as c_sources has them
        "headers": [f"kernels/{header}" for header in _KERNEL_HEADERS],
        "compilers": (ZIG, GCC),
        "gcc": GCC,
        "common_flags": COMPILE_FLAGS,
    }
    environment = _environment()
    files = {name: environment.get_template(f"{name}.j2").render(context) for name in _TEMPLATES}
    files[HEADER] = emit_header(graph, plan, target, compiler)
    files["link.ld"] = emit_linker_script(graph, plan, target)
    for kernel in (*_KERNEL_HEADERS, *kernels):
        files[f"kernels/{kernel}"] = kernel_text(kernel)
    return files


def emit_header(
    graph: Graph,
    plan: ArenaPlan,
    target: Target,
    compiler: Compiler,
    measured: Mapping[str, int] | None = None,
) -> str:
    """Return ``model.h``; ``measured`` are further macros, known once the program has run."""
    context = _common_context(graph, plan, target, compiler)
    return _environment().get_template(f"{HEADER}.j2").render(context, measured=measured)


def emit_compact_weights(graph: Graph, plan: ArenaPlan) -> str:
    """Return the constants of ``weights.c`` in the form that is fastest to compile."""
    return compact_weights(table for operator in emit_operators(graph, plan) for table in operator.tables)


def emit_linker_script(graph: Graph, plan: ArenaPlan, target: Target) -> str:
    """Return the linker script, with memory regions as large as the target's."""
    context = _common_context(graph, plan, target, ZIG)
    return _environment().get_template("link.ld.j2").render(context, table_prefix=TABLE_PREFIX)


def kernel_text(name: str) -> str:
    """Return a file of the kernel library."""
    return resources.files("tinypareto.mcu.kernels").joinpath(name).read_text(encoding="utf-8")


def c_sources(files: Files) -> list[str]:
    """Return the paths of the model's own sources, sorted."""
    return sorted(path for path in files if path.endswith(".c") and path not in EXAMPLES)


def descriptor_name(operator: OperatorText) -> str:
    """Return the name of the operator's descriptor."""
    return DESCRIPTOR_PREFIX + operator.name


def _common_context(graph: Graph, plan: ArenaPlan, target: Target, compiler: Compiler) -> dict[str, Any]:
    return {
        "name": comment_text(graph.name),
        "target": target,
        "compiler": compiler,
        "arena_bytes": plan.size,
        "inputs": buffers("MODEL_INPUT", graph, plan, graph.inputs),
        "outputs": buffers("MODEL_OUTPUT", graph, plan, graph.outputs),
    }


def load_templates() -> None:
    """Compile the templates now; the first project would, in each process anew."""
    for name in _environment().list_templates(extensions=["j2"]):
        _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinypareto.mcu", "emit"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # C, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        descriptor=descriptor_name,
        comment_text=comment_text,
        float_constant=float_constant,
        shape_text=shape_text,
    )
    return environment


def emit_operators(graph: Graph, plan: ArenaPlan) -> Iterator[OperatorText]:
    """Yield the calls of the generated program in order, with their descriptors and tables."""
    for index, operator in enumerate(graph.operators):
        name = f"{index:02d}_{identifier(operator.name)}"
        place = Place(graph=graph, plan=plan, name=name)
        if isinstance(operator, Move):
            yield from emit_moves(operator, place)
        else:
            yield _emit(operator, place)


def _emit(operator: Operator, place: Place) -> OperatorText:
    match operator:
        case Convolution():
            return emit_convolution(operator, place)
        case Dense():
            return emit_dense(operator, place)
        case Add() | Sub():
            return emit_add(operator, place)
        case Mul():
            return emit_mul(operator, place)
        case MaxPool() | AveragePool():
            return emit_pool(operator, place)
        case Relu():
            return emit_relu(operator, place)
        case Softmax():
            return emit_softmax(operator, place)
        case ArgMax():
            return emit_arg_max(operator, place)
        case Lookup():
            return emit_lookup(operator, place)
        case _:
            raise UnsupportedModelError(
                f"{operator.name} is a {type(operator).__name__}, which has no kernel; "
                "replace it by convolution, dense, add, sub, mul, pooling, ReLU or a table."
            )
