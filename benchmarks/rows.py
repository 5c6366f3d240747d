"""Files of results: one row for each finished run, added as it ends."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, fields: Sequence[str], row: Mapping[str, object]) -> None:
    """Add a row, below a heading if it is the first; several processes may do so."""
    with FileLock(f"{path}.lock"), path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def drop_rows(path: Path, column: str, values: Sequence[str]) -> None:
    """Forget the rows that have one of the values in a column."""
    with FileLock(f"{path}.lock"):
        rows = read_rows(path)
        if not rows:
            return
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in rows if row[column] not in values)
