"""What all commands share: the application, its errors and the options that several take."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tinypareto.errors import TinyParetoError

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
