"""The rows of bench_search.py as the tables and the picture of docs/benchmarks.md."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from problems import Problem, problems
from scipy.stats import rankdata, wilcoxon

from tinypareto.comparison.significance import holm_corrected

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "search.png"
CHECKPOINTS = (25, 50, 100)
OURS = "ars"
Row = Mapping[str, str]
Gaps = dict[tuple[str, str], np.ndarray]  # problem and sampler to gaps, seeds x evaluations


def normalised_gaps(rows: Sequence[Row], known: Mapping[str, Problem]) -> Gaps:
    """Return 1 - hypervolume / best for each run; best is the largest that is known or was found here."""
    curves = {
        (row["problem"], row["sampler"], int(row["seed"])): np.array(row["hypervolumes"].split(), dtype=float)
        for row in rows
    }
    best = {
        name: max([problem.best, *(curve[-1] for key, curve in curves.items() if key[0] == name)])
        for name, problem in known.items()
    }
    runs: dict[tuple[str, str], list[np.ndarray]] = {}
    for (problem, sampler, _), curve in sorted(curves.items()):
        runs.setdefault((problem, sampler), []).append(1.0 - curve / best[problem])
    return {key: np.array(curves) for key, curves in runs.items()}


def paired(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of those problems and seeds for which every sampler has ended."""
    samplers = {row["sampler"] for row in rows}
    ended: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        ended.setdefault((row["problem"], row["seed"]), set()).add(row["sampler"])
    return [row for row in rows if ended[row["problem"], row["seed"]] == samplers]


def mean_ranks(gaps: Gaps, evaluation: int) -> dict[str, float]:
    """Return each sampler's rank by median gap, averaged over the problems; 1 is best, ties share."""
    names = sorted({problem for problem, _ in gaps})
    samplers = sorted({sampler for _, sampler in gaps})
    medians = [[np.median(gaps[name, sampler][:, evaluation - 1]) for sampler in samplers] for name in names]
    ranks = np.mean([rankdata(row) for row in medians], axis=0)
    return dict(zip(samplers, ranks.tolist(), strict=True))


def significance(gaps: Gaps, evaluation: int) -> dict[str, float]:
    """Return the corrected p-value that ours has smaller gaps than each peer: one median per problem."""
    names = sorted({problem for problem, _ in gaps})
    peers = sorted({sampler for _, sampler in gaps} - {OURS})

    def medians(sampler: str) -> np.ndarray:
        return np.array([np.median(gaps[name, sampler][:, evaluation - 1]) for name in names])

    mine = medians(OURS)
    tests = {peer: float(wilcoxon(mine, medians(peer), alternative="less").pvalue) for peer in peers}
    return holm_corrected(tests)


def show(rows: Sequence[Row], *, tables: bool, picture: bool) -> None:
    """Print the tables, draw the curves."""
    kept = paired(rows)
    gaps = normalised_gaps(kept, problems())
    if picture:
        draw(gaps)
    if tables:
        _print_tables(kept, gaps)


def _print_tables(kept: Sequence[Row], gaps: Gaps) -> None:
    seeds = {row["seed"] for row in kept}
    ranks = mean_ranks(gaps, CHECKPOINTS[-1])
    samplers = sorted(ranks, key=lambda name: ranks[name])
    print(f"{len({row['problem'] for row in kept})} problems, seeds {', '.join(sorted(seeds, key=int))}\n")
    for evaluation in CHECKPOINTS:
        print(f"Normalised hypervolume gap in percent after {evaluation} evaluations: median (quartiles)\n")
        _table(gaps, samplers, lambda curves, at=evaluation - 1: _spread(100 * curves[:, at]))
        _line("mean rank", [f"{mean_ranks(gaps, evaluation)[name]:.2f}" for name in samplers])
        print()
    p_values = significance(gaps, CHECKPOINTS[-1])
    print("Wilcoxon signed-rank test of ours against each peer over problems, Holm-corrected\n")
    _header(list(p_values))
    _line("p", [f"{p:.4f}" for p in p_values.values()])
    seconds = {
        name: [float(r["seconds_per_suggestion"]) for r in kept if r["sampler"] == name] for name in samplers
    }
    print("\nMedian seconds per suggestion over problems and seeds\n")
    _header(samplers)
    _line("s", [f"{np.median(seconds[name]):.3f}" for name in samplers])


def draw(gaps: Gaps) -> None:
    """Draw each problem's median gap over evaluations, with quartiles."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(problem for problem, _ in gaps))
    samplers = sorted({sampler for _, sampler in gaps}, key=lambda name: (name != OURS, name))
    colours = dict(zip(samplers, plt.get_cmap("tab10").colors, strict=False))
    n_rows = -(-len(names) // 3)
    figure, axes = plt.subplots(n_rows, 3, figsize=(13, 3.2 * n_rows), layout="constrained", squeeze=False)
    for panel, name in zip(axes.flat, names, strict=False):
        for sampler in samplers:
            curves = np.maximum(gaps[name, sampler], 1e-5)
            low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
            steps = np.arange(1, len(middle) + 1)
            panel.plot(
                steps, middle, color=colours[sampler], lw=2.2 if sampler == OURS else 1.1, label=sampler
            )
            panel.fill_between(steps, low, high, color=colours[sampler], alpha=0.12, lw=0)
        panel.set(title=name, yscale="log", xlabel="evaluations", ylabel="hypervolume gap")
    for panel in axes.flat[len(names) :]:
        panel.axis("off")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="lower right", ncol=2, fontsize=12)
    figure.savefig(PICTURE, dpi=65)


def _spread(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _table(gaps: Gaps, samplers: Sequence[str], cell: Callable[[np.ndarray], str]) -> None:
    _header(samplers)
    for name in dict.fromkeys(problem for problem, _ in gaps):
        _line(name, [cell(gaps[name, sampler]) for sampler in samplers])


def _header(columns: Sequence[str]) -> None:
    _line("", columns)
    print("|---" * (len(columns) + 1) + "|")


def _line(name: str, cells: Sequence[str]) -> None:
    print(f"| {' | '.join([name, *cells])} |")
