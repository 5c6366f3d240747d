import copy

import numpy as np
import pytest
import torch
from torch import nn

from tinypareto.experiments import digits, mobilenetv3_daliac
from tinypareto.network.filter_pruner import prune_untrained
from tinypareto.network.prune import PruningConfig
from tinypareto.network.pruned_shapes import trace_pruned_shapes

IMAGE = torch.zeros(1, 1, 8, 8)


class Mixed(nn.Module):
    """Channels side by side, a depthwise layer, a grouped one that stays, and images flattened for a dense layer."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(1, 6, 3, padding=1)
        self.right = nn.Conv2d(1, 5, 3, padding=1)
        self.depthwise = nn.Conv2d(11, 11, 3, stride=4, groups=11)
        self.wide = nn.Conv2d(11, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.dense = nn.Linear(8 * 4, 7)
        self.classifier = nn.Linear(7, 3)

    def forward(self, x):
        x = self.depthwise(torch.cat([self.left(x), self.right(x)], dim=1))
        return self.classifier(self.dense(self.grouped(self.wide(x)).flatten(1)))


def shapes_after(model, example, config):
    pruned = copy.deepcopy(model)
    prune_untrained(pruned, example, config)
    return {name: tuple(parameter.shape) for name, parameter in pruned.named_parameters()}


NETWORKS = {
    "residual": (lambda: digits.build_model({"width": 8}), IMAGE),
    "mixed": (Mixed, IMAGE),
    "inverted": (lambda: mobilenetv3_daliac.build_model({}), torch.zeros(1, 24, 64)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_a_network_that_was_pruned(name):
    build, example = NETWORKS[name]
    model = build()
    children = [child for child, _ in model.named_children()]
    shapes = trace_pruned_shapes(model, example)
    rng = np.random.default_rng(0)
    for _ in range(4):
        config = PruningConfig(sparsity={child: float(rng.uniform(0, 0.99)) for child in children})
        assert shapes.of(shapes.kept(config)) == shapes_after(model, example, config)


def test_solved_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    shapes = trace_pruned_shapes(model, IMAGE)
    kept = shapes.kept(PruningConfig(sparsity={"": 0.5}))
    assert kept == (2,)
    assert shapes.of(kept) == {
        "0.weight": (2, 1, 3, 3),
        "0.bias": (2,),
        "2.weight": (2, 2 * 36),
        "2.bias": (2,),
    }


def test_the_network_stays_as_it_is():
    model = Mixed()
    before = copy.deepcopy(model.state_dict())
    trace_pruned_shapes(model, IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_single_filter_cannot_go():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2))
    shapes = trace_pruned_shapes(model, IMAGE)
    assert shapes.of(shapes.kept(PruningConfig(sparsity={"": 0.9}))) == shapes.unpruned
