"""What a running comparison shows: a bar in a terminal, one line a training elsewhere; always with the time left."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tinypareto.comparison.compare import ComparisonProgress
from tinypareto.progress import duration


class ComparisonDisplay:
    """Shows each `ComparisonProgress` on standard error, so that standard output stays for results."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "ComparisonDisplay":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: ComparisonProgress) -> None:
        """Show how the comparison stands now."""
        line = progress_line(progress)
        self._bar.update(self._task, total=progress.total, completed=progress.done, description=line)
        row = progress.row
        if row is not None and row.failure is not None:
            failure = f"{row.arm}, seed {row.seed}, trial {row.trial} failed: {row.failure}"
            self._console.print(failure, highlight=False, markup=False, soft_wrap=True)
        if not self._console.is_terminal:
            line = f"{progress.done}/{progress.total}: {line}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def progress_line(progress: ComparisonProgress) -> str:
    """Return one line about the last training and the time left."""
    row = progress.row
    if row is None or progress.seconds_left is None:
        return "going on from here" if progress.done else "beginning"
    left = f"{duration(progress.seconds_left)} left"
    return f"{row.arm}, seed {row.seed}, trial {row.trial}: hypervolume {row.hypervolume:.4f}; {left}"
