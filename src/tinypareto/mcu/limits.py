"""Does a measured program fit its target? If not: by how much, and what is to blame."""

from tinypareto.errors import TargetMemoryError
from tinypareto.mcu.footprint import Footprint
from tinypareto.mcu.graph import Convolution, Dense, Graph
from tinypareto.mcu.targets import Target


def check_memory(graph: Graph, target: Target, footprint: Footprint) -> None:
    """Refuse a program that needs more flash or RAM than the target has.

    Args:
        graph: What the program computes.
        target: Its core or board.
        footprint: As measured; with a stack of 0 bytes if it was not simulated yet.

    Raises:
        TargetMemoryError: It names the excess in bytes and the largest operator or tensor.
    """
    problems = []
    if footprint.rom_bytes > target.flash_bytes:
        excess = _excess("flash", footprint.rom_bytes, target.flash_bytes)
        problems.append(f"{excess}{_largest_operator(graph)}")
    if footprint.ram_bytes > target.ram_bytes:
        what = "RAM" if footprint.stack_bytes else "RAM besides its stack"
        excess = _excess(what, footprint.ram_bytes, target.ram_bytes)
        problems.append(f"{excess}, the largest tensor is {_largest_tensor(graph)}")
    if problems:
        raise TargetMemoryError(
            f"{graph.name} must fit {target.name}, but {', and '.join(problems)}; "
            "prune the model or choose a larger target."
        )


def _excess(what: str, need: int, limit: int) -> str:
    return f"needs {need:,} bytes of {what}, {need - limit:,} more than the {limit:,} there are"


def _largest_operator(graph: Graph) -> str:
    layers = [operator for operator in graph.operators if isinstance(operator, Convolution | Dense)]
    if not layers:
        return ""
    largest = max(layers, key=lambda layer: layer.weight.size)
    return f", the largest operator is {largest.name!r} with {largest.weight.size:,} weights"


def _largest_tensor(graph: Graph) -> str:
    largest = max(graph.tensors.values(), key=lambda tensor: tensor.size)
    shape = " x ".join(map(str, largest.shape))
    return f"{largest.name!r} with {largest.size:,} bytes ({shape})"
