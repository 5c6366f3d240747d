"""One self-contained page about a study: it opens without a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
import plotly.offline  # type: ignore[import-untyped]
from jinja2 import Environment, PackageLoader, StrictUndefined

from tinypareto.calibration import Prediction, gains, learnt_objectives, predictions, share_held
from tinypareto.choice import choose
from tinypareto.report.plots import (
    axis_of,
    breakdown_figure,
    calibration_figure,
    gains_figure,
    hypervolume_figure,
    pareto_figure,
)
from tinypareto.results import front_rows, open_history
from tinypareto.trials import FoundNetwork, History, read_metrics

LAST = 5  # suggestions that say how the front may move next
SETTLED = 20  # trials after which a model should know what it does not know

TestErrors = dict[tuple[int, int | None], float | None]


def write_report(folder: Path) -> Path:
    """Write ``folder/report.html`` and return its path.

    Raises:
        StudyError: If there is no study in ``folder``.
    """
    test_errors = {(row["trial"], row["step"]): row["test_error"] for row in front_rows(folder)}
    page = render_page(open_history(folder), test_errors)
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def render_page(history: History, test_errors: TestErrors) -> str:
    """Return the page's HTML; ``test_errors`` holds one entry, by trial and step, for each network of the front."""
    template = Environment(
        loader=PackageLoader("tinypareto", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html.j2")
    front = history.front()
    breakdowns = [(network.name, read_metrics(network.folder).get("breakdown", {})) for network in front]
    return template.render(
        description=history.description,
        history=history,
        plotly=plotly.offline.get_plotlyjs(),
        hypervolume=_div(hypervolume_figure(history)),
        pareto=_div(pareto_figure(history)),
        calibration=_calibration(history),
        rom=_div(breakdown_figure(breakdowns, "rom: ")),
        ram=_div(breakdown_figure(breakdowns, "ram: ")),
        columns=[axis_of(name)[0] for name in history.description.objectives],
        knee=choose(history),
        rows=_rows(history, front, test_errors),
        failures=[trial for trial in history.trials if trial.failure is not None],
        warnings=_warnings(history),
        versions=_versions(history),
        stages=_stage_seconds(history),
    )


def _calibration(history: History) -> dict[str, Any] | None:
    """Return figures and sentences about the sampler's predictions; None if it made none that can be judged."""
    learnt, promised = learnt_objectives(history), gains(history)
    if not learnt:
        return None
    known = [axis_of(name)[0].split(",")[0] for name in history.description.objectives if name not in learnt]
    return {
        "predicted": _div(calibration_figure(history, learnt)),
        "held": [_held(history, name) for name in learnt],
        "known": " and ".join(filter(None, [", ".join(known[:-1]), *known[-1:]])),
        "gains": _div(gains_figure(promised)) if promised else "",
        "last": promised[-LAST:],
        "promised": sum(gain.promised for gain in promised[-LAST:]),
        "came": sum(gain.came for gain in promised[-LAST:]),
    }


def _held(history: History, objective: str) -> str:
    """Return how many measurements of an objective lay in their intervals, of all and of the later ones."""
    found = predictions(history, objective)
    later = [prediction for prediction in found if prediction.trial >= SETTLED]
    said = f"{axis_of(objective)[0]}: {_share(found)}"
    return f"{said}; from trial {SETTLED} on {_share(later)}." if 0 < len(later) < len(found) else f"{said}."


def _share(found: Sequence[Prediction]) -> str:
    held = sum(prediction.held for prediction in found)
    return f"{held} of {len(found)} in their intervals ({100 * (share_held(found) or 0.0):.0f} %)"


def _div(figure: go.Figure) -> str:
    config = {"displayModeBar": False, "responsive": True}
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return text


def _rows(history: History, front: tuple[FoundNetwork, ...], test_errors: TestErrors) -> list[dict[str, Any]]:
    names = history.description.objectives
    points = [[network.objectives[name] for name in names] for network in front]
    knee = choose(history)
    return [
        {
            "name": network.name,
            "knee": knee is not None and network == knee.network,
            "values": [f"{value / axis_of(name)[1]:.4g}" for name, value in zip(names, point, strict=True)],
            "test_error": test_errors.get((network.number, network.step)),
            "parameters": ", ".join(f"{name} {_short(value)}" for name, value in network.parameters.items()),
        }
        for network, point in zip(front, points, strict=True)
    ]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _warnings(history: History) -> list[tuple[int, str]]:
    return [
        (trial.number, warning)
        for trial in history.complete
        for warning in read_metrics(trial.folder).get("warnings", [])
    ]


def _versions(history: History) -> dict[str, str]:
    found: dict[str, str] = {}
    for trial in history.complete:
        found |= read_metrics(trial.folder).get("versions", {})
    return found


def _stage_seconds(history: History) -> dict[str, float]:
    """Return the mean seconds of each stage over the finished trials."""
    rows = [read_metrics(trial.folder).get("seconds", {}) for trial in history.complete]
    stages = dict.fromkeys(stage for row in rows for stage in row)
    return {stage: sum(row.get(stage, 0.0) for row in rows) / len(rows) for stage in stages}
