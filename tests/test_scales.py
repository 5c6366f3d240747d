import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from small_experiments import build_model, iris, load_data

from tinypareto.errors import ExperimentError
from tinypareto.scales import largest_parameters, objective_scales


@pytest.fixture(scope="module")
def data():
    return load_data()


def test_largest_network_is_found_per_parameter(data):
    space = {"width": IntDistribution(4, 32), "depth": CategoricalDistribution([1, 3, 2])}

    def build(parameters):
        return build_model({"width": parameters["width"] * parameters["depth"]})

    assert largest_parameters(iris(space=space, build_model=build), data) == {"width": 32, "depth": 3}


def test_scales_are_limits_chance_and_the_largest_networks_needs(data, tmp_path):
    scales = objective_scales(iris(), data, tmp_path)
    assert scales["error"] == pytest.approx(2 / 3)
    assert scales["rom_bytes"] == 16 * 1024
    assert scales["flops"] == 2 * (4 * 32 + 32 * 3)
    assert 32 < scales["ram_bytes"] < 1024


def test_scale_of_a_regression_error_must_be_given(tmp_path, data):
    regression = iris(objectives=("energy",), limits={}, measure=lambda folder: {"energy": 0.0})
    with pytest.raises(ExperimentError, match=r'needs a scale .* give scales=\{"energy"'):
        objective_scales(regression, data, tmp_path)
