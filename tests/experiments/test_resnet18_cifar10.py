import numpy as np
import pytest
import torch
from small_onnx import steps_apart

from tinypareto.experiments.resnet18_cifar10 import build_model
from tinypareto.mcu.compiled_folder import compile_model
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.prune import PruningConfig
from tinypareto.network.quantize import QuantizationConfig, quantize_network

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
