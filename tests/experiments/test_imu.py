import numpy as np
import pytest

from tinypareto.evaluation import evaluate
from tinypareto.experiment import train_and_prune
from tinypareto.experiments.imu import SPACE, build_model, experiment, load_data
from tinypareto.network.cost import parameter_count
from tinypareto.network.metrics import error
from tinypareto.network.prune import PruningConfig
from tinypareto.network.train import build_network, predict
from tinypareto.space import Space
from tinypareto.static_footprint import KNOWN, StaticFootprint

GOOD = {
    "width": 1.0,
    "epochs": 12,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "weight_decay": 1e-4,
    "sparsity_stem": 0.2,
    "sparsity_blocks.stage1": 0.3,
    "sparsity_blocks.stage2": 0.4,
    "sparsity_head": 0.5,
    "pruning_start": 0.4,
    "pruning_steps": 2,
    "pruning_schedule": "agp",
    "pruning_heuristic": "l2",
    "per_channel": True,
}


@pytest.fixture(scope="module")
def data():
    return load_data()


def test_data_is_always_the_same_and_every_activity_as_frequent(data):
    assert load_data().fingerprint() == data.fingerprint()
    for split in (data.train, data.validation, data.test):
        assert len(set(np.bincount(split.targets))) == 1
    assert (data.sample_shape, data.classes) == ((6, 128), 5)


def test_data_is_normalised_by_the_training_people_alone(data):
    np.testing.assert_allclose(data.train.inputs.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.inputs.std((0, 2)), 1, atol=1e-5)
    assert not np.allclose(data.test.inputs.mean((0, 2)), 0, atol=1e-3)


def test_a_good_network_errs_on_new_people_but_far_less_than_by_chance(data):
    trained = train_and_prune(build_network(build_model, GOOD, data, seed=0), data, GOOD, seed=0)
    assert trained.warnings == ()
    assert 0.02 < error(predict(trained.model, data.test.inputs), data.test.targets) < 0.3


def test_every_sparsity_names_a_part_of_the_network():
    space = Space(SPACE)
    for shares in np.random.default_rng(0).random((5, space.n_free)):
        parameters = space.decode(space.from_shares(shares[None])[0])
        model = build_model(parameters)
        for name in PruningConfig.from_parameters(parameters).sparsity:
            assert parameter_count(model.get_submodule(name)) > 0


def test_sizes_known_beforehand_are_those_of_a_whole_trial(data, tmp_path):
    brief = {**GOOD, "epochs": 2}
    known = StaticFootprint(experiment, data)(brief)
    evaluation = evaluate(experiment, data, brief, 0, tmp_path)
    for name in KNOWN:
        assert evaluation.measured[name] == getattr(known, name)


def test_limits_part_the_space(data):
    footprint, space = StaticFootprint(experiment, data), Space(SPACE)
    fitting = []
    for shares in np.random.default_rng(0).random((30, space.n_free)):
        sizes = footprint(space.decode(space.from_shares(shares[None])[0]))
        fitting.append(all(getattr(sizes, name) <= limit for name, limit in experiment.limits.items()))
    assert 0.2 < np.mean(fitting) < 0.95
