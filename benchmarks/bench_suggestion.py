"""How long does one suggestion take, and does memory stay flat?

    python benchmarks/bench_suggestion.py            completes benchmarks/results/suggestion.csv
    python benchmarks/bench_suggestion.py --table    what docs/benchmarks.md shows
    python benchmarks/bench_suggestion.py --memory   growth over 500 suggestions
    python benchmarks/bench_suggestion.py --cuda     completes benchmarks/results/suggestion_cuda.csv: CPU beside GPU

One thread. Every sampler is asked about the same made-up history: n Latin hypercube points of a smooth function with m
objectives and d parameters. What it suggests is checked to be new and inside the space before its time counts.
"""

import argparse
import csv
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from rows import read_rows
from scipy.stats import qmc

from tinypareto.hosts.optuna import ARSSampler
from tinypareto.provenance import provenance
from tinypareto.samplers import make_sampler
from tinypareto.threads import use_one_thread

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "suggestion.csv"
FIELDS = ("sampler", "n", "m", "d", "seconds", "commit", "machine", "versions")
# What the bars need, then growth with n and with m.
CASES = [
    (100, 3, 8), (75, 4, 8), (25, 3, 8), (50, 3, 8), (200, 3, 8), (400, 3, 8), (1000, 3, 8),
    (100, 1, 8), (100, 2, 8), (100, 4, 8), (100, 5, 8), (100, 6, 8), (1000, 4, 12),
]  # fmt: skip
CUDA_RESULTS = ROOT / "results" / "suggestion_cuda.csv"
CUDA_FIELDS = ("device", "n", "m", "d", "seconds", "largest_difference", "commit", "machine", "versions")
CUDA_CASES = [(100, 3, 8), (100, 4, 8), (400, 3, 8), (1000, 3, 8), (1000, 4, 12), (2000, 3, 8)]
PEERS = ("ars", "gp", "qnehvi")
REPEATS = 3
MOST_OBSERVATIONS = 200  # of a peer, at three objectives or more; beyond, it takes minutes
PEERS_OBJECTIVES = {"gp": range(1, 5), "qnehvi": range(2, 5)}  # beyond, a suggestion takes many minutes


def made_up_study(
    sampler: str, n: int, m: int, d: int, device: str = "cpu"
) -> tuple[optuna.Study, dict[str, FloatDistribution]]:
    """Return a study with n finished trials of m smooth trade-offs of d parameters; only ars takes another device."""
    space = {f"x{i:02d}": FloatDistribution(0.0, 1.0) for i in range(d)}
    chosen = (
        make_sampler(sampler, 0, space)
        if device == "cpu"
        else ARSSampler(0, search_space=space, device=device)
    )
    study = optuna.create_study(directions=["minimize"] * m, sampler=chosen)
    points = qmc.LatinHypercube(d, rng=np.random.default_rng(n)).random(n)
    centres = np.random.default_rng(1).random((m, d))
    for point in points:
        values = [float(np.square(point - c).sum() + 0.3 * np.sin(5 * point @ c)) for c in centres]
        parameters = dict(zip(space, point.tolist(), strict=True))
        study.add_trial(create_trial(params=parameters, distributions=space, values=values))
    return study, space


def asked(sampler: str, n: int, m: int, d: int, device: str = "cpu") -> tuple[float, np.ndarray]:
    """Return the median seconds of a suggestion, after one that warms up, and what was suggested."""
    study, space = made_up_study(sampler, n, m, d, device)
    taken, points = [], []
    known = {tuple(trial.params.values()) for trial in study.trials}
    for _ in range(1 + REPEATS):
        begun = time.perf_counter()
        trial = study.ask(space)
        taken.append(time.perf_counter() - begun)
        point = tuple(trial.params.values())
        assert point not in known and all(0.0 <= value <= 1.0 for value in point)  # noqa: PT018
        points.append(point)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # the next one sees the same history
    return float(np.median(taken[1:])), np.array(points)


def complete() -> None:
    done = {(row["sampler"], int(row["n"]), int(row["m"]), int(row["d"])) for row in read_rows(RESULTS)}
    origin = provenance("torch", "botorch", "optuna")
    for n, m, d in CASES:
        for sampler in PEERS:
            if (sampler, n, m, d) in done or (sampler != "ars" and _takes_too_long(sampler, n, m)):
                continue
            seconds, _ = asked(sampler, n, m, d)
            with RESULTS.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if file.tell() == 0:
                    writer.writerow(FIELDS)
                writer.writerow([sampler, n, m, d, f"{seconds:.3f}", *origin.values()])
            print(f"n {n}, m {m}, d {d}: {sampler} {seconds:.2f} s", flush=True)


def _takes_too_long(peer: str, n: int, m: int) -> bool:
    return m not in PEERS_OBJECTIVES[peer] or (m >= 3 and n > MOST_OBSERVATIONS)


def print_table() -> None:
    found = {
        (row["sampler"], int(row["n"]), int(row["m"]), int(row["d"])): float(row["seconds"])
        for row in read_rows(RESULTS)
    }
    print(
        "| n | m | d | ars, s | gp, s | gp / ars | qnehvi, s | qnehvi / ars |\n|---|---|---|---|---|---|---|---|"
    )
    for case in sorted(CASES, key=lambda case: (case[2], case[1], case[0])):
        ours = found.get(("ars", *case))
        if ours is None:
            continue
        cells = [f"{ours:.2f}"]
        for peer in ("gp", "qnehvi"):
            theirs = found.get((peer, *case))
            cells += ["", ""] if theirs is None else [f"{theirs:.2f}", f"{theirs / ours:.1f}"]
        print(f"| {' | '.join([*map(str, case), *cells])} |")


def complete_cuda() -> None:
    """Ask on the CPU and on the GPU, one thread each, in one run on one machine."""
    done = {(int(row["n"]), int(row["m"]), int(row["d"])) for row in read_rows(CUDA_RESULTS)}
    for case in (case for case in CUDA_CASES if case not in done):
        answers = {device: asked("ars", *case, device) for device in ("cpu", "cuda")}
        difference = float(np.abs(answers["cuda"][1] - answers["cpu"][1]).max())
        with CUDA_RESULTS.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(CUDA_FIELDS)
            for device, (seconds, _) in answers.items():
                name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
                origin = provenance("torch", "optuna").values()
                writer.writerow([name, *case, f"{seconds:.3f}", f"{difference:.1e}", *origin])
        ratio = answers["cpu"][0] / answers["cuda"][0]
        print(
            f"n, m, d {case}: cpu / cuda {ratio:.2f}, points differ by at most {difference:.1e}", flush=True
        )


def print_memory(suggestions: int = 500) -> None:
    """Print by how many MB the process's peak grows over many suggestions, after fifty that warm up."""
    study, space = made_up_study("ars", 40, 2, 4)
    for count in range(1, suggestions + 1):
        study.tell(study.ask(space), state=optuna.trial.TrialState.PRUNED)
        if count == 50:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if count % 50 == 0:
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"{count} suggestions: {(now - before) / 1024:.1f} MB more", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--cuda", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # the peers' own
    use_one_thread()
    if arguments.table:
        print_table()
    elif arguments.memory:
        print_memory()
    elif arguments.cuda:
        complete_cuda()
    else:
        complete()


if __name__ == "__main__":
    main()
