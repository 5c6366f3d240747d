"""What does each part of the default preset contribute?

    python benchmarks/bench_ablation.py                completes results/ablation.csv (hours) and optimisers.csv
    python benchmarks/bench_ablation.py --optimisers   completes results/optimisers.csv alone (minutes)
    python benchmarks/bench_ablation.py --table        what docs/benchmarks.md shows of both

The first switches one part off at a time and runs the protocol of bench_search.py. The second asks who finds the
largest reward on the same surrogate in the same time: the default (policies trained by ARS, then gradients at their
best ends), gradients from many starts, or quasi-random points. What the policies had found alone stands beside it.
"""

import argparse
import csv
import dataclasses
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
import torch
from bench_search import complete, initial_design, read_rows
from optuna.samplers import BaseSampler
from problems import Problem, problems
from scipy.optimize import minimize
from scipy.stats import qmc

from tinypareto import ARSSampler
from tinypareto.search.config import SearchConfig
from tinypareto.search.ensemble import trained_paths
from tinypareto.search.gaussian_process import GaussianProcesses
from tinypareto.search.history import History
from tinypareto.search.hypervolume_reward import HypervolumeImprovement, hypervolume_reward
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import standardise
from tinypareto.search.polish import polished_ends
from tinypareto.search.rewards import Feasibility
from tinypareto.search.starts import raw_starts, starting_points
from tinypareto.search.surrogate_front import predicted_front
from tinypareto.space import Space
from tinypareto.threads import use_one_thread

RESULTS = Path(__file__).resolve().parent / "results"
ABLATION, OPTIMISERS = RESULTS / "ablation.csv", RESULTS / "optimisers.csv"
DEFAULT = SearchConfig.preset("default")
ALL_STEPS = DEFAULT.ars.n_steps * len(DEFAULT.reaches)
VARIANTS = {
    "default": DEFAULT,
    "Matern-5/2 alone": dataclasses.replace(DEFAULT, choose_kernel=False),
    "no narrow suggestions": dataclasses.replace(DEFAULT, take_turns=False),
    "Chebyshev reward": dataclasses.replace(DEFAULT, reward="chebyshev", take_turns=False),
    "starts at the front alone": dataclasses.replace(DEFAULT, n_raw_starts=0),
    "starts at new points alone": dataclasses.replace(DEFAULT, n_raw_starts=DEFAULT.n_policies),
    "one reach": dataclasses.replace(
        DEFAULT, reaches=DEFAULT.reaches[:1], ars=dataclasses.replace(DEFAULT.ars, n_steps=ALL_STEPS)
    ),
    "last walk alone": dataclasses.replace(DEFAULT, remember=False),
    "no gradients": dataclasses.replace(DEFAULT, n_polished=0),
    "rewards not ranked": dataclasses.replace(
        DEFAULT, ars=dataclasses.replace(DEFAULT.ars, rank_rewards=False)
    ),
    "policies not trained": dataclasses.replace(DEFAULT, ars=dataclasses.replace(DEFAULT.ars, n_steps=0)),
    "neither trained nor gradients": dataclasses.replace(
        DEFAULT, n_polished=0, ars=dataclasses.replace(DEFAULT.ars, n_steps=0)
    ),
    "poster": SearchConfig.preset("poster"),
}
# Penicillin is left out: its runs differ more from seed to seed than variants do.
PROBLEMS = ("BraninCurrin", "DTLZ2", "ZDT1", "VehicleSafety", "C2DTLZ2", "DTLZ2-4")
SEEDS = 3
SIZES = (20, 40, 80)  # observations of the surrogates on which the optimisers compete
FIELDS = ("problem", "n", "seed", "seconds", "ars", "policies", "gradients", "random")


def variant(name: str, problem: Problem, seed: int) -> BaseSampler:
    return ARSSampler(seed=seed, search_space=problem.space, config=VARIANTS[name], n_startup_trials=1)


def surrogate(
    problem: Problem, n: int, seed: int
) -> tuple[History, GaussianProcesses, HypervolumeImprovement, np.ndarray]:
    """Return a history as a search would have it, and model, reward and candidates for the next suggestion."""
    space = Space(problem.space)
    study = optuna.create_study(
        directions=["minimize"] * problem.n_objectives, sampler=variant("default", problem, seed)
    )
    for parameters in initial_design(problem, seed):
        study.enqueue_trial(parameters)
    rows = []
    for _ in range(n):
        trial = study.ask(dict(problem.space))
        objectives, constraints = problem.evaluate(trial.params)
        for number, constraint in enumerate(constraints):
            trial.set_constraint(str(number), constraint)
        study.tell(trial, objectives)
        rows.append((space.encode(trial.params), objectives, constraints))
    points, values, violations = (np.array([row[i] for row in rows]).reshape(n, -1) for i in range(3))
    history = History(numbers=np.arange(n), points=points, values=values, violations=violations)
    outcomes, m, rng = standardise(values, violations), problem.n_objectives, np.random.default_rng(seed)
    model = fit(
        torch.from_numpy(points),
        torch.from_numpy(outcomes.targets),
        torch.from_numpy(space.groups),
        choose_kernel=True,
    )
    feasible = (violations <= 0).all(axis=1)
    front = predicted_front(model, space, points[feasible], outcomes.limits, m, rng)
    reward = hypervolume_reward(
        Feasibility(model=model, limits=torch.from_numpy(outcomes.limits)),
        outcomes.targets[feasible, :m], front.values, None, outcomes.exponents, narrow=False, rng=rng,
    )  # fmt: skip
    return history, model, reward, front.candidates


def by_policies(
    space: Space,
    history: History,
    reward: HypervolumeImprovement,
    candidates: np.ndarray,
    config: SearchConfig = DEFAULT,
) -> tuple[float, float]:
    """Return the largest reward that policies find, and the largest after gradients at their best ends."""
    rng = np.random.default_rng(0)
    new = config.n_raw_starts
    known = (history.points, history.values, history.violations)
    starts = np.concatenate([
        starting_points(*known, config.n_policies - new, rng),
        raw_starts(space, candidates, lambda x: reward(torch.from_numpy(x)).numpy(), new, rng),
    ])
    paths = trained_paths(space, torch.from_numpy(starts), reward, config, rng)
    ends = polished_ends(space, paths, reward, config.n_polished, torch.device("cpu"))
    met, climbed = (
        float(reward(torch.from_numpy(x)).max()) for x in (paths.reshape(-1, space.n_columns), ends)
    )
    return met, max(met, climbed)


def by_gradients(
    space: Space, history: History, reward: HypervolumeImprovement, candidates: np.ndarray, seconds: float
) -> float:
    """Return the largest reward that L-BFGS-B finds, from the same starts and then further ones, in the time given."""
    ends = time.perf_counter() + seconds
    rng = np.random.default_rng(0)
    new, d = DEFAULT.n_raw_starts, space.n_columns

    def scores(x: np.ndarray) -> np.ndarray:
        return reward(torch.from_numpy(x)).numpy()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.from_numpy(flat)[None].requires_grad_()
        value = -reward(point)[0]
        (slope,) = torch.autograd.grad(value, point)
        return float(value.detach()), np.nan_to_num(slope.numpy().ravel())

    known = (history.points, history.values, history.violations)
    starts = [
        *raw_starts(space, candidates, scores, new, rng),
        *starting_points(*known, DEFAULT.n_policies - new, rng),
    ]
    best = -np.inf
    while time.perf_counter() < ends:
        start = starts.pop(0) if starts else rng.random(d)
        end = minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * d, options={"maxiter": 100}
        )
        if time.perf_counter() < ends or best == -np.inf:  # the first may end, or there would be no answer
            best = max(best, -float(end.fun))
    return best


def by_random_points(space: Space, reward: HypervolumeImprovement, seconds: float) -> float:
    """Return the largest reward among quasi-random points, as many as the time allows."""
    sobol, best, ends = (
        qmc.Sobol(space.n_columns, rng=np.random.default_rng(0)),
        -np.inf,
        time.perf_counter() + seconds,
    )
    while time.perf_counter() < ends:
        best = max(best, float(reward(torch.from_numpy(sobol.random(512))).max()))
    return best


def complete_optimisers(path: Path = OPTIMISERS, seeds: int = SEEDS) -> None:
    done = {(row["problem"], int(row["n"]), int(row["seed"])) for row in read_rows(path)}
    known = problems()
    wanted = [(name, n, seed) for seed in range(seeds) for name in PROBLEMS for n in SIZES]
    for name, n, seed in wanted:
        if (name, n, seed) in done:
            continue
        problem, space = known[name], Space(known[name].space)
        history, _, reward, candidates = surrogate(problem, n, seed)
        begun = time.perf_counter()
        policies, ars = by_policies(space, history, reward, candidates)
        seconds = time.perf_counter() - begun
        gradients = by_gradients(space, history, reward, candidates, seconds)
        random = by_random_points(space, reward, seconds)
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(FIELDS)
            writer.writerow([
                name,
                n,
                seed,
                f"{seconds:.3f}",
                f"{ars:.4f}",
                f"{policies:.4f}",
                f"{gradients:.4f}",
                f"{random:.4f}",
            ])
        print(
            f"{name} n {n} seed {seed}: ars {ars:.3f}, policies alone {policies:.3f}, "
            f"gradients {gradients:.3f}, random {random:.3f}",
            flush=True,
        )


def print_tables() -> None:
    rows = [row for row in read_rows(ABLATION) if row["sampler"] in VARIANTS]
    best = {p: max([k.best, *(_last(r) for r in rows if r["problem"] == p)]) for p, k in problems().items()}
    print("| | " + " | ".join(PROBLEMS) + " | mean |\n" + "|---" * (len(PROBLEMS) + 2) + "|")
    for name in VARIANTS:
        gaps = [
            [100 * (1 - _last(r) / best[p]) for r in rows if r["sampler"] == name and r["problem"] == p]
            for p in PROBLEMS
        ]
        if all(gaps):
            medians = [float(np.median(gap)) for gap in gaps]
            print(f"| {name} | " + " | ".join(f"{x:.2f}" for x in [*medians, np.mean(medians)]) + " |")
    found = read_rows(OPTIMISERS)
    if not found:
        return
    print(
        "\n| optimiser | largest reward | median log-reward below the largest | 90 % quantile |\n|---|---|---|---|"
    )
    values = np.array([[float(row[name]) for name in FIELDS[4:]] for row in found])
    short = values.max(axis=1, keepdims=True) - values
    for i, name in enumerate(FIELDS[4:]):
        won = int((short[:, i] <= 1e-3).sum())
        print(
            f"| {name} | {won} of {len(short)} | {np.median(short[:, i]):.3f} | {np.quantile(short[:, i], 0.9):.2f} |"
        )


def _last(row: dict[str, str]) -> float:
    return float(row["hypervolumes"].rsplit(" ", 1)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--optimisers", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    use_one_thread()
    if arguments.table:
        print_tables()
    elif arguments.optimisers:
        complete_optimisers()
    else:
        complete(PROBLEMS, list(VARIANTS), SEEDS, ABLATION, make=variant)
        complete_optimisers()


if __name__ == "__main__":
    main()
