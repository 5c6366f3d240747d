"""When a training ends that has nothing to gain any more: values alone, no training."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinypareto.front import normalised_hypervolume
from tinypareto.stop_rule import (
    FEWEST_COURSES,
    HOPE,
    HOPE_WITH_FEWER_FILTERS,
    NEVER,
    NOTICEABLE,
    Course,
    StopRule,
    Waypoint,
    error_to_beat,
    experience,
    stop_rule,
)

SCALES = {"error": 1.0, "rom_bytes": 100.0, "flops": 100.0}


WAY = (Waypoint(epochs=2, size=3.0), Waypoint(epochs=4, size=1.0))
COURSE = Course(curve=(0.8, 0.4, 0.6, 0.3), error=0.2, waypoints=WAY)


def test_changes_of_the_network_in_training_are_those_at_the_same_share_of_its_own_epochs():
    known = experience([COURSE] * FEWEST_COURSES)
    # Half way: 0.4 / 0.8 of the first, 0.2 / 0.6 of the second, where 0.4 is of more filters and does not count.
    assert known.of_current(0.5, 0.0) == pytest.approx(0.2 / 0.6)
    assert known.of_current(0.5, 1.0) == pytest.approx(0.4 / 0.8)
    assert known.of_current(1.0, 0.5) == pytest.approx(0.2 / 0.3)


def test_changes_until_there_are_fewer_filters_are_counted_from_each_epoch_before():
    known = experience([COURSE] * FEWEST_COURSES)
    assert known.of_smaller(2.0, 2, 0.0) == pytest.approx(0.2 / 0.8)
    assert known.of_smaller(2.0, 2, 1.0) == pytest.approx(0.2 / 0.4)


def test_what_fewer_filters_cost_is_told_by_size_and_epochs():
    def change(shrinkage, own):
        return np.exp(0.5 + 0.8 * shrinkage - 0.7 * np.log(own))

    def course(shrinkage, own):
        way = (Waypoint(epochs=1, size=shrinkage), Waypoint(epochs=1 + own, size=0.0))
        return Course(curve=[0.05] * (1 + own), error=0.05 * change(shrinkage, own), waypoints=way)

    known = experience([
        course(s, own) for s, own in zip(np.linspace(0.2, 2.0, 12), [2, 5, 9] * 4, strict=True)
    ])
    for quantile in (0.1, 0.9):
        assert known.of_smaller(1.0, 7, quantile) == pytest.approx(change(1.0, 7))


def test_rule_hopes_for_each_waypoint_by_what_it_is():
    known = experience([COURSE] * FEWEST_COURSES)
    rule = stop_rule(known, WAY, [0.1, 0.2])
    assert (rule.waypoints, rule.to_beat, len(rule.hoped)) == ((2, 4), (0.1, 0.2), 3)
    assert rule.hoped[0] == (known.of_current(0.5, HOPE), known.of_smaller(2.0, 2, HOPE_WITH_FEWER_FILTERS))
    assert rule.hoped[2][1] == known.of_current(0.5, HOPE)
    assert rule.usual == (
        known.of_smaller(2.0, 2, 0.5),
        known.of_smaller(2.0, 2, 0.5),
        known.of_current(0.5, 0.5),
    )


def test_too_few_courses_tell_nothing():
    unwatched = replace(COURSE, curve=())
    assert experience([COURSE] * (FEWEST_COURSES - 1) + [unwatched]) is None


def test_where_nothing_was_pruned_yet_everything_is_hoped_for():
    course = Course(curve=(0.8, 0.4), error=0.2, waypoints=(Waypoint(epochs=2, size=3.0),))
    rule = stop_rule(experience([course] * FEWEST_COURSES), WAY, [0.0, 0.1])
    assert rule.hoped[0][1] == 0.0
    assert not rule.ends([0.9])
    alone = stop_rule(experience([course] * FEWEST_COURSES), course.waypoints, [0.1])
    assert alone.hoped == ((pytest.approx(0.25),),)
    assert alone.ends([0.41])
    assert not alone.ends([0.39])


def test_errors_of_zero_give_no_warning():
    known = experience([replace(COURSE, curve=(0.0,) * 4, error=0.0)] * FEWEST_COURSES)
    assert known.of_current(0.5, 0.5) == pytest.approx(1.0)
    assert known.of_smaller(2.0, 2, 0.5) == pytest.approx(1.0)


def test_training_ends_where_hope_does_not_beat_what_is_there():
    rule = StopRule(
        waypoints=(2, 4),
        hoped=((0.5, 1.0), (9.0, 2.0), (9.0, 0.5)),
        to_beat=(0.2, 0.3),
        usual=(0.7, 0.8, 0.9),
    )
    assert not rule.ends([0.39])
    assert not rule.ends([0.29])  # the second may still beat 0.3
    assert rule.ends([0.4])
    assert rule.ends([0.9, 0.15])  # the first is there
    assert not rule.ends([0.1, 0.2])  # the better one of two epochs counts
    assert rule.ends([0.1, 0.1, 0.7])  # but not one with more filters
    assert not rule.ends([0.1, 0.1, 0.5])
    assert not rule.ends([0.9, 0.9, 0.9, 0.9])  # it is over anyway
    assert not NEVER.ends([1.0])
    assert rule.expected([0.9, 0.5]) == pytest.approx(0.4)
    assert rule.expected([0.3, 0.5, 0.6]) == pytest.approx(0.54)


networks = st.lists(st.tuples(*(st.integers(1, 9) for _ in SCALES)), max_size=8)


@given(networks, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_error_to_beat_is_where_a_network_begins_to_add_a_noticeable_share(found, sizes):
    values = np.array([[e / 10, 10.0 * a, 10.0 * b] for e, a, b in found]).reshape(-1, 3)
    front = [dict(zip(SCALES, row, strict=True)) for row in values]
    known = {"rom_bytes": 10.0 * sizes[0], "flops": 10.0 * sizes[1]}
    error = error_to_beat(known, front, SCALES)

    def share(at):
        new = np.vstack([values, [at, known["rom_bytes"], known["flops"]]])
        before, after = (normalised_hypervolume(some, list(SCALES.values())) for some in (values, new))
        return after / before - 1 if before else after

    least = NOTICEABLE if found else 0.0
    assert error == 0.0 or share(error - 1e-5) > least - 1e-9
    assert share(error + 1e-5) <= least + 1e-9


def test_network_that_is_hardly_smaller_has_little_to_gain():
    front = [{"error": 0.1, "rom_bytes": 50.0, "flops": 50.0}]  # 0.9 x 0.5 x 0.5
    assert error_to_beat({"rom_bytes": 40.0, "flops": 50.0}, front, SCALES) == pytest.approx(
        # (1 - e) x 0.6 x 0.5 is a little more, also with an error above that of the network which is there
        1 - (0.9 * 0.5 * 0.5 * NOTICEABLE) / (0.1 * 0.5),
        abs=1e-5,
    )
    assert error_to_beat({"rom_bytes": 49.99, "flops": 50.0}, front, SCALES) < 0.1
    assert error_to_beat({"rom_bytes": 50.0, "flops": 50.0}, [{**front[0], "error": 1e-5}], SCALES) == 0.0
