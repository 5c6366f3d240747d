"""Commands about one int8 network and the cores it may run on."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tinypareto.commands.app import (
    JsonOption,
    TargetOption,
    Toolchain,
)

app = typer.Typer()


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
