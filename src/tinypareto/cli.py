"""The command line: parse, call one library function, print."""

import json
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from tinypareto.errors import ConfigError, TinyParetoError

# torch takes seconds to import, so commands import what they call; `--help` answers at once.


class OneLineErrors(TyperGroup):
    """Errors that a user can mend are one line and exit code 1; bugs keep their traceback."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command.

        Raises:
            Exit: With code 1 after an error that a user can mend, 130 after Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except TinyParetoError as error:
            print(f"tinypareto: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            print(
                "tinypareto: interrupted, all is saved; the same command goes on from here.", file=sys.stderr
            )
            raise typer.Exit(130) from error


app = typer.Typer(
    name="tinypareto",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn a PyTorch model and a microcontroller's limits into a Pareto front of int8 firmwares.",
)


class SamplerName(str, Enum):
    """What proposes the next hyperparameters."""

    ARS = "ars"
    POSTER = "poster"
    QNEHVI = "qnehvi"
    QPAREGO = "qparego"
    TURBO = "turbo"
    MORBO = "morbo"
    GP = "gp"
    TPE = "tpe"
    NSGA2 = "nsga2"
    RANDOM = "random"


class Toolchain(str, Enum):
    """Which compiler builds the firmware."""

    ZIG = "zig"
    GCC = "gcc"


class Device(str, Enum):
    """Where networks are trained."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
StudyArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The study's folder (search's --out).")]
TrialOption = Annotated[
    str, typer.Option(help="A trial's number or, on its way after 3 pruning steps, 12.3.")
]
SamplersOption = Annotated[
    str,
    typer.Option(
        metavar="A,B", help="Names as of search --sampler, and ars-full: with known sizes and harvest."
    ),
]
SeedsOption = Annotated[int, typer.Option(help="Studies of each sampler.", min=1)]
StudiesOption = Annotated[int, typer.Option(help="Studies at the same time, one thread each.", min=1)]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder or archive for the loader. [default: the study's own]")
]
TargetOption = Annotated[str, typer.Option(help="Core or board; `tinypareto targets` lists them.")]


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
            help="End a training when nothing that it has still to pass through could join the front. "
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


@app.command()
def compile(
    model: Annotated[Path, typer.Argument(help="An int8 QDQ network as onnxruntime quantises it.")],
    out: Annotated[Path, typer.Option(help="Folder for the C project and firmware.elf.")],
    target: TargetOption = "cortex-m4",
    toolchain: Annotated[
        Toolchain, typer.Option(help="zig is installed with tinypareto, gcc is arm-none-eabi-gcc.")
    ] = Toolchain.ZIG,
    rom: Annotated[int | None, typer.Option(help="Bytes of flash, in place of the target's.", min=1)] = None,
    ram: Annotated[int | None, typer.Option(help="Bytes of RAM, in place of the target's.", min=1)] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn an int8 ONNX file into a C project, link it and say what it needs."""
    from tinypareto.mcu.compiled_folder import compile_to_folder
    from tinypareto.tables import compilation_tables

    compilation = compile_to_folder(
        model, target, out, toolchain=toolchain.value, rom_bytes=rom, ram_bytes=ram
    )
    if as_json:
        print(json.dumps(compilation.summary()))
        return
    Console().print(compilation_tables(compilation))


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="What compile wrote: its --out.")],
    input_file: Annotated[Path, typer.Option("--input", help="float32 samples, n x the ONNX's input shape.")],
    output_file: Annotated[Path, typer.Option("--output", help="Where the float32 outputs go.")],
    as_json: JsonOption = False,
) -> None:
    """Run firmware.elf on a simulated core, on float32 samples of a .npy file."""
    from tinypareto.mcu.compiled_folder import simulate_folder
    from tinypareto.tables import simulation_tables

    said = simulate_folder(folder, input_file, output_file)
    if as_json:
        print(json.dumps(said))
        return
    Console().print(simulation_tables(said))


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


@app.command()
def experiments() -> None:
    """List the built-in experiments."""
    from tinypareto.experiment import builtin_experiments

    for name, summary in builtin_experiments().items():
        print(f"{name:20} {summary}")


@app.command()
def targets() -> None:
    """List the cores and boards that firmware can be made for."""
    from tinypareto.mcu.targets import KB, MHZ
    from tinypareto.mcu.targets import targets as built_in

    table = Table(title="Cores and boards")
    table.add_column("target")
    table.add_column("core")
    for column in ("flash KB", "RAM KB", "MHz"):
        table.add_column(column, justify="right")
    for target in built_in():
        sizes = (target.flash_bytes // KB, target.ram_bytes // KB, target.clock_hz // MHZ)
        table.add_row(target.name, target.core.name, *map(str, sizes))
    Console().print(table)


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


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
