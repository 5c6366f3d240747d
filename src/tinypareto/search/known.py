"""Outcomes that nobody has to evaluate: objectives and constraints that are functions of the parameters."""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ConfigError
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

SLOW_SECONDS = 0.5  # of most calls: a suggestion asks some two hundred times; a few may prepare something
ENOUGH_CALLS = 20  # to judge by
FIDELITY = " fidelity"  # beside the names of parameters
InputFunction = Callable[[Mapping[str, Any], float], float]  # of parameters and fidelity
SAME_VALUE = 1e-6  # relative difference up to which a function and a measurement agree


class KnownFunction:
    """A user's function of the parameters, called once for each set of them.

    Args:
        name: Of the objective or constraint, for messages.
        function: Parameters to a finite value in the user's units; the same for the same parameters.
    """

    def __init__(self, name: str, function: Callable[[Mapping[str, Any]], float]) -> None:
        self.name = name
        self._function = function
        self._values: dict[tuple[Any, ...], float] = {}
        self._seconds: list[float] = []
        self._said: set[str] = set()

    def __call__(self, parameters: Mapping[str, Any]) -> float:
        """Return the value.

        Raises:
            ConfigError: If the function raises, gives no finite number or two answers to one question.
        """
        key = tuple(sorted(parameters.items()))
        if key not in self._values:
            begun = time.perf_counter()
            value = self._called(parameters)
            self._seconds.append(time.perf_counter() - begun)
            self._warn_if_slow()
            if _is_checked(len(self._values)) and self._called(parameters) != value:
                raise ConfigError(
                    f"The known function of {self.name!r} must depend on the parameters alone, but gave two values for "
                    f"{dict(parameters)}; take out what is random in it, or leave it out."
                )
            self._values[key] = value
        return self._values[key]

    def agrees(self, parameters: Mapping[str, Any], measured: float) -> bool:
        """Tell whether a measurement gave the function's value; say so once, with both numbers, if not."""
        value = self(parameters)
        if math.isclose(value, measured, rel_tol=SAME_VALUE, abs_tol=SAME_VALUE):
            return True
        self._warn_once(
            "wrong",
            f"The known function of {self.name!r} gives {value:g} for {dict(parameters)}, but {measured:g} was "
            "measured; what was measured counts, and the function is no longer asked.",
        )
        return False

    def _warn_if_slow(self) -> None:
        if len(self._seconds) != ENOUGH_CALLS:
            return
        seconds = statistics.median(self._seconds)
        if seconds > SLOW_SECONDS:
            self._warn_once(
                "slow",
                f"The known function of {self.name!r} takes {seconds:.1f} s; the search calls it some two hundred "
                "times for each suggestion, so make it faster or leave it out.",
            )

    def _warn_once(self, topic: str, text: str) -> None:
        if topic not in self._said:
            self._said.add(topic)
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def _called(self, parameters: Mapping[str, Any]) -> float:
        try:
            value = float(self._function(dict(parameters)))
        except Exception as error:
            raise ConfigError(
                f"The known function of {self.name!r} must give a number for every set of parameters, but raised "
                f"{type(error).__name__}: {error} for {dict(parameters)}; mend it, or leave it out."
            ) from error
        if not math.isfinite(value):
            raise ConfigError(
                f"The known function of {self.name!r} must be finite, but is {value} for {dict(parameters)}; mend it, "
                "or leave it out."
            )
        return value


class KnownInput:
    """A user's function of the parameters and of how far a trial is, on which what is learnt may depend.

    Args:
        name: For messages.
        function: Parameters and the share of the whole evaluation that is made, to a finite value.
    """

    def __init__(self, name: str, function: InputFunction) -> None:
        def of_both(both: Mapping[str, Any]) -> float:
            return function({key: value for key, value in both.items() if key != FIDELITY}, both[FIDELITY])

        self._of_both = KnownFunction(name, of_both)

    def __call__(self, parameters: Mapping[str, Any], fidelity: float) -> float:
        """Return the value.

        Raises:
            ConfigError: As `KnownFunction` does.
        """
        return self._of_both({**parameters, FIDELITY: fidelity})


def _is_checked(answers: int) -> bool:
    """Tell whether a function that gave so many answers is asked twice: after 0, 1, 2, 4, 8 ... of them.

    What is random in it may matter at some parameters only.
    """
    return answers & (answers - 1) == 0


@dataclass(frozen=True, kw_only=True)
class KnownOutcomes:
    """Which of the m objectives and c violations are known, and their functions.

    Attributes:
        columns: f, places among objectives and then violations, 0 .. m + c - 1, rising.
        functions: f of them.
        signs: f, factors that turn a function's value into the history's sense: -1 for what is maximised.
        n_objectives: The number m.
        inputs: Further functions, on whose values the other outcomes may depend.
    """

    columns: npt.NDArray[np.int64]
    functions: tuple[KnownFunction, ...]
    signs: Matrix
    n_objectives: int
    inputs: tuple[KnownInput, ...] = ()

    @property
    def is_violation(self) -> npt.NDArray[np.bool_]:
        """Which of the f are violations."""
        return np.asarray(self.columns >= self.n_objectives)

    @property
    def has_objectives(self) -> bool:
        """Whether an objective is among them."""
        return not self.is_violation.all()

    def at(self, space: Space, points: Matrix) -> Matrix:
        """Return the values, q x f, at the parameters nearest to points q x d.

        Raises:
            ConfigError: As a function raised it.
        """
        sets = [space.decode(point) for point in points]
        values = [[function(parameters) for function in self.functions] for parameters in sets]
        return np.asarray(self.signs * np.array(values).reshape(len(points), len(self.functions)))

    def inputs_at(self, space: Space, points: Matrix, fidelities: Matrix) -> Matrix:
        """Return the further inputs, q x s, at the parameters nearest to points q x d, at fidelities, q.

        Raises:
            ConfigError: As a function raised it.
        """
        if not self.inputs:
            return np.empty((len(points), 0))
        sets = [space.decode(point) for point in points]
        values = [
            [function(parameters, float(fidelity)) for function in self.inputs]
            for parameters, fidelity in zip(sets, fidelities, strict=True)
        ]
        return np.array(values).reshape(len(points), len(self.inputs))

    def kept_at(self, space: Space, points: Matrix) -> npt.NDArray[np.bool_]:
        """Return at which of the points, q x d, every known constraint is kept."""
        return np.asarray((self.at(space, points)[:, self.is_violation] <= 0).all(axis=1))
