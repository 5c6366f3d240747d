import numpy as np

from tinypareto.search.starts import promising_points, starting_points

NO_LIMITS = np.empty((4, 0))


def test_front_is_what_is_clustered():
    points = np.array([[0.1, 0.1], [0.9, 0.9], [0.5, 0.5], [0.2, 0.8]])
    values = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 3.0]])
    chosen = promising_points(points, values, NO_LIMITS, 2)
    np.testing.assert_array_equal(chosen, points[:2])


def test_infeasible_points_come_last():
    points = np.array([[0.1], [0.2], [0.3], [0.4]])
    values = np.array([[0.0], [1.0], [2.0], [3.0]])
    violations = np.array([[5.0], [-1.0], [-1.0], [-1.0]])
    np.testing.assert_array_equal(promising_points(points, values, violations, 1), [[0.2]])


def test_centres_of_two_clear_clusters_are_found():
    rng = np.random.default_rng(0)
    points = np.concatenate([0.2 + 0.01 * rng.random((20, 2)), 0.8 + 0.01 * rng.random((20, 2))])
    values = np.stack([points[:, 0], -points[:, 0]], axis=1)  # all of them form the front
    starts = np.sort(starting_points(points, values, np.empty((40, 0)), 2, np.random.default_rng(1)), axis=0)
    np.testing.assert_allclose(starts, [[0.205, 0.205], [0.805, 0.805]], atol=0.01)


def test_missing_starts_are_filled_up():
    starts = starting_points(
        np.array([[0.5, 0.5]]), np.array([[1.0]]), np.empty((1, 0)), 5, np.random.default_rng(0)
    )
    assert starts.shape == (5, 2)
    assert len(np.unique(starts, axis=0)) == 5


def test_no_start_at_the_front_is_none():
    known = np.array([[0.2, 0.4], [0.6, 0.8]]), np.array([[1.0], [2.0]]), np.empty((2, 0))
    assert starting_points(*known, 0, np.random.default_rng(0)).shape == (0, 2)
