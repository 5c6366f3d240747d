import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from small_experiments import iris, knowable

from tinypareto.errors import ConfigError, ExperimentError, StudyError
from tinypareto.results import export_network, front_rows, open_history
from tinypareto.study import run_search, trial_seed
from tinypareto.study_plan import SearchSettings, new_plan
from tinypareto.trials import read_metrics

EXPERIMENTS = Path(__file__).resolve().parent / "small_experiments.py"
SMALL = f"{EXPERIMENTS}:small"


def command(out, trials, *more, experiment=SMALL):
    arguments = ["search", experiment, "--out", str(out), "--trials", str(trials), *more]
    return [sys.executable, "-m", "tinypareto.cli", *arguments]


def choices(out):
    return [(trial.number, dict(trial.parameters), trial.objectives) for trial in open_history(out).trials]


def states(out):
    """What the database says, read past Optuna."""
    # Not read-only: after a kill in the middle of a write, SQLite has to take that write back first.
    with closing(sqlite3.connect(out / "study.db")) as database:
        return dict(database.execute("SELECT number, state FROM trials ORDER BY number"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "uninterrupted"
    run_search(SMALL, out, SearchSettings(trials=9, seed=3))
    return out


@pytest.mark.parametrize("known_sizes", [False, True])
def test_the_sampler_is_told_that_errors_are_noisy_and_of_any_magnitude(known_sizes):
    settings = SearchSettings(trials=1, known_sizes=known_sizes, early_stop=False)
    error = knowable.objectives.index("error")
    scales = dict.fromkeys(knowable.objectives, 1e4)
    config = new_plan(knowable, None, settings, knowable.read_data(), scales).sampler.config
    assert config.log_objectives == config.noisy_objectives == (error,)


def test_study_has_the_trials_asked_for_and_their_artefacts(uninterrupted):
    assert [trial.number for trial in open_history(uninterrupted).trials] == list(range(9))
    for number in range(9):
        folder = uninterrupted / "trials" / f"{number:04d}"
        names = {path.name for path in folder.iterdir()}
        assert names >= {
            "parameters.json",
            "metrics.json",
            "model.onnx",
            "model.int8.onnx",
            "firmware",
            "firmware.elf",
            "log.txt",
        }
    assert not list((uninterrupted / "trials").glob(".*")), "work in progress was left behind"


def test_front_rows_are_feasible_undominated_and_tested(uninterrupted):
    rows = front_rows(uninterrupted)
    assert rows
    for row in rows:
        assert row["objectives"]["rom_bytes"] <= 16 * 1024
        assert 0 <= row["test_error"] <= 1
        assert row["step"] is None
        assert Path(row["folder"]).is_dir()
        others = [other["objectives"] for other in rows if other is not row]
        assert not any(all(other[k] <= v for k, v in row["objectives"].items()) for other in others)


def test_knee_is_one_of_the_front(uninterrupted):
    (knee,) = front_rows(uninterrupted, "knee")
    assert f"Trial {knee['trial']} is" in knee.pop("why")
    assert knee in front_rows(uninterrupted)


def test_search_killed_twice_ends_like_an_uninterrupted_one(uninterrupted, tmp_path):
    out = tmp_path / "killed"
    for wanted in (2, 6):  # within the Latin hypercube, and after it
        process = subprocess.Popen(command(out, 9, "--seed", "3"), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (out / "trials" / f"{wanted:04d}").exists():
                break
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert "RUNNING" in states(out).values() or len(states(out)) < 9, "it was over before it was killed"
    subprocess.run(command(out, 9, "--seed", "3"), check=True, capture_output=True)
    assert states(out) == dict.fromkeys(range(9), "COMPLETE")
    assert choices(out) == choices(uninterrupted)


def test_trial_that_finished_but_was_not_entered_is_not_trained_again(uninterrupted, tmp_path):
    out = tmp_path / "study"
    run_search(SMALL, out, SearchSettings(trials=2, seed=3))
    log = out / "trials" / "0001" / "log.txt"
    written = log.stat().st_mtime_ns
    with (
        closing(sqlite3.connect(out / "study.db")) as database,
        database,
    ):  # as a kill just before the entry leaves it
        database.execute("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 1")
        database.execute(
            "DELETE FROM trial_values WHERE trial_id IN (SELECT trial_id FROM trials WHERE number = 1)"
        )
    run_search(SMALL, out, SearchSettings(trials=2, seed=3))
    assert log.stat().st_mtime_ns == written
    assert choices(out) == choices(uninterrupted)[:2]


def test_two_searches_share_one_study_without_repeating_a_trial(tmp_path):
    out = tmp_path / "shared"
    run_search(SMALL, out, SearchSettings(trials=1))
    pair = [subprocess.Popen(command(out, 6), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    assert states(out) == dict.fromkeys(range(6), "COMPLETE")
    seen = [tuple(parameters.values()) for _, parameters, _ in choices(out)]
    assert len(set(seen)) == 6


def test_crashing_trials_fail_alone_with_their_reason(tmp_path):
    summary = run_search(f"{EXPERIMENTS}:crashing", tmp_path / "study", SearchSettings(trials=6, jobs=2))
    assert (summary.finished, summary.trials) == (6, 6)
    reasons = {
        trial.parameters["width"] % 3: trial.failure for trial in open_history(tmp_path / "study").trials
    }
    assert "SIGKILL (probably out of memory)" in reasons[0]
    assert reasons[1].startswith("out of memory")
    assert reasons[2] is None
    assert 0 < summary.failed < 6


def test_full_disk_fails_the_trial_and_the_study_goes_on(tmp_path):
    summary = run_search(f"{EXPERIMENTS}:full_disk", tmp_path / "study", SearchSettings(trials=2))
    assert summary.failed == 2
    assert all("the disk is full" in trial.failure for trial in open_history(tmp_path / "study").trials)


def test_objective_from_measure_reaches_the_front(tmp_path):
    run_search(f"{EXPERIMENTS}:measured", tmp_path / "study", SearchSettings(trials=2))
    for row in front_rows(tmp_path / "study"):
        assert row["objectives"]["energy"] == (Path(row["folder"]) / "firmware.elf").stat().st_size


def test_trial_over_a_limit_is_infeasible_and_never_on_the_front(tmp_path):
    run_search(f"{EXPERIMENTS}:tight", tmp_path / "study", SearchSettings(trials=4))
    trials = open_history(tmp_path / "study").trials
    assert {trial.feasible for trial in trials} == {True, False}
    assert all(trial.feasible == (trial.objectives["flops"] <= 250) for trial in trials)
    assert all(row["objectives"]["flops"] <= 250 for row in front_rows(tmp_path / "study"))


def test_time_limit_begins_no_further_trial(tmp_path):
    summary = run_search(SMALL, tmp_path / "study", SearchSettings(trials=500, time_limit=1.0))
    assert summary.finished < 500


def test_continuing_keeps_sampler_and_seed(uninterrupted):
    run_search(SMALL, uninterrupted, SearchSettings(trials=9))
    assert open_history(uninterrupted).description.seed == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SearchSettings(trials=9, seed=4), "begun with seed 3, now it is 4; give another --out"),
        (SearchSettings(trials=9, sampler="random"), "begun with sampler 'ars', now it is 'random'"),
    ],
)
def test_other_settings_for_an_existing_study_are_refused(uninterrupted, settings, said):
    with pytest.raises(StudyError, match=said):
        run_search(SMALL, uninterrupted, settings)


def test_another_experiments_folder_is_refused_and_unharmed(uninterrupted):
    before = choices(uninterrupted)
    with pytest.raises(StudyError, match="begun with experiment 'iris', now it is 'rose'"):
        run_search(iris(name="rose"), uninterrupted, SearchSettings(trials=10))
    assert choices(uninterrupted) == before


def test_damaged_database_is_one_line(tmp_path):
    (tmp_path / "study.db").write_bytes(b"SQLite format 3\0 but not really" * 100)
    with pytest.raises(StudyError, match=r"study.db cannot be used .*; make it readable"):
        run_search(SMALL, tmp_path, SearchSettings(trials=1))


def test_read_only_database_is_one_line(tmp_path):
    run_search(SMALL, tmp_path / "study", SearchSettings(trials=1))
    url = f"sqlite:///file:{tmp_path / 'study' / 'study.db'}?mode=ro&uri=true"
    with pytest.raises(StudyError, match=r"readonly database\); make it readable and writable"):
        run_search(SMALL, tmp_path / "other", SearchSettings(trials=2, storage=url))
    assert states(tmp_path / "study") == {0: "COMPLETE"}


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "study").write_text("a file", encoding="utf-8")
    with pytest.raises(StudyError, match="give another --out"):
        run_search(SMALL, tmp_path / "study", SearchSettings(trials=1))


def test_experiment_that_cannot_be_sent_to_another_process_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"path/to/file.py:name"):
        run_search(iris(metric=lambda outputs, targets: 0.0), tmp_path, SearchSettings(trials=1))


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"jobs": 0}, {"time_limit": 0.0}, {"seed": -1}])
def test_settings_out_of_range_are_rejected_with_a_remedy(wrong):
    with pytest.raises(ConfigError, match=r"raise it|give another"):
        SearchSettings(**{"trials": 1, **wrong})


def test_trial_seeds_differ_and_are_reproducible():
    seeds = {trial_seed(study, number) for study in range(3) for number in range(100)}
    assert len(seeds) == 300
    assert trial_seed(1, 2) == trial_seed(1, 2)


def test_export_copies_one_trial_and_refuses_to_overwrite(uninterrupted, tmp_path):
    to = export_network(uninterrupted, "4", tmp_path / "chosen")
    assert json.loads((to / "metrics.json").read_text(encoding="utf-8")) == read_metrics(
        uninterrupted / "trials" / "0004"
    )
    assert (to / "firmware" / "Makefile").exists()
    with pytest.raises(StudyError, match="exists already"):
        export_network(uninterrupted, "4", to)
    with pytest.raises(StudyError, match="no such finished trial"):
        export_network(uninterrupted, "99", tmp_path / "other")


def test_history_of_a_folder_without_a_study_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="begin one with"):
        open_history(tmp_path)
