"""A study for one core becomes one for another: measured anew, not trained again."""

import shutil
from pathlib import Path

import pytest
from small_experiments import SCALES, iris
from typer.testing import CliRunner

from tinypareto.cli import app
from tinypareto.errors import ConfigError, StudyError
from tinypareto.experiment import load_experiment
from tinypareto.known_sizes import known_sizes
from tinypareto.measured_network import measure_again
from tinypareto.report.page import write_report
from tinypareto.results import explain_network, export_network, front_rows, open_history
from tinypareto.retarget import retarget_study
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings
from tinypareto.trials import read_metrics

STEPWISE = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:stepwise"
OTHER = "cortex-m0plus"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "m4"
    run_search(STEPWISE, out, SearchSettings(trials=6, seed=1))
    assert any(trial.harvested for trial in open_history(out).trials), "nothing on the way to be measured"
    return out


@pytest.fixture(scope="module")
def moved(original):
    return retarget_study(original, OTHER)


def test_each_network_keeps_its_error_and_has_the_sizes_known_for_the_new_core(original, moved):
    assert (moved.folder, moved.missing) == (original.with_name(f"m4-{OTHER}"), {})
    old, new = open_history(original), open_history(moved.folder)
    assert [one.name for one in old.networks()] == [one.name for one in new.networks()]
    assert moved.measured == len(new.networks())
    experiment = load_experiment(moved.reference)
    known = known_sizes(experiment, experiment.read_data(), SCALES)
    for before, after in zip(old.networks(), new.networks(), strict=True):
        assert after.objectives["error"] == before.objectives["error"]
        assert after.objectives["rom_bytes"] != before.objectives["rom_bytes"]
        own = {**after.parameters, "epochs": 6}  # of the training; those of a network on the way are its own
        for column, function in known.objectives.items():
            assert after.objectives[experiment.objectives[column]] == function(own)
        assert read_metrics(after.folder)["measured"]["rom_bytes"] == after.objectives["rom_bytes"]


def test_new_study_can_be_listed_reported_explained_and_exported(moved, tmp_path):
    (row, *_) = front_rows(moved.folder)
    name = str(row["trial"]) if row["step"] is None else f"{row['trial']}.{row['step']}"
    assert write_report(moved.folder).stat().st_size > 1_000_000
    exported = export_network(moved.folder, name, tmp_path / "new")
    assert "-mcpu=cortex-m0plus" in (exported / "firmware" / "Makefile").read_text(encoding="utf-8")
    said = explain_network(moved.folder, "5")
    assert set(said["objectives"]) == {"error", "flops"}, (
        "what was predicted for the other core is no prediction"
    )
    assert said["reward"] is None


def test_search_goes_on_with_the_new_study(moved, tmp_path):
    shutil.copytree(moved.folder, tmp_path / "copy")
    summary = run_search(moved.reference, tmp_path / "copy", SearchSettings(trials=7))
    assert (summary.finished, summary.failed) == (7, 0)
    with pytest.raises(StudyError, match="begun with target 'cortex-m0plus', now it is 'cortex-m4'"):
        run_search(STEPWISE, tmp_path / "copy", SearchSettings(trials=8))


def test_interrupted_run_goes_on_and_measures_nothing_twice(original, moved, tmp_path, monkeypatch):
    calls = []

    def counted(experiment, data, evaluation, source, folder):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(source)
        return measure_again(experiment, data, evaluation, source, folder)

    monkeypatch.setattr("tinypareto.retarget.measure_again", counted)
    with pytest.raises(KeyboardInterrupt):
        retarget_study(original, OTHER, tmp_path / "new")
    finished = [path for path in (tmp_path / "new" / "trials").iterdir() if path.name[0] != "."]
    assert finished, "it was interrupted before anything was done"
    measured = set(calls)
    monkeypatch.setattr(
        "tinypareto.retarget.measure_again", lambda *all: calls.append(all[3]) or measure_again(*all)
    )
    retarget_study(original, OTHER, tmp_path / "new")
    again = measured & set(calls[3:])
    assert all((tmp_path / "new" / "trials" / path.name) not in finished for path in again)
    assert [t.objectives for t in open_history(tmp_path / "new").trials] == [
        t.objectives for t in open_history(moved.folder).trials
    ]


def test_trial_without_its_network_is_named_and_left_to_the_next_search(original, tmp_path):
    shutil.copytree(original, tmp_path / "old")
    (tmp_path / "old" / "trials" / "0002" / "model.int8.onnx").unlink()
    outcome = CliRunner().invoke(app, ["retarget", str(tmp_path / "old"), "--target", OTHER, "--json"])
    assert outcome.exit_code == 0, outcome.output
    assert "trial 2: not measured: 2 (" in outcome.stderr
    new = tmp_path / f"old-{OTHER}"
    assert [trial.number for trial in open_history(new).trials] == [0, 1, 3, 4, 5]
    summary = run_search(f"{STEPWISE}@{OTHER}", new, SearchSettings(trials=6))
    assert (summary.finished, summary.failed) == (6, 0)
    again, before = (open_history(folder).trials[2] for folder in (new, original))
    assert again.parameters == before.parameters
    assert again.objectives["error"] == before.objectives["error"], "another seed"


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("cortex-m4", StudyError, "is for cortex-m4 already"),
        ("avr", ConfigError, "must be one of cortex-m0plus"),
    ],
)
def test_wrong_target_is_refused_and_nothing_written(original, target, error, said, tmp_path):
    with pytest.raises(error, match=said):
        retarget_study(original, target, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_folders_are_refused(original, moved, tmp_path):
    with pytest.raises(StudyError, match="there is no study in"):
        retarget_study(tmp_path, OTHER)
    with pytest.raises(StudyError, match="holds another study, for cortex-m0plus; give another --output"):
        retarget_study(original, "cortex-m3", moved.folder)
    run_search(iris(), tmp_path / "object", SearchSettings(trials=1))
    with pytest.raises(StudyError, match="begun with an experiment object"):
        retarget_study(tmp_path / "object", OTHER)
