import shutil
import signal
import subprocess
import sys
import time

import pytest
from comparison_parts import EXPERIMENTS, STEPWISE, environment, timeless
from filelock import FileLock

from tinypareto.comparison.compare import ComparisonSettings, compare
from tinypareto.comparison.progress import duration
from tinypareto.errors import ConfigError, StudyError

ARMS = "ars-full,nsga2"
SEEDS, TRIALS = 1, 4


def command(out, *more, experiment=STEPWISE, samplers=ARMS, trials=TRIALS):
    arguments = [
        "compare",
        experiment,
        "--samplers",
        samplers,
        "--seeds",
        str(SEEDS),
        "--trials",
        str(trials),
    ]
    return [sys.executable, "-m", "tinypareto.cli", *arguments, "--out", str(out), *more]


def run(*arguments, **settings):
    return subprocess.run(
        command(*arguments, **settings), env=environment(), capture_output=True, text=True, check=False
    )


def heed_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop_when(out, rows, how):
    """Begin a comparison, and send it a signal once its CSV has some rows; return what it said and its exit code."""
    process = subprocess.Popen(
        command(out, "--jobs", "2"), env=environment(), stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )  # fmt: skip
    csv = out / "comparison.csv"
    deadline = time.monotonic() + 250
    try:
        while time.monotonic() < deadline and process.poll() is None:
            if csv.exists() and csv.read_text().count("\n1,") >= rows:
                break
            time.sleep(0.02)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    done = csv.read_text().count("\n1,")
    assert rows <= done < SEEDS * TRIALS * 2, "it was over before it was stopped"
    return said, process.returncode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "uninterrupted"
    done = run(out, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "8/8: " in done.stderr
    assert "left" in done.stderr
    assert "| ars-full | " in done.stdout
    return out


def test_comparison_leaves_its_csv_pictures_and_tables_and_nothing_else(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir() if path.suffix != ".lock"}
    assert names == {
        "comparison.csv", "comparison.md", "hypervolume.png", "hypervolume.svg", "fronts.png", "fronts.svg", "cache",
    }  # fmt: skip
    _, rows = timeless(uninterrupted / "comparison.csv")
    studies = [row[1:4] for row in rows[1:]]
    assert studies == [[arm, "0", str(trial)] for arm in ARMS.split(",") for trial in range(TRIALS)]


def test_comparison_stopped_and_killed_goes_on_from_its_csv_alone_to_the_same_end(uninterrupted, tmp_path):
    stopped, out = tmp_path / "stopped", tmp_path / "killed"
    said, code = stop_when(stopped, 2, signal.SIGINT)
    assert code == 130
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert not (stopped / "work").exists()
    out.mkdir()
    csv = out / "comparison.csv"
    csv.write_bytes(
        (stopped / "comparison.csv").read_bytes()[:-9]
    )  # as if it had been in the middle of a line
    stop_when(out, 4, signal.SIGKILL)
    done = run(out, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert timeless(csv) == timeless(uninterrupted / "comparison.csv")
    assert not (out / "work").exists()


def test_finished_comparison_is_drawn_again_without_a_training(uninterrupted, tmp_path):
    out = tmp_path / "copy"
    out.mkdir()
    shutil.copy(uninterrupted / "comparison.csv", out)
    settings = ComparisonSettings(samplers=("nsga2", "ars-full"), seeds=1, trials=2)
    outcome = compare(STEPWISE, out, settings)
    assert list(outcome.studies) == ["ars-full", "nsga2"]
    assert outcome.trials == 2
    assert not (out / "cache").exists()
    assert (out / "comparison.csv").read_bytes() == (uninterrupted / "comparison.csv").read_bytes()


def test_csv_of_another_experiment_is_refused_and_kept(uninterrupted, tmp_path):
    csv = tmp_path / "comparison.csv"
    shutil.copy(uninterrupted / "comparison.csv", csv)
    before = csv.read_bytes()
    with pytest.raises(StudyError, match="experiment stepwise, now it is stepwise-pair"):
        compare(f"{EXPERIMENTS}:stepwise_pair", tmp_path, ComparisonSettings(samplers=("random",)))
    with pytest.raises(StudyError, match=r"another space \(changed: sparsity\)"):
        compare(f"{EXPERIMENTS}:stepwise_elsewhere", tmp_path, ComparisonSettings(samplers=("random",)))
    assert csv.read_bytes() == before


def test_full_disk_ends_the_comparison_with_one_line_and_no_row(tmp_path):
    done = run(tmp_path, experiment=f"{EXPERIMENTS}:full_disk", samplers="random")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "the disk is full" in last
    assert "goes on" in last or "tries again" in last
    assert "Traceback" not in done.stderr
    assert "\n1," not in (tmp_path / "comparison.csv").read_text()


def test_second_comparison_in_the_same_folder_is_refused(tmp_path):
    with (
        FileLock(tmp_path / "comparison.lock"),
        pytest.raises(StudyError, match="another comparison is running"),
    ):
        compare(STEPWISE, tmp_path, ComparisonSettings(samplers=("random",)))


@pytest.mark.parametrize(
    ("samplers", "said"),
    [(("random", "bayes"), "no sampler 'bayes'; choose from ars-full, ars, "), ((), "at least one sampler")],
)
def test_unknown_sampler_is_refused_before_anything_is_written(samplers, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        compare(STEPWISE, tmp_path / "out", ComparisonSettings(samplers=samplers))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["seeds", "trials", "jobs"])
def test_zero_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        ComparisonSettings(samplers=("random",), **{name: 0})


@pytest.mark.parametrize(("missing", "sampler"), [("botorch", "qnehvi"), ("matplotlib", "random")])
def test_what_is_not_installed_is_named_with_what_brings_it(missing, sampler, tmp_path):
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[0] = 'tinypareto'; "
        "from tinypareto.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command(tmp_path / "out", samplers=sampler)[3:]],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{missing}, which is not installed; `pip install tinypareto[bench]` brings it." in done.stderr
    assert not (tmp_path / "out").exists()


def test_times_are_said_in_words():
    assert [duration(seconds) for seconds in (0.4, 59, 61, 3599, 3601)] == [
        "0 s", "59 s", "1 min", "1 h 0 min", "1 h 0 min",
    ]  # fmt: skip
