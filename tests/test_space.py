import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.errors import SpaceError
from tinypareto.space import Space

DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "share": FloatDistribution(-1.0, 1.0),
    "stepped": FloatDistribution(0.0, 1.0, step=0.25),
    "width": IntDistribution(4, 32, step=4),
    "size": IntDistribution(1, 1024, log=True),
    "flag": CategoricalDistribution([True, False]),
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "fixed": IntDistribution(3, 3),
}
SPACE = Space(DISTRIBUTIONS)


def test_every_point_decodes_to_values_of_its_distributions():
    for point in np.random.default_rng(0).random((200, SPACE.n_columns)):
        parameters = SPACE.decode(point)
        assert SPACE.contains(parameters)
        for name, kind in DISTRIBUTIONS.items():
            assert kind._contains(kind.to_internal_repr(parameters[name]))


def test_rounding_is_what_encoding_a_decoded_point_gives():
    points = np.random.default_rng(1).random((100, SPACE.n_columns))
    rounded = SPACE.round_points(points)
    again = np.array([SPACE.encode(SPACE.decode(point)) for point in points])
    np.testing.assert_allclose(rounded, again, atol=1e-12)
    np.testing.assert_allclose(SPACE.round_points(rounded), rounded, atol=1e-12)


def test_logarithmic_parameter_has_its_geometric_mean_in_the_middle():
    space = Space({"rate": FloatDistribution(1e-4, 1e-1, log=True)})
    assert space.decode(np.array([0.5]))["rate"] == pytest.approx(10**-2.5)


def test_uniform_points_give_each_grid_value_an_equal_share():
    space = Space({"width": IntDistribution(4, 32, step=4)})
    shares = (np.arange(8000) + 0.5)[:, None] / 8000
    values = [space.decode(point)["width"] for point in space.round_points(space.from_shares(shares))]
    _, counts = np.unique(values, return_counts=True)
    assert counts.tolist() == [1000] * 8


def test_categories_are_told_from_numbers_parameter_by_parameter():
    free = [name for name in SPACE.names if name != "fixed"]
    assert [name for name, yes in zip(free, SPACE.categorical, strict=True) if yes] == ["flag", "kind"]


def test_levels_and_columns_of_each_parameter():
    space = Space({name: DISTRIBUTIONS[name] for name in ("fixed", "kind", "size", "stepped")})
    assert [len(levels) for levels in space.levels(at_most=4)] == [3, 4, 4]
    assert [len(levels) for levels in space.levels(at_most=2000)] == [3, 1024, 5]
    point = np.concatenate([levels[1] for levels in space.levels(at_most=2)])
    assert space.decode(point) == {"fixed": 3, "kind": "b", "size": 2, "stepped": 0.25}
    assert space.columns_of(["kind", "stepped", "fixed"]).tolist() == [True, True, True, False, True]
    with pytest.raises(SpaceError, match="give every float a step"):
        SPACE.levels(at_most=2)


def test_order_of_the_dict_does_not_matter():
    turned = Space(dict(reversed(DISTRIBUTIONS.items())))
    point = np.random.default_rng(2).random(SPACE.n_columns)
    assert turned.decode(point) == SPACE.decode(point)


def test_arguments_stay_as_they_are():
    points = np.random.default_rng(3).random((5, SPACE.n_columns))
    before = points.copy()
    SPACE.round_points(points)
    assert np.array_equal(points, before)


def test_empty_space_is_rejected():
    with pytest.raises(SpaceError):
        Space({})
