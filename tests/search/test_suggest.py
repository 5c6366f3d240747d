import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.hypervolume_reward import is_narrow
from tinypareto.search.suggest import suggest
from tinypareto.space import Space

POSTER = SearchConfig.preset("poster")
SPACE = Space({
    "x": FloatDistribution(0.0, 1.0),
    "width": IntDistribution(1, 16, log=True),
    "kind": CategoricalDistribution(["a", "b", "c"]),
})


def history(space=SPACE, n=12, m=2, c=1, seed=0):
    points = space.round_points(np.random.default_rng(seed).random((n, space.n_columns)))
    values = np.stack([(points - 0.3 * k).sum(1) ** 2 for k in range(m)], axis=1)
    violations = np.stack([points[:, 0] - 0.5] * c, axis=1) if c else np.empty((n, 0))
    return History(numbers=np.arange(n), points=points, values=values, violations=violations)


def ask(known, pending=None, space=SPACE, seed=1, number=20, preset="poster", reference=None):
    pending = np.empty((0, space.n_columns)) if pending is None else pending
    config = SearchConfig.preset(preset)
    return suggest(space, known, pending, config, seed=seed, trial_number=number, reference=reference)


both_presets = pytest.mark.parametrize("preset", ["default", "poster"])


def test_suggestion_is_within_the_space_and_says_why():
    suggestion = ask(history())
    assert SPACE.contains(suggestion.parameters)
    assert suggestion.origin == "policy"
    assert suggestion.path.shape == (POSTER.horizon + 1, SPACE.n_columns)
    assert suggestion.mean.shape == (2,)
    assert (suggestion.std > 0).all()
    assert 0 <= suggestion.feasibility <= 1


@both_presets
def test_same_history_and_seed_give_the_same_point_in_another_process(preset):
    code = f"import test_suggest as t; print(t.ask(t.history(), preset={preset!r}).point.tolist())"
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(__file__.rpartition('/')[0])!r}); {code}",
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(ask(history(), preset=preset).point.tolist())


@both_presets
def test_order_in_which_trials_are_listed_does_not_matter(preset):
    known = history()
    order = np.random.default_rng(5).permutation(12)
    shuffled = History(
        numbers=known.numbers[order],
        points=known.points[order],
        values=known.values[order],
        violations=known.violations[order],
    )
    assert np.array_equal(ask(known, preset=preset).point, ask(shuffled, preset=preset).point)


@both_presets
def test_seed_and_trial_number_both_count(preset):
    points = [
        ask(history(), seed=seed, number=number, preset=preset).point
        for seed, number in ((1, 20), (2, 20), (1, 21))
    ]
    assert len({point.tobytes() for point in points}) == 3


@both_presets
def test_pending_point_is_not_suggested_again(preset):
    first = ask(history(), preset=preset).point
    second = ask(history(), pending=first[None], preset=preset).point
    assert not np.array_equal(first, second)


def test_hypercube_covers_every_parameter_evenly():
    space = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    none = History(
        numbers=np.empty(0, int),
        points=np.empty((0, 2)),
        values=np.empty((0, 2)),
        violations=np.empty((0, 0)),
    )
    count = POSTER.startup_trials(space)
    points = np.array([ask(none, space=space, number=k).point for k in range(count)])
    for column in points.T:
        assert sorted((column * count).astype(int)) == list(range(count))


@both_presets
def test_limits_are_honoured(preset):
    """Left of x = 0.5 is feasible; the better objective values lie to the right."""
    space = Space({"x": FloatDistribution(0.0, 1.0)})
    points = np.linspace(0.05, 0.95, 8)[:, None]
    known = History(
        numbers=np.arange(8), points=points, values=-points, violations=np.where(points > 0.5, 1.0, -1.0)
    )
    chosen = [ask(known, space=space, number=number, preset=preset).point[0] for number in range(20, 26)]
    assert max(chosen) < 0.75
    free = History(numbers=known.numbers, points=points, values=-points, violations=np.empty((8, 0)))
    assert (
        max(ask(free, space=space, number=number, preset=preset).point[0] for number in range(20, 26)) > 0.9
    )


@both_presets
def test_no_discrete_point_twice_while_another_is_left(preset):
    space = Space({"k": IntDistribution(0, 3), "c": CategoricalDistribution(["a", "b"])})
    none = np.empty((0, space.n_columns))
    points, numbers = none, []
    for number in range(8):
        known = History(
            numbers=np.array(numbers, dtype=int),
            points=points,
            values=points.sum(axis=1, keepdims=True),
            violations=np.empty((len(points), 0)),
        )
        points = np.concatenate([points, ask(known, space=space, number=number, preset=preset).point[None]])
        numbers.append(number)
    assert len(np.unique(points, axis=0)) == 8


def changed(**arrays):
    known = history()
    return History(**{
        "numbers": known.numbers, "points": known.points, "values": known.values,
        "violations": known.violations, **arrays,
    })  # fmt: skip


@pytest.mark.parametrize(
    "known",
    [
        history(n=1),
        changed(values=np.ones((12, 2))),
        changed(points=np.repeat(history().points[:1], 12, axis=0)),
        changed(values=history().values * np.array([1e-9, 1e9])),
        changed(violations=np.ones((12, 1))),
        changed(values=np.full((12, 2), np.nan)),
        changed(values=np.where(np.arange(12)[:, None] % 2, np.inf, history().values)),
        history(m=1, c=0),
        history(m=6, c=2),
    ],
    ids=["single", "constant", "duplicates", "scales", "infeasible", "failed", "half failed", "m=1", "m=6"],
)
@both_presets
def test_degenerate_histories_get_a_sound_suggestion(known, preset):
    suggestion = ask(known, preset=preset)
    assert SPACE.contains(suggestion.parameters)
    assert np.isfinite(suggestion.point).all()


@both_presets
def test_parameters_with_one_possible_value_are_left_alone(preset):
    space = Space({
        "x": FloatDistribution(0.0, 1.0),
        "y": FloatDistribution(2.0, 2.0),
        "k": IntDistribution(7, 7),
    })
    suggestion = ask(history(space), space=space, preset=preset)
    assert suggestion.parameters == {"x": suggestion.parameters["x"], "y": 2.0, "k": 7}
    fixed = Space({"y": FloatDistribution(2.0, 2.0)})
    nothing = History(
        numbers=np.arange(3), points=np.empty((3, 0)), values=np.ones((3, 2)), violations=np.empty((3, 0))
    )
    assert ask(nothing, space=fixed, preset=preset).parameters == {"y": 2.0}


def test_more_objectives_than_hypervolumes_bear_are_refused_with_a_remedy():
    with pytest.raises(ConfigError, match=r"use preset=.poster."):
        ask(history(m=7, c=0), preset="default")
    assert SPACE.contains(ask(history(m=7, c=0), preset="poster").parameters)


def test_noise_is_inferred_and_lucky_values_do_not_draw_the_search():
    """A noisy parabola: what is asked lies near its lowest point, not at the luckiest observation."""
    space = Space({"x": FloatDistribution(0.0, 1.0)})
    rng = np.random.default_rng(0)
    points = rng.random((60, 1))
    values = (points - 0.3) ** 2 + 0.05 * rng.standard_normal((60, 1))
    known = History(numbers=np.arange(60), points=points, values=values, violations=np.empty((60, 0)))
    asked = [ask(known, space=space, number=number, preset="default").point[0] for number in range(60, 66)]
    assert abs(np.mean(asked) - 0.3) < 0.1


def test_points_of_another_space_are_rejected():
    with pytest.raises(ShapeError, match="encode parameters with the same space"):
        ask(history(), pending=np.zeros((1, 9)))


def test_reference_point_decides_which_end_of_the_front_is_sought():
    """Front f1 + f2 = 1; a reference of 0.5 for one objective leaves gains on that side alone."""
    space = Space({"x": FloatDistribution(0.0, 1.0)})
    points = np.linspace(0.03, 0.97, 9)[:, None]
    values = np.concatenate([points, 1 - points], axis=1)
    known = History(numbers=np.arange(9), points=points, values=values, violations=np.empty((9, 0)))
    for corner, low, high in (([0.5, 1.5], 0.0, 0.5), ([1.5, 0.5], 0.5, 1.0)):
        for number in (20, 21, 22):
            asked = ask(known, space=space, number=number, preset="default", reference=np.array(corner))
            assert low <= asked.point[0] <= high


@pytest.mark.parametrize(("m", "share"), [(2, 1 / 2), (3, 1 / 2), (4, 2 / 3), (6, 2 / 3)])
def test_narrow_suggestions_are_half_of_all_and_more_with_many_objectives(m, share):
    assert np.mean([is_narrow(number, m) for number in range(60)]) == pytest.approx(share)


def test_turns_change_what_is_suggested_and_can_be_switched_off():
    space = Space({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
    points = np.random.default_rng(0).random((15, 2))
    values = np.stack([points[:, 0] ** 8 + points[:, 1], (1 - points[:, 0]) ** 8 + points[:, 1]], axis=1)
    known = History(numbers=np.arange(15), points=points, values=values, violations=np.empty((15, 0)))
    default = SearchConfig.preset("default")
    nothing = np.empty((0, 2))

    def asked(number, turns):
        config = dataclasses.replace(default, take_turns=turns)
        return suggest(space, known, nothing, config, seed=0, trial_number=number).point

    assert np.array_equal(asked(21, True), asked(21, False))
    assert not np.array_equal(asked(20, True), asked(20, False))


def test_gain_of_a_pending_point_is_not_hoped_for_again():
    """Of two gaps in a straight front the wider one is asked for first; while that is pending, the other."""
    space = Space({"x": FloatDistribution(0.0, 1.0)})
    points = np.array([0.0, 0.02, 0.04, 0.06, 0.55, 0.57, 0.59, 0.9, 0.92, 0.94, 1.0])[:, None]
    values = np.concatenate([points, 1 - points], axis=1)
    known = History(numbers=np.arange(11), points=points, values=values, violations=np.empty((11, 0)))
    first = ask(known, space=space, preset="default").point
    assert 0.06 < first[0] < 0.55
    second = ask(known, pending=np.linspace(0.1, 0.5, 9)[:, None], space=space, preset="default").point
    assert 0.59 < second[0] < 0.9


def test_default_preset_does_not_need_the_units_of_the_objectives():
    known = history()
    scaled = changed(values=known.values * [1e-9, 1e9])
    near, far = (ask(k, preset="default").point for k in (known, scaled))
    np.testing.assert_allclose(near, far, atol=1e-3)


def test_unknown_preset_is_rejected():
    with pytest.raises(ConfigError, match="choose one of these"):
        SearchConfig.preset("postre")
