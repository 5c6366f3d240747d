"""What a trial's system attributes say of its suggestion: its parameters for other workers, its reasons for people.

Two of them are written (attributes.py):

    tinypareto:parameters     the whole vector, before the first of its parameters is stored, so that other workers see
                              where this trial is heading; then what was drawn beside it
    tinypareto:suggestion     why: origin, policy, path, prediction, reward (`read_suggestion`)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from tinypareto.hosts.attributes import read_attribute, write_attribute
from tinypareto.search.history import Suggestion

Matrix = npt.NDArray[np.float64]

PARAMETERS_KEY = "tinypareto:parameters"
SUGGESTION_KEY = "tinypareto:suggestion"


def read_suggestion(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return why a trial got its parameters, or None if this sampler did not choose them.

    The keys are ``origin``, ``policy``, ``path`` (points of the unit cube, start first), ``mean``, ``std`` and
    ``interval`` (in the objectives' units and directions; a measurement lies in the interval with probability 0.9),
    ``reward`` and ``feasibility``; what does not apply is None or empty.
    """
    reasons: dict[str, Any] | None = read_attribute(trial, SUGGESTION_KEY)
    return reasons


def parameters_of(trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return what is known of a trial's parameters: stored, else enqueued, else published."""
    enqueued = trial.system_attrs.get("fixed_params", {})
    return {**published(trial, search_space), **enqueued, **trial.params}


def published(trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return the parameters that were suggested to a trial, by name; nothing where nothing was."""
    internal = read_attribute(trial, PARAMETERS_KEY) or {}
    try:
        return {
            name: distribution.to_external_repr(internal[name])
            for name, distribution in search_space.items()
            if name in internal
        }
    except IndexError:  # a category that the space has no longer
        return {}


def publish(
    study: Study,
    trial: FrozenTrial,
    search_space: Mapping[str, BaseDistribution],
    suggestion: Suggestion,
    signs: Matrix,
) -> None:
    """Write a trial's suggestion to its system attributes; signs as of `signs_of`, m."""
    internal = {name: search_space[name].to_internal_repr(v) for name, v in suggestion.parameters.items()}
    write_attribute(study, trial._trial_id, PARAMETERS_KEY, internal)
    write_attribute(study, trial._trial_id, SUGGESTION_KEY, _reasons(suggestion, signs))


def add_drawn(study: Study, trial: FrozenTrial, name: str, internal: float) -> None:
    """Add a parameter that was drawn by itself, as Optuna stores it, before Optuna does: other threads see it now."""
    known = read_attribute(trial, PARAMETERS_KEY) or {}
    write_attribute(study, trial._trial_id, PARAMETERS_KEY, {**known, name: internal})


def _reasons(suggestion: Suggestion, signs: Matrix) -> dict[str, Any]:
    mean = suggestion.mean * signs if len(suggestion.mean) else suggestion.mean
    return {
        "origin": suggestion.origin,
        "policy": suggestion.policy,
        "path": [[round(x, 4) for x in point] for point in suggestion.path.tolist()],
        "mean": [float(f"{v:.6g}") for v in mean],
        "std": [float(f"{v:.6g}") for v in suggestion.std],
        "interval": [
            sorted(sign * float(f"{end:.6g}") for end in ends)
            for ends, sign in zip(suggestion.interval, signs, strict=False)
        ],
        "reward": suggestion.reward,
        "feasibility": suggestion.feasibility,
    }
