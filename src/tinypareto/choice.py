"""One network of a front: its knee, or the best in one objective, and in two sentences why.

The knee is the network that most would take: nearest to the best of every objective, over the front. Errors are
compared as they are, sizes and costs by their ratios, since they span decades. ROM, RAM and FLOPs say much the same, so
together they count as much as the error; else three votes for small would always win.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ConfigError
from tinypareto.front import pick_knee
from tinypareto.trials import FoundNetwork, History

KNEE = "knee"
ERROR = "error"
SHORT = {"rom_bytes": "ROM", "ram_bytes": "RAM", "flops": "FLOPs"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A network and why it was chosen, in words and numbers."""

    network: FoundNetwork
    why: str


def choose(history: History, pick: str = KNEE) -> Choice | None:
    """Return the front's network that ``pick`` names; None if nothing is feasible yet.

    Args:
        history: Of the study.
        pick: "knee", or an objective, of which the smallest value wins.

    Raises:
        ConfigError: If ``pick`` is something else.
    """
    names = history.description.objectives
    if pick != KNEE and pick not in names:
        raise ConfigError(
            f"--pick must be one of {', '.join((KNEE, *names))}, got {pick!r}; choose one of these."
        )
    front = history.front()
    if not front:
        return None
    if pick == KNEE:
        chosen = front[_knee(names, _values(names, front))]
        rule = (
            f"nearest to the best of every objective (sizes by their ratios, together as heavy as the {names[0]})"
            if len(names) > 1
            else f"of the smallest {names[0]}"
        )
    else:
        chosen = min(front, key=lambda network: (network.objectives[pick], network.objectives[names[0]]))
        rule = f"of the smallest {_short(pick)}, {_number(chosen.objectives[pick])}"
    why = (
        f"Trial {chosen.name} is, of {len(front)} on the front, the one {rule}. {_compared(history, chosen)}"
    )
    return Choice(network=chosen, why=why)


def _values(names: Sequence[str], front: Sequence[FoundNetwork]) -> npt.NDArray[np.float64]:
    return np.array([[network.objectives[name] for name in names] for network in front])


def _knee(names: Sequence[str], values: npt.NDArray[np.float64]) -> int:
    """Return the row of the knee; the first objective stands for the error where none is called so."""
    error = names.index(ERROR) if ERROR in names else 0
    is_cost = np.arange(len(names)) != error
    scaled = np.where(is_cost & (values > 0).all(axis=0), np.log(np.maximum(values, 1e-300)), values)
    weights = np.where(is_cost, 1.0 / max(len(names) - 1, 1), 1.0)
    return pick_knee(scaled, weights)


def _compared(history: History, chosen: FoundNetwork) -> str:
    """Return what the network costs and saves beside the one of the lowest error and the smallest one."""
    names, front = history.description.objectives, history.front()
    error = ERROR if ERROR in names else names[0]
    costs = [name for name in names if name != error]
    best = min(front, key=lambda network: network.objectives[error])
    said = f"Its {error} is {_number(chosen.objectives[error])}"
    if best == chosen:
        said += ", the lowest"
    else:
        lowest = f"{_number(best.objectives[error])} (trial {best.name}, the lowest)"
        said += f" instead of {lowest}, for {_shares(costs, chosen, best)}"
    if not costs:
        return f"{said}."
    smallest = min(front, key=lambda network: (network.objectives[costs[0]], network.objectives[error]))
    if smallest == chosen:
        return f"{said}; no other needs less {_short(costs[0])}."
    saved = f"{_share(costs[0], smallest, chosen)} of its {_short(costs[0])}"
    return (
        f"{said}; the smallest, trial {smallest.name}, needs {saved} at {error} "
        f"{_number(smallest.objectives[error])}."
    )


def _shares(costs: Sequence[str], chosen: FoundNetwork, best: FoundNetwork) -> str:
    parts = [f"{_share(name, chosen, best)} of its {_short(name)}" for name in costs]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "the same cost"


def _share(name: str, one: FoundNetwork, other: FoundNetwork) -> str:
    base = other.objectives[name]
    return f"{100 * one.objectives[name] / base:.0f} %" if base else _number(one.objectives[name])


def _short(name: str) -> str:
    return SHORT.get(name, name)


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
