"""Trainings that can no longer join the front: ended, remembered, and learnt from."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from small_experiments import iris, stepwise, train_briefly
from typer.testing import CliRunner

import tinypareto.stop_rule
from tinypareto.cli import app
from tinypareto.early_stopping import EXPECTED, NEVER, EarlyStopping
from tinypareto.errors import ExperimentError, StudyError
from tinypareto.evaluation import evaluate
from tinypareto.evaluation_record import read_evaluation
from tinypareto.experiment import train_and_prune
from tinypareto.hosts.observations import observations
from tinypareto.hosts.optuna import ARSSampler
from tinypareto.known_sizes import known_sizes
from tinypareto.results import open_history
from tinypareto.retarget import retarget_study
from tinypareto.static_footprint import StaticFootprint
from tinypareto.stop_rule import StopRule
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings

STEPWISE = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:stepwise"
PARAMETERS = {
    "width": 24,
    "sparsity": 0.8,
    "learning_rate": 0.05,
    "epochs": 6,
    "batch_size": 16,
    "pruning_steps": 2,
}
AFTER_FOUR = StopRule(factors=(1.0,) * 5, to_beat=(9.0, 9.0, 9.0, 0.0, 0.0), usual=(0.5,) * 5)


@pytest.fixture(scope="module")
def data():
    return stepwise.read_data()


@pytest.fixture(scope="module")
def sizes(data):
    return known_sizes(stepwise, data, {**dict.fromkeys(stepwise.objectives, 1e9)})


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    return evaluate(stepwise, data, PARAMETERS, 3, folder, harvest=(0, 1), stop=AFTER_FOUR), folder


def test_training_ends_after_the_epoch_that_the_rule_names_and_leaves_no_firmware(stopped):
    evaluation, folder = stopped
    assert evaluation.stopped
    assert len(evaluation.curve) == 4
    assert evaluation.objectives == {}
    assert not (folder / "firmware.elf").exists()


def test_networks_that_it_had_passed_through_by_then_are_firmwares(stopped):
    evaluation, folder = stopped
    assert [one.step for one in evaluation.harvested] == [0, 1]
    assert all((folder / f"step{step}" / "firmware.elf").exists() for step in (0, 1))
    assert all(one.objectives["error"] < 1 for one in evaluation.harvested)


def test_what_a_stopped_trial_left_is_read_again(stopped):
    evaluation, folder = stopped
    assert read_evaluation(folder, PARAMETERS, 3) == evaluation


def test_watching_changes_nothing(data, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    alone = evaluate(stepwise, data, PARAMETERS, 3, tmp_path / "a")
    watched = evaluate(stepwise, data, PARAMETERS, 3, tmp_path / "b", stop=NEVER)
    assert watched.objectives == alone.objectives
    assert len(watched.curve) == 6
    assert alone.curve == ()


def test_observations_are_what_was_shown_by_then_and_the_end_that_is_usual(stopped, data, sizes):
    evaluation = stopped[0]
    shown, end = EarlyStopping(experiment=stepwise, sizes=sizes).observations(evaluation)
    assert shown.fidelity == pytest.approx(4 / 6)
    assert shown.parameters["sparsity"] == pytest.approx(0.8 * (1 - 0.5**3))  # one of two steps
    assert shown.values[0] == evaluation.curve[-1]
    assert 0.99 < end.fidelity < 1
    assert end.step > shown.step
    assert end.parameters == PARAMETERS
    assert end.values[0] == evaluation.expected_error == pytest.approx(min(evaluation.curve[-2:]) / 2)
    for seen in (shown, end):
        footprint = StaticFootprint(stepwise, data)(seen.parameters)
        assert seen.values[1:] == (footprint.rom_bytes, footprint.ram_bytes, footprint.flops)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study in which every later training is given up at its first epoch, unless it is sure to gain."""
    folder = tmp_path_factory.mktemp("study") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tinypareto.stop_rule, "FEWEST_CURVES", 3)
        patch.setattr(tinypareto.stop_rule, "OPTIMISM", 1.0)  # nothing is hoped for
        summary = run_search(STEPWISE, folder, SearchSettings(trials=14, seed=1))
    return summary, open_history(folder), folder


def test_search_stops_trainings_counts_them_and_saves_their_epochs(study):
    summary, history, _ = study
    stopped = [trial for trial in history.trials if trial.stopped]
    assert summary.stopped == len(stopped) >= 2
    assert summary.failed == 0
    assert all(trial.objectives is None and trial.failure is None for trial in stopped)
    curves = [json.loads((trial.folder / "metrics.json").read_text())["curve"] for trial in stopped]
    assert all(0 < len(curve) < 6 for curve in curves)


def test_what_a_stopped_training_showed_is_no_network_but_an_observation(study):
    _, history, folder = study
    storage = f"sqlite:///{folder / 'study.db'}"
    trials = optuna.load_study(study_name=None, storage=storage).get_trials(deepcopy=False)
    for trial in (trial for trial in trials if trial.state == TrialState.PRUNED):
        seen = observations(trial)
        assert seen[-1].fidelity == EXPECTED
        assert seen[-1].parameters == trial.params
        found = {network.step for network in history.trials[trial.number].networks}
        assert all(
            (history.trials[trial.number].folder / f"step{step}" / "firmware.elf").exists() for step in found
        )
        assert len(found) in {len(seen) - 1, len(seen) - 2}  # what was shown may be one of them
        assert len({one.fidelity for one in seen}) == len({one.step for one in seen}) == len(seen)


def test_commands_say_that_a_trial_was_stopped(study):
    _, history, folder = study
    number = next(trial.number for trial in history.trials if trial.stopped)
    said = CliRunner().invoke(app, ["export", str(folder), "--trial", str(number), "--to", str(folder / "x")])
    assert said.exit_code == 1
    assert "stopped early" in said.output + str(said.exception)


def test_stopped_trial_is_no_failure_to_the_sampler_and_is_not_proposed_again():
    space = {"x": optuna.distributions.IntDistribution(0, 11)}
    study = optuna.create_study(sampler=ARSSampler(0, search_space=space))
    for _ in range(8):
        trial = study.ask(space)
        study.tell(trial, float(trial.params["x"]))
    for _ in range(4):
        study.tell(study.ask(space), state=TrialState.PRUNED)
    assert len({trial.params["x"] for trial in study.trials}) == 12


def test_early_stopping_that_is_not_possible_is_refused_or_left_out(tmp_path, data, sizes):
    with pytest.raises(ExperimentError, match="its own train"):
        EarlyStopping(experiment=dataclasses.replace(stepwise, train=train_briefly), sizes=sizes)
    cycles = iris(objectives=("error", "cycles"), limits={}, scales={"cycles": 1e6}, train=train_and_prune)
    with pytest.raises(ExperimentError, match="exactly the error"):
        EarlyStopping(experiment=cycles, sizes=dataclasses.replace(sizes, objectives={}))
    with pytest.raises(ExperimentError, match="with known sizes"):
        run_search(STEPWISE, tmp_path, SearchSettings(trials=1, known_sizes=False, early_stop=True))


def test_networks_of_stopped_trainings_are_measured_for_another_core_too(study, tmp_path):
    _, history, folder = study
    moved = retarget_study(folder, "cortex-m0plus", tmp_path / "m0")
    assert moved.missing == {}
    names = [network.name for network in history.networks()]
    assert moved.measured == len(names)
    there = open_history(moved.folder)
    assert [network.name for network in there.networks()] == names
    assert [trial.stopped for trial in there.trials] == [trial.stopped for trial in history.trials]


def test_retargeting_a_training_that_was_stopped_behind_a_firmware_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(EarlyStopping, "rule", lambda self, parameters, history: AFTER_FOUR)
    run_search(STEPWISE, tmp_path / "old", SearchSettings(trials=2, seed=1))
    networks = open_history(tmp_path / "old").networks()
    assert networks
    lines = []
    moved = retarget_study(
        tmp_path / "old", "cortex-m0plus", tmp_path / "new", lambda done, total, line: lines.append(line)
    )
    assert moved.measured == len(networks)
    assert [network.name for network in open_history(tmp_path / "new").networks()] == [
        one.name for one in networks
    ]
    assert any("stopped early, " in line for line in lines)


def test_continued_study_keeps_its_way(study):
    _, _, folder = study
    with pytest.raises(StudyError, match="early_stop"):
        run_search(STEPWISE, folder, SearchSettings(trials=15, early_stop=False))


def test_rule_is_open_where_something_is_still_to_gain(study, sizes):
    _, history, _ = study
    stopping = EarlyStopping(experiment=stepwise, sizes=sizes)
    smallest = {**PARAMETERS, "width": 16, "sparsity": 0.9}
    rule = stopping.rule(smallest, dataclasses.replace(history, trials=()))
    assert rule == NEVER
    scales = dict.fromkeys(stepwise.objectives, np.inf) | {"error": 0.7}
    assert stopping._to_beat(smallest, [], scales) == 0.7
