import io
import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from rich.console import Console
from small_experiments import SCALES, build_model, iris, knowable

from tinypareto.errors import ConfigError, StudyError, TrainingError, UnknownFootprintError
from tinypareto.experiment import train_and_prune
from tinypareto.hosts.suggestions import read_suggestion
from tinypareto.known_sizes import UNBUILDABLE, known_sizes
from tinypareto.results import explain_network, open_history
from tinypareto.space import Space
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings
from tinypareto.tables import explanation_table

KNOWABLE = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:knowable"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "known"
    run_search(KNOWABLE, out, SearchSettings(trials=8, seed=1))
    return out


def test_no_training_breaks_a_known_limit(study):
    space = Space(knowable.space)
    sizes = known_sizes(knowable, knowable.read_data(), SCALES)
    shares = np.random.default_rng(0).random((60, space.n_free))
    random = [sizes.constraints["flops"](space.decode(point)) <= 0 for point in space.from_shares(shares)]
    assert np.mean(random) < 0.6  # or there would be nothing to avoid
    trials = open_history(study).trials
    assert len(trials) == 8
    assert all(trial.objectives["flops"] <= 120 for trial in trials)


def test_predicted_sizes_are_those_that_were_measured(study):
    trial = optuna.load_study(study_name=None, storage=f"sqlite:///{study / 'study.db'}").trials[-1]
    reasons = read_suggestion(trial)
    assert reasons["mean"][1:] == pytest.approx(trial.values[1:], rel=1e-4)


def test_a_trial_is_explained(study):
    said = explain_network(study, "7")
    assert said["origin"] == "policy"
    assert said["start"].keys() == said["parameters"].keys() == knowable.space.keys()
    assert 0 < said["moves"]
    assert said["feasibility"] == pytest.approx(1.0)
    for name, found in said["objectives"].items():
        if name != "error":
            assert found["mean"] == pytest.approx(found["measured"], rel=1e-4)
            assert found["std"] < 1e-3 * found["mean"]
    assert said["objectives"]["error"]["std"] > 0
    text = "\n".join(str(line) for line in rendered(explanation_table(said)))
    assert text.count("known beforehand") == 3
    for word in ("Trial 7", "policy", "rom_bytes", "learning_rate", f"{said['parameters']['width']}"):
        assert word in text
    json.dumps(said)


def test_the_first_trials_have_no_prediction(study):
    said = explain_network(study, "0")
    assert (said["origin"], said["start"], said["objectives"]) == ("latin hypercube", None, {})
    assert "latin hypercube" in "\n".join(rendered(explanation_table(said)))


def test_a_trial_that_is_not_there_cannot_be_explained(study):
    with pytest.raises(StudyError, match="trial 99 must be one that ended"):
        explain_network(study, "99")


def rendered(table):
    console = Console(width=100, file=io.StringIO())
    console.print(table)
    return console.file.getvalue().splitlines()


def test_a_study_is_continued_as_it_was_begun(study):
    with pytest.raises(StudyError, match="begun with known_sizes True, now it is False"):
        run_search(KNOWABLE, study, SearchSettings(trials=9, known_sizes=False))
    assert run_search(KNOWABLE, study, SearchSettings(trials=9)).finished == 9


def test_an_experiment_with_its_own_training_is_searched_all_the_same(tmp_path):
    small = KNOWABLE.replace("knowable", "small")
    assert run_search(small, tmp_path / "study", SearchSettings(trials=1)).finished == 1
    with pytest.raises(UnknownFootprintError, match="has its own train"):
        run_search(small, tmp_path / "other", SearchSettings(trials=1, known_sizes=True))


def test_only_ars_makes_use_of_known_sizes():
    with pytest.raises(ConfigError, match="only the sampler ars"):
        SearchSettings(trials=1, sampler="tpe", known_sizes=True)


def test_objectives_that_are_no_sizes_are_not_known():
    cycles = iris(train=train_and_prune, objectives=("error", "cycles"), limits={}, scales={"cycles": 1e6})
    with pytest.raises(UnknownFootprintError, match="none of the objectives error, cycles"):
        known_sizes(cycles, cycles.read_data(), {})


def build_narrow(parameters):
    if parameters["width"] > 20:
        raise TrainingError("too wide")
    return build_model(parameters)


def test_a_network_that_cannot_be_built_counts_as_far_too_large():
    narrow = iris(
        build_model=build_narrow, space=knowable.space, train=train_and_prune, limits={"flops": 120}
    )
    sizes = known_sizes(narrow, narrow.read_data(), SCALES)
    wide = {"width": 28, "sparsity": 0.9, "learning_rate": 0.01, "epochs": 2}
    assert sizes.objectives[3](wide) == UNBUILDABLE * SCALES["flops"]
    assert sizes.constraints["flops"](wide) > 0
    assert sizes.constraints["flops"]({**wide, "width": 8}) <= 0
