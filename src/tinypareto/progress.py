"""What a running search or comparison shows: a bar in a terminal, one line a trial elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from tinypareto.study import SearchProgress
from tinypareto.trials import FinishedTrial

SHOWN = {"rom_bytes": "ROM", "ram_bytes": "RAM", "flops": "FLOPs"}


class ProgressDisplay:
    """Shows each `SearchProgress` on standard error, so that standard output stays for results."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeLeftColumn(),
            TextColumn("{task.fields[standing]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=None, standing="")
        self._shown: set[int] | None = None

    def __enter__(self) -> "ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: SearchProgress) -> None:
        """Show how the search stands now."""
        trials = progress.history.trials
        finished = {trial.number for trial in trials}
        if self._shown is None:  # a study that is continued does not list its past again
            self._shown = finished if progress.running else set()
            # Time left is reckoned from the trials of this run alone.
            self._bar.reset(self._task, total=progress.total, completed=len(self._shown))
        for trial in trials:
            if trial.number not in self._shown and (trial.failure or not self._console.is_terminal):
                self._console.print(trial_line(trial), highlight=False, markup=False, soft_wrap=True)
        if finished != self._shown:
            self._shown = finished
            standing = (
                f"hypervolume {progress.history.hypervolume():.4f}, "
                f"{len(progress.history.front())} feasible Pareto trials"
            )
            self._bar.update(self._task, completed=len(finished), standing=standing)
            if not self._console.is_terminal:
                line = f"{len(finished)}/{progress.total}: {standing}"
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class CountDisplay:
    """Shows how many of some pieces of work are done, on standard error, with the time left."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._begun = time.monotonic()

    def __call__(self, done: int, total: int, line: str) -> None:
        """Say that ``done`` of ``total`` are done, the last of them with ``line``."""
        left = (time.monotonic() - self._begun) / done * (total - done)
        said = f"{done}/{total}: {line}" + (f" ({duration(left)} left)" if done < total else "")
        self._console.print(said, highlight=False, markup=False, soft_wrap=True)


def trial_line(trial: FinishedTrial) -> str:
    """Return one line about a finished trial."""
    if trial.stopped:
        return f"trial {trial.number}: stopped early, it could not improve the front any more"
    if trial.objectives is None:
        return f"trial {trial.number} failed: {trial.failure}"
    values = ", ".join(f"{SHOWN.get(name, name)} {value:,.4g}" for name, value in trial.objectives.items())
    return f"trial {trial.number}: {values}{'' if trial.feasible else ' (over a limit)'}"


def duration(seconds: float) -> str:
    """Return a time in words.

    Example:
        >>> duration(59.6), duration(5400), duration(200000)
        ('1 min', '1 h 30 min', '55 h 33 min')
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
