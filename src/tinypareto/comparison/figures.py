"""Pictures of a comparison, PNG and SVG: hypervolume with bands, feasible Pareto fronts by pairs of objectives."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinypareto.comparison.outcome import Outcome
from tinypareto.report.plots import axis_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS = ("ars-full", "ars", "poster")  # drawn above the others, with thicker lines
COLOURS = {
    "ars-full": "#08519c",
    "ars": "#3fa7e0",
    "poster": "#7b3294",
    "qnehvi": "#d7301f",
    "qparego": "#f08c1a",
    "turbo": "#1b7837",
    "morbo": "#8cc04b",
    "gp": "#c2a50a",
    "tpe": "#a0522d",
    "nsga2": "#e377c2",
    "random": "#7f7f7f",
}
OTHER_COLOURS = ("#17becf", "#bcbd22", "#393b79", "#637939")  # of samplers that are added later
MARKERS = "oDs^vP<X>pd*"
PANELS_PER_ROW = 3
DOTS_PER_INCH = 110


def draw_figures(outcome: Outcome, folder: Path) -> list[Path]:
    """Draw ``hypervolume`` and ``fronts`` into a folder, as PNG and SVG; return the files."""
    return [
        *save(hypervolume_figure(outcome), folder / "hypervolume"),
        *save(fronts_figure(outcome), folder / "fronts"),
    ]


def hypervolume_figure(outcome: Outcome) -> "Figure":
    """Return the median hypervolume after each training, with its quartiles as a band."""
    figure = new_figure(8.0, 5.0)
    panel = figure.subplots()
    for arm in _back_to_front(outcome.studies):
        low, middle, high = np.quantile(outcome.curves(arm), [0.25, 0.5, 0.75], axis=0)
        count = np.arange(1, len(middle) + 1)
        width, dashes = (2.2, "-") if arm in OURS else (1.2, ":" if arm == "random" else "-")
        colour = colour_of(arm, outcome.studies)
        panel.plot(count, middle, dashes, color=colour, lw=width, label=f"{arm}, {middle[-1]:.3f}")
        panel.fill_between(count, low, high, color=colour, alpha=0.13, lw=0)
    seeds = len(next(iter(outcome.studies.values())))
    panel.set(
        xlabel="trainings",
        ylabel=f"hypervolume, median and quartiles of {seeds} seeds",
        title=outcome.subject.experiment,
        xlim=(1, max(outcome.trials, 2)),
    )
    panel.set_ylim(bottom=_floor(outcome))
    panel.grid(alpha=0.25)
    lines = dict(zip(_back_to_front(outcome.studies), panel.lines, strict=True))
    last = {arm: float(np.median(outcome.curves(arm)[:, -1])) for arm in outcome.studies}
    panel.legend(
        handles=[lines[arm] for arm in sorted(last, key=lambda arm: -last[arm])],
        fontsize=9,
        loc="lower right",
    )
    return figure


def _floor(outcome: Outcome) -> float:
    """Return the lowest quartile after a tenth of the trainings: what was before that may run out of the picture."""
    after = outcome.trials // 10
    low = min(float(np.quantile(outcome.curves(arm)[:, after], 0.25)) for arm in outcome.studies)
    high = max(float(outcome.curves(arm)[:, -1].max()) for arm in outcome.studies)
    return max(0.0, low - 0.05 * (high - low))


def fronts_figure(outcome: Outcome) -> "Figure":
    """Return, for every pair of objectives, each sampler's feasible Pareto networks of all seeds together.

    A network counts that no other one of the same sampler beats in all objectives, so in a panel that shows two of them
    points lie behind others. The legend says how many there are.
    """
    names = outcome.subject.objectives
    pairs = list(combinations(names, 2)) or [(names[0], names[0])]
    columns = min(PANELS_PER_ROW, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(4.4 * columns, 3.7 * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False)
    fronts = {arm: outcome.front(arm) for arm in outcome.studies}
    for panel, (x, y) in zip(panels.flat, pairs, strict=False):
        for arm in _back_to_front(fronts):
            _scatter(panel, outcome, arm, fronts[arm], x, y)
        for limit, draw in ((x, panel.axvline), (y, panel.axhline)):
            if limit in outcome.subject.limits:
                draw(outcome.subject.limits[limit] / axis_of(limit)[1], color="#c0392b", ls="--", lw=1)
        panel.set(xlabel=axis_of(x)[0], ylabel=axis_of(y)[0])
        panel.grid(alpha=0.25)
    for panel in panels.flat[len(pairs) :]:
        panel.axis("off")
    handles = {handle.get_label(): handle for handle in panels.flat[0].collections}
    labels = [f"{arm} ({len(fronts[arm])})" for arm in outcome.studies]
    figure.legend(
        handles=[handles[label] for label in labels],
        loc="outside upper center",
        ncols=6,
        title=f"{outcome.subject.experiment}: feasible Pareto networks of all seeds (how many)",
        markerscale=1.6,
    )
    return figure


def _scatter(panel: "Axes", outcome: Outcome, arm: str, front: Any, x: str, y: str) -> None:
    names = outcome.subject.objectives
    across, up = (front[:, names.index(name)] / axis_of(name)[1] for name in (x, y))
    place = list(outcome.studies).index(arm)
    panel.scatter(
        across,
        up,
        s=16 if arm in OURS else 10,
        marker=MARKERS[place % len(MARKERS)],
        color=colour_of(arm, outcome.studies),
        alpha=0.75,
        lw=0,
        label=f"{arm} ({len(front)})",
        rasterized=True,  # thousands of markers would make the SVG large
    )


def _back_to_front(arms: Iterable[str]) -> list[str]:
    """Return the peers, then ours, the first of ours last."""
    arms = list(arms)
    return [arm for arm in arms if arm not in OURS] + [arm for arm in arms[::-1] if arm in OURS]


def colour_of(arm: str, arms: Iterable[str]) -> str:
    """Return a sampler's colour, the same in all pictures."""
    unknown = [name for name in arms if name not in COLOURS]
    return COLOURS.get(arm) or OTHER_COLOURS[unknown.index(arm) % len(OTHER_COLOURS)]


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", stem: Path) -> list[Path]:
    """Save a figure as PNG and SVG; the same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": stem.name}):
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None}, dpi=DOTS_PER_INCH)
    figure.savefig(stem.with_suffix(".png"), dpi=DOTS_PER_INCH)
    return [stem.with_suffix(".svg"), stem.with_suffix(".png")]
