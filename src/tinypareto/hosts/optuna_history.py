"""An Optuna study's trials -> the search's history: directions turned to minimising, parameters encoded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tinypareto.errors import ConfigError
from tinypareto.hosts.conditional import unasked
from tinypareto.hosts.observations import observations
from tinypareto.hosts.suggestions import parameters_of
from tinypareto.search.history import History
from tinypareto.search.known import KnownFunction
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def history_of(
    space: Space,
    search_space: Mapping[str, BaseDistribution],
    trials: Sequence[FrozenTrial],
    signs: Matrix,
    constraints: Sequence[str],
    known: Mapping[str, KnownFunction],
) -> History:
    """Return what the search learns from trials: those that finished, and what was evaluated on their way.

    Args:
        space: Of the parameters.
        search_space: The same, as Optuna has it.
        trials: In any order and state.
        signs: Of `signs_of`.
        constraints: Names of `constraint_names`.
        known: Constraints that are functions of the parameters; a trial need not report them.
    """
    finished = [t for t in trials if t.state in FINISHED]
    middle = space.decode(np.full(space.n_columns, 0.5))
    absent = {t.number: {} if t.state == TrialState.FAIL else middle for t in finished}
    given = [(t, {**absent[t.number], **parameters_of(t, search_space)}) for t in finished]
    usable = [(t, p) for t, p in given if space.contains(p)]
    failed = np.full(len(signs), np.nan)
    values = [signs * t.values if t.state == TrialState.COMPLETE else failed for t, _ in usable]
    left_out = unasked(trials, search_space)
    violations = [[_violation(t.constraints, p, name, known) for name in constraints] for t, p in usable]
    on_way = [
        (t.number, seen) for t, _ in usable for seen in observations(t) if space.contains(seen.parameters)
    ]
    return History(
        numbers=np.array([t.number for t, _ in usable] + [number for number, _ in on_way], dtype=np.int64),
        points=_points(space, [p for _, p in usable] + [seen.parameters for _, seen in on_way]),
        values=np.array(values + [signs * seen.values for _, seen in on_way]).reshape(-1, len(signs)),
        violations=np.array(
            violations
            + [
                [_violation(seen.constraints, seen.parameters, name, known) for name in constraints]
                for _, seen in on_way
            ],
            dtype=np.float64,
        ).reshape(len(usable) + len(on_way), len(constraints)),
        fidelities=np.array(
            [float(t.state != TrialState.PRUNED) for t, _ in usable] + [seen.fidelity for _, seen in on_way]
        ),
        unasked=np.array(
            [space.columns_of(left_out.get(t.number, ())) for t, _ in usable]
            + [space.columns_of(()) for _ in on_way],
            dtype=np.bool_,
        ).reshape(len(usable) + len(on_way), space.n_columns),
    )


def constraint_names(trials: Sequence[FrozenTrial], known: Iterable[str]) -> list[str]:
    """Return the constraints that trials reported or that are known, sorted."""
    complete = (t for t in trials if t.state == TrialState.COMPLETE)
    return sorted({name for t in complete for name in t.constraints} | set(known))


def _violation(
    reported: Mapping[str, float],
    parameters: Mapping[str, Any],
    name: str,
    known: Mapping[str, KnownFunction],
) -> float:
    """Return a constraint's value; what was not reported is known or, as Optuna has it, kept."""
    if name in reported:
        return float(reported[name])
    return known[name](parameters) if name in known else 0.0


def pending_points(
    space: Space, search_space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]
) -> Matrix:
    """Return where running trials are heading, q x d."""
    running = [parameters_of(t, search_space) for t in trials if t.state == TrialState.RUNNING]
    return _points(space, [p for p in running if space.contains(p)])


def _points(space: Space, parameters: Sequence[Mapping[str, Any]]) -> Matrix:
    return np.array([space.encode(p) for p in parameters]).reshape(-1, space.n_columns)


def turned(reference_point: Sequence[float], signs: Matrix) -> Matrix:
    """Return a user's reference point, m, as the search sees it; inf stays inf.

    Raises:
        ConfigError: If it has another number of objectives, or a NaN.
    """
    point = np.asarray(reference_point, dtype=np.float64)
    if point.shape != signs.shape or np.isnan(point).any():
        raise ConfigError(
            f"reference_point must have one number for each of the {len(signs)} objectives, got "
            f"{list(reference_point)}; use inf for an objective without one."
        )
    return np.where(np.isinf(point), np.inf, signs * point)


def signs_of(directions: Sequence[StudyDirection]) -> Matrix:
    """Return what turns each objective to minimising, m: -1 for one that is maximised, else 1."""
    return np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions])
