"""The tables of a comparison as Markdown."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.comparison.outcome import Outcome
from tinypareto.comparison.rows import Row

REFERENCES = ("ars-full", "ars", "poster")  # those of ours are each tested against all others


def summary_text(outcome: Outcome) -> str:
    """Return the tables: hypervolumes, what was found, tests, and what made the rows."""
    first = next(iter(outcome.studies.values()))
    parts = [
        f"# {outcome.subject.experiment}: {len(outcome.studies)} samplers, {len(first)} seeds, "
        f"{outcome.trials} trainings each\n",
        *_hypervolumes(outcome),
        *_counts(outcome),
        *chain.from_iterable(_tests(outcome, name) for name in REFERENCES if name in outcome.studies),
        "Made with:\n",
        *(
            f"- commit {run['commit'] or 'unknown'}, {run['machine']}, {run['versions']}"
            for run in outcome.runs
        ),
    ]
    return "\n".join(parts) + "\n"


def _hypervolumes(outcome: Outcome) -> Iterable[str]:
    trials = outcome.trials
    after = sorted({max(1, trials // 4), max(1, trials // 2), trials})
    yield (
        "Hypervolume of the feasible front (0 bad, 1 ideal; networks harvested on the way count) after a number of "
        "trainings: median over the seeds (quartiles).\n"
    )
    yield from _table(
        ["sampler", *map(str, after)],
        [[arm, *(_spread(outcome.curves(arm)[:, at - 1], 4) for at in after)] for arm in outcome.studies],
    )


def _counts(outcome: Outcome) -> Iterable[str]:
    yield (
        "Feasible Pareto networks of a study, and of all seeds together; trainings that failed or broke a limit, "
        "of all seeds; seconds of a suggestion and of an evaluation, median.\n"
    )
    yield from _table(
        ["sampler", "Pareto", "all seeds", "failed", "over a limit", "s to suggest", "s to evaluate"],
        [_count_cells(outcome, arm) for arm in outcome.studies],
    )


def _count_cells(outcome: Outcome, arm: str) -> list[str]:
    studies = outcome.studies[arm]
    rows: list[Row] = [row for study in studies for row in study]
    sizes = np.array([len(outcome.front(arm, seed)) for seed in range(len(studies))])
    return [
        arm,
        _spread(sizes, 0),
        str(len(outcome.front(arm))),
        str(sum(row.objectives is None for row in rows)),
        str(sum(row.objectives is not None and not row.feasible for row in rows)),
        f"{np.median([row.suggest_seconds for row in rows]):.2f}",
        f"{np.median([row.seconds for row in rows]):.1f}",
    ]


def _tests(outcome: Outcome, arm: str) -> Iterable[str]:
    differences = outcome.differences(arm)
    if not differences:
        return
    seeds = next(iter(differences.values())).seeds
    yield (
        f"`{arm}` against each other sampler after {outcome.trials} trainings, paired by seed: Wilcoxon's signed-rank "
        f"test, one-sided, Holm-corrected. With {seeds} seeds p is at least {2.0**-seeds:.3g} before the correction.\n"
    )
    yield from _table(
        ["peer", "seeds won", "median difference", "p"],
        [
            [name, f"{one.wins} of {one.seeds}", f"{one.median:+.4f}", f"{one.p:.3f}"]
            for name, one in differences.items()
        ],
    )


def _spread(values: npt.NDArray[Any], digits: int) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{middle} ({low}-{high})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
