"""An earlier study in a folder as prior knowledge of a new one."""

import shutil
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from small_experiments import SCALES, iris, knowable

from tinypareto.errors import ConfigError, StudyError
from tinypareto.experiment import load_experiment
from tinypareto.known_sizes import known_sizes
from tinypareto.results import explain_network, open_history
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings
from tinypareto.warm_start import earlier_task

KNOWABLE = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:knowable"
OTHER = f"{KNOWABLE}@cortex-m0plus"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "earlier"
    run_search(KNOWABLE, out, SearchSettings(trials=3, seed=1, harvest=False))
    return out


@pytest.fixture(scope="module")
def warm(earlier, tmp_path_factory):
    """Begun with a study that is gone when it is continued."""
    out = tmp_path_factory.mktemp("study") / "warm"
    copy = out.with_name("copy")
    shutil.copytree(earlier, copy)
    run_search(OTHER, out, SearchSettings(trials=4, harvest=False, warm_start=(copy,)))
    shutil.rmtree(copy)
    run_search(OTHER, out, SearchSettings(trials=6))
    return out


def test_search_begins_with_the_earlier_front(earlier, warm):
    front = [dict(network.parameters) for network in open_history(earlier).front()]
    trials = open_history(warm).trials
    assert explain_network(warm, "0")["origin"] == "earlier front"
    assert dict(trials[0].parameters) in front
    assert explain_network(warm, "5")["origin"] == "policy"


def test_sizes_are_those_of_the_new_target(earlier, warm):
    experiment = load_experiment(OTHER)
    known = known_sizes(experiment, experiment.read_data(), SCALES)
    (first, *_) = open_history(warm).trials
    same = next(n for n in open_history(earlier).networks() if n.parameters == first.parameters)
    assert same.objectives["rom_bytes"] != first.objectives["rom_bytes"]
    said = explain_network(warm, "5")
    for column, function in known.objectives.items():
        name = experiment.objectives[column]
        assert said["objectives"][name]["mean"] == pytest.approx(function(said["parameters"]), rel=1e-4)
    told = earlier_task(earlier, experiment).evaluations
    assert all([value is None for value in one.values] == [False, True, True, False] for one in told)
    assert all(None not in one.values for one in earlier_task(earlier, knowable).evaluations)


def test_continued_study_equals_an_uninterrupted_one(earlier, warm, tmp_path):
    settings = SearchSettings(trials=6, harvest=False, warm_start=(earlier,))
    run_search(OTHER, tmp_path / "whole", settings)
    parameters = [
        [dict(t.parameters) for t in open_history(out).trials] for out in (tmp_path / "whole", warm)
    ]
    assert parameters[0] == parameters[1]
    with pytest.raises(StudyError, match="begun with warm_start"):
        run_search(OTHER, tmp_path / "whole", SearchSettings(trials=6, warm_start=(tmp_path,)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"space": {**knowable.space, "sparsity": FloatDistribution(0.0, 0.8)}},
            "same space, but sparsity is .* 0.9",
        ),
        (
            {"space": {**knowable.space, "depth": IntDistribution(1, 2)}},
            "depth is not in the space of the study in",
        ),
        ({"space": {"width": knowable.space["width"]}}, "is not in the space of this one"),
        (
            {"objectives": ("error", "flops")},
            "has error, rom_bytes, ram_bytes, flops and this one error, flops",
        ),
    ],
)
def test_other_space_or_objectives_are_refused_by_name(earlier, changes, said, tmp_path):
    settings = {"space": knowable.space, "limits": {}, "scales": {"flops": 1e4}}
    with pytest.raises(StudyError, match=said):
        run_search(iris(**{**settings, **changes}), tmp_path, SearchSettings(trials=1, warm_start=(earlier,)))


def test_what_is_no_study_or_a_sampler_without_models_is_refused(tmp_path):
    with pytest.raises(StudyError, match="there is no study in"):
        run_search(KNOWABLE, tmp_path / "new", SearchSettings(trials=1, warm_start=(tmp_path,)))
    with pytest.raises(ConfigError, match="only the sampler ars makes use of earlier studies, got random"):
        SearchSettings(trials=1, sampler="random", warm_start=(tmp_path,))
