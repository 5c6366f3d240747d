"""The CSV of a comparison: it grows by a line for each training and is all that is needed to go on.

    # {"experiment": ..., "space": ..., "scales": ...}                  what is compared on
    # run 1: {"commit": ..., "machine": ..., "versions": ...}           what the rows of run 1 were made with
    run,sampler,seed,trial,<parameters>,<objectives>,feasible,hypervolume,seconds,suggest_seconds,on_way,failure
    1,ars,0,0,...

What a kill leaves of a last line is dropped. When a comparison is complete the rows are sorted, so that the order in
which parallel runs ended does not matter.
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinypareto.comparison.rows import Columns, Row, Subject
from tinypareto.errors import StudyError

RUN = re.compile(r"# run (\d+): (\{.*\})$")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk raises into one line.

    Raises:
        StudyError: In place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written ({error.strerror or error}); free some space or make it writable, then run the "
            "same command again: it goes on from here."
        ) from error


class ResultsFile:
    """A CSV, read and open for further rows. Only one process may write to it.

    Attributes:
        subject: What is compared on.
        runs: Origin of rows, by number of the run.
        rows: In the order of the file.
    """

    def __init__(self, path: Path) -> None:
        """Read the CSV.

        Args:
            path: Of a CSV that `begin` has written.

        Raises:
            StudyError: If it is none, or a row of it is damaged; the line is named.
        """
        self.path = path
        self.runs: dict[int, Mapping[str, Any]] = {}
        self.rows: list[Row] = []
        try:
            data = path.read_bytes()
            self._whole = data.rfind(b"\n") + 1  # a last line without an end was cut off by a kill
            first, *lines = data[: self._whole].decode("utf-8").split("\n")[:-1]
            self.subject = Subject.from_json(first.removeprefix("# "))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StudyError(
                f"{path} is not the CSV of a comparison ({error}); give another --out, or move it away."
            ) from error
        self.columns = Columns(self.subject)
        for number, line in enumerate(lines, start=2):
            self._read(number, line)

    @staticmethod
    def begin(path: Path, subject: Subject) -> None:
        """Write a CSV without rows, unless there is one."""
        if path.exists() and path.stat().st_size > 0:
            return
        with writing(path):
            _replace(path, _lines([f"# {subject.to_json()}"], [Columns(subject).names]))

    def number_of_run(self, origin: Mapping[str, Any]) -> int:
        """Return the number of the run with this origin; it is noted if it is a new one."""
        for number, known in self.runs.items():
            if known == origin:
                return number
        number = max(self.runs, default=0) + 1
        self._append(_lines([_run_line(number, origin)], []))
        self.runs[number] = dict(origin)
        return number

    def append(self, row: Row) -> None:
        """Add a row, on the disk before this returns.

        Raises:
            StudyError: If the disk is full or the file read-only.
        """
        self._append(_lines([], [self.columns.cells(row)]))
        self.rows.append(row)

    def sort(self, key: Callable[[Row], Any]) -> None:
        """Sort the rows, with the lines about runs above them."""
        self.rows.sort(key=key)
        heads = [f"# {self.subject.to_json()}", *(_run_line(*run) for run in sorted(self.runs.items()))]
        text = _lines(heads, [self.columns.names, *map(self.columns.cells, self.rows)])
        with writing(self.path):
            _replace(self.path, text)
        self._whole = len(text.encode("utf-8"))

    def of(self, arm: str, seed: int, trials: int | None = None) -> list[Row]:
        """Return the first ``trials`` rows of one study, by number.

        Raises:
            StudyError: If one is missing or there twice.
        """
        rows = sorted((r for r in self.rows if (r.arm, r.seed) == (arm, seed)), key=lambda row: row.trial)
        for number, row in enumerate(rows):
            if row.trial != number:
                raise StudyError(
                    f"{self.path} must hold the trials of {arm}, seed {seed}, from 0 on and each once, but trial "
                    f"{min(number, row.trial)} is {'missing' if row.trial > number else 'there twice'}; remove this "
                    "study's rows behind it."
                )
        return rows[:trials]

    def _append(self, text: str) -> None:
        with writing(self.path), open(self.path, "r+b", buffering=0) as file:
            file.truncate(self._whole)
            file.seek(self._whole)
            data = text.encode("utf-8")
            written = file.write(data)
            if written < len(data):  # the disk is full: writing on raises what says so
                file.write(data[written:])
            os.fsync(file.fileno())
            self._whole += len(data)

    def _read(self, number: int, line: str) -> None:
        run = RUN.match(line)
        if run is not None:
            self.runs[int(run[1])] = json.loads(run[2])
            return
        cells = next(csv.reader([line]), [])
        if tuple(cells) == self.columns.names:
            return
        try:
            self.rows.append(self.columns.row(cells))
        except ValueError as error:
            raise StudyError(
                f"{self.path}, line {number}: {error}; mend the line, or remove it and those of the same sampler and "
                "seed behind it."
            ) from error


def _run_line(number: int, origin: Mapping[str, Any]) -> str:
    return f"# run {number}: {json.dumps(origin)}"


def _lines(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    text.writelines(f"{head}\n" for head in heads)
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write whole or not at all."""
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
