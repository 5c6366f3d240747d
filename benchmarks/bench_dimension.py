"""How many steps of training do policies need in more dimensions?

    python benchmarks/bench_dimension.py     prints the table of docs/benchmarks.md (minutes)

DTLZ2 with two objectives and 4 to 24 parameters. On one surrogate of 40 evaluations each, chosen as the search would
choose them, policies are trained with more and more steps. How far does the best point that they meet stay below the
best that any of them and gradients from their ends found? In a suggestion gradients follow, but not for integers and
categories.
"""

import dataclasses
import warnings

import numpy as np
import optuna
import torch
from bench_ablation import DEFAULT, by_policies, surrogate
from botorch.test_functions.multi_objective import DTLZ2
from problems import of_library

from tinypareto.search.config import SearchConfig
from tinypareto.space import Space
from tinypareto.threads import use_one_thread

DIMENSIONS, STEPS, SEEDS, OBSERVATIONS = (4, 8, 16, 24), (2, 4, 8, 16, 32), range(100, 105), 40


def with_steps(steps: int) -> SearchConfig:
    ars = dataclasses.replace(DEFAULT.ars, n_steps=steps)
    return dataclasses.replace(DEFAULT, ars=ars, grow_with_dimension=False)


def shortfalls(dimension: int, seed: int) -> list[float]:
    """Return by how much each number of steps stays below the largest log-reward that is known."""
    problem = of_library(f"DTLZ2-{dimension}d", DTLZ2(dim=dimension, num_objectives=2), best=1.0)
    space = Space(problem.space)
    history, _, reward, candidates = surrogate(problem, OBSERVATIONS, seed)
    met, climbed = zip(
        *(by_policies(space, history, reward, candidates, with_steps(steps)) for steps in STEPS), strict=True
    )
    return [max(*met, *climbed) - found for found in met]


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    use_one_thread()
    torch.manual_seed(0)
    print(f"| parameters | {' | '.join(f'{steps} steps' for steps in STEPS)} |" + "\n" + "|---" * 6 + "|")
    for dimension in DIMENSIONS:
        means = np.mean([shortfalls(dimension, seed) for seed in SEEDS], axis=0)
        print(f"| {dimension} | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()
