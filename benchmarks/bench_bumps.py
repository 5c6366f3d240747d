"""How often is the global minimum of ``bumps`` found from a prior that lies far from it?

    python benchmarks/bench_bumps.py            runs what the CSV does not hold yet, prints the table
    python benchmarks/bench_bumps.py --picture  draws one run of each sampler like Figure 3 of the poster

40 samples in all, 5 of them the prior in the upper left; found means within 0.1 of the global minimum.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from provenance import provenance
from rows import read_rows

from tinypareto.peers.qparego import suggest_qparego
from tinypareto.search.config import SearchConfig
from tinypareto.search.ensemble import trained_paths
from tinypareto.search.history import History
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import standardise
from tinypareto.search.rewards import poster_reward
from tinypareto.search.starts import starting_points
from tinypareto.search.suggest import suggest
from tinypareto.space import Space
from tinypareto.synthetic import EDGE, GLOBAL_MINIMUM, bumps, bumps_prior, bumps_space
from tinypareto.threads import use_one_thread

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "bumps.csv"
PICTURE = ROOT.parent / "docs" / "bumps.png"
SEEDS, N_SAMPLES, TOLERANCE = range(20), 40, 0.1
EARLY = 12  # samples after which EI is drawn: once the minimum is known, EI is 0 nearly everywhere
FIELDS = ("sampler", "seed", "best", "found", "seconds_per_suggestion", "commit", "machine", "versions")
SPACE = Space(bumps_space())
POSTER = SearchConfig.preset("poster")


def history_of(points: np.ndarray) -> History:
    n = len(points)
    values = bumps(points * EDGE)[:, None]
    return History(numbers=np.arange(n), points=points, values=values, violations=np.empty((n, 0)))


def next_point(sampler: str, history: History, seed: int) -> np.ndarray:
    number, pending = len(history.numbers), np.empty((0, 2))
    if sampler == "qparego":
        return suggest_qparego(SPACE, history, pending, seed=seed, trial_number=number).point
    return suggest(SPACE, history, pending, POSTER, seed=seed, trial_number=number).point


def run(sampler: str, seed: int) -> tuple[np.ndarray, float]:
    """Return all points, 40 x 2 of the unit square, and the mean seconds of a suggestion."""
    points = bumps_prior(seed) / EDGE
    begun = time.perf_counter()
    while len(points) < N_SAMPLES:
        points = np.concatenate([points, next_point(sampler, history_of(points), seed)[None]])
    return points, (time.perf_counter() - begun) / (N_SAMPLES - len(bumps_prior(seed)))


def complete() -> None:
    done = {(row["sampler"], int(row["seed"])) for row in read_rows(RESULTS)}
    origin = provenance("torch", "botorch", "scipy")
    for seed in SEEDS:
        for sampler in ("poster", "qparego"):
            if (sampler, seed) in done:
                continue
            points, seconds = run(sampler, seed)
            best = float(bumps(points * EDGE).min())
            row = (sampler, seed, best, best <= GLOBAL_MINIMUM + TOLERANCE, round(seconds, 3))
            with RESULTS.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if file.tell() == 0:
                    writer.writerow(FIELDS)
                writer.writerow([*row, *origin.values()])
            print(*row, flush=True)


def print_table() -> None:
    rows = read_rows(RESULTS)
    print("| sampler | seeds | found | median best | median s per suggestion |\n|---|---|---|---|---|")
    for sampler in ("poster", "qparego"):
        mine = [row for row in rows if row["sampler"] == sampler]
        if not mine:
            continue
        found = sum(row["found"] == "True" for row in mine)
        best = np.median([float(row["best"]) for row in mine])
        seconds = np.median([float(row["seconds_per_suggestion"]) for row in mine])
        print(f"| {sampler} | {len(mine)} | {found} | {best:.3f} | {seconds:.2f} |")


def draw(seed: int) -> None:
    """Draw ground truth and, for each sampler, the last GP mean above an early EI; for poster the rollouts."""
    import matplotlib.pyplot as plt

    axis = np.linspace(0, EDGE, 129)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shape = (len(axis), len(axis))
    figure, axes = plt.subplots(2, 3, figsize=(15, 9.5), layout="constrained")
    levels = np.linspace(-5, 6, 23)
    image = axes[0, 0].contourf(axis, axis, bumps(grid).reshape(shape), levels=levels)
    axes[0, 0].set(title="ground truth")
    axes[1, 0].axis("off")
    for column, sampler in ((1, "poster"), (2, "qparego")):
        points, _ = run(sampler, seed)
        mean, _, _ = surrogate_of(points, grid, seed)
        _, improvement, walks = surrogate_of(points[:EARLY], grid, seed)
        axes[0, column].contourf(axis, axis, mean.reshape(shape), levels=levels, extend="both")
        axes[0, column].set(title=f"{sampler}: GP mean after {N_SAMPLES} samples")
        axes[1, column].contourf(axis, axis, improvement.reshape(shape), levels=24, cmap="magma")
        axes[1, column].set(title=f"{sampler}: expected improvement after {EARLY} samples")
        for panel, shown in ((axes[0, column], N_SAMPLES), (axes[1, column], EARLY)):
            panel.plot(*points[5:shown].T * EDGE, "wo", ms=4, mec="k", label="samples")
            panel.plot(*points[:5].T * EDGE, "r^", ms=8, label="prior")
        for walk in walks if sampler == "poster" else ():
            axes[1, column].plot(*walk.T * EDGE, "c-", lw=1.5)
            axes[1, column].plot(*walk[0] * EDGE, "rx", ms=9, mew=2)
    for panel in (*axes[0], *axes[1, 1:]):
        panel.plot(15, 5, "w*", ms=12, mec="k", label="global minimum")
        panel.set(xlabel=r"$\theta_0$", ylabel=r"$\theta_1$", aspect="equal", xlim=(0, EDGE), ylim=(0, EDGE))
    axes[0, 1].legend(loc="lower right", fontsize=8)
    figure.colorbar(image, ax=axes[0], shrink=0.8)
    figure.savefig(PICTURE, dpi=70)


def surrogate_of(
    points: np.ndarray, grid: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return GP mean and EI at the grid's points, g, and the walks, L x (H + 1) x 2, of the trained policies."""
    known = history_of(points)
    outcomes = standardise(known.values, known.violations)
    model = fit(torch.from_numpy(points), torch.from_numpy(outcomes.targets), torch.arange(2))
    mean, std = model.predict(torch.from_numpy(grid / EDGE))
    real, _ = outcomes.objective_units(mean.numpy(), std.numpy())
    rng = np.random.default_rng(seed)
    feasible = np.ones(len(points), dtype=bool)
    reward = poster_reward(
        model, outcomes.targets, outcomes.limits, feasible, n_samples=POSTER.n_samples, rng=rng
    )
    starts = starting_points(known.points, known.values, known.violations, POSTER.n_policies, rng)
    walks = trained_paths(SPACE, torch.from_numpy(starts), reward, POSTER, rng)
    return real.ravel(), reward(torch.from_numpy(grid / EDGE)).numpy(), walks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", action="store_true", help="draw seed 0 into docs/bumps.png")
    use_one_thread()
    if parser.parse_args().picture:
        draw(0)
    else:
        complete()
        print_table()


if __name__ == "__main__":
    main()
