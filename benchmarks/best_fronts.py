"""The best hypervolume that a long evolutionary run finds, for problems whose library does not know it.

python benchmarks/best_fronts.py [PROBLEM ...]      a few minutes; the figures stand in problems.py
"""

import argparse

import numpy as np
from optuna.distributions import IntDistribution
from problems import Problem, problems
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.optimize import minimize

from tinypareto.front import feasible_front, hypervolume
from tinypareto.space import Space

SEEDS, POPULATION, GENERATIONS = range(3), 200, 200


class UnitCube(ElementwiseProblem):
    """A problem over the unit cube; integers are rounded."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.decoder = problem, Space(problem.space)
        constraints = len(self.values(np.full(self.decoder.n_columns, 0.5))[1])
        super().__init__(
            n_var=self.decoder.n_columns, n_obj=problem.n_objectives, n_ieq_constr=constraints, xl=0.0, xu=1.0
        )

    def values(self, point: np.ndarray) -> tuple[list[float], list[float]]:
        return self.problem.evaluate(self.decoder.decode(point))

    def _evaluate(self, x: np.ndarray, out: dict, *args: object, **kwargs: object) -> None:
        out["F"], out["G"] = self.values(x)


def best_hypervolume(problem: Problem) -> float:
    """Return the hypervolume of the union of several runs' last populations."""
    found = []
    for seed in SEEDS:
        result = minimize(UnitCube(problem), NSGA2(pop_size=POPULATION), ("n_gen", GENERATIONS), seed=seed)
        found.append(np.atleast_2d(result.F))
    values = np.concatenate(found)
    return hypervolume(values[feasible_front(values)], problem.reference)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problem", nargs="*", help="[default: those whose best front is searched]")
    chosen = parser.parse_args().problem
    for problem in problems().values():
        if problem.name in chosen or (not chosen and problem.origin != "BoTorch"):
            int_names = [name for name, kind in problem.space.items() if isinstance(kind, IntDistribution)]
            print(
                problem.name,
                best_hypervolume(problem),
                f"integers: {int_names}" if int_names else "",
                flush=True,
            )


if __name__ == "__main__":
    main()
