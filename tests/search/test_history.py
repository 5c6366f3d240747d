import numpy as np
import pytest

from tinypareto.errors import ShapeError
from tinypareto.search.history import History


def history(**arrays):
    return History(**{
        "numbers": np.arange(3),
        "points": np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 0.25]]),
        "values": np.ones((3, 2)),
        "violations": np.empty((3, 0)),
        **arrays,
    })


def test_suggested_points_leave_open_what_was_not_asked_for_and_leave_out_what_was_on_the_way():
    unasked = np.array([[False, True], [False, True], [False, False]])
    known = history(unasked=unasked, fidelities=np.array([1.0, 0.5, 0.0]))
    before = known.points.copy()
    np.testing.assert_array_equal(known.suggested(), [[0.0, np.nan], [1.0, 0.25]])
    np.testing.assert_array_equal(known.points, before)
    np.testing.assert_array_equal(known.rows(np.array([2, 1])).unasked, unasked[[2, 1]])


def test_everything_was_asked_for_unless_it_is_said():
    np.testing.assert_array_equal(history().suggested(), history().points)


def test_unasked_of_another_shape_is_rejected_with_a_remedy():
    with pytest.raises(ShapeError, match="leave it out where every parameter was asked for"):
        history(unasked=np.zeros((3, 1), dtype=np.bool_))
