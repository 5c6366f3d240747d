import pytest
import torch
from torch import nn

from tinypareto.network.cost import macs, parameter_count


def test_convolution_costs_its_weights_at_every_output_position():
    layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    assert macs(layer, torch.zeros(1, 3, 8, 8)) == 4 * 4 * 8 * 3 * 3 * 3


def test_depthwise_series_convolution_reads_one_channel_per_filter():
    layer = nn.Conv1d(6, 6, 5, groups=6)
    assert macs(layer, torch.zeros(1, 6, 20)) == 16 * 6 * 5


def test_normalisation_and_activation_cost_no_multiply_accumulate():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert macs(model, torch.zeros(1, 1, 2, 2)) == 4 * 4 + 16 * 2


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_mode_and_running_statistics_alone(training):
    norm = nn.BatchNorm2d(2)
    norm.train(training)
    macs(norm, torch.ones(1, 2, 3, 3))
    assert norm.training is training
    assert norm.num_batches_tracked == 0


def test_parameters_include_biases_and_normalisation():
    assert parameter_count(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))) == 2 * 4 * 9 + 4 + 8
