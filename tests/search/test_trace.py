import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.errors import ShapeError
from tinypareto.front import hypervolume
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.hypervolume_reward import hypervolume_reward
from tinypareto.search.known import KnownFunction, KnownOutcomes
from tinypareto.search.rewards import Feasibility
from tinypareto.search.suggest import suggest
from tinypareto.search.surrogate import MultiFidelity, PartlyKnown, look_up
from tinypareto.search.surrogate_fit import fitted
from tinypareto.search.trace import Trace, trace_of, with_trace
from tinypareto.space import Space

DEFAULT = SearchConfig.preset("default")
SPACE = Space({"x": FloatDistribution(0.0, 1.0), "long": CategoricalDistribution([False, True])})
NOTHING = np.empty((0, SPACE.n_columns))


def half_way(parameters):
    """A trial that is long passes one evaluation, with x half as large and less error than a whole one there."""
    return [({**parameters, "x": parameters["x"] / 2}, 0.5)] if parameters["long"] else []


def error(parameters, fidelity):
    return 1.2 - parameters["x"] - 0.3 * (1 - fidelity)


def size(parameters):
    return 1.0 + parameters["x"] ** 2


def history(n, *, harvested, seed=0):
    rng = np.random.default_rng(seed)
    points = SPACE.round_points(rng.random((n, SPACE.n_columns)))
    rows = [(number, SPACE.decode(point), 1.0) for number, point in enumerate(points)]
    if harvested:
        rows += [(number, p, f) for number, whole, _ in rows for p, f in half_way(whole)]
    return History(
        numbers=np.array([number for number, _, _ in rows]),
        points=np.array([SPACE.encode(p) for _, p, _ in rows]),
        values=np.array([[error(p, f), size(p)] for _, p, f in rows]),
        violations=np.empty((len(rows), 0)),
        fidelities=np.array([f for _, _, f in rows]),
    )


def known_size():
    return KnownOutcomes(
        columns=np.array([1]), functions=(KnownFunction("size", size),), signs=np.ones(1), n_objectives=2
    )


def test_a_trace_names_the_points_that_it_belongs_to_and_leaves_the_space_out():
    def function(parameters):
        return [({**parameters, "x": parameters["x"] + 0.4}, 0.3), ({**parameters, "x": 0.0}, 0.6)]

    points = np.array([SPACE.encode({"x": x, "long": False}) for x in (0.5, 0.9)])
    trace = trace_of(function, SPACE, points)
    assert trace.rows.tolist() == [0, 0, 1]  # 0.9 + 0.4 is outside
    assert trace.fidelities.tolist() == [0.3, 0.6, 0.6]
    assert [SPACE.decode(point)["x"] for point in trace.points] == pytest.approx([0.9, 0.0, 0.0])


def test_an_evaluation_on_the_way_is_not_taken_for_a_whole_one():
    model, outcomes = fitted(SPACE, history(20, harvested=True), NOTHING, None, DEFAULT, "cpu", 0)
    assert isinstance(model, MultiFidelity)
    parameters = {"x": 0.37, "long": True}
    query = model.tensor(SPACE.encode(parameters)[None])
    for fidelity in (1.0, 0.5):
        mean, _ = look_up(model, query, model.tensor(np.array([fidelity])))
        predicted, _ = outcomes.objective_units(mean[:, 0].numpy(), np.zeros(2))
        assert predicted[0] == pytest.approx(error(parameters, fidelity), abs=0.03)
    assert torch.equal(model.predict(query)[0], look_up(model, query, model.tensor(np.ones(1)))[0])


def test_a_history_without_traces_gives_the_model_that_it_always_gave():
    model, _ = fitted(SPACE, history(12, harvested=False), NOTHING, None, DEFAULT, "cpu", 0)
    query = model.tensor(SPACE.encode({"x": 0.4, "long": True})[None])
    assert torch.equal(model.predict(query)[0], look_up(model, query, model.tensor(np.full(1, 0.5)))[0])


def test_known_outcomes_on_the_way_are_those_of_its_own_parameters():
    usable = history(12, harvested=True).usable()
    model, outcomes = fitted(SPACE, usable, NOTHING, known_size(), DEFAULT, "cpu", 0)
    assert isinstance(model, PartlyKnown)
    point = SPACE.encode({"x": 0.5, "long": True})[None]
    trace = trace_of(half_way, SPACE, point)
    mean, std = look_up(model, model.tensor(trace.points), model.tensor(trace.fidelities))
    units, _ = outcomes.objective_units(mean[:, 0].numpy(), std[:, 0].numpy())
    assert units[1] == pytest.approx(size({"x": 0.25}), rel=1e-4)


def reward_of(usable):
    model, outcomes = fitted(SPACE, usable, NOTHING, known_size(), DEFAULT, "cpu", 0)
    feasibility = Feasibility(model=model, limits=model.tensor(outcomes.limits))
    reference = outcomes.standardised_objectives(np.array([1.5, 2.2]))
    rng = np.random.default_rng(0)
    empty = np.empty((0, 2))
    return model, hypervolume_reward(
        feasibility, outcomes.targets, empty, reference, outcomes.exponents, narrow=False, rng=rng
    )


def test_worth_of_a_trace_is_the_hypervolume_that_it_adds():
    model, reward = reward_of(history(10, harvested=True).usable())
    points = np.array([SPACE.encode({"x": x, "long": long}) for x in (0.97, 0.6) for long in (False, True)])
    trace = trace_of(half_way, SPACE, points)
    assert trace.rows.tolist() == [1, 3]
    whole = with_trace(reward, model, points, trace)
    alone = reward.of_prediction(*look_up(model, model.tensor(points))).numpy()
    assert whole[[0, 2]] == pytest.approx(alone[[0, 2]])
    # The slow way: many draws of one normal number that moves the errors of end and trace together.
    ends = [part.numpy()[:, 1] for part in look_up(model, model.tensor(points), model.tensor(np.ones(4)))]
    on_way = look_up(model, model.tensor(trace.points), model.tensor(trace.fidelities))
    on_way = [part.numpy()[:, 0] for part in on_way]
    (region,) = reward.regions
    gains = []
    for draw in np.random.default_rng(1).standard_normal(4000):
        end, passed = (mean + draw * std for mean, std in (ends, on_way))
        base = np.concatenate([region.front, end[None]])
        more = np.concatenate([base, passed[None]])
        gains.append(hypervolume(more, region.corner) - hypervolume(base, region.corner))
    added = np.exp(whole[1]) - np.exp(alone[1])
    assert added == pytest.approx(np.mean(gains) / np.exp(region.log_volume), rel=0.1)
    assert added > 0


def test_no_trace_is_worth_nothing_and_an_unlikely_one_too():
    model, reward = reward_of(history(10, harvested=True).usable())
    points = np.array([SPACE.encode({"x": 0.97, "long": True})])
    alone = reward.of_prediction(*look_up(model, model.tensor(points))).numpy()
    none = Trace(rows=np.empty(0, np.int64), points=NOTHING, fidelities=np.empty(0))
    assert with_trace(reward, model, points, none) == pytest.approx(alone)


def test_the_trial_with_the_better_way_is_chosen():
    """Both ends are equally good, so the one that passes a good evaluation is worth more."""
    usable = history(12, harvested=True)
    chosen = [
        suggest(
            SPACE, usable, NOTHING, DEFAULT, seed=seed, trial_number=20 + seed, known=known_size(), trace=half_way,
            reference=np.array([1.5, 2.2]),
        ).parameters["long"]
        for seed in range(4)
    ]  # fmt: skip
    assert all(chosen)


def test_fidelities_are_checked():
    settings = {"numbers": np.array([0, 0]), "points": np.zeros((2, 1)), "values": np.ones((2, 1))}
    settings["violations"] = np.empty((2, 0))
    History(**settings, fidelities=np.array([1.0, 0.5]))
    with pytest.raises(ShapeError, match="must all be different"):
        History(**settings)
    with pytest.raises(ShapeError, match=r"fidelities in \[0, 1\]"):
        History(**settings, fidelities=np.array([1.0, -0.1]))


def test_usable_evaluations_are_sorted_the_end_of_a_trial_first():
    order = [3, 1, 0, 4, 2]
    numbers, fidelities = np.array([0, 0, 0, 1, 2])[order], np.array([1.0, 0.6, 0.3, 1.0, 0.5])[order]
    values = np.where(numbers == 1, np.nan, numbers + fidelities)[:, None]
    usable = History(
        numbers=numbers, points=values, values=values, violations=np.empty((5, 0)), fidelities=fidelities
    ).usable()
    assert usable.numbers.tolist() == [0, 0, 0, 2]
    assert usable.fidelities.tolist() == [1.0, 0.6, 0.3, 0.5]
    assert usable.values[:, 0] == pytest.approx([1.0, 0.6, 0.3, 2.5])


def test_neighbours_differ_in_one_discrete_parameter():
    space = Space({
        "x": FloatDistribution(0.0, 1.0),
        "n": IntDistribution(1, 3),
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "many": IntDistribution(0, 1000),
    })
    start = {"x": 0.25, "n": 2, "kind": "b", "many": 500}
    found = [space.decode(point) for point in space.neighbours(space.encode(start))]
    changes = [{k: v for k, v in other.items() if v != start[k]} for other in found]
    assert changes == [{"kind": "a"}, {"kind": "c"}, {"n": 1}, {"n": 3}]
