from dataclasses import fields

import numpy as np
import pytest
import torch
from small_data import cifar_batches, write_cifar_binary
from small_onnx import steps_apart

from tinypareto.evaluation import evaluate
from tinypareto.experiments.resnet18_cifar10 import SPACE, build_model, experiment
from tinypareto.mcu.compiled_folder import compile_model
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.prune import PruningConfig
from tinypareto.network.quantize import QuantizationConfig, quantize_network
from tinypareto.network.training_config import TrainingConfig
from tinypareto.space import Space
from tinypareto.static_footprint import KNOWN, StaticFootprint

IMAGE = torch.zeros(1, 3, 32, 32)


def test_it_has_about_1_6_million_parameters_and_237_million_macs():
    network = build_model({})
    assert parameter_count(network) == pytest.approx(1.6e6, rel=0.05)
    assert macs(network, IMAGE) == 237_258_624


def test_filters_of_each_stage_are_pruned_by_its_own_sparsity():
    pruned = build_model({"width": 16})
    config = PruningConfig(sparsity={"stage2": 0.5, "stage3": 0.8})
    warnings = prune_untrained(pruned, IMAGE, config)
    assert not warnings
    widths = [pruned.get_submodule(f"stage{stage}.1.conv2").out_channels for stage in (1, 2, 3)]
    assert widths == [16, 16, 13]
    assert pruned(IMAGE).shape == (1, 10)


def test_pruned_network_becomes_firmware_that_agrees_with_onnxruntime(tmp_path):
    torch.manual_seed(0)
    network = build_model({"width": 8}).eval()
    prune_untrained(network, IMAGE, PruningConfig(sparsity={"": 0.4}))
    images = np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)
    model = quantize_network(network, images, tmp_path, QuantizationConfig()).int8_path
    assert steps_apart(model, images).max() <= 2
    said = compile_model(model, "cortex-m4", tmp_path / "out")
    assert said["macs"] == macs(network, IMAGE)


def test_every_sparsity_of_the_space_names_a_part_and_every_other_name_is_read():
    network = build_model({})
    for name in PruningConfig.from_parameters({
        name: 0.5 for name in SPACE if name.startswith("sparsity")
    }).sparsity:
        assert parameter_count(network.get_submodule(name)) > 0
    read = {item.name for config in (TrainingConfig, QuantizationConfig) for item in fields(config)}
    assert {name for name in SPACE if not name.startswith(("sparsity", "pruning"))} <= read


def test_experiment_has_the_published_limits():
    assert experiment.limits == {"rom_bytes": 1000 * 1024, "ram_bytes": 256 * 1024, "flops": 1e9}
    assert experiment.objectives == ("error", "rom_bytes", "ram_bytes", "flops")


def test_brief_trial_on_small_made_up_images_gives_firmware_of_the_known_sizes(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYPARETO_CACHE", str(tmp_path / "cache"))
    data = experiment.read_data(write_cifar_binary(tmp_path / "cifar", cifar_batches()))
    space = Space(SPACE)
    middle = space.decode(space.from_shares(np.full((1, space.n_free), 0.5))[0])
    # Half of each stage would still be 60 million multiply-accumulates, a minute in the simulator.
    sparsities = {name: 0.9 for name in SPACE if name.startswith("sparsity")}
    brief = {**middle, **sparsities, "epochs": 1, "pruning_steps": 1, "pruning_heuristic": "taylor"}
    brief |= {"augmentation": "shift-and-mirror", "batch_size": 64}
    folder = tmp_path / "trial"
    folder.mkdir()
    known = StaticFootprint(experiment, data)(brief)
    evaluation = evaluate(experiment, data, brief, 0, folder)
    assert {name: evaluation.measured[name] for name in KNOWN} == {
        name: getattr(known, name) for name in KNOWN
    }
    assert set(evaluation.seconds) == {"train", "quantize", "compile", "validate", "simulate"}
    assert all(evaluation.measured[name] < limit for name, limit in experiment.limits.items())
