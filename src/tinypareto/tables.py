"""Tables for people: what a compilation and a simulation showed, and why a trial was made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from tinypareto.mcu.compiled_folder import UPPER_ESTIMATE, Compilation
from tinypareto.mcu.firmware import operator_macs

if TYPE_CHECKING:  # it loads torch and optuna, which takes seconds, and compile needs neither
    from tinypareto.confirm import Confirmation

KNOWN_SHARE = 1e-4  # of a prediction: a smaller deviation is that of rounding


def compilation_tables(compilation: Compilation) -> Group:
    """Return what fills ROM, RAM and arena, and what each operator takes."""
    program, footprint = compilation.program, compilation.measurement.footprint
    core = program.target
    memory = _table(f"Memory of {program.graph.name} on {core.name}, bytes", "", "needed", "there is")
    for kind, needed, limit in (
        ("rom", footprint.rom_bytes, core.flash_bytes),
        ("ram", footprint.ram_bytes, core.ram_bytes),
    ):
        memory.add_row(kind.upper(), f"{needed:,}", f"{limit:,}", style="bold")
        for part, size in footprint.breakdown.items():
            if part.startswith(f"{kind}: "):
                memory.add_row(f"  {part.removeprefix(f'{kind}: ')}", f"{size:,}", "")
    return Group(memory, _arena_sentence(compilation), "", _operator_table(compilation))


def simulation_tables(said: Mapping[str, Any]) -> Group:
    """Return the operators and sums of what ``tinypareto simulate --json`` prints."""
    table = _table("One inference", "operator", "instructions", "cycles")
    for operator in said["operators"]:
        table.add_row(operator["name"], f"{operator['instructions']:,}", f"{operator['cycles']:,}")
    table.add_section()
    table.add_row("all", f"{said['instructions']:,}", f"{said['cycles']:,}", style="bold")
    notes = [said["cycles_note"]] if "cycles_note" in said else []
    return Group(table, f"stack: {said['stack_bytes']:,} bytes", *(f"note: {note}" for note in notes))


def explanation_table(said: Mapping[str, Any]) -> Group:
    """Return in words and numbers what ``tinypareto explain --json`` prints."""
    policy = f" {said['policy']}" if said["policy"] is not None else ""
    moves = f", {said['moves']} moves from its start" if said["moves"] else ""
    lines = [f"Trial {said['trial']} was proposed by: {said['origin']}{policy}{moves}."]
    if said["failure"] is not None:
        lines.append(f"It failed: {said['failure']}.")
    if said["reward"] is not None:
        lines.append(
            f"Reward {said['reward']:.3g} (what the sampler maximises: the larger, the more of the front is gained); "
            f"probability that every limit is kept: {said['feasibility']:.3f}."
        )
    if said["gain"] is not None:
        lines.append(
            f"Hypervolume that its end was expected to add: {said['gain']['promised']:.4f}; it added "
            f"{said['gain']['came']:.4f}."
        )
    objectives = _table("Objectives", "", "predicted", "standard deviation", "in 90 % of cases", "measured")
    for name, found in said["objectives"].items():
        known = found["std"] < KNOWN_SHARE * abs(found["mean"])
        deviation = "known beforehand" if known else _number(found["std"])
        ends = "" if known or found["interval"] is None else " to ".join(map(_number, found["interval"]))
        objectives.add_row(name, _number(found["mean"]), deviation, ends, _number(found["measured"]))
    parameters = _table("Parameters", "", *(["start"] if said["start"] else []), "chosen")
    for name, value in said["parameters"].items():
        start = [_number(said["start"][name])] if said["start"] else []
        parameters.add_row(name, *start, _number(value))
    return Group(*lines, "", *([objectives] if said["objectives"] else []), parameters)


def confirmation_json(confirmation: "Confirmation") -> dict[str, Any]:
    """Return one entry of what ``tinypareto confirm --json`` prints."""
    return {**asdict(confirmation), "mean": confirmation.mean, "std": confirmation.std}


def confirmation_table(confirmations: Sequence["Confirmation"]) -> Group:
    """Return errors in the search beside those of new trainings, and by how much they differ on average."""
    table = _table(
        "Validation errors", "trial", "in the search", "mean again", "standard deviation", "worst", "failed"
    )
    for one in confirmations:
        worst = max(one.errors) if one.errors else None
        numbers = map(_number, (one.searched, one.mean, one.std, worst))
        table.add_row(str(one.trial), *numbers, str(len(one.failures)))
    gaps = [one.mean - one.searched for one in confirmations if one.mean is not None]
    if not gaps:
        return Group(table)
    mean = sum(gaps) / len(gaps)
    return Group(
        table, f"New errors differ from the search's by {mean:+.4f} on average; above 0 it was lucky."
    )


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _arena_sentence(compilation: Compilation) -> str:
    plan = compilation.program.plan
    if plan.size == plan.lower_bound:
        return f"The arena is as small as it can be: {plan.lower_bound:,} bytes live at one time."
    above = 100 * (plan.size / plan.lower_bound - 1)
    return f"The arena is {above:.1f} % above its lower bound of {plan.lower_bound:,} bytes."


def _operator_table(compilation: Compilation) -> Group:
    program, measurement = compilation.program, compilation.measurement
    table = _table("One inference", "operator", "MACs", "instructions", "cycles", "cycles/MAC")
    macs = [operator_macs(program.graph, operator) for operator in program.graph.operators]
    for count in measurement.operators:
        number = count.name.partition("_")[0]  # of the operator, in execution order
        work = macs[int(number)] if number.isdecimal() else 0
        table.add_row(*_operator_row(count.name, work, count.instructions, count.cycles))
    table.add_section()
    totals = _operator_row("all", sum(macs), measurement.instructions, measurement.cycles)
    table.add_row(*totals, style="bold")
    milliseconds = 1e3 * measurement.cycles / program.target.clock_hz
    time = (
        f"{milliseconds:,.2f} ms at {program.target.clock_hz / 1e6:,.0f} MHz, modelled with zero wait states"
    )
    core = program.target.core
    return Group(table, f"{time}; {UPPER_ESTIMATE}." if core.is_upper_estimate else f"{time}.")


def _operator_row(name: str, macs: int, instructions: int, cycles: int) -> Iterable[str]:
    ratio = f"{cycles / macs:.2f}" if macs else ""
    return (name, f"{macs:,}" if macs else "", f"{instructions:,}", f"{cycles:,}", ratio)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table
