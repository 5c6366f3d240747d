"""Public test problems with several objectives: what is varied, what comes out, how good a front can be.

Everything is minimised; a constraint is kept at <= 0. The reference point is the library's where it has one. It serves
the hypervolume alone: no sampler is told.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from botorch.test_functions import multi_objective as library
from botorch.test_functions.base import ConstrainedBaseTestProblem
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

Values = tuple[list[float], list[float]]  # objectives, constraints


@dataclass(frozen=True, kw_only=True)
class Problem:
    name: str
    space: Mapping[str, BaseDistribution]
    evaluate: Callable[[Mapping[str, float]], Values]
    reference: tuple[float, ...]
    best: float  # the largest hypervolume that is known
    origin: str  # of that figure

    @property
    def n_objectives(self) -> int:
        return len(self.reference)

    @property
    def design_size(self) -> int:
        return 2 * (len(self.space) + 1)


def of_library(name: str, function: library.MultiObjectiveTestProblem, best: float | None = None) -> Problem:
    """Return a problem of BoTorch's; ``best`` in place of a largest hypervolume that it does not know."""
    low, high = function.bounds.tolist()
    names = [f"x{i:02d}" for i in range(function.dim)]

    def evaluate(parameters: Mapping[str, float]) -> Values:
        point = torch.tensor([[parameters[name] for name in names]], dtype=torch.double)
        objectives = function.evaluate_true(point)[0].tolist()
        if not isinstance(function, ConstrainedBaseTestProblem):
            return objectives, []
        return objectives, (-function.evaluate_slack_true(point)[0]).tolist()

    return Problem(
        name=name,
        space={n: FloatDistribution(a, b) for n, a, b in zip(names, low, high, strict=True)},
        evaluate=evaluate,
        reference=tuple(function.ref_point.tolist()),
        best=function.max_hv if best is None else best,
        origin="BoTorch" if best is None else SEARCHED,
    )


SEARCHED = "best_fronts.py: NSGA-II, 200 generations of 200, three seeds"

THICKNESS = 0.0625  # inches; plates come in multiples of it


def _pressure_vessel(parameters: Mapping[str, float]) -> Values:
    """Cost against volume of a cylindrical vessel with two caps; the plates' thicknesses are integers.

    Source: Kannan and Kramer (1994) for cost and constraints; the volume as a second objective, instead of a lower
    bound, as in Deb and others.
    """
    shell, head = THICKNESS * parameters["shell"], THICKNESS * parameters["head"]
    radius, length = parameters["radius"], parameters["length"]
    cost = (
        0.6224 * shell * radius * length
        + 1.7781 * head * radius**2
        + 3.1661 * shell**2 * length
        + 19.84 * shell**2 * radius
    )
    volume = math.pi * radius**2 * length + 4.0 / 3.0 * math.pi * radius**3
    return [cost, -volume], [0.0193 * radius - shell, 0.00954 * radius - head]


PRESSURE_VESSEL = Problem(
    name="PressureVessel",
    space={
        "shell": IntDistribution(1, 99),
        "head": IntDistribution(1, 99),
        "radius": FloatDistribution(10.0, 200.0),
        "length": FloatDistribution(10.0, 240.0),
    },
    evaluate=_pressure_vessel,
    reference=(400_000.0, 0.0),
    best=1.5227791e13,
    origin=SEARCHED,
)


def problems() -> dict[str, Problem]:
    """Return the reported problems by name, those with cheap surrogates first."""
    found = [
        of_library("BraninCurrin", library.BraninCurrin()),
        of_library("DTLZ2", library.DTLZ2(dim=6, num_objectives=2)),
        of_library("ZDT1", library.ZDT1(dim=8)),
        of_library("ZDT2", library.ZDT2(dim=8)),
        of_library("VehicleSafety", library.VehicleSafety()),
        of_library("DiscBrake", library.DiscBrake(), best=11.199876),
        of_library("C2DTLZ2", library.C2DTLZ2(dim=6)),
        of_library("MW7", library.MW7(dim=6), best=0.502831),
        PRESSURE_VESSEL,
        of_library("Penicillin", library.Penicillin()),
        of_library("DTLZ2-4", library.DTLZ2(dim=7, num_objectives=4)),
    ]
    return {problem.name: problem for problem in found}
