"""Networks that a training passes through: measured, on the front, known to the sampler, named 12.3."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from small_experiments import SCALES, iris, stepwise
from typer.testing import CliRunner

from tinypareto.cli import app
from tinypareto.confirm import confirm_trials
from tinypareto.errors import ExperimentError, QuantizationError, StudyError
from tinypareto.evaluation import evaluate
from tinypareto.evaluation_record import read_evaluation
from tinypareto.experiment import parameters_at, quantize_after_training, training_path
from tinypareto.harvest import Harvest
from tinypareto.hosts.observations import observations
from tinypareto.known_sizes import known_sizes
from tinypareto.results import explain_network, export_network, front_rows, open_history
from tinypareto.static_footprint import StaticFootprint
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings

STEPWISE = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:stepwise"
PARAMETERS = {
    "width": 24,
    "sparsity": 0.8,
    "learning_rate": 0.05,
    "epochs": 6,
    "batch_size": 16,
    "pruning_steps": 3,
}


@pytest.fixture(scope="module")
def data():
    return stepwise.read_data()


@pytest.fixture(scope="module")
def trial(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    return evaluate(stepwise, data, PARAMETERS, 3, folder, harvest=(0, 1, 2)), folder


def test_each_step_is_a_firmware_of_its_own_with_the_sparsity_and_epochs_that_it_had(trial, data):
    evaluation, folder = trial
    assert evaluation.harvested
    path = {at.step: at for at in training_path(PARAMETERS)}
    footprint = StaticFootprint(stepwise, data)
    for one in evaluation.harvested:
        at = path[one.step]
        assert one.parameters["epochs"] == at.epochs
        assert one.parameters["sparsity"] == pytest.approx(PARAMETERS["sparsity"] * at.share)
        sizes = footprint(parameters_at(PARAMETERS, at))
        measured = {name: one.measured[name] for name in ("rom_bytes", "ram_bytes", "flops")}
        assert measured == {name: getattr(sizes, name) for name in measured}
        own = folder / f"step{one.step}"
        assert (own / "firmware.elf").exists()
        assert json.loads((own / "parameters.json").read_text())["parameters"] == one.parameters
    flops = [one.measured["flops"] for one in (*evaluation.harvested, evaluation)]
    assert flops == sorted(flops, reverse=True)


def test_the_training_itself_gives_what_it_gives_without_harvest(trial, data, tmp_path):
    alone = evaluate(stepwise, data, PARAMETERS, 3, tmp_path)
    assert alone.objectives == trial[0].objectives
    assert alone.harvested == ()
    assert (tmp_path / "model.onnx").read_bytes() == (trial[1] / "model.onnx").read_bytes()
    assert not list(tmp_path.glob("step*"))


def test_evaluation_is_read_with_its_steps_and_only_if_they_are_whole(trial):
    evaluation, folder = trial
    assert read_evaluation(folder, PARAMETERS, 3) == evaluation
    step = folder / f"step{evaluation.harvested[-1].step}" / "metrics.json"
    text = step.read_text()
    step.write_text(text[: len(text) // 2])
    assert read_evaluation(folder, PARAMETERS, 3) is None
    step.write_text(text)


def test_only_steps_that_are_asked_for_are_measured(data, tmp_path):
    assert evaluate(stepwise, data, PARAMETERS, 3, tmp_path, harvest=(7,)).harvested == ()


def test_a_step_that_a_later_network_beats_in_everything_is_not_measured(data, tmp_path):
    def always_the_same(outputs, targets):
        return 0.5

    experiment = dataclasses.replace(stepwise, metric=always_the_same)
    assert evaluate(experiment, data, PARAMETERS, 3, tmp_path, harvest=(0, 1, 2)).harvested == ()


def test_a_step_that_cannot_be_quantised_costs_nothing_but_itself(data, tmp_path, capsys):
    def refuse_large(network, data, parameters, seed, folder):
        if network.macs > 24 * 7 * 0.8:
            raise QuantizationError("too large for this test.")
        return quantize_after_training(network, data, parameters, seed, folder)

    experiment = dataclasses.replace(stepwise, quantize=refuse_large)
    evaluation = evaluate(experiment, data, PARAMETERS, 3, tmp_path, harvest=(0, 1, 2))
    assert 0 not in [one.step for one in evaluation.harvested]
    assert "step 0 gave no firmware: too large for this test." in capsys.readouterr().out
    assert np.isfinite(evaluation.objectives["error"])


def test_steps_that_are_known_to_break_a_limit_are_left_out(data):
    sizes = known_sizes(stepwise, data, SCALES)
    harvest = Harvest(experiment=stepwise, known_constraints=sizes.constraints)
    large = {**PARAMETERS, "width": 32}
    kept = {at.step for at in harvest.steps(large)}
    for at in training_path(large):
        flops = sizes.objectives[stepwise.objectives.index("flops")](parameters_at(large, at))
        assert (at.step in kept) == (flops <= 400)
    assert kept < {at.step for at in training_path(large)}
    everything = Harvest(experiment=stepwise, known_constraints={})
    assert [fidelity for _, fidelity in everything.trace(large)] == [
        at.epochs / 6 for at in training_path(large)
    ]


def test_an_experiment_with_its_own_training_has_no_known_path(tmp_path):
    with pytest.raises(ExperimentError, match="has its own train"):
        Harvest(experiment=iris(), known_constraints={})
    with pytest.raises(ExperimentError, match="has its own train"):
        run_search(iris(scales=SCALES), tmp_path / "asked", SearchSettings(trials=1, harvest=True))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "stepwise"
    run_search(STEPWISE, out, SearchSettings(trials=8, seed=6))
    return out


@pytest.fixture(scope="module")
def history(study):
    return open_history(study)


def test_harvested_networks_are_on_the_front_and_count_for_the_hypervolume(study, history):
    names = [network.name for network in history.front()]
    steps = [name for name in names if "." in name]
    assert steps, "seed 6 was chosen because some are"
    assert all(network.feasible for network in history.networks())
    without = dataclasses.replace(
        history, trials=tuple(dataclasses.replace(trial, harvested=()) for trial in history.trials)
    )
    assert without.hypervolume() < history.hypervolume()
    rows = front_rows(study)
    assert [(row["trial"], row["step"]) for row in rows] == [
        (network.number, network.step) for network in history.front()
    ]
    assert all(row["test_error"] is not None for row in rows)


def test_the_sampler_learns_of_them(study):
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{study / 'study.db'}").trials
    seen = [(trial, one) for trial in trials for one in observations(trial)]
    assert seen
    for trial, one in seen:
        at = next(at for at in training_path(trial.params) if at.step == one.step)
        assert one.parameters == parameters_at(trial.params, at)
        assert one.fidelity == at.epochs / 6
        metrics = json.loads(
            (study / "trials" / f"{trial.number:04d}" / f"step{at.step}" / "metrics.json").read_text()
        )
        assert list(one.values) == list(metrics["objectives"].values())


def test_a_study_killed_in_between_goes_on_as_if_nothing_had_happened(study, history, tmp_path):
    out = tmp_path / "again"
    for trials in (3, 8):
        run_search(STEPWISE, out, SearchSettings(trials=trials, seed=6))
    again = open_history(out)
    assert [n.objectives for n in again.networks()] == [n.objectives for n in history.networks()]
    with pytest.raises(StudyError, match="begun with harvest True"):
        run_search(STEPWISE, out, SearchSettings(trials=9, harvest=False))


def test_commands_take_the_name_of_a_step(study, history, tmp_path):
    network = next(network for network in history.front() if network.step is not None)
    run = CliRunner().invoke
    shown = run(app, ["front", str(study)]).stdout
    assert network.name in shown
    to = tmp_path / "export"
    assert run(app, ["export", str(study), "--trial", network.name, "--to", str(to)]).exit_code == 0
    assert (to / "firmware.elf").read_bytes() == (network.folder / "firmware.elf").read_bytes()
    whole = export_network(study, str(network.number), tmp_path / "whole")
    assert not list(whole.glob("step*"))
    said = explain_network(study, network.name)
    assert (said["trial"], said["step"]) == (network.number, network.step)
    assert network.name in said["harvested"]
    assert run(app, ["report", str(study)]).exit_code == 0
    assert f"<td>{network.name}</td>" in (study / "report.html").read_text(encoding="utf-8")
    with pytest.raises(StudyError, match=r"trial 0\.99 has no firmware"):
        history.network("0.99")


def test_a_step_is_confirmed_by_the_same_step_of_another_training(study, history):
    network = next(network for network in history.front() if network.step is not None)
    (confirmation,) = confirm_trials(study, seeds=1, names=[network.name])
    assert (confirmation.trial, confirmation.searched) == (network.name, network.objectives["error"])
    folder = study / "confirmed" / f"{network.number:04d}-1" / f"step{network.step}"
    if confirmation.errors:
        metrics = json.loads((folder / "metrics.json").read_text())
        assert confirmation.errors == (metrics["measured"]["error"],)
    else:
        assert "was better in everything" in confirmation.failures[0]


def test_without_harvest_nothing_is_harvested(tmp_path):
    run_search(STEPWISE, tmp_path / "plain", SearchSettings(trials=2, harvest=False))
    assert all(network.step is None for network in open_history(tmp_path / "plain").networks())


def test_other_samplers_are_not_harvested_unless_asked(tmp_path):
    for harvest in (None, True):
        out = tmp_path / str(harvest)
        run_search(STEPWISE, out, SearchSettings(trials=2, sampler="random", harvest=harvest))
        found = open_history(out).networks()
        assert any(network.step is not None for network in found) == bool(harvest)
