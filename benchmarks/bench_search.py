"""Which sampler finds the best front in 100 evaluations?

    python benchmarks/bench_search.py                              completes benchmarks/results/search.csv (hours)
    python benchmarks/bench_search.py --samplers gp,tpe --seeds 3  only these; several processes may share the file
    python benchmarks/bench_search.py --drop ars                   forgets a sampler's rows, after it was changed
    python benchmarks/bench_search.py --table --plot               what docs/benchmarks.md shows

Seeds are paired: every sampler gets the same initial design of 2 (d + 1) quasi-random points, through the same loop
of an in-memory Optuna study. No sampler is told a problem's reference point. One row is added as each run ends.
qLogNEHVI's boxes are built faster than BoTorch builds them, and are the same (botorch_boxes.py).
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from botorch_boxes import use_fast_boxes
from filelock import FileLock
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from problems import Problem, problems
from rows import read_rows
from scipy.stats import qmc

from tinypareto.front import feasible_front, hypervolume
from tinypareto.hosts.optuna import PureSampler
from tinypareto.peers.morbo import suggest_morbo
from tinypareto.peers.turbo import suggest_turbo
from tinypareto.provenance import provenance
from tinypareto.samplers import SAMPLERS, make_sampler
from tinypareto.space import Space
from tinypareto.threads import use_one_thread

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "search.csv"
N_EVALUATIONS, SEEDS = 100, 5
FIELDS = (
    "problem", "sampler", "seed", "hypervolumes", "feasible", "seconds_per_suggestion", "commit", "machine", "versions",
)  # fmt: skip
TRUST_REGIONS = {"turbo": suggest_turbo, "morbo": suggest_morbo}
Row = dict[str, str]
MakeSampler = Callable[[str, Problem, int], BaseSampler]


def sampler_for(name: str, problem: Problem, seed: int) -> BaseSampler:
    """Return a sampler that draws no design of its own beside the common one."""
    if name == "gp":
        return GPSampler(seed=seed, n_startup_trials=problem.design_size)
    if name == "tpe":
        return TPESampler(seed=seed, multivariate=True, n_startup_trials=problem.design_size)
    if name == "nsga2":
        return NSGAIISampler(seed=seed, population_size=problem.design_size)
    if name in TRUST_REGIONS:  # enqueued trials are no failures of the first region
        suggest = partial(TRUST_REGIONS[name], n_startup=problem.design_size)
        return PureSampler(suggest, seed, problem.space)
    return make_sampler(name, seed, problem.space)


def initial_design(problem: Problem, seed: int) -> list[dict[str, float]]:
    """Return the parameters that every sampler's run begins with."""
    space = Space(problem.space)
    sobol = qmc.Sobol(space.n_free, rng=np.random.default_rng([seed, len(problem.space)]))
    shares = sobol.random_base2(int(np.ceil(np.log2(problem.design_size))))[: problem.design_size]
    return [space.decode(point) for point in space.from_shares(shares)]


def run(
    problem: Problem, sampler: BaseSampler, seed: int, evaluations: int = N_EVALUATIONS
) -> tuple[np.ndarray, int, float]:
    """Return the hypervolumes, the number of feasible evaluations and the median seconds of a suggestion."""
    study = optuna.create_study(directions=["minimize"] * problem.n_objectives, sampler=sampler)
    for parameters in initial_design(problem, seed):
        study.enqueue_trial(parameters)
    values, kept, seconds = [], [], []
    for _ in range(evaluations):
        begun = time.perf_counter()
        trial = study.ask(fixed_distributions=dict(problem.space))
        seconds.append(time.perf_counter() - begun)
        objectives, constraints = problem.evaluate(trial.params)
        for number, constraint in enumerate(constraints):
            trial.set_constraint(str(number), constraint)
        study.tell(trial, objectives)
        values.append(objectives)
        kept.append(all(constraint <= 0 for constraint in constraints))
    return curve(problem, values, kept), sum(kept), float(np.median(seconds[problem.design_size :]))


def curve(problem: Problem, values: Sequence[Sequence[float]], kept: Sequence[bool]) -> np.ndarray:
    """Return the feasible hypervolume after each evaluation."""
    found: list[Sequence[float]] = []
    volumes = []
    for objectives, feasible in zip(values, kept, strict=True):
        if feasible:
            found = [*found, objectives]
            found = [found[row] for row in feasible_front(found)]
        volumes.append(hypervolume(found, problem.reference) if found else 0.0)
    return np.array(volumes)


def write_rows(rows: Sequence[Row], path: Path = RESULTS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def key(row: Row) -> tuple[str, str, int]:
    return row["problem"], row["sampler"], int(row["seed"])


def append_row(row: Row, path: Path = RESULTS) -> None:
    """Add a finished run, sorted in, unless another process added the same one."""
    with FileLock(f"{path}.lock"):
        rows = read_rows(path)
        if key(row) not in {key(known) for known in rows}:
            write_rows(sorted([*rows, row], key=key), path)


def complete(
    names: Sequence[str],
    samplers: Sequence[str],
    seeds: int,
    path: Path = RESULTS,
    evaluations: int = N_EVALUATIONS,
    make: MakeSampler = sampler_for,
) -> None:
    """Run what is missing in the file."""
    known = problems()
    wanted = [(known[name], sampler, seed) for seed in range(seeds) for sampler in samplers for name in names]
    done = {key(row) for row in read_rows(path)}
    missing = [
        (problem, sampler, seed)
        for problem, sampler, seed in wanted
        if (problem.name, sampler, seed) not in done
    ]
    begun = time.monotonic()
    for count, (problem, sampler, seed) in enumerate(missing):
        volumes, feasible, seconds = run(problem, make(sampler, problem, seed), seed, evaluations)
        append_row(
            {
                "problem": problem.name,
                "sampler": sampler,
                "seed": str(seed),
                "hypervolumes": " ".join(f"{volume:.6g}" for volume in volumes),
                "feasible": str(feasible),
                "seconds_per_suggestion": f"{seconds:.3f}",
                **provenance("torch", "botorch", "optuna"),
            },
            path,
        )
        left = (time.monotonic() - begun) / (count + 1) * (len(missing) - count - 1)
        share = volumes[-1] / problem.best
        print(
            f"{count + 1}/{len(missing)}  {problem.name} {sampler} {seed}: {share:.4f} of the best, "
            f"{seconds:.2f} s a suggestion; {left / 60:.0f} min left",
            flush=True,
        )  # fmt: skip


def drop(samplers: Sequence[str], names: Sequence[str]) -> None:
    with FileLock(f"{RESULTS}.lock"):
        write_rows([
            r for r in read_rows(RESULTS) if r["sampler"] not in samplers or r["problem"] not in names
        ])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default=",".join(problems()))
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--drop", metavar="SAMPLERS", help="forget these samplers' rows")
    parser.add_argument("--table", action="store_true", help="print the tables of docs/benchmarks.md")
    parser.add_argument("--plot", action="store_true", help="draw docs/search.png")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # the peers' own, of which a run would print thousands
    use_one_thread()
    if arguments.drop:
        drop(arguments.drop.split(","), arguments.problems.split(","))
    elif arguments.table or arguments.plot:
        import search_tables

        search_tables.show(read_rows(RESULTS), tables=arguments.table, picture=arguments.plot)
    else:
        use_fast_boxes()
        complete(arguments.problems.split(","), arguments.samplers.split(","), arguments.seeds)


if __name__ == "__main__":
    main()
