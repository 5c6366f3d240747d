"""The poster's second experiment: is a global minimum found from a prior that lies far from it?

40 samples in all, 5 of them the prior in the upper left; found means within 0.1 of the global minimum.
"""

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock

from tinypareto.comparison.results_file import writing
from tinypareto.errors import ConfigError, StudyError
from tinypareto.front import feasible_rows
from tinypareto.provenance import provenance
from tinypareto.samplers import peer_function
from tinypareto.search.config import SearchConfig
from tinypareto.search.ensemble import trained_paths
from tinypareto.search.first_trials import stream_of
from tinypareto.search.history import History
from tinypareto.search.rewards import poster_reward
from tinypareto.search.starts import starting_points
from tinypareto.search.suggest import suggest
from tinypareto.search.surrogate import limits_of
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space
from tinypareto.synthetic import EDGE, GLOBAL_MINIMUM, bumps, bumps_prior, bumps_space
from tinypareto.threads import use_one_thread

Matrix = npt.NDArray[np.float64]

SAMPLERS = ("poster", "qparego")
N_PRIOR, N_SAMPLES, N_SEEDS, TOLERANCE = 5, 40, 20, 0.1
FIELDS = ("sampler", "seed", "best", "found", "seconds_per_suggestion", "commit", "machine", "versions")
SPACE = Space(bumps_space())
POSTER = SearchConfig.preset("poster")
NOTHING_PENDING = np.empty((0, 2))


@dataclass(frozen=True, kw_only=True)
class BumpsView:
    """What a sampler believes after some samples, at g points.

    Attributes:
        mean: Of the Gaussian process, g, in the objective's unit.
        improvement: Expected improvement, g, as the poster's reward has it.
        walks: Where each trained policy goes, L x (1 + H) x 2 of the unit square, its start first.
    """

    mean: Matrix
    improvement: Matrix
    walks: Matrix


def history_of(points: Matrix) -> History:
    """Return points of the unit square, n x 2, with their values, as a search sees them."""
    n = len(points)
    values = bumps(points * EDGE)[:, None]
    return History(numbers=np.arange(n), points=points, values=values, violations=np.empty((n, 0)))


def next_point(sampler: str, points: Matrix, seed: int) -> Matrix:
    """Return what a sampler suggests after points n x 2 of the unit square: 2.

    Raises:
        ConfigError: If what the sampler needs is not installed.
    """
    settings: dict[str, Any] = {"seed": seed, "trial_number": len(points)}
    if sampler == "poster":
        return suggest(SPACE, history_of(points), NOTHING_PENDING, POSTER, **settings).point
    return peer_function(sampler)(SPACE, history_of(points), NOTHING_PENDING, **settings).point


def sample(sampler: str, seed: int, n_samples: int = N_SAMPLES) -> tuple[Matrix, float]:
    """Return all samples, n_samples x 2 of the unit square, prior first, and the mean seconds of a suggestion."""
    points = bumps_prior(seed, N_PRIOR) / EDGE
    begun = time.perf_counter()
    while len(points) < n_samples:
        points = np.concatenate([points, next_point(sampler, points, seed)[None]])
    return points, (time.perf_counter() - begun) / max(n_samples - N_PRIOR, 1)


def view(points: Matrix, grid: Matrix, seed: int) -> BumpsView:
    """Return what `poster` believes after points n x 2, at g x 2 points of the unit square.

    The walks are those from which it chooses its next point: the same random numbers in the same order.
    """
    known, rng = history_of(points), stream_of(seed, len(points))
    model, outcomes = fitted(SPACE, known, NOTHING_PENDING, None, POSTER, "cpu", seed)
    reward = poster_reward(
        model,
        outcomes.targets[:, :1],
        limits_of(model, outcomes),
        feasible_rows(known.violations),
        n_samples=POSTER.n_samples,
        rng=rng,
    )
    starts = starting_points(known.points, known.values, known.violations, POSTER.n_policies, rng)
    walks = trained_paths(SPACE, torch.from_numpy(starts), reward, POSTER, rng)
    mean, std = model.predict(torch.from_numpy(grid))
    real, _ = outcomes.objective_units(mean[0].numpy(), std[0].numpy())
    improvement = reward(torch.from_numpy(grid)).numpy()
    return BumpsView(mean=np.asarray(real), improvement=np.asarray(improvement), walks=walks)


def complete_bumps(
    path: Path,
    seeds: Sequence[int] = range(N_SEEDS),
    on_run: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> list[dict[str, str]]:
    """Run each sampler with each seed, unless the CSV at ``path`` has it, add a row each, and return these rows.

    Args:
        path: A CSV, made if missing.
        seeds: Of prior and sampler.
        on_run: Called after each run with how many are done, how many there are, and a line about it.

    Raises:
        ConfigError: If there is no seed.
        StudyError: If the CSV cannot be written, or is another one.
    """
    if not len(seeds):
        raise ConfigError("seeds must be at least 1, got 0; raise it.")
    use_one_thread()
    wanted = [(sampler, seed) for seed in seeds for sampler in SAMPLERS]
    for done, (sampler, seed) in enumerate(wanted, start=1):
        if (sampler, seed) in _by_run(path):
            continue
        points, seconds = sample(sampler, seed)
        best = float(bumps(points * EDGE).min())
        found = best <= GLOBAL_MINIMUM + TOLERANCE
        origin = provenance("torch", "botorch", "scipy")
        _append(path, (sampler, seed, best, found, round(seconds, 3), *origin.values()))
        on_run(done, len(wanted), f"{sampler}, seed {seed}: best {best:.3f}, {'' if found else 'not '}found")
    rows = _by_run(path)
    return [rows[run] for run in wanted]


def bumps_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return how often each sampler found the minimum, as Markdown."""
    lines = ["| sampler | seeds | found | median best | median s per suggestion |", "|---|---|---|---|---|"]
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        mine = [row for row in rows if row["sampler"] == sampler]
        found = sum(row["found"] == "True" for row in mine)
        best = np.median([float(row["best"]) for row in mine])
        seconds = np.median([float(row["seconds_per_suggestion"]) for row in mine])
        lines.append(f"| {sampler} | {len(mine)} | {found} | {best:.3f} | {seconds:.2f} |")
    return "\n".join(lines)


def _by_run(path: Path) -> dict[tuple[str, int], dict[str, str]]:
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and tuple(rows[0]) != FIELDS:
        raise StudyError(f"{path} is not a CSV of this experiment; give another --out, or move it away.")
    return {(row["sampler"], int(row["seed"])): row for row in rows}


def _append(path: Path, row: Sequence[object]) -> None:
    with writing(path), FileLock(f"{path}.lock"), open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(FIELDS)
        writer.writerow(row)
