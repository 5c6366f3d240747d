"""What one training gave, as a value and as the files of its folder."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tinypareto.experiment import Parameters

VERSIONS_OF = ("tinypareto", "torch", "torch-pruning", "onnx", "onnxruntime", "optuna", "ziglang", "unicorn")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one training gave: objective values, all minimised, and what a report wants to know.

    ``harvested`` holds what networks gave that the training passed through, by their ``step``: how many pruning steps
    had been done. Their ``parameters`` have the sparsity and the epochs that they really had.
    """

    parameters: Parameters
    seed: int
    objectives: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(
        default_factory=dict
    )  # everything that was measured, objectives or not
    breakdown: Mapping[str, int] = field(default_factory=dict)  # bytes of ROM and RAM by what they hold
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage
    test_error: float | None = None
    curve: tuple[
        float, ...
    ] = ()  # error of the float network on the validation split after each epoch, if watched
    versions: Mapping[str, str] = field(default_factory=dict)
    step: int | None = None
    stopped: bool = False  # before the last epoch; then there are no objectives
    expected_error: float | None = None  # what a stopped training would usually have come to
    harvested: tuple["Evaluation", ...] = ()


def step_folder(folder: Path, step: int) -> Path:
    """Return where the artefacts of a network are that a trial passed through."""
    return folder / f"step{step}"


def read_evaluation(folder: Path, parameters: Parameters, seed: int) -> Evaluation | None:
    """Return what ``folder`` holds if it is the whole evaluation of just these parameters and this seed."""
    try:
        found, steps = read_network(folder)
        harvested = tuple(read_network(step_folder(folder, step))[0] for step in steps)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    found = replace(found, harvested=harvested)
    return found if found.parameters == dict(parameters) and found.seed == seed else None


def read_network(folder: Path) -> tuple[Evaluation, list[int]]:
    """Return what ``metrics.json`` holds of a network, and the steps that were harvested on the way to it."""
    values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    steps = values.pop("harvested", [])
    return evaluation_from({**values, "harvested": ()}), steps


def evaluation_from(values: Mapping[str, Any]) -> Evaluation:
    """Return an evaluation whose attributes were stored as JSON, what was harvested on its way included."""
    return Evaluation(**{
        **values,
        "warnings": tuple(values["warnings"]),
        "curve": tuple(values.get("curve", ())),
        "harvested": tuple(evaluation_from(one) for one in values["harvested"]),
    })


def write_network(folder: Path, evaluation: Evaluation) -> None:
    """Write ``metrics.json``; of what was harvested it names the steps, whose folders hold the rest."""
    steps = [one.step for one in evaluation.harvested]
    write_json(folder / "metrics.json", {**asdict(replace(evaluation, harvested=())), "harvested": steps})


def versions() -> dict[str, str]:
    """Return the versions of what decides a trial's result, and the machine's kind."""
    return {**{name: version(name) for name in VERSIONS_OF}, "machine": platform.machine()}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write whole or not at all, so that a reader never meets half a document."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
