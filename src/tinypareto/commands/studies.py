"""Commands about a study: search, and what is asked of what it found."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tinypareto.commands.app import (
    DataOption,
    Device,
    JsonOption,
    SamplerName,
    StudyArgument,
    TargetOption,
    TrialOption,
)
from tinypareto.errors import ConfigError

app = typer.Typer()


@app.command()
def search(
    experiment: Annotated[str, typer.Argument(help="A built-in name or path/to/file.py:name.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; an existing study there is continued.")],
    trials: Annotated[int, typer.Option(help="The study's total number of trainings.", min=1)] = 40,
    sampler: Annotated[SamplerName | None, typer.Option(help="[default: ars, or the study's own]")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0, or the study's own]", min=0)] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.", min=1)] = 1,
    storage: Annotated[str | None, typer.Option(help="Optuna storage URL instead of DIR/study.db.")] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Begin no training after this long, such as 8h, 90m or 1h30m.")
    ] = None,
    data: DataOption = None,
    device: Annotated[
        Device,
        typer.Option(help="Where to train; auto: on CUDA if it is there and the network large enough."),
    ] = Device.AUTO,
    known_sizes: Annotated[
        bool | None,
        typer.Option(
            "--known-sizes/--no-known-sizes",
            help="Compute ROM, RAM and FLOPs before training, and train nothing that breaks their limits. "
            "[default: with the sampler ars, where the experiment allows it]",
        ),
    ] = None,
    harvest: Annotated[
        bool | None,
        typer.Option(
            "--harvest/--no-harvest",
            help="Measure the networks that a training passes through between its pruning steps, too. "
            "[default: with the sampler ars, where the experiment allows it]",
        ),
    ] = None,
    early_stop: Annotated[
        bool | None,
        typer.Option(
            "--early-stop/--no-early-stop",
            help="End a training when nothing that it has still to pass through could improve the front. "
            "[default: with known sizes, where the experiment allows it]",
        ),
    ] = None,
    warm_start: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="An earlier study with the same space, for another target, data set or other limits, as prior "
            "knowledge; repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search the hyperparameters: train, prune, quantise, compile and measure, trial by trial.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    from dataclasses import asdict

    from tinypareto.progress import ProgressDisplay
    from tinypareto.study import run_search
    from tinypareto.study_plan import SearchSettings

    settings = SearchSettings(
        trials=trials,
        sampler=sampler.value if sampler else None,
        seed=seed,
        jobs=jobs,
        storage=storage,
        time_limit=parse_duration(time_limit) if time_limit else None,
        data_path=data,
        device=device.value,
        known_sizes=known_sizes,
        harvest=harvest,
        early_stop=early_stop,
        warm_start=tuple(warm_start or ()),
    )
    with ProgressDisplay() as display:
        summary = run_search(experiment, out, settings, on_progress=display)
    if as_json:
        print(json.dumps(asdict(summary)))
        return
    print(
        f"{summary.finished} of {summary.trials} trials, {summary.failed} failed, {summary.stopped} stopped early, "
        f"{summary.feasible} feasible; "
        f"hypervolume {summary.hypervolume:.4f}; {summary.seconds:.0f} s.\n"
        f"Next: `tinypareto front {out}` and `tinypareto report {out}`."
    )


@app.command()
def front(
    folder: StudyArgument,
    pick: Annotated[
        str | None,
        typer.Option(
            help="Show one network and why: knee, the best compromise, or the smallest of an objective."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the feasible Pareto networks: objectives and test error.

    12 is what trial 12 ended with, 12.3 what its training was after 3 pruning steps.
    """
    from tinypareto.results import front_rows

    rows = front_rows(folder, pick)
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("No feasible trial yet: run more trials or raise the limits.")
        return
    if pick is not None:
        print(rows[0]["why"])
    table = Table(title=f"{len(rows)} feasible Pareto networks" if pick is None else f"--pick {pick}")
    for name in ("trial", *rows[0]["objectives"], "test_error"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [
            f"{value:,.4g}" if name == "error" else f"{value:,.0f}"
            for name, value in row["objectives"].items()
        ]
        name = str(row["trial"]) if row["step"] is None else f"{row['trial']}.{row['step']}"
        table.add_row(name, *cells, "" if row["test_error"] is None else f"{row['test_error']:.4f}")
    Console().print(table)


@app.command()
def report(folder: StudyArgument) -> None:
    """Write DIR/report.html: one page with curves, fronts, breakdowns and what was run on what."""
    from tinypareto.report.page import write_report

    print(f"The report is in {write_report(folder)}.")


@app.command()
def explain(
    folder: StudyArgument,
    trial: TrialOption,
    as_json: JsonOption = False,
) -> None:
    """Say why a trial was made: who proposed it, from where, what was predicted, and what came out."""
    from tinypareto.results import explain_network
    from tinypareto.tables import explanation_table

    said = explain_network(folder, trial)
    if as_json:
        print(json.dumps(said))
        return
    Console().print(explanation_table(said))


@app.command()
def confirm(
    folder: StudyArgument,
    seeds: Annotated[int, typer.Option(help="New trainings of each trial.", min=1)] = 3,
    trial: Annotated[
        list[str] | None, typer.Option(help="A trial, 12 or 12.3; repeatable. [default: the front]")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at the same time, one thread each.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train the front again with other seeds: how much of its low errors was luck?

    Stop it whenever you like: the same command goes on where it stopped.
    """
    from tinypareto.confirm import confirm_trials
    from tinypareto.tables import confirmation_json, confirmation_table

    def tell(done: int, total: int, line: str) -> None:
        print(f"{done}/{total}: {line}", file=sys.stderr, flush=True)

    confirmations = confirm_trials(folder, seeds=seeds, names=trial or (), jobs=jobs, on_training=tell)
    if as_json:
        print(json.dumps([confirmation_json(confirmation) for confirmation in confirmations]))
        return
    Console().print(confirmation_table(confirmations))


@app.command()
def retarget(
    folder: StudyArgument,
    target: TargetOption,
    output: Annotated[
        Path | None, typer.Option(help="The new study's folder. [default: DIR with the target behind]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a study's networks for another core or board, into a new study; nothing is trained.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    from dataclasses import asdict

    from tinypareto.progress import CountDisplay
    from tinypareto.retarget import retarget_study

    made = retarget_study(folder, target, output, on_trial=CountDisplay())
    if as_json:
        print(json.dumps({**asdict(made), "folder": str(made.folder)}))
        return
    print(
        f"{made.measured} networks measured for {target}, {len(made.missing)} not.\n"
        f"Next: `tinypareto front {made.folder}` and `tinypareto search {made.reference} --out {made.folder}`."
    )


@app.command()
def export(
    folder: StudyArgument,
    trial: TrialOption,
    to: Annotated[Path, typer.Option(help="New folder for the trial's network, C project and ELF.")],
) -> None:
    """Copy one trial's artefacts: C project, ELF, ONNX files, parameters and metrics."""
    from tinypareto.results import export_network

    print(f"Trial {trial} is in {export_network(folder, trial, to)}.")


def parse_duration(text: str) -> float:
    """Return the seconds in a text such as ``8h``, ``1h30m`` or ``90`` (seconds).

    Raises:
        ConfigError: If the text is something else.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if match is None or not any(match.groups()):
        raise ConfigError(f"a duration looks like 8h, 90m, 1h30m or 45s, got {text!r}; write it like that.")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
