"""The report's figures: history in, plotly figure out."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations
from math import ceil

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from tinypareto.calibration import Gain, Prediction, predictions
from tinypareto.trials import FoundNetwork, History

FRONT, FEASIBLE, INFEASIBLE, LIMIT = "#0b6e99", "#9db4c0", "#d98880", "#c0392b"
PLOTS_PER_ROW = 3
UNITS = {
    "rom_bytes": ("ROM, KB", 1024),
    "ram_bytes": ("RAM, KB", 1024),
    "flops": ("MFLOPs", 1e6),
    "instructions": ("million instructions", 1e6),
    "cycles": ("million cycles, modelled", 1e6),
}


def axis_of(objective: str) -> tuple[str, float]:
    """Return an objective's axis title and the number that its values are divided by."""
    return UNITS.get(objective, (objective, 1.0))


def hypervolume_figure(history: History) -> go.Figure:
    """Return the hypervolume after each finished trial, 0 bad and 1 ideal."""
    counts = list(range(1, len(history.trials) + 1))
    volumes = [history.hypervolume(count) for count in counts]
    figure = go.Figure(go.Scatter(x=counts, y=volumes, line={"shape": "hv", "color": FRONT}))
    figure.update_xaxes(title="finished trials", rangemode="tozero")
    figure.update_yaxes(title="hypervolume", rangemode="tozero")
    return _styled(figure, height=340)


def pareto_figure(history: History) -> go.Figure:
    """Return every pair of objectives as a scatter plot; limits are dashed lines."""
    names = history.description.objectives
    pairs = list(combinations(names, 2)) or [(names[0], names[0])]
    columns = min(PLOTS_PER_ROW, len(pairs))
    rows = ceil(len(pairs) / columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.14)
    for index, (x_name, y_name) in enumerate(pairs):
        cell = {"row": index // columns + 1, "col": index % columns + 1}
        for label, color, symbol, networks in _groups(history):
            scatter = _scatter(networks, x_name, y_name, label, color, symbol)
            figure.add_trace(scatter.update(showlegend=index == 0), **cell)
        _draw_limits(figure, history.description.limits, x_name, y_name, cell)
        figure.update_xaxes(title=axis_of(x_name)[0], **cell)
        figure.update_yaxes(title=axis_of(y_name)[0], **cell)
    return _styled(figure, height=350 * rows)


def breakdown_figure(trials: Sequence[tuple[str, Mapping[str, int]]], prefix: str) -> go.Figure:
    """Return stacked bars of the bytes that named trials spend, for parts that begin with ``prefix``."""
    parts = list(dict.fromkeys(part for _, sizes in trials for part in sizes if part.startswith(prefix)))
    labels = [label for label, _ in trials]
    figure = go.Figure([
        go.Bar(
            name=part.removeprefix(prefix),
            x=labels,
            y=[sizes.get(part, 0) / 1024 for _, sizes in trials],
            hovertemplate="%{y:.2f} KB",
        )
        for part in parts
    ])
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="trial", type="category")
    figure.update_yaxes(title="KB")
    return _styled(figure, height=360)


def calibration_figure(history: History, objectives: Sequence[str]) -> go.Figure:
    """Return predicted against measured values of objectives, a plot for each, with the 90 % intervals as bars."""
    columns = max(min(PLOTS_PER_ROW, len(objectives)), 1)
    rows = max(ceil(len(objectives) / columns), 1)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.14)
    for index, name in enumerate(objectives):
        cell = {"row": index // columns + 1, "col": index % columns + 1}
        found, (title, unit) = predictions(history, name), axis_of(name)
        for label, color, held in (("in its interval", FRONT, True), ("outside", LIMIT, False)):
            group = [prediction for prediction in found if prediction.held == held]
            figure.add_trace(_intervals(group, unit, label, color).update(showlegend=index == 0), **cell)
        ends = [value / unit for p in found for value in (p.mean, p.measured)]
        line = {"color": FEASIBLE, "dash": "dash"}
        diagonal = [min(ends), max(ends)]
        figure.add_trace(
            go.Scatter(x=diagonal, y=diagonal, mode="lines", line=line, showlegend=False), **cell
        )
        figure.update_xaxes(title=f"{title}, measured", **cell)
        figure.update_yaxes(title=f"{title}, predicted", **cell)
    return _styled(figure, height=380 * rows)


def gains_figure(found: Sequence[Gain]) -> go.Figure:
    """Return the hypervolume that trials promised and brought, added up from trial to trial."""
    figure = go.Figure()
    numbers = [gain.trial for gain in found]
    for label, color, dash, values in (
        ("promised", FEASIBLE, "dash", [gain.promised for gain in found]),
        ("came", FRONT, "solid", [gain.came for gain in found]),
    ):
        line = {"shape": "hv", "color": color, "dash": dash}
        figure.add_trace(go.Scatter(x=numbers, y=list(accumulate(values)), name=label, line=line))
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title="hypervolume gained, added up", rangemode="tozero")
    return _styled(figure, height=380)


def _intervals(found: Sequence[Prediction], unit: float, label: str, color: str) -> go.Scatter:
    return go.Scatter(
        x=[p.measured / unit for p in found],
        y=[p.mean / unit for p in found],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(p.high - p.mean, 0.0) / unit for p in found],
            "arrayminus": [max(p.mean - p.low, 0.0) / unit for p in found],
            "thickness": 1,
            "width": 2,
        },
        text=[f"trial {p.trial}: {p.low / unit:.4g} to {p.high / unit:.4g}" for p in found],
        hovertemplate="%{text}<br>measured %{x:.4g}<extra></extra>",
        mode="markers",
        name=label,
        legendgroup=label,
        marker={"color": color, "size": 7},
    )


def _groups(history: History) -> list[tuple[str, str, str, list[FoundNetwork]]]:
    networks, front = history.networks(), {network.name for network in history.front()}
    return [
        ("over a limit", INFEASIBLE, "x-thin-open", [n for n in networks if not n.feasible]),
        (
            "feasible, dominated",
            FEASIBLE,
            "circle",
            [n for n in networks if n.feasible and n.name not in front],
        ),
        ("feasible Pareto front", FRONT, "circle", [n for n in networks if n.name in front]),
    ]


def _scatter(
    networks: Sequence[FoundNetwork], x_name: str, y_name: str, label: str, color: str, symbol: str
) -> go.Scatter:
    return go.Scatter(
        x=[network.objectives[x_name] / axis_of(x_name)[1] for network in networks],
        y=[network.objectives[y_name] / axis_of(y_name)[1] for network in networks],
        text=[f"trial {network.name}" for network in networks],
        hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        mode="markers",
        name=label,
        legendgroup=label,
        marker={"color": color, "symbol": symbol, "size": 8, "line": {"width": 2, "color": color}},
    )


def _draw_limits(
    figure: go.Figure, limits: Mapping[str, float], x_name: str, y_name: str, cell: Mapping[str, int]
) -> None:
    line = {"color": LIMIT, "dash": "dash", "width": 1.5}
    if x_name in limits:
        figure.add_vline(x=limits[x_name] / axis_of(x_name)[1], line=line, **cell)
    if y_name in limits:
        figure.add_hline(y=limits[y_name] / axis_of(y_name)[1], line=line, **cell)


def _styled(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
