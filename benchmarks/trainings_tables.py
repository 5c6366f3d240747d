"""The rows of bench_trainings.py, beside samplers that know nothing, as tables and picture of docs/benchmarks.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinypareto.comparison.results_file import ResultsFile

ROOT = Path(__file__).resolve().parent
COMPARISON = ROOT / "results" / "digits" / "comparison.csv"
PICTURE = ROOT.parent / "docs" / "trainings.png"
BLACK_BOXES = ("ars", "gp", "qnehvi")
SHOWN = (10, 20, 30, 40, 75, 150)
Row = Mapping[str, str]
Curves = dict[str, np.ndarray]  # arm to hypervolumes after each training, seeds x trainings


def curves_of(rows: Sequence[Row]) -> Curves:
    """Return the curves of the arms, by seed."""
    found: dict[str, list[list[float]]] = {}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        found.setdefault(row["arm"], []).append(json.loads(row["hypervolumes"]))
    return {arm: np.array(curves) for arm, curves in found.items()}


def black_boxes(path: Path = COMPARISON) -> Curves:
    """Return the curves of complete studies of samplers that know nothing."""
    if not path.exists():
        return {}
    studies: dict[tuple[str, int], dict[int, float]] = {}
    for row in ResultsFile(path).rows:
        if row.arm in BLACK_BOXES:
            studies.setdefault((row.arm, row.seed), {})[row.trial] = row.hypervolume
    curves: dict[str, list[list[float]]] = {}
    for (arm, _), found in sorted(studies.items()):
        if len(found) == SHOWN[-1]:
            curves.setdefault(arm, []).append([found[trial] for trial in sorted(found)])
    return {arm: np.array(runs) for arm, runs in curves.items()}


def hypervolume_table(rows: Sequence[Row], boxes: Curves) -> str:
    """Return the median hypervolumes, and how many trainings reach the best black box's median."""
    aim = max((float(np.median(curves[:, -1])) for curves in boxes.values()), default=None)
    lines = [
        f"| arm | seeds | {' | '.join(f'{n} trainings' for n in SHOWN)} | as good as the best black box after |",
        "|" + "---|" * (3 + len(SHOWN)),
    ]
    for arm, curves in {**curves_of(rows), **boxes}.items():
        median = np.median(curves, axis=0)
        values = [f"{median[n - 1]:.4f}" if n <= len(median) else "" for n in SHOWN]
        reached = np.flatnonzero(median >= aim) + 1 if aim and not arm.startswith("tight") else []
        after = str(reached[0]) if len(reached) else ""
        lines.append(f"| {arm} | {len(curves)} | {' | '.join(values)} | {after} |")
    return "\n".join(lines)


def stopping_table(rows: Sequence[Row]) -> str:
    """Return what early stopping saves and costs: the arm with it against the same one without, seed by seed."""
    by_seed = {(row["arm"], row["seed"]): row for row in rows}
    lines = [
        "| seed | training, s | to their ends, s | saved | hypervolume | without stopping | stopped | a pity |",
        "|" + "---|" * 8,
    ]
    for seed in sorted({seed for _, seed in by_seed}, key=int):
        full, whole = by_seed.get(("full", seed)), by_seed.get(("harvest", seed))
        if full is None or whole is None:
            continue
        spent, unstopped = float(full["training_seconds"]), float(full["unstopped_seconds"])
        ends = [json.loads(row["hypervolumes"])[-1] for row in (full, whole)]
        lines.append(
            f"| {seed} | {spent:.0f} | {unstopped:.0f} | {1 - spent / unstopped:.0%} | {ends[0]:.4f} | {ends[1]:.4f} | "
            f"{full['stopped']} | {full['regretted']} |"
        )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Return what holds over all rows of the arms that know sizes: limits, intervals."""
    knowing = [row for row in rows if row["arm"] in {"full", "harvest", "known", "tight, full"}]
    judged = [row for row in knowing if row["predicted"]]
    predicted, held = (sum(int(row[name]) for row in judged) for name in ("predicted", "held"))
    trainings = sum(int(row["trials"]) for row in knowing)
    broken = sum(int(row["over_a_limit"]) for row in knowing)
    share = f", {held / predicted:.0%}" if predicted else ""
    return (
        f"Of {trainings} trainings that knew sizes {broken} broke a limit. From trial 20 on {held} of {predicted} "
        f"errors lay in their 90 % intervals{share}."
    )


def draw(rows: Sequence[Row], boxes: Curves) -> None:
    """Draw median hypervolumes over trainings, with the range of the seeds."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    everything = {**curves_of(rows), **boxes}
    for arm, curves in everything.items():
        if arm.startswith("tight"):
            continue
        trainings = np.arange(1, curves.shape[1] + 1)
        (line,) = axes.plot(trainings, np.median(curves, axis=0), label=arm, ls="--" if arm in boxes else "-")
        axes.fill_between(trainings, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.12, lw=0)
    axes.set(xscale="log", xlabel="trainings", ylabel="hypervolume", xlim=(4, 160), ylim=(0.6, 0.77))
    axes.set_xticks(SHOWN, [str(n) for n in SHOWN], minor=False)
    axes.legend(title="median of the seeds, and their range", loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(PICTURE, dpi=110)
