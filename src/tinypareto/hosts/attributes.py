"""Values of any length in a trial's system attributes, as JSON in pieces that fit every storage: key:0, key:1, ..."""

import json
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
    pieces: list[str] = []
    while (name := f"{key}:{len(pieces)}") in trial.system_attrs:
        pieces.append(trial.system_attrs[name])
    try:
        return json.loads("".join(pieces))
    except ValueError:
        return None
