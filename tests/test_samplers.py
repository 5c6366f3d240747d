import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from tinypareto.commands.app import SamplerName
from tinypareto.errors import ConfigError
from tinypareto.samplers import SAMPLERS, make_sampler

SPACE = {"x": FloatDistribution(0, 1), "n": IntDistribution(1, 4)}


def suggestions(name, seed, count=8):
    study = optuna.create_study(directions=["minimize"] * 2, sampler=make_sampler(name, seed, SPACE))
    for _ in range(count):
        trial = study.ask(SPACE)
        study.tell(trial, [trial.params["x"], trial.params["n"] - trial.params["x"]])
    return [trial.params for trial in study.trials]


def test_command_line_and_library_know_the_same_samplers():
    assert {name.value for name in SamplerName} == set(SAMPLERS)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_seed_decides_the_suggestions(name):
    assert suggestions(name, seed=1) == suggestions(name, seed=1)
    assert suggestions(name, seed=1) != suggestions(name, seed=2)


def test_unknown_sampler_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match="choose one of ars, poster"):
        make_sampler("bayes", 0, SPACE)
