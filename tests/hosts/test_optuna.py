import threading
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from tinypareto import ARSSampler
from tinypareto.errors import ConfigError, SpaceError
from tinypareto.hosts.optuna import PureSampler
from tinypareto.hosts.suggestions import read_suggestion
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import Suggestion
from tinypareto.search.suggest import suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = {
    "x": FloatDistribution(0.0, 1.0),
    "n": IntDistribution(1, 64, log=True),
    "c": CategoricalDistribution(["a", "b", "c"]),
}


def sampler(**settings):
    return ARSSampler(**{"seed": 3, "preset": "poster", "search_space": SPACE, **settings})


def objectives(parameters):
    return [
        parameters["x"] ** 2 + parameters["n"] / 64,
        (1 - parameters["x"]) ** 2 + "abc".index(parameters["c"]),
    ]


def run(study, count):
    for _ in range(count):
        trial = study.ask(fixed_distributions=SPACE)
        trial.set_constraint("n", trial.params["n"] - 40)
        study.tell(trial, objectives(trial.params))
    return [trial.params for trial in study.trials]


def new_study(storage=None, **settings):
    return optuna.create_study(
        directions=["minimize", "minimize"], sampler=sampler(**settings), storage=storage, study_name="s"
    )


def test_resumed_study_gets_the_suggestions_of_an_uninterrupted_one(tmp_path):
    whole = run(new_study(), 10)
    url = f"sqlite:///{tmp_path / 's.db'}"
    run(new_study(url), 6)
    resumed = optuna.load_study(study_name="s", storage=url, sampler=sampler())
    assert run(resumed, 4) == whole


def test_trial_taken_up_again_gets_its_own_point(tmp_path):
    whole = run(new_study(), 8)
    url = f"sqlite:///{tmp_path / 's.db'}"
    run(new_study(url), 7)
    dead = optuna.load_study(study_name="s", storage=url, sampler=sampler()).ask()
    dead.suggest_float("x", 0.0, 1.0)  # killed between two parameters
    study = optuna.load_study(study_name="s", storage=url, sampler=sampler())
    assert study.get_trials()[7].state == TrialState.RUNNING
    again = Trial(study, dead._trial_id)
    assert {name: again._suggest(name, kind) for name, kind in SPACE.items()} == whole[7]


def test_pending_trials_of_other_workers_are_seen(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    run(new_study(url), 8)
    asked = [
        optuna
        .load_study(study_name="s", storage=url, sampler=sampler())
        .ask(fixed_distributions=SPACE)
        .params
        for _ in range(4)
    ]
    assert len({tuple(parameters.values()) for parameters in asked}) == 4


def test_maximised_objective_is_turned():
    down = optuna.create_study(directions=["minimize"], sampler=sampler())
    up = optuna.create_study(directions=["maximize"], sampler=sampler())
    for study, sign in ((down, 1), (up, -1)):
        for _ in range(9):
            trial = study.ask(fixed_distributions=SPACE)
            study.tell(trial, sign * objectives(trial.params)[0])
    assert [t.params for t in down.trials] == [t.params for t in up.trials]


def test_failed_trials_are_not_bought_again():
    study = new_study()
    for _ in range(10):
        study.tell(study.ask(fixed_distributions=SPACE), state=TrialState.FAIL)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 10


def test_reasons_are_stored_with_the_trial():
    study = new_study()
    run(study, 7)
    reasons = read_suggestion(study.trials[6])
    assert reasons["origin"] == "policy"
    assert len(reasons["path"]) == 5
    assert len(reasons["mean"]) == 2
    assert read_suggestion(study.trials[0])["origin"] == "latin hypercube"


def branching(trial):
    """Lowest, -1, in the second branch at y = 0.7, which the first one lacks."""
    if trial.suggest_categorical("branch", ["a", "b"]) == "a":
        return trial.suggest_float("x", 0, 1) ** 2
    return 10 * (trial.suggest_float("y", 0, 1) - 0.7) ** 2 - 1


@pytest.mark.parametrize("preset", ["default", "poster"])
def test_conditional_parameters_are_learnt(preset):
    """Five random values of y would come this near in one study of 30."""
    for seed in range(3):
        study = optuna.create_study(sampler=ARSSampler(seed=seed, preset=preset))
        study.optimize(branching, n_trials=25)
        assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
        assert study.best_value < -0.999


def test_trial_that_lacked_a_parameter_counts_as_if_it_was_in_the_middle():
    given = {}

    def remember(space, history, pending, **settings):
        given.update(space=space, history=history)
        return suggest(space, history, pending, **settings, config=SearchConfig.preset("poster"))

    study = optuna.create_study(sampler=PureSampler(remember, seed=0))
    study.enqueue_trial({"branch": "a", "x": 0.25})
    study.enqueue_trial({"branch": "b", "y": 1.0})
    study.optimize(branching, n_trials=3)
    space, points = given["space"], given["history"].points
    assert space.names == ("branch", "x", "y")
    assert [space.decode(point) for point in points] == [
        {"branch": "a", "x": 0.25, "y": 0.5},
        {"branch": "b", "x": 0.5, "y": 1.0},
    ]


BRANCHES = {
    "kind": CategoricalDistribution(["a", "b"]),
    "n": IntDistribution(1, 5),
}  # of a no n is asked: 6 points


def of_branches(trial):
    return trial.suggest_int("n", 1, 5) if trial.suggest_categorical("kind", ["a", "b"]) == "b" else 2.5


def points_of_branches(sampler, count, *, pruned=False, enqueued=()):
    study = optuna.create_study(sampler=sampler)
    for parameters in enqueued:
        study.enqueue_trial(parameters)
    for _ in range(count):
        trial = study.ask()
        value = of_branches(trial)
        study.tell(trial, state=TrialState.PRUNED) if pruned else study.tell(trial, value)
    return [tuple(sorted(trial.params.items())) for trial in study.trials]


@pytest.mark.parametrize("preset", ["default", "poster"])
@pytest.mark.parametrize("search_space", [BRANCHES, None], ids=["given", "learnt"])
@pytest.mark.parametrize("pruned", [False, True])
def test_point_is_not_tried_again_with_another_value_of_what_it_does_not_ask_for(
    preset, search_space, pruned
):
    for seed in range(3):
        sampler = ARSSampler(seed=seed, preset=preset, search_space=search_space, n_startup_trials=3)
        assert len(set(points_of_branches(sampler, 6, pruned=pruned))) == 6


def test_enqueued_point_is_not_tried_again_with_another_value_of_what_it_does_not_ask_for():
    for seed in range(3):
        sampler = ARSSampler(seed=seed, search_space=BRANCHES, n_startup_trials=3)
        assert len(set(points_of_branches(sampler, 6, enqueued=[{"kind": "a"}]))) == 6


def test_widened_range_is_searched_and_what_lies_outside_a_narrowed_one_is_left_out():
    study = optuna.create_study(sampler=ARSSampler(seed=0, n_startup_trials=4))
    for low, high in ((0, 1), (0, 4), (2, 4)):
        study.optimize(lambda t: (t.suggest_float("x", low, high) - 3) ** 2, n_trials=6)  # noqa: B023
        assert all(low <= trial.params["x"] <= high for trial in study.trials[-6:])
    assert study.best_value < 1e-3


def test_threads_share_a_sampler():
    study = new_study(preset="default")

    def objective(trial):
        parameters = {name: trial._suggest(name, kind) for name, kind in SPACE.items()}
        return objectives(parameters)

    study.optimize(objective, n_trials=16, n_jobs=4)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 16
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 16


def test_each_thread_sees_where_the_others_are_heading():
    """Suggestions take turns: while one is made, none of the others' has still to be published."""
    seen, making = [], threading.Semaphore(1)

    def slow(space, history, pending, *, seed, trial_number, **settings):
        assert making.acquire(blocking=False), "two suggestions at the same time"
        time.sleep(0.05)
        seen.append(len(history.numbers) + len(pending))
        making.release()
        point = np.array([trial_number / 100])
        return Suggestion.without_model(space.decode(point), point, "slow")

    space = {"x": FloatDistribution(0.0, 1.0)}
    study = optuna.create_study(sampler=PureSampler(slow, seed=0, search_space=space))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=8, n_jobs=4)
    assert seen == list(range(8))


@pytest.mark.parametrize("preset", ["default", "poster"])
def test_batch_is_spread_over_different_gains(preset):
    """Of a front along x, asked five times before an answer, no two points lie together."""
    space = {"x": FloatDistribution(0.0, 1.0)}
    study = optuna.create_study(
        directions=["minimize", "minimize"],
        sampler=ARSSampler(seed=0, preset=preset, search_space=space, n_startup_trials=5),
    )
    for _ in range(5):
        trial = study.ask(space)
        study.tell(trial, [trial.params["x"] ** 2, (1 - trial.params["x"]) ** 2])
    known = [trial.params["x"] for trial in study.trials]
    batch = sorted(study.ask(space).params["x"] for _ in range(5))
    assert np.diff(batch).min() > 0.01
    assert not set(batch) & set(known)


def test_wrong_settings_are_rejected():
    with pytest.raises(ConfigError, match="at least 0"):
        ARSSampler(seed=-1)
    with pytest.raises(ConfigError, match="choose one"):
        ARSSampler(preset="best")
    with pytest.raises(SpaceError):
        ARSSampler(search_space={})


@pytest.mark.parametrize(
    ("directions", "signs"), [(("minimize", "minimize"), (1, 1)), (("maximize", "minimize"), (-1, 1))]
)
def test_reference_point_is_given_in_the_studys_directions(directions, signs):
    """On the front f1 + f2 = 1 a bound of 0.5 on the first objective leaves its lower half."""
    chosen = ARSSampler(
        seed=0,
        search_space={"x": FloatDistribution(0.0, 1.0)},
        n_startup_trials=5,
        reference_point=(0.5 * signs[0], 1.5 * signs[1]),
    )
    study = optuna.create_study(directions=directions, sampler=chosen)
    for _ in range(8):
        trial = study.ask({"x": FloatDistribution(0.0, 1.0)})
        study.tell(trial, [trial.params["x"] * signs[0], (1 - trial.params["x"]) * signs[1]])
    assert all(trial.params["x"] < 0.55 for trial in study.trials[5:])


@pytest.mark.parametrize("point", [(1.0,), (1.0, float("nan")), (1.0, 2.0, 3.0)])
def test_reference_point_of_another_length_is_refused_with_a_remedy(point):
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler(reference_point=point))
    with pytest.raises(ConfigError, match="use inf for an objective without one"):
        study.ask(SPACE)


SIZES = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


def known_study(sampler, directions=("minimize", "minimize"), names=("error", "size")):
    study = optuna.create_study(directions=list(directions), sampler=sampler)
    study.set_metric_names(list(names))
    return study


def size_of(parameters):
    return 10.0 + 90.0 * parameters["x"] * parameters["y"]


def run_known(study, n, *, measured=size_of, sign=1.0):
    for _ in range(n):
        trial = study.ask(SIZES)
        trial.set_constraint("limit", measured(trial.params) - 40.0)
        study.tell(
            trial, [(1 - trial.params["x"]) ** 2 + 0.1 * trial.params["y"], sign * measured(trial.params)]
        )
    return study


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["size", 1])
def test_known_objectives_and_constraints_are_looked_up(name):
    sampler = ARSSampler(
        seed=0,
        search_space=SIZES,
        known={name: size_of},
        known_constraints={"limit": lambda p: size_of(p) - 40.0},
    )
    study = run_known(known_study(sampler), 9)
    assert all(trial.constraints["limit"] <= 0 for trial in study.trials)
    last = read_suggestion(study.trials[-1])
    assert last["mean"][1] == pytest.approx(size_of(study.trials[-1].params), rel=1e-4)
    assert last["std"][1] < 1e-3


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_maximised_objective_is_known_in_its_own_sense():
    sampler = ARSSampler(seed=0, search_space=SIZES, known={"gain": lambda p: -size_of(p)})
    study = run_known(known_study(sampler, ("minimize", "maximize"), ("error", "gain")), 9, sign=-1.0)
    last = study.trials[-1]
    assert read_suggestion(last)["mean"][1] == pytest.approx(-size_of(last.params), rel=1e-4)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_function_that_trials_contradict_is_dropped():
    sampler = ARSSampler(seed=0, search_space=SIZES, known={"size": size_of})
    study = known_study(sampler)
    with pytest.warns(RuntimeWarning, match="was measured; what was measured counts") as said:
        run_known(study, 9, measured=lambda p: size_of(p) + 5.0)
    assert len([one for one in said if "what was measured counts" in str(one.message)]) == 1
    assert read_suggestion(study.trials[-1])["std"][1] > 1e-3  # learnt like any other


def test_a_constraint_that_trials_contradict_is_said_once_and_measured_from_then_on():
    def forbidding(parameters):
        return size_of(parameters) - 40.0  # in truth 20 more fit

    def the_larger_the_better(trial):
        size = size_of({name: trial.suggest_float(name, 0, 1) for name in SIZES})
        trial.set_constraint("limit", size - 60.0)
        return -size

    sampler = ARSSampler(seed=0, search_space=SIZES, known_constraints={"limit": forbidding})
    study = optuna.create_study(sampler=sampler)
    with pytest.warns(RuntimeWarning, match=r"'limit' gives -?[\d.]+ .* but -?[\d.]+ was measured") as said:
        study.optimize(the_larger_the_better, n_trials=14)
    assert len([one for one in said if "what was measured counts" in str(one.message)]) == 1
    assert any(40.0 < size_of(trial.params) <= 60.0 for trial in study.trials), (
        "the wrong function was still obeyed"
    )
    assert size_of(study.best_params) == max(
        size_of(trial.params) for trial in study.trials if size_of(trial.params) <= 60.0
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_function_that_breaks_in_the_middle_of_a_study_is_one_error_and_leaves_the_trials_as_they_are():
    broken = []
    sampler = ARSSampler(
        seed=0, search_space=SIZES, known={"size": lambda p: float("nan") if broken else size_of(p)}
    )
    study = run_known(known_study(sampler), 6)
    before = [trial.values for trial in study.trials]
    broken.append(True)
    with pytest.raises(
        ConfigError, match=r"known function of 'size' must be finite, but is nan for .*; mend it"
    ):
        study.ask(SIZES)
    assert [trial.values for trial in study.trials[:6]] == before
    broken.clear()
    run_known(study, 1)  # mended, it goes on
    assert len([trial for trial in study.trials if trial.values]) == 7


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["bytes", 2, -1])
def test_a_known_name_that_is_no_objective_is_an_error(name):
    study = known_study(ARSSampler(seed=0, search_space=SIZES, known={name: size_of}))
    with pytest.raises(ConfigError, match="known must name objectives of the study"):
        study.ask(SIZES)


def test_a_known_constraint_need_not_be_reported():
    sampler = ARSSampler(seed=0, search_space=SIZES, known_constraints={"limit": lambda p: size_of(p) - 40.0})
    study = optuna.create_study(sampler=sampler)
    study.optimize(
        lambda trial: (1 - trial.suggest_float("x", 0, 1)) * trial.suggest_float("y", 0, 1), n_trials=8
    )
    assert all(size_of(trial.params) <= 40.0 for trial in study.trials)
