"""Values of any length in a trial's system attributes, as JSON in pieces that fit every storage: key:0, key:1, ..."""

import json
from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

PIECE_LENGTH = 2045  # what an Optuna RDB storage keeps of one attribute


def write_attribute(study: Study, trial_id: int, key: str, value: Any) -> None:
    """Store a value that JSON can hold with a running trial."""
    for name, piece in pieces(key, value).items():
        study._storage.set_trial_system_attr(trial_id, name, piece)


def pieces(key: str, value: Any) -> dict[str, str]:
    """Return the system attributes that hold a value."""
    text = json.dumps(value, separators=(",", ":"))
    starts = range(0, len(text), PIECE_LENGTH)
    return {f"{key}:{i}": text[start : start + PIECE_LENGTH] for i, start in enumerate(starts)}


def read_attribute(trial: FrozenTrial, key: str) -> Any:
    """Return the value; None if there is none, or only its beginning since whoever wrote it was killed."""
    return joined(key, trial.system_attrs)


def joined(key: str, attributes: Mapping[str, Any]) -> Any:
    """Return the value that `pieces` divided; None if there is none, or only its beginning."""
    found: list[str] = []
    while (name := f"{key}:{len(found)}") in attributes:
        found.append(attributes[name])
    try:
        return json.loads("".join(found))
    except ValueError:
        return None
