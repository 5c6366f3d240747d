import numpy as np
import onnx
import optuna
import pytest
import torch
from sklearn.datasets import load_digits

from tinypareto.experiment import Experiment, quantize_after_training, train_and_prune
from tinypareto.experiments.digits import SPACE, build_model, experiment, load_data
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.metrics import error
from tinypareto.network.prune import PruningConfig
from tinypareto.network.quantize import run_onnx
from tinypareto.network.train import build_network, predict

IMAGE = torch.zeros(1, 1, 8, 8)

TINY = {  # about 6 KB of weights
    "width": 20,
    "epochs": 14,
    "batch_size": 32,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 1e-4,
    "sparsity_stage1": 0.75,
    "sparsity_stage2": 0.75,
    "sparsity_stage3": 0.8,
    "pruning_start": 0.2,
    "pruning_steps": 4,
    "pruning_schedule": "agp",
    "pruning_heuristic": "taylor",
    "per_channel": True,
}


def random_parameters(count, seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [study.ask(dict(SPACE)).params for _ in range(count)]


@pytest.fixture(scope="module")
def data():
    return load_data()


def test_all_digits_are_there_once(data):
    images, labels = load_digits(return_X_y=True)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1078, 359, 360]
    found = sorted(
        (int(label), (image * 16).astype(int).tobytes())
        for split in splits
        for image, label in zip(split.inputs, split.targets, strict=True)
    )
    assert found == sorted(
        (int(label), image.astype(int).tobytes()) for image, label in zip(images, labels, strict=True)
    )


def test_every_split_holds_every_digit_alike(data):
    for split in (data.train, data.validation, data.test):
        share = np.bincount(split.targets, minlength=10) / len(split)
        assert 0.09 < share.min() < share.max() < 0.11


def test_grey_values_lie_between_zero_and_one(data):
    assert data.sample_shape == (1, 8, 8)
    assert (data.train.inputs.min(), data.train.inputs.max()) == (0, 1)


def test_split_is_always_the_same(data):
    np.testing.assert_array_equal(load_data().test.inputs, data.test.inputs)


def test_width_eight_costs_what_counting_by_hand_gives():
    # stem; stage 1 (two 3x3); stages 2 and 3 (3x3, 3x3, 1x1 shortcut each); classifier
    weights = 9 * 8, 2 * 9 * 64, 9 * 8 * 16 + 9 * 256 + 8 * 16, 9 * 16 * 32 + 9 * 1024 + 16 * 32, 32 * 10
    positions = 64, 64, 16, 4, 1
    norms = 2 * (8 + 2 * 8 + 3 * 16 + 3 * 32)
    model = build_model({"width": 8})
    assert parameter_count(model) == sum(weights) + norms + 10
    assert macs(model, IMAGE) == sum(w * p for w, p in zip(weights, positions, strict=True))


def test_each_stage_has_its_own_sparsity():
    whole = build_model({"width": 16})
    for stage in ("stage1", "stage2", "stage3"):
        model = build_model({"width": 16})
        assert prune_untrained(model, IMAGE, PruningConfig(sparsity={stage: 0.5})) == ()
        for name in ("stage1", "stage2", "stage3"):
            for layer in ("conv1", "conv2"):
                halved = getattr(getattr(model, name), layer).out_channels
                width = getattr(getattr(whole, name), layer).out_channels
                assert halved == (width // 2 if name == stage else width)


def test_space_holds_small_and_large_networks():
    weights = []
    for parameters in random_parameters(60, seed=0):
        model = build_model(parameters)
        prune_untrained(model, IMAGE, PruningConfig.from_parameters(parameters))
        weights.append(sum(parameter.numel() for parameter in model.parameters() if parameter.ndim > 1))
    assert (
        np.mean(np.array(weights) > experiment.limits["rom_bytes"]) > 0.1
    )  # too large by their weights alone
    assert np.mean(np.array(weights) < 14 * 1024) > 0.1


def test_every_sparsity_of_the_space_names_a_stage():
    for parameters in random_parameters(20, seed=1):
        asked = PruningConfig.from_parameters(parameters)
        assert set(asked.sparsity) == {"stage1", "stage2", "stage3"}


def test_experiment_is_complete():
    assert isinstance(experiment, Experiment)
    assert experiment.name == "digits"
    assert set(experiment.limits) == {"rom_bytes", "ram_bytes"}


@pytest.fixture(scope="module")
def tiny(data, tmp_path_factory):
    trained = train_and_prune(build_network(build_model, TINY, data, seed=0), data, TINY, seed=0)
    return trained, quantize_after_training(trained, data, TINY, 0, tmp_path_factory.mktemp("tiny"))


def test_six_kilobytes_of_weights_read_digits(data, tiny):
    trained, quantized = tiny
    assert trained.parameters < 7 * 1024
    assert trained.warnings == ()
    assert error(run_onnx(quantized.int8_path, data.test.inputs), data.test.targets) <= 0.03


def test_int8_loses_almost_nothing(data, tiny):
    trained, quantized = tiny
    exact = error(predict(trained.model, data.validation.inputs), data.validation.targets)
    rounded = error(run_onnx(quantized.int8_path, data.validation.inputs), data.validation.targets)
    assert abs(rounded - exact) <= 0.015


def test_compiler_can_read_every_operator(tiny):
    names = {node.op_type for node in onnx.load(tiny[1].int8_path).graph.node}
    assert names == {"QuantizeLinear", "DequantizeLinear", "Conv", "Add", "ReduceMean", "Gemm"}


@pytest.mark.parametrize("parameters", random_parameters(3, seed=2))
def test_random_settings_run_to_the_end(data, tmp_path, parameters):
    brief = {**parameters, "epochs": 6}
    trained = train_and_prune(build_network(build_model, brief, data, seed=1), data, brief, seed=1)
    quantized = quantize_after_training(trained, data, brief, 1, tmp_path)
    untrained = build_model(brief)
    prune_untrained(untrained, IMAGE, PruningConfig.from_parameters(brief))
    assert (trained.parameters, trained.macs) == (parameter_count(untrained), macs(untrained, IMAGE))
    exact = predict(trained.model, data.validation.inputs).argmax(1)
    assert (run_onnx(quantized.int8_path, data.validation.inputs).argmax(1) == exact).mean() > 0.9
