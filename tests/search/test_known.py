import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution

from tinypareto.errors import ConfigError
from tinypareto.front import feasible_front
from tinypareto.search.config import SearchConfig
from tinypareto.search.feasible_design import feasible_points, nearest_feasible
from tinypareto.search.history import History
from tinypareto.search.known import KnownFunction, KnownOutcomes
from tinypareto.search.known_design import known_front, towards_front
from tinypareto.search.suggest import suggest
from tinypareto.search.surrogate import CERTAIN, PartlyKnown, look_up
from tinypareto.search.surrogate_fit import fitted
from tinypareto.space import Space

SPACE = Space({
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.0, 1.0),
    "n": IntDistribution(1, 8),
})
DEFAULT = SearchConfig.preset("default")
NOTHING = np.empty((0, 3))


def error(parameters):
    return (parameters["x"] - 0.3) ** 2 + 0.5 * (1 - parameters["y"]) + 0.1 / parameters["n"]


def size(parameters):
    return 10.0 + 100.0 * parameters["y"] * parameters["n"]


def excess(parameters):
    return size(parameters) - 300.0


def known(*, limit=True):
    """The second of two objectives, and a constraint on it."""
    functions = (KnownFunction("size", size), KnownFunction("limit", excess))
    return KnownOutcomes(
        columns=np.array([1, 2][: 1 + limit]),
        functions=functions[: 1 + limit],
        signs=np.ones(1 + limit),
        n_objectives=2,
    )


def history(n, seed=0):
    rng = np.random.default_rng(seed)
    points = SPACE.round_points(rng.random((n, 3)))
    sets = [SPACE.decode(point) for point in points]
    return History(
        numbers=np.arange(n),
        points=points,
        values=np.array([[error(p), size(p)] for p in sets]).reshape(n, 2),
        violations=np.array([excess(p) for p in sets]).reshape(n, 1),
    )


def test_a_function_is_called_once_for_each_set_of_parameters():
    calls = []
    function = KnownFunction("size", lambda parameters: calls.append(parameters) or 2.0 * parameters["x"])
    assert [function({"x": value}) for value in (1.0, 2.0, 1.0, 2.0)] == [2.0, 4.0, 2.0, 4.0]
    assert len(calls) == 4  # the first two twice, to see whether they give the same again


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda parameters: 1 / 0, "raised ZeroDivisionError"),
        (lambda parameters: float("nan"), "must be finite, but is nan"),
        (lambda parameters: float("inf"), "must be finite, but is inf"),
        (lambda parameters: np.random.default_rng().random(), "gave two values"),
    ],
)
def test_a_bad_function_is_one_clear_error(function, complaint):
    with pytest.raises(ConfigError, match=f"known function of 'size'.*{complaint}"):
        KnownFunction("size", function)({"x": 1.0})


def test_what_is_random_at_some_parameters_only_is_noticed_on_the_way():
    rng = np.random.default_rng(0)
    function = KnownFunction("size", lambda p: p["x"] if p["x"] < 5 else rng.random())
    with pytest.raises(ConfigError, match="must depend on the parameters alone, but gave two values"):
        _ = [function({"x": float(value)}) for value in range(20)]


def test_a_slow_function_is_said_once(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("tinypareto.search.known.time.perf_counter", lambda: float(next(clock)))
    function = KnownFunction("size", lambda parameters: parameters["x"])
    with pytest.warns(RuntimeWarning, match="'size' takes 1.0 s") as said:
        _ = [function({"x": float(value)}) for value in range(30)]
    assert len(said) == 1


def test_a_contradiction_is_said_once_with_both_numbers():
    function = KnownFunction("size", size)
    parameters = {"x": 0.0, "y": 1.0, "n": 2}
    assert function.agrees(parameters, 210.0)
    with pytest.warns(RuntimeWarning, match="gives 210 .* but 211 was measured") as said:
        agreed = [function.agrees(parameters, value) for value in (211.0, 212.0)]
    assert agreed == [False, False]
    assert len(said) == 1


def test_known_outcomes_are_looked_up_and_imitated():
    usable = history(12)
    model, outcomes = fitted(SPACE, usable, NOTHING, known(), DEFAULT, "cpu", seed=0)
    assert isinstance(model, PartlyKnown)
    queries = SPACE.round_points(np.random.default_rng(5).random((40, 3)))
    truth = np.array([[size(p), excess(p)] for p in map(SPACE.decode, queries)])
    wanted = outcomes.standardised(np.array([1, 2]), truth)
    mean, std = look_up(model, model.tensor(queries))
    np.testing.assert_allclose(mean[1:].T, wanted, atol=1e-12)
    assert (std[1:] == CERTAIN).all()
    assert (std[0] > CERTAIN).all()
    imitated = model.predict_mean(model.tensor(queries))
    np.testing.assert_allclose(imitated[1:].T, wanted, atol=0.15)  # in standard deviations of the whole space
    # The error is learnt in either case; it depends on the size, which is imitated or looked up.
    np.testing.assert_allclose(imitated[0], mean[0], atol=0.01)


def test_no_policy_is_promised_a_size_below_the_true_one():
    model, _ = fitted(SPACE, history(12), NOTHING, known(), DEFAULT, "cpu", seed=0)
    queries = model.tensor(SPACE.round_points(np.random.default_rng(5).random((400, 3))))
    truth, imitated = look_up(model, queries)[0], model.predict_mean(queries)
    cautious, std = model.predict(queries)
    assert (imitated[1] < truth[1]).double().mean() > 0.3
    assert (cautious[1] < truth[1]).double().mean() < 0.06
    np.testing.assert_allclose(cautious[1], truth[1], atol=0.3)
    assert (std[1] == CERTAIN).all()
    # Where a limit lies is not moved: that a point keeps it is uncertain, and no more.
    torch.testing.assert_close(cautious[[0, 2]], imitated[[0, 2]])
    assert (std[2] > CERTAIN).all()


def test_examples_sharpen_the_imitation():
    model, _ = fitted(SPACE, history(12), NOTHING, known(), DEFAULT, "cpu", seed=0)
    queries = SPACE.round_points(np.random.default_rng(5).random((40, 3)))
    truth = look_up(model, model.tensor(queries))[0][1:]
    before = model.predict_mean(model.tensor(queries))[1:]
    after = model.with_examples(queries).predict_mean(model.tensor(queries))[1:]
    assert (after - truth).abs().max() < 0.5 * (before - truth).abs().max()


@pytest.mark.parametrize("preset", ["default", "poster"])
def test_no_suggestion_breaks_a_known_constraint(preset):
    config = SearchConfig.preset(preset)
    for n in (0, 9, 25):
        usable = (
            history(n)
            if n
            else History(
                numbers=np.arange(0), points=NOTHING, values=np.empty((0, 2)), violations=np.empty((0, 1))
            )
        )
        for number in range(n, n + 3):
            found = suggest(SPACE, usable, NOTHING, config, seed=1, trial_number=number, known=known())
            assert excess(found.parameters) <= 0


def test_a_suggestion_says_what_is_known_exactly():
    found = suggest(SPACE, history(20), NOTHING, DEFAULT, seed=1, trial_number=20, known=known())
    assert found.mean[1] == pytest.approx(size(found.parameters), rel=1e-6)
    assert found.std[1] < 1e-3 < found.std[0]
    assert found.feasibility == pytest.approx(1.0)


def test_what_is_known_costs_no_trial():
    def lost(settings):
        usable = history(0)
        for number in range(12):
            found = suggest(SPACE, usable, NOTHING, DEFAULT, seed=0, trial_number=number, **settings)
            p = found.parameters
            usable = History(
                numbers=np.append(usable.numbers, number),
                points=np.concatenate([usable.points, found.point[None]]),
                values=np.concatenate([usable.values, [[error(p), size(p)]]]),
                violations=np.concatenate([usable.violations, [[excess(p)]]]),
            )
        return (usable.violations > 0).sum()

    assert lost({"known": known()}) == 0
    assert (
        lost({}) > 0
    )  # what the functions are good for: without them trials are lost, in the design at the latest


def test_everything_known_leaves_nothing_to_learn():
    functions = (KnownFunction("error", error), KnownFunction("size", size), KnownFunction("limit", excess))
    everything = KnownOutcomes(columns=np.arange(3), functions=functions, signs=np.ones(3), n_objectives=2)
    with pytest.raises(ConfigError, match="nothing to learn"):
        suggest(SPACE, history(20), NOTHING, DEFAULT, seed=0, trial_number=20, known=everything)


def tight(parameters):
    """Keep one of some 1,000 random sets of parameters."""
    return max(abs(parameters[name] - 0.7) for name in ("a", "b", "c", "d")) - 0.09


RARE = Space({name: FloatDistribution(0.0, 1.0) for name in "abcd"})


def rare():
    return KnownOutcomes(
        columns=np.array([1]), functions=(KnownFunction("tight", tight),), signs=np.ones(1), n_objectives=1
    )


def test_feasible_points_are_found_where_hardly_any_is():
    random = np.random.default_rng(0).random((20_000, 4))
    assert 0.0003 < rare().kept_at(RARE, random).mean() < 0.003
    found = feasible_points(RARE, rare(), seed=0)
    assert len(found) >= 8
    assert rare().kept_at(RARE, found).all()
    np.testing.assert_array_equal(found, feasible_points(RARE, rare(), seed=0))


def test_the_way_to_the_nearest_feasible_point_ends_at_its_edge():
    space = Space({"a": FloatDistribution(0.0, 1.0)})
    half = KnownOutcomes(
        columns=np.array([1]),
        functions=(KnownFunction("half", lambda p: p["a"] - 0.5),),
        signs=np.ones(1),
        n_objectives=1,
    )
    feasible = np.array([[0.1], [0.4]])
    assert nearest_feasible(space, half, np.array([0.9]), feasible)[0] == pytest.approx(0.5, abs=0.01)
    assert nearest_feasible(space, half, np.array([0.3]), feasible)[0] == 0.3


def test_the_first_point_of_a_rare_space_is_feasible():
    nothing = History(
        numbers=np.arange(0), points=np.empty((0, 4)), values=np.empty((0, 1)), violations=np.empty((0, 1))
    )
    pending = np.empty((0, 4))
    points = []
    for number in range(5):
        found = suggest(RARE, nothing, pending, DEFAULT, seed=2, trial_number=number, known=rare())
        assert tight(found.parameters) <= 0
        points.append(found.point)
        pending = np.array(points)
    assert len(np.unique(np.round(points, 6), axis=0)) == 5


def test_no_feasible_point_at_all_is_said():
    never = KnownOutcomes(
        columns=np.array([1]),
        functions=(KnownFunction("never", lambda p: 1.0),),
        signs=np.ones(1),
        n_objectives=1,
    )
    nothing = History(
        numbers=np.arange(0), points=np.empty((0, 4)), values=np.empty((0, 1)), violations=np.empty((0, 1))
    )
    with pytest.warns(RuntimeWarning, match="keeps every known constraint"):
        suggest(RARE, nothing, np.empty((0, 4)), DEFAULT, seed=2, trial_number=0, known=never)


def test_the_front_of_what_is_known_is_found():
    space = Space({name: FloatDistribution(0.0, 1.0) for name in "abcdef"})
    functions = (
        KnownFunction("first", lambda p: p["a"] ** 2 + p["b"] + p["c"]),
        KnownFunction("second", lambda p: (p["a"] - 1) ** 2 + p["b"] + p["c"]),
    )
    outcomes = KnownOutcomes(columns=np.array([1, 2]), functions=functions, signs=np.ones(2), n_objectives=3)
    front = known_front(space, outcomes, seed=0)
    values = outcomes.at(space, front)
    assert len(feasible_front(values)) == len(front) > 5
    # a = 0.5, b = c = 0 gives 0.25 for both; random points give 1.3.
    assert values.sum(axis=1).min() < 0.6
    assert np.array_equal(front, known_front(space, outcomes, seed=0))


def test_a_point_moves_towards_the_front_in_what_matters_alone():
    front = np.array([SPACE.encode({"x": 0.9, "y": 0.0, "n": 1})])
    start = SPACE.encode({"x": 0.2, "y": 0.8, "n": 8})
    rng = np.random.default_rng(0)
    shares = (0.0, 0.5, 1.0)
    moved = [SPACE.decode(towards_front(SPACE, known(), start, front, share, rng)) for share in shares]
    assert [p["x"] for p in moved] == pytest.approx([0.2] * 3)
    assert [p["y"] for p in moved] == pytest.approx([0.8, 0.4, 0.0])
    sizes = [size(p) for p in moved]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == size(SPACE.decode(start))


def test_first_trials_reach_from_random_sizes_to_the_smallest():
    sizes = []
    none = History(
        numbers=np.empty(0, int), points=NOTHING, values=np.empty((0, 2)), violations=np.empty((0, 0))
    )
    for trial in range(DEFAULT.startup_trials(SPACE, knows_objectives=True)):
        suggestion = suggest(
            SPACE, none, NOTHING, DEFAULT, seed=1, trial_number=trial, known=known(limit=False)
        )
        assert suggestion.origin == "latin hypercube"
        sizes.append(size(suggestion.parameters))
    assert sizes[-1] < 12  # the smallest is 10
    assert max(sizes) > 100


def test_small_networks_that_learn_nothing_are_not_chased():
    """Their sizes are certain and the smallest of all, their error is chance: no hypervolume, and no reward."""
    space = Space({"size": FloatDistribution(0.0, 1.0), "rate": FloatDistribution(0.0, 1.0)})
    chance, useless = 0.9, 0.5
    reference = np.array([chance, 1.0])
    sizes = KnownOutcomes(
        columns=np.array([1]),
        functions=(KnownFunction("size", lambda parameters: parameters["size"]),),
        signs=np.ones(1),
        n_objectives=2,
    )

    def measured(parameters):
        learnt = max(parameters["size"] - useless, 0.0) * (1.0 - (parameters["rate"] - 0.6) ** 2)
        return [chance - 1.4 * learnt, parameters["size"]]

    points, startup = np.empty((0, 2)), DEFAULT.startup_trials(space, knows_objectives=True)
    for number in range(startup + 16):
        values = np.array([measured(space.decode(point)) for point in points]).reshape(-1, 2)
        told = History(
            numbers=np.arange(number), points=points, values=values, violations=np.empty((number, 0))
        )
        suggestion = suggest(
            space,
            told,
            np.empty((0, 2)),
            DEFAULT,
            seed=1,
            trial_number=number,
            known=sizes,
            reference=reference,
        )
        points = np.concatenate([points, suggestion.point[None]])
    assert (points[startup:, 0] < useless).sum() <= 4, points[startup:, 0]  # without the reference point 8
