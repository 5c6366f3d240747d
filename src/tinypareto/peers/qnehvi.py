"""BoTorch's qLogNEHVI: expected hypervolume improvement over a front that is itself uncertain.

Source: Daulton, Balandat and Bakshy (2021); Ament et al. (2023). The reference point is what BoTorch infers
from the observed feasible front: a tenth of its range beyond its nadir.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from filelock import FileLock
from torch.utils.cpp_extension import get_default_build_root

from tinypareto.errors import ConfigError
from tinypareto.peers.botorch_problem import BotorchProblem, suggest_by_acquisition
from tinypareto.search.history import History, Matrix, Suggestion
from tinypareto.space import Space


def suggest_qnehvi(
    space: Space, history: History, pending: Matrix, *, seed: int, trial_number: int
) -> Suggestion:
    """Return the next point; see `suggest_by_acquisition` for the arguments.

    Raises:
        ConfigError: If there is one objective only.
    """
    if history.values.shape[1] == 1:
        raise ConfigError("qnehvi needs two objectives or more, got one; use qparego, or gp.")
    return suggest_by_acquisition(
        _acquisition, "qLogNEHVI", space, history, pending, seed=seed, trial_number=trial_number
    )


def _acquisition(problem: BotorchProblem, seed: int) -> Any:
    values = problem.outputs[:, : problem.n_objectives]
    known = values[problem.feasible] if bool(problem.feasible.any()) else values
    front = known[is_non_dominated(known)]
    with compiled_kernel(Path(get_default_build_root()) / "tinypareto"):
        return qLogNoisyExpectedHypervolumeImprovement(
            problem.model,
            infer_reference_point(torch.unique(front, dim=0)),
            problem.points,
            sampler=problem.sampler(seed),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(problem.n_objectives))),
            constraints=problem.constraints,
            X_pending=problem.pending,
            prune_baseline=True,
        )


@contextmanager
def compiled_kernel(folder: Path) -> Iterator[None]:
    """Let BoTorch compile its C++ kernel in ``folder``, whatever became of the process that did so last.

    PyTorch marks a folder that it compiles in by a file, and waits for ever for one that a killed process left.
    The lock held here is the operating system's and ends with its process, so such a file is out of date.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "compiling"), mock.patch.dict(os.environ, TORCH_EXTENSIONS_DIR=str(folder)):
        for mark in folder.glob("*/lock"):
            mark.unlink()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Failed to compile")  # it is slower without, and no less right
            yield
