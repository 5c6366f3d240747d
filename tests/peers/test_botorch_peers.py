"""qLogNParEGO and qLogNEHVI on problems whose answer is known."""

import sys

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch.utils.file_baton import FileBaton

from tinypareto.errors import ConfigError
from tinypareto.peers.qnehvi import compiled_kernel, suggest_qnehvi
from tinypareto.peers.qparego import suggest_qparego
from tinypareto.samplers import make_sampler
from tinypareto.search.history import History
from tinypareto.space import Space

SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
NOTHING = np.empty((0, 2))
PEERS = [suggest_qparego, suggest_qnehvi]


def history_of(points, values, violations=None):
    n = len(points)
    kept = np.empty((n, 0)) if violations is None else violations
    return History(numbers=np.arange(n), points=points, values=values, violations=kept)


def two_bowls(points):
    """Minima at (0.2, 0.5) and (0.8, 0.5); the front is the line between them."""
    return np.stack([np.square(points - [0.2, 0.5]).sum(1), np.square(points - [0.8, 0.5]).sum(1)], axis=1)


def test_minimum_of_one_bowl_is_approached():
    points = np.random.default_rng(0).random((12, 2))
    known = history_of(points, np.square(points - 0.6).sum(1, keepdims=True))
    point = suggest_qparego(SQUARE, known, NOTHING, seed=1, trial_number=12).point
    assert np.abs(point - 0.6).max() < 0.1


@pytest.mark.parametrize("suggest", PEERS)
def test_suggestions_lie_on_the_front_and_differ(suggest):
    points = np.random.default_rng(0).random((12, 2))
    found = []
    for number in range(12, 16):
        point = suggest(
            SQUARE, history_of(points, two_bowls(points)), NOTHING, seed=0, trial_number=number
        ).point
        points = np.concatenate([points, point[None]])
        found.append(point)
    found = np.array(found)
    assert (np.abs(found[:, 1] - 0.5) < 0.1).sum() >= 3
    assert ((found[:, 0] > 0.15) & (found[:, 0] < 0.85)).all()
    assert np.ptp(found[:, 0]) > 0.05


@pytest.mark.parametrize("suggest", PEERS)
def test_constraint_is_learnt(suggest):
    points = np.random.default_rng(0).random((15, 2))
    violations = points[:, :1] - 0.4  # kept where a <= 0.4, so the second bowl is out of reach
    known = history_of(points, two_bowls(points), violations)
    for number in (15, 16):
        point = suggest(SQUARE, known, NOTHING, seed=0, trial_number=number).point
        assert point[0] <= 0.45


@pytest.mark.parametrize("suggest", PEERS)
def test_same_history_and_seed_give_the_same_point_in_whatever_order_it_is_listed(suggest):
    points = np.random.default_rng(0).random((10, 2))
    known = history_of(points, two_bowls(points))
    order = np.random.default_rng(1).permutation(10)
    shuffled = History(
        numbers=known.numbers[order],
        points=points[order],
        values=known.values[order],
        violations=known.violations[order],
    )
    first = suggest(SQUARE, known, NOTHING, seed=3, trial_number=10)
    again = suggest(SQUARE, shuffled, NOTHING, seed=3, trial_number=10)
    np.testing.assert_array_equal(first.point, again.point)
    other = suggest(SQUARE, known, NOTHING, seed=4, trial_number=10)
    assert not np.array_equal(first.point, other.point)


@pytest.mark.parametrize("suggest", PEERS)
def test_pending_point_is_not_suggested_again(suggest):
    points = np.random.default_rng(0).random((10, 2))
    known = history_of(points, two_bowls(points))
    first = suggest(SQUARE, known, NOTHING, seed=3, trial_number=10).point
    second = suggest(SQUARE, known, first[None], seed=3, trial_number=10).point
    assert np.abs(first - second).max() > 0.02


@pytest.mark.parametrize("suggest", PEERS)
def test_integers_and_categories_get_values_of_the_space_and_no_point_twice(suggest):
    space = Space({"n": IntDistribution(1, 3), "c": CategoricalDistribution(["x", "y"])})
    points, seen = np.empty((0, space.n_columns)), []
    for number in range(6):
        values = np.stack([points.sum(1), -points.sum(1)], axis=1)
        suggestion = suggest(
            space, history_of(points, values), np.empty((0, space.n_columns)), seed=0, trial_number=number
        )
        points = np.concatenate([points, suggestion.point[None]])
        seen.append((suggestion.parameters["n"], suggestion.parameters["c"]))
    assert len(set(seen)) == 6


def test_one_objective_is_refused_by_qnehvi_with_the_name_of_another():
    points = np.random.default_rng(0).random((10, 2))
    with pytest.raises(ConfigError, match="use qparego"):
        suggest_qnehvi(SQUARE, history_of(points, points[:, :1]), NOTHING, seed=0, trial_number=10)


def test_kernel_that_a_killed_process_was_compiling_is_not_waited_for(tmp_path):
    mark = tmp_path / "logei_fused_ext" / "lock"
    mark.parent.mkdir()
    assert FileBaton(str(mark)).try_acquire()
    with compiled_kernel(tmp_path):
        again = FileBaton(str(mark))
        assert again.try_acquire()
        again.release()


def test_missing_extra_is_one_line_that_names_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tinypareto.peers.q")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tinypareto.peers.botorch_problem", None)
    with pytest.raises(ConfigError, match=r"pip install tinypareto\[bench\]"):
        make_sampler("qparego", 0, {"x": FloatDistribution(0, 1)})
