from dataclasses import fields

import numpy as np
import pytest
import torch
from small_onnx import steps_apart

from tinypareto.experiments.mobilenetv3_daliac import SPACE, build_model, experiment
from tinypareto.mcu.compiled_folder import compile_model
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.prune import PruningConfig
from tinypareto.network.quantize import QuantizationConfig, quantize_network
from tinypareto.network.training_config import TrainingConfig

SERIES = torch.zeros(1, 24, 1024)


def test_it_has_about_2_3_million_parameters():
    assert parameter_count(build_model({})) == pytest.approx(2.3e6, rel=0.05)


def test_width_multiplies_channels_in_eighths():
    narrow = build_model({"width": 0.5})
    assert [len(stage) for stage in narrow.blocks] == [1, 2, 5, 3]
    assert [block.narrow[0].out_channels for stage in narrow.blocks for block in stage] == [
        8, 16, 16, 24, 24, 24, 24, 24, 48, 48, 48,
    ]  # fmt: skip
    assert narrow.dense.out_features == 512
    assert [block.has_shortcut for stage in narrow.blocks for block in stage] == [
        False, False, True, False, True, True, True, True, False, True, True,
    ]  # fmt: skip


def test_blocks_are_pruned_with_their_depthwise_filters_and_shortcuts():
    pruned = build_model({"width": 0.5})
    warnings = prune_untrained(pruned, SERIES, PruningConfig(sparsity={"blocks": 0.5}))
    assert not warnings
    last = pruned.blocks.stage4[2]
    assert (last.filter[0].groups, last.narrow[0].out_channels, last.excite.squeeze.in_channels) == (
        144,
        24,
        144,
    )
    assert pruned(SERIES).shape == (1, 13)


@pytest.mark.parametrize("per_channel", [True, False])
def test_pruned_network_becomes_firmware_that_agrees_with_onnxruntime(per_channel, tmp_path):
    torch.manual_seed(0)
    network = build_model({"width": 0.25})
    series = np.random.default_rng(0).normal(size=(8, 24, 1024)).astype(np.float32)
    prune_untrained(network.eval(), SERIES, PruningConfig(sparsity={"": 0.3}))
    network.train()(torch.from_numpy(series))  # or its untrained norms let the signal fade
    config = QuantizationConfig(per_channel=per_channel)
    model = quantize_network(network.eval(), series, tmp_path, config).int8_path
    assert steps_apart(model, series).max() <= 2
    said = compile_model(model, "cortex-m4", tmp_path / "out")
    assert said["macs"] == macs(network, SERIES)
    assert said["arena_bytes"] == said["arena_lower_bound"]


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
