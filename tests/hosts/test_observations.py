import optuna
import pytest
from optuna.distributions import FloatDistribution

from tinypareto import ARSSampler, Observation, add_observations
from tinypareto.errors import ConfigError
from tinypareto.hosts.attributes import PIECE_LENGTH, read_attribute, write_attribute
from tinypareto.hosts.observations import observations

SPACE = {"x": FloatDistribution(0.0, 1.0)}


@pytest.fixture
def study(tmp_path):
    return optuna.create_study(
        directions=["minimize", "maximize"], storage=f"sqlite:///{tmp_path / 'study.db'}"
    )


def test_what_is_stored_is_read_back_whatever_its_length(study):
    trial = study.ask()
    seen = [
        Observation(
            step=step,
            fidelity=0.1 + step / 10,
            parameters={"x": 0.5, "kind": True, "name": "a" * 700},
            values=(1.0 / 3, -step),
            constraints={"c": 1e-9},
        )
        for step in (4, 0, 2)
    ]
    add_observations(trial, seen)
    (frozen,) = study.get_trials()
    assert list(observations(frozen)) == [seen[1], seen[2], seen[0]]
    assert sum(key.startswith("tinypareto:observations") for key in frozen.system_attrs) > 1


def test_a_trial_without_any_has_none(study):
    study.ask()
    assert observations(study.trials[0]) == ()


def test_an_attribute_whose_writing_was_cut_short_is_not_there(study):
    trial = study.ask()
    write_attribute(study, trial._trial_id, "long", ["a" * PIECE_LENGTH])
    (frozen,) = study.get_trials()
    assert read_attribute(frozen, "long") == ["a" * PIECE_LENGTH]
    del frozen.system_attrs["long:1"]
    assert read_attribute(frozen, "long") is None


@pytest.mark.parametrize("fidelity", [0.0, 1.0, float("nan")])
def test_the_end_of_a_trial_is_no_observation(fidelity):
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        Observation(step=0, fidelity=fidelity, parameters={}, values=(1.0,))


def run(trace, *, tell=True, n_trials=9):
    """A study whose trials pass, at half their x, something far better than their end."""
    sampler = ARSSampler(seed=3, search_space=SPACE, n_startup_trials=5, trace=trace)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)

    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        if tell:
            half = Observation(step=0, fidelity=0.5, parameters={"x": x / 2}, values=(x, 2.0 - x))
            add_observations(trial, [half])
        return (x - 0.3) ** 2, x

    study.optimize(objective, n_trials=n_trials)
    return [trial.params["x"] for trial in study.trials]


def half(parameters):
    return [({"x": parameters["x"] / 2}, 0.5)]


def test_the_sampler_heeds_observations_and_what_is_to_come():
    plain, told, traced = run(None, tell=False), run(None), run(half)
    assert plain[:5] == told[:5] == traced[:5]
    assert plain[5:] != told[5:]
    assert traced == run(half)
