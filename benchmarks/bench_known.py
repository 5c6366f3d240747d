"""What is it worth to know all objectives but one? Problems whose cheap objectives are told to the sampler.

    python benchmarks/bench_known.py              completes benchmarks/results/known.csv (some minutes)
    python benchmarks/bench_known.py --table      what docs/benchmarks.md shows

One objective of each problem counts as expensive, the others are functions of the parameters, told to the sampler as
`ARSSampler(known=)`. Designs, seeds and counting are those of bench_search.py, whose rows are of samplers that know
nothing.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
from bench_search import RESULTS as BLACK_BOX
from bench_search import SEEDS, run
from problems import Problem, problems
from rows import append_row, read_rows

from tinypareto.hosts.optuna import ARSSampler
from tinypareto.provenance import provenance
from tinypareto.threads import use_one_thread

RESULTS = Path(__file__).resolve().parent / "results" / "known.csv"
FIELDS = (
    "problem", "seed", "expensive", "hypervolumes", "seconds_per_suggestion", "commit", "machine", "versions",
)  # fmt: skip
EXPENSIVE = {
    "DTLZ2": 0,
    "VehicleSafety": 2,
    "DiscBrake": 1,
    "Penicillin": 0,
    "DTLZ2-4": 0,
}  # an objective's number
PEERS = ("ars", "gp", "qnehvi", "qparego")
EVALUATIONS = 100


def sampler_that_knows(problem: Problem, expensive: int, seed: int) -> ARSSampler:
    """Return a sampler that is told every objective but one."""

    def function(number: int):
        return lambda parameters: problem.evaluate(parameters)[0][number]

    known = {number: function(number) for number in range(problem.n_objectives) if number != expensive}
    return ARSSampler(seed, search_space=problem.space, known=known)


def complete(names: Sequence[str], seeds: int) -> None:
    """Run what is missing in the file."""
    done = {(row["problem"], int(row["seed"])) for row in read_rows(RESULTS)}
    missing = [(name, seed) for seed in range(seeds) for name in names if (name, seed) not in done]
    for count, (name, seed) in enumerate(missing):
        problem = problems()[name]
        volumes, _, seconds = run(
            problem, sampler_that_knows(problem, EXPENSIVE[name], seed), seed, EVALUATIONS
        )
        row = {
            "problem": name,
            "seed": seed,
            "expensive": EXPENSIVE[name],
            "hypervolumes": " ".join(f"{volume:.6g}" for volume in volumes),
            "seconds_per_suggestion": f"{seconds:.3f}",
            **provenance("torch", "botorch", "optuna"),
        }
        append_row(RESULTS, FIELDS, row)
        print(
            f"{count + 1}/{len(missing)}  {name} {seed}: {volumes[-1] / problem.best:.4f} of the best",
            flush=True,
        )


def evaluations_until(curves: np.ndarray, volume: float) -> int | None:
    """Return after how many evaluations the median of curves, seeds x evaluations, is at least a volume."""
    reached = np.flatnonzero(np.median(curves, axis=0) >= volume)
    return int(reached[0]) + 1 if len(reached) else None


def curves_of(rows: Sequence[Mapping[str, str]], **wanted: str) -> np.ndarray:
    """Return the hypervolumes of the rows with these values, seeds x evaluations."""
    chosen = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return np.array([[float(value) for value in row["hypervolumes"].split()] for row in chosen])


def print_table() -> None:
    print(
        "| problem | objectives known | median share of the best after 25, 50, 100, ars told | "
        + " | ".join(f"{peer}, untold" for peer in PEERS)
        + " | evaluations until the best untold median after 100 |"
    )
    print("|" + "---|" * (4 + len(PEERS)))
    known, untold = read_rows(RESULTS), read_rows(BLACK_BOX)
    for name, problem in problems().items():
        told = curves_of(known, problem=name) if name in EXPENSIVE else np.empty(0)
        if not len(told):
            continue
        seeds = [row["seed"] for row in known if row["problem"] == name]
        peers = {
            peer: curves_of([row for row in untold if row["seed"] in seeds], problem=name, sampler=peer)
            for peer in PEERS
        }
        best = max(float(np.median(curves[:, -1])) for curves in peers.values() if len(curves))
        shares = [_shares(curves, problem.best) for curves in (told, *peers.values())]
        until = evaluations_until(told, best)
        others = f"{problem.n_objectives - 1} of {problem.n_objectives}"
        print(f"| {name} | {others} | {' | '.join(shares)} | {until or 'not in 100'} |")


def _shares(curves: np.ndarray, best: float) -> str:
    if not len(curves):
        return ""
    return ", ".join(f"{np.median(curves[:, count - 1]) / best:.4f}" for count in (25, 50, 100))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default=",".join(EXPENSIVE), metavar="A,B")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    use_one_thread()
    if arguments.table:
        print_table()
    else:
        complete(arguments.problems.split(","), arguments.seeds)


if __name__ == "__main__":
    main()
