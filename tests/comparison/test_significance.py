import pytest

from tinypareto.comparison.significance import holm_corrected, paired_p_value


def test_holm_correction_solved_by_hand():
    corrected = holm_corrected({"a": 0.01, "b": 0.04, "c": 0.03})
    assert corrected == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm_corrected({"a": 0.9, "b": 0.8})["a"] == 1.0


def test_signed_rank_test_solved_by_hand():
    # Differences 1, 2, 3, -4, 5: negative ranks sum to 4; 7 of the 32 sign patterns have a sum of 4 or less.
    assert paired_p_value([1, 2, 3, 0, 5], [0, 0, 0, 4, 0]) == pytest.approx(7 / 32)


def test_winning_everywhere_gives_the_smallest_p_and_losing_everywhere_1():
    ours, theirs = [3.0, 4.5, 6.0, 7.5, 9.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    assert paired_p_value(ours, theirs) == pytest.approx(1 / 32)
    assert paired_p_value(theirs, ours) == pytest.approx(1.0)


def test_no_difference_is_no_evidence():
    assert paired_p_value([1.0, 2.0], [1.0, 2.0]) == 1.0
