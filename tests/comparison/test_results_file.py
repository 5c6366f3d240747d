import resource
import subprocess
import sys

import pytest
from comparison_parts import SUBJECT, environment, row

from tinypareto.comparison.results_file import ResultsFile
from tinypareto.errors import StudyError

ORIGIN = {"commit": "abc1234", "machine": "x86_64", "versions": "torch=2.13.0"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "comparison.csv"
    ResultsFile.begin(path, SUBJECT)
    return ResultsFile(path)


def test_rows_and_origins_are_found_again(file):
    assert file.number_of_run(ORIGIN) == 1
    for trial in range(3):
        file.append(row(trial=trial))
    assert file.number_of_run({**ORIGIN, "commit": "def5678"}) == 2
    assert file.number_of_run(ORIGIN) == 1
    again = ResultsFile(file.path)
    assert (again.rows, again.runs, again.subject) == (file.rows, file.runs, SUBJECT)


def test_beginning_again_keeps_the_rows(file):
    file.append(row())
    ResultsFile.begin(file.path, SUBJECT)
    assert ResultsFile(file.path).rows == [row()]


@pytest.mark.parametrize("kept", [1, 20, -1])  # bytes of the last line; the last has everything but its end
def test_line_that_a_kill_cut_off_is_dropped_and_written_over(file, kept):
    file.append(row(trial=0))
    before = file.path.read_bytes()
    file.append(row(trial=1))
    whole = file.path.read_bytes()
    last = whole[len(before) :]
    file.path.write_bytes(before + last[:kept])
    again = ResultsFile(file.path)
    assert again.rows == [row(trial=0)]
    again.append(row(trial=1))
    assert file.path.read_bytes() == whole


def test_damaged_row_is_refused_with_its_line(file):
    file.append(row(trial=0))
    file.append(row(trial=1))
    lines = file.path.read_text().splitlines()
    lines[2] = lines[2].replace("0.25", "much")
    file.path.write_text("\n".join([*lines, ""]))
    with pytest.raises(StudyError, match=r"comparison.csv, line 3: .*mend the line"):
        ResultsFile(file.path)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "# {}\n", "# [1]\n", "\xff\n"])
def test_other_file_is_refused(text, tmp_path):
    path = tmp_path / "comparison.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StudyError, match="not the CSV of a comparison"):
        ResultsFile(path)


@pytest.mark.parametrize(("trials", "said"), [([0, 2], "1 is missing"), ([0, 1, 1], "1 is there twice")])
def test_study_with_a_gap_or_a_repetition_is_refused(file, trials, said):
    for trial in trials:
        file.append(row(trial=trial))
    file.append(row(arm="random", trial=0))
    with pytest.raises(StudyError, match=said):
        file.of("ars", 0)
    assert file.of("random", 0) == [row(arm="random")]


def test_rows_of_any_order_are_the_same_file_once_sorted(file, tmp_path):
    rows = [row(arm=arm, trial=trial) for arm in ("ars", "random") for trial in range(3)]
    other = tmp_path / "other.csv"
    ResultsFile.begin(other, SUBJECT)
    for target, order in ((file, rows), (ResultsFile(other), rows[::-1])):
        target.number_of_run(ORIGIN)
        for one in order:
            target.append(one)
        target.sort(lambda found: (found.arm, found.trial))
        target.append(row(arm="random", trial=3))  # and grows on behind them
    assert file.path.read_bytes() == other.read_bytes()
    assert ResultsFile(other).rows == [*rows, row(arm="random", trial=3)]


FILL = """
import resource, sys
from pathlib import Path
from comparison_parts import row
from tinypareto.comparison.results_file import ResultsFile
from tinypareto.errors import StudyError
path = Path(sys.argv[1])
file = ResultsFile(path)
size = path.stat().st_size + 400
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    for trial in range(9):
        file.append(row(trial=trial))
except StudyError as error:
    print(trial, error)
"""


def test_disk_that_fills_up_is_one_line_and_loses_no_whole_row(file):
    # The system refuses to let the file grow, as a full disk does: in the middle of a row.
    folder = str(file.path.parent)
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{FILL}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file.path)],
        cwd=folder, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    number, said = done.stdout.strip().split(" ", 1)
    assert "cannot be written" in said
    assert "free some space" in said
    assert int(number) > 0
    again = ResultsFile(file.path)
    assert [found.trial for found in again.rows] == list(range(int(number)))
    again.append(row(trial=int(number)))
    assert len(ResultsFile(file.path).rows) == int(number) + 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
