"""Commands about experiments: which there are, and which sampler serves them best."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tinypareto.commands.app import (
    DataOption,
    SamplersOption,
    SeedsOption,
    StudiesOption,
)
from tinypareto.errors import ConfigError

app = typer.Typer()


@app.command()
def experiments() -> None:
    """List the built-in experiments."""
    from tinypareto.experiment import builtin_experiments

    for name, summary in builtin_experiments().items():
        print(f"{name:20} {summary}")


@app.command()
def compare(
    experiment: Annotated[str, typer.Argument(help="A built-in name or path/to/file.py:name.")],
    samplers: SamplersOption,
    out: Annotated[Path, typer.Option(help="Folder of the comparison; one that is there is continued.")],
    seeds: SeedsOption = 5,
    trials: Annotated[int, typer.Option(help="Trainings of each study.", min=1)] = 150,
    jobs: StudiesOption = 1,
    data: DataOption = None,
) -> None:
    """Compare samplers: each with several seeds, real trainings, one CSV, curves, fronts and tests.

    Stop it whenever you like: the same command goes on where it stopped, from DIR/comparison.csv alone.
    """
    _compare(experiment, tuple(samplers.split(",")), out, seeds, trials, jobs, data)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="digits, resnet18-cifar10, mobilenetv3-daliac, imu or bumps.")],
    out: Annotated[Path | None, typer.Option(help="[default: runs/reproduce-NAME]")] = None,
    seeds: Annotated[int | None, typer.Option(help="[default: the poster's]", min=1)] = None,
    trials: Annotated[int | None, typer.Option(help="[default: the poster's]", min=1)] = None,
    samplers: Annotated[str | None, typer.Option(metavar="A,B", help="[default: all that is shown]")] = None,
    jobs: StudiesOption = 1,
    data: DataOption = None,
) -> None:
    """Run and draw one of the poster's experiments: the comparison with its budget, or its Figure 3 (bumps).

    Stop it whenever you like: the same command goes on where it stopped.
    """
    from tinypareto.comparison.reproduce import BUMPS, reproduction

    folder = out or Path("runs") / f"reproduce-{name}"
    if name == BUMPS:
        _refuse(trials, samplers, data)
        _reproduce_bumps(folder, seeds)
        return
    plan = reproduction(name)
    names = tuple(samplers.split(",")) if samplers else plan.samplers
    _compare(plan.experiment, names, folder, seeds or plan.seeds, trials or plan.trials, jobs, data)


def _refuse(*options: object) -> None:
    """Check that none of the options was given that bumps has no use for.

    Raises:
        ConfigError: If one was.
    """
    if any(option is not None for option in options):
        raise ConfigError("bumps takes --seeds and --out alone; leave the other options out.")


def _reproduce_bumps(folder: Path, seeds: int | None) -> None:
    from tinypareto.comparison.bumps import N_SEEDS, bumps_table, complete_bumps
    from tinypareto.comparison.bumps_figure import draw_bumps

    def tell(done: int, total: int, line: str) -> None:
        print(f"{done}/{total}: {line}", file=sys.stderr, flush=True)

    pictures = draw_bumps(folder)
    rows = complete_bumps(folder / "bumps.csv", range(seeds or N_SEEDS), on_run=tell)
    print(bumps_table(rows))
    print(f"In {folder}: bumps.csv, {' and '.join(path.name for path in pictures)}.")


def _compare(
    experiment: str,
    samplers: tuple[str, ...],
    out: Path,
    seeds: int,
    trials: int,
    jobs: int,
    data: Path | None,
) -> None:
    from tinypareto.comparison.compare import SUMMARY, ComparisonSettings
    from tinypareto.comparison.compare import compare as run
    from tinypareto.comparison.progress import ComparisonDisplay

    settings = ComparisonSettings(samplers=samplers, seeds=seeds, trials=trials, jobs=jobs, data_path=data)
    with ComparisonDisplay() as display:
        run(experiment, out, settings, on_progress=display)
    print((out / SUMMARY).read_text(encoding="utf-8"))
    print(f"In {out}: comparison.csv and .md, hypervolume and fronts as .png and .svg.")
