"""When a training ends that has nothing to gain any more: values alone, no training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinypareto.front import normalised_hypervolume
from tinypareto.stop_rule import FEWEST_CURVES, NOTICEABLE, StopRule, error_to_beat, factors

SCALES = {"error": 1.0, "rom_bytes": 100.0, "flops": 100.0}


def test_factors_of_equal_curves_are_what_each_still_gained():
    # The better one of two epochs: 0.8, 0.4, 0.4, 0.2; the best one later, firmware included: 0.3, 0.2, 0.2, 0.2.
    hoped, usual = factors([(0.8, 0.4, 0.6, 0.2, 0.3)] * FEWEST_CURVES, epochs=4)
    assert hoped == pytest.approx((0.25, 0.5, 0.5))
    assert usual == pytest.approx((0.375, 0.75, 0.75))


def test_factors_of_another_number_of_epochs_are_taken_where_the_same_share_was_done():
    curve = (0.8, 0.4, 0.2, 0.1, 0.1)  # four epochs
    assert factors([curve] * FEWEST_CURVES, epochs=2)[0] == pytest.approx((0.25,))
    assert factors([curve] * FEWEST_CURVES, epochs=8)[0] == pytest.approx((
        0.125,
        0.125,
        0.25,
        0.25,
        0.5,
        0.5,
        1.0,
    ))


def test_two_trainings_in_five_did_better_than_is_hoped_for():
    curves = [(1.0, gain, gain) for gain in np.linspace(0.0, 1.0, 101)]
    hoped, usual = factors(curves, epochs=2)
    assert hoped == pytest.approx((0.4,))
    assert usual == pytest.approx((0.5,))


def test_too_few_curves_tell_nothing():
    curve = (0.8, 0.4, 0.4)
    assert factors([curve] * (FEWEST_CURVES - 1), epochs=2) is None
    assert (
        factors([(), (0.4, 0.4)] * FEWEST_CURVES, epochs=2) is None
    )  # not watched, and nothing to learn from


def test_error_that_reached_zero_leaves_no_hope_and_no_warning():
    assert factors([(0.0, 0.0, 0.0)] * FEWEST_CURVES, epochs=2) == ((0.0,), (0.0,))


def test_training_ends_where_hope_does_not_beat_what_is_there():
    rule = StopRule(factors=(0.5, 0.5, 0.9), to_beat=(0.2, 0.2, 0.3), usual=(0.7, 0.8, 0.9))
    assert not rule.ends([0.39])
    assert rule.ends([0.4])
    assert rule.ends([0.9, 0.5])
    assert not rule.ends([0.3, 0.5])  # the better one of two epochs counts
    assert not rule.ends([0.9, 0.9, 0.3])
    assert not rule.ends([0.9, 0.9, 0.9, 0.9])  # it is over anyway
    assert not StopRule(factors=(), to_beat=(), usual=()).ends([1.0])
    assert rule.expected([0.9, 0.5]) == pytest.approx(0.4)
    assert rule.expected([0.3, 0.5, 0.6]) == pytest.approx(0.45)


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
