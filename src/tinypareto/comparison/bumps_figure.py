"""The poster's Figure 3: what two samplers believe of ``bumps``, and where the competing policies walk."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinypareto.comparison.arms import need_matplotlib
from tinypareto.comparison.bumps import N_PRIOR, N_SAMPLES, SAMPLERS, Matrix, sample, view
from tinypareto.comparison.figures import new_figure, save
from tinypareto.comparison.results_file import writing
from tinypareto.synthetic import EDGE, GLOBAL_MINIMUM_AT, bumps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EARLY = 12  # samples after which EI is drawn: once the minimum is known, EI is 0 nearly everywhere
AXIS = np.linspace(0.0, EDGE, 129)
LEVELS = np.linspace(-5, 6, 23)
NAMES = {"poster": "ARS (poster)", "qparego": "qParEGO"}


def draw_bumps(folder: Path, seed: int = 0) -> list[Path]:
    """Draw ``bumps`` into a folder, which is made if missing, as PNG and SVG; return the files.

    Raises:
        ConfigError: If matplotlib or what qParEGO needs is not installed.
        StudyError: If the folder cannot be written.
    """
    need_matplotlib()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return save(bumps_figure(seed), folder / "bumps")


def bumps_figure(seed: int) -> "Figure":
    """Return ground truth and, for each sampler, the last mean above an early expected improvement with rollouts.

    Both are those of the poster's surrogate and reward, on the samples that each sampler chose.
    """
    figure = new_figure(15.0, 9.5)
    panels = figure.subplots(2, 3)
    grid = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
    image = _surface(panels[0, 0], bumps(grid), "ground truth", levels=LEVELS)
    for column, sampler in enumerate(SAMPLERS, start=1):
        points, _ = sample(sampler, seed)
        upper, lower = panels[:, column]
        last, early = (view(points[:count], grid / EDGE, seed) for count in (N_SAMPLES, EARLY))
        name = NAMES[sampler]
        _surface(upper, last.mean, f"{name}: GP mean after {N_SAMPLES} samples", levels=LEVELS)
        title = f"{name}: EI after {EARLY} samples"
        _surface(lower, early.improvement, title, levels=24, cmap="magma")
        _samples(upper, points)
        _samples(lower, points[:EARLY])
        for walk in early.walks if sampler == "poster" else ():
            lower.plot(*walk.T * EDGE, "c.-", lw=1.5, ms=4, label="rollout")
            lower.plot(*walk[0] * EDGE, "rx", ms=9, mew=2, label="its start")
    for panel in (panels[0, 0], *panels[:, 1:].flat):
        panel.plot(*GLOBAL_MINIMUM_AT, "w*", ms=13, mec="k", label="global minimum")
    panels[1, 0].axis("off")
    lines = {line.get_label(): line for panel in panels.flat for line in panel.lines}
    panels[1, 0].legend(handles=list(lines.values()), loc="center", fontsize=12, facecolor="#bbbbbb")
    figure.colorbar(image, ax=panels[0], shrink=0.8)
    return figure


def _surface(panel: "Axes", values: Matrix, title: str, **settings: Any) -> Any:
    shape = (len(AXIS), len(AXIS))
    drawn = panel.contourf(AXIS, AXIS, values.reshape(shape), extend="both", **settings)
    drawn.set_rasterized(True)
    panel.set(title=title, xlabel=r"$\theta_0$", ylabel=r"$\theta_1$", aspect="equal")
    panel.set(xlim=(0, EDGE), ylim=(0, EDGE))
    return drawn


def _samples(panel: "Axes", points: Matrix) -> None:
    panel.plot(*points[N_PRIOR:].T * EDGE, "wo", ms=4, mec="k", label="sample")
    panel.plot(*points[:N_PRIOR].T * EDGE, "r^", ms=8, label="prior")
