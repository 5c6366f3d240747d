"""Earlier tasks as prior knowledge: by hand, and on tasks that are shifted or turned upside down."""

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from scipy.stats import qmc

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.front import hypervolume
from tinypareto.hosts.earlier import EarlierTask, Evaluated
from tinypareto.hosts.optuna import ARSSampler
from tinypareto.hosts.suggestions import read_suggestion
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.known import KnownFunction, KnownOutcomes
from tinypareto.search.prior import Prior, earlier_front, weights
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space

SPACE = {name: FloatDistribution(0, 1) for name in "abc"}
REFERENCE = [1.2, 1.8]


def size(parameters):
    return 0.2 + parameters["a"] * (0.5 + parameters["b"])


def error(parameters, shift=0.0):
    a, b, c = (parameters[name] for name in "abc")
    return 0.6 * np.exp(-2 * a - b) + 2 * (c - 0.6 - shift) ** 2 + 0.2 * np.sin(5 * b + 2 * c) ** 2


def earlier_task(of, count=32):
    """An earlier study whose sizes are nonsense for this one, so that they must not be used."""
    points = [dict(zip(SPACE, row, strict=True)) for row in qmc.Sobol(3, rng=7).random(count)]
    evaluated = (Evaluated(parameters=p, values=(float(of(p)), None)) for p in points)
    return EarlierTask(evaluations=tuple(evaluated), maximised=(False, False))


def levels(seed, n_trials, warm_start):
    """Hypervolume after each trial of the new task: shifted, rescaled, on another level."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = ARSSampler(
        seed,
        search_space=SPACE,
        known={1: size},
        reference_point=REFERENCE,
        effort=0.1,
        warm_start=warm_start,
    )
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for _ in range(n_trials):
        trial = study.ask(SPACE)
        study.tell(trial, [0.05 + 1.2 * error(trial.params, shift=0.07), size(trial.params)])
    values = np.array([trial.values for trial in study.trials])
    return [hypervolume(values[: n + 1], REFERENCE) for n in range(n_trials)]


@pytest.fixture(scope="module")
def cold():
    return [levels(seed, 16, ()) for seed in range(3)]


def test_related_study_reaches_in_nine_trials_what_takes_twelve_without(cold):
    warm = [levels(seed, 9, earlier_task(error)) for seed in range(3)]
    assert np.median([run[8] for run in warm]) > np.median([run[11] for run in cold])
    assert all(run[2] > other[2] + 0.1 for run, other in zip(warm, cold, strict=True))


def test_misleading_study_does_not_ruin_the_search(cold):
    misled = [levels(seed, 16, earlier_task(lambda p: 1 - error(p))) for seed in range(3)]
    assert np.median([run[15] for run in misled]) > 0.97 * np.median([run[15] for run in cold])


def test_earlier_predictions_count_as_far_as_observations_bear_them_out():
    rng = np.random.default_rng(0)
    truth, other = rng.standard_normal((2, 40))
    assert weights(truth[:, None], truth + 3.0) == pytest.approx([1.0])
    assert weights(truth[:, None], -truth) == pytest.approx([0.0])
    assert weights(truth[:, None], other) == pytest.approx([0.0], abs=0.25)
    alike, useless = weights(np.stack([truth, other], axis=1), truth)
    assert alike > 0.9
    assert useless < 0.1
    assert weights(truth[:1, None], other[:1]) == pytest.approx([
        1.0
    ])  # believed until there is more than one


def test_earlier_front_is_that_of_known_sizes_within_known_limits():
    space = Space({"a": FloatDistribution(0, 1)})
    points = np.array([[0.1], [0.3], [0.5], [0.7], [0.9], [0.2]])
    values = np.array([[0.9], [0.5], [0.6], [0.2], [0.1], [0.0]])
    whole = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5])  # the last, on the way of a trial, is not started from
    prior = Prior(points=points, values=np.column_stack([values, np.full(6, np.nan)]), fidelities=whole)
    known = KnownOutcomes(
        columns=np.array([1, 2]),
        functions=(KnownFunction("size", lambda p: p["a"]), KnownFunction("limit", lambda p: p["a"] - 0.8)),
        signs=np.ones(2),
        n_objectives=2,
    )
    assert earlier_front(space, [prior], known, 9).ravel().tolist() == [0.7, 0.3, 0.1]
    assert earlier_front(space, [prior], known, 2).ravel().tolist() == [0.7, 0.1]
    assert earlier_front(space, [prior], None, 9).ravel().tolist() == [0.9]
    other = Prior(points=points[2:3], values=np.array([[0.6, np.nan]]), fidelities=np.ones(1))
    assert earlier_front(space, [prior, other], known, 2).ravel().tolist() == [0.7, 0.5]


def test_first_trials_are_the_earlier_front_and_say_so():
    sampler = ARSSampler(0, search_space=SPACE, known={1: size}, warm_start=earlier_task(error))
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    origins = []
    for _ in range(5):
        trial = study.ask(SPACE)
        study.tell(trial, [error(trial.params), size(trial.params)])
        origins.append(read_suggestion(study.trials[-1])["origin"])
    assert origins == ["earlier front"] * 3 + ["latin hypercube"] * 2


@pytest.mark.parametrize("known", [None, {1: size}])
def test_suggestions_depend_on_what_is_stored_alone(known):
    task = earlier_task(error)
    with_sizes = EarlierTask(
        evaluations=tuple(
            Evaluated(parameters=one.parameters, values=(one.values[0], 1.0)) for one in task.evaluations
        ),
        maximised=task.maximised,
    )
    studies = []
    for warm_start in (task, EarlierTask.from_json(task.to_json()), with_sizes):
        sampler = ARSSampler(0, search_space=SPACE, known=known, warm_start=warm_start, effort=0.1)
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        for _ in range(7):
            trial = study.ask(SPACE)
            study.tell(trial, [error(trial.params), size(trial.params)])
        studies.append([trial.params for trial in study.trials])
    assert studies[0] == studies[1]
    if known:
        assert studies[0] == studies[2], "an earlier size was used where the new one is known"


def test_study_itself_can_be_given_and_what_it_evaluated_on_the_way_counts():
    earlier = optuna.create_study(directions=["maximize"])
    earlier.optimize(lambda trial: -error({n: trial.suggest_float(n, 0, 1) for n in SPACE}), n_trials=6)
    prior = EarlierTask.of(earlier).prior(Space(SPACE), earlier.directions)
    assert prior.values[:, 0] == pytest.approx([-trial.value for trial in earlier.trials])
    study = optuna.create_study(
        directions=["maximize"], sampler=ARSSampler(0, search_space=SPACE, warm_start=earlier, effort=0.1)
    )
    for _ in range(7):
        trial = study.ask(SPACE)
        study.tell(trial, -error(trial.params))
    assert study.trials[0].params == earlier.best_params


def test_studies_that_do_not_fit_are_refused():
    study = optuna.create_study(sampler=ARSSampler(0, search_space=SPACE, warm_start=earlier_task(error)))
    with pytest.raises(
        ConfigError, match="earlier study has minimise, minimise and this one minimise; leave it out"
    ):
        study.ask(SPACE)
    other = ARSSampler(0, search_space={"z": FloatDistribution(0, 1)}, warm_start=earlier_task(error))
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=other)
    with pytest.raises(
        ConfigError, match="none of the 32 evaluations of the earlier study lies in this study's space"
    ):
        study.ask({"z": FloatDistribution(0, 1)})
    with pytest.raises(ShapeError, match="an objective whose values are all finite"):
        Prior(points=np.zeros((2, 1)), values=np.full((2, 1), np.nan), fidelities=np.ones(2))
    with pytest.raises(ShapeError, match="one row per evaluation"):
        Prior(points=np.zeros((2, 1)), values=np.zeros((3, 1)), fidelities=np.ones(2))


@pytest.mark.parametrize(("rough", "kept"), [(False, False), (True, True)])
def test_prior_is_let_go_where_left_out_observations_are_predicted_better_without(rough, kept):
    space = Space({"a": FloatDistribution(0, 1)})

    def with_waves(x):
        return x + 0.4 * np.sin(30 * x)

    x, earlier = np.linspace(0, 1, 14)[:, None], np.linspace(0, 1, 64)[:, None]
    history = History(
        numbers=np.arange(14), points=x, values=with_waves(x) if rough else x, violations=np.empty((14, 0))
    )
    prior = Prior(points=earlier, values=with_waves(earlier), fidelities=np.ones(64))
    config = SearchConfig.preset("default")
    model, outcomes = fitted(space, history, np.empty((0, 1)), None, config, "cpu", 0, [prior])
    assert bool((model.slopes[0] > 0).all()) == kept
    between = np.linspace(0.04, 0.96, 30)[:, None]
    mean, std = model.predict(model.tensor(between))
    found, _ = outcomes.objective_units(mean[0].numpy(), std[0].numpy())
    truth = with_waves(between) if rough else between
    assert found == pytest.approx(truth[:, 0], abs=0.05)
