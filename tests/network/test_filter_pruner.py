import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tinypareto.errors import TrainingError
from tinypareto.network.cost import parameter_count
from tinypareto.network.filter_pruner import FilterPruner, prune_untrained
from tinypareto.network.importance import importance
from tinypareto.network.prune import PruningConfig, kept_filters

IMAGE = torch.zeros(1, 1, 8, 8)


def widths(model):
    return {
        name: layer.weight.shape[0]
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear))
    }


def l1(model):
    return importance("l1", model, IMAGE, IMAGE, F.cross_entropy)


def pruned(model, example=IMAGE, **sparsity):
    """Prune in one step by L1 and return the pruner."""
    names = {name.replace("__", "."): value for name, value in sparsity.items()}
    pruner = FilterPruner(model, example, PruningConfig(sparsity=names))
    pruner.step(1.0, l1(model))
    return pruner


class Residual(nn.Module):
    """A block whose sum couples stem and second, with one inner layer of its own."""

    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, width, 1),
        )
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.last(F.relu(x + self.block(x)).mean((2, 3)))


def test_filters_with_the_smallest_norms_go_and_the_others_stay_untouched():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3))
    with torch.no_grad():
        model[0].weight.mul_(torch.tensor([5.0, 0.1, 4.0, 0.2, 0.3, 6.0]).reshape(6, 1, 1, 1))
    first, reader = model[0].weight.clone(), model[2].weight.clone()
    pruned(model, **{"": 0.5})
    torch.testing.assert_close(model[0].weight, first[[0, 2, 5]], rtol=0, atol=0)
    torch.testing.assert_close(model[2].weight, reader[:, [0, 2, 5]], rtol=0, atol=0)


def test_pruned_network_computes_what_the_whole_one_does_with_those_filters_silenced():
    torch.manual_seed(0)
    model = Residual().eval()
    whole = copy.deepcopy(model)
    pruner = FilterPruner(model, IMAGE, PruningConfig(sparsity={"": 0.5}))
    kept = {"stem": [1, 3, 4, 6], "block.0": [0, 2, 3, 5, 8, 9, 11, 15]}

    def keep(group):
        name = {8: "stem", 16: "block.0"}[len(group[0].idxs)]
        return torch.tensor([float(channel in kept[name]) for channel in range(len(group[0].idxs))])

    assert pruner.step(1.0, keep) == 4 + 8
    with torch.no_grad():
        for layer, name in ((whole.stem, "stem"), (whole.block[3], "stem"), (whole.block[0], "block.0")):
            gone = [channel for channel in range(layer.out_channels) if channel not in kept[name]]
            layer.weight[gone] = 0
            layer.bias[gone] = 0
        whole.block[3].weight[:, [c for c in range(16) if c not in kept["block.0"]]] = 0
        samples = torch.randn(5, 1, 8, 8)
        torch.testing.assert_close(model(samples), whole(samples))


@pytest.mark.parametrize("heuristic", ["l1", "l2", "taylor", "fpgm", "apoz"])
def test_shapes_follow_from_the_settings_alone(heuristic):
    config = PruningConfig(sparsity={"": 0.3, "block": 0.7}, heuristic=heuristic)
    found = set()
    for seed in range(3):
        torch.manual_seed(seed)
        model = Residual()
        inputs, targets = torch.randn(16, 1, 8, 8), torch.arange(16) % 3
        pruner = FilterPruner(model, IMAGE, config)
        for share in (0.4, 0.8, 1.0):
            pruner.step(share, importance(heuristic, model, inputs, targets, F.cross_entropy))
        found.add(tuple(widths(model).items()))
    untrained = Residual()
    prune_untrained(untrained, IMAGE, config)
    assert found == {tuple(widths(untrained).items())}


def test_steps_arrive_where_one_step_does_for_every_width():
    for width in range(2, 12):
        config = PruningConfig(sparsity={"": 0.65})
        model = Residual(width)
        pruner = FilterPruner(model, IMAGE, config)
        for share in (0.5, 0.7, 0.99, 1.0):
            pruner.step(share, l1(model))
        assert widths(model) == {
            "stem": kept_filters(width, 0.65),
            "block.0": kept_filters(2 * width, 0.65),
            "block.3": kept_filters(width, 0.65),
            "last": 3,
        }


def test_longest_name_decides_and_coupled_layers_take_the_larger_sparsity():
    model = Residual()
    pruned(model, **{"": 0.25, "block": 0.5, "block__0": 0.75})
    assert widths(model) == {"stem": 4, "block.0": 4, "block.3": 4, "last": 3}


def test_name_matches_whole_modules_only():
    model = nn.Sequential()
    model.add_module("a", nn.Conv2d(1, 4, 1))
    model.add_module("ab", nn.Conv2d(4, 4, 1))
    model.add_module("c", nn.Conv2d(4, 4, 1))
    pruned(model, a=0.5)
    assert widths(model) == {"a": 2, "ab": 4, "c": 4}


def test_output_layer_keeps_its_width_and_the_request_is_answered():
    model = Residual()
    pruner = pruned(model, last=0.5)
    assert widths(model)["last"] == 3
    assert "sparsity 0.5 of 'last' prunes nothing" in pruner.warnings[0]


def test_too_narrow_layers_are_reported_when_a_step_removes_nothing():
    model = Residual(width=4)
    pruner = FilterPruner(model, IMAGE, PruningConfig(sparsity={"": 0.05}))
    assert pruner.step(1.0, l1(model)) == 0
    assert pruner.warnings == [
        "a pruning step to 100% of the sparsity removed no filter: "
        "to the nearest whole filter, no layer had one to give."
    ]


def test_step_that_demands_nothing_new_is_not_reported():
    model = Residual()
    pruner = FilterPruner(model, IMAGE, PruningConfig(sparsity={"": 0.5}))
    pruner.step(1.0, l1(model))
    assert pruner.step(1.0, l1(model)) == 0
    assert pruner.warnings == []


def test_last_filter_stays_and_is_reported():
    model = Residual(width=4)
    pruner = pruned(model, stem=0.95)
    assert widths(model)["stem"] == 1
    assert pruner.warnings == ["sparsity 0.95 would remove all 4 filters of stem and block.3; one is kept."]


class Depthwise(nn.Module):
    """Series: pointwise, depthwise, pointwise, as in a MobileNet."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Conv1d(3, 8, 1)
        self.depthwise = nn.Conv1d(8, 8, 5, groups=8)
        self.project = nn.Conv1d(8, 6, 1)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.project(F.relu(self.depthwise(self.expand(x)))).mean(2))


def test_depthwise_convolution_of_a_series_shrinks_with_the_layer_before_it():
    model = Depthwise()
    pruner = pruned(model, torch.zeros(1, 3, 16), **{"": 0.5})
    assert widths(model) == {"expand": 4, "depthwise": 4, "project": 3, "last": 2}
    assert model.depthwise.groups == 4
    assert pruner.warnings == []


def test_grouped_convolution_stays_unpruned_and_is_reported():
    model = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 2, 1))
    pruner = pruned(model, **{"": 0.5})
    assert widths(model)["1"] == 8
    assert any("grouped convolution" in warning for warning in pruner.warnings)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 2, 8, 8)


def test_flattened_features_shrink_with_their_channels():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    weight = model[2].weight.clone()
    with torch.no_grad():
        model[0].weight.mul_(torch.tensor([1.0, 1e-3, 1.0, 1e-3]).reshape(4, 1, 1, 1))
    pruned(model, **{"": 0.5})
    torch.testing.assert_close(
        model[2].weight, weight.reshape(5, 4, 36)[:, [0, 2]].flatten(1), rtol=0, atol=0
    )


class Fork(nn.Module):
    """Two branches side by side in one tensor."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(1, 4, 3)
        self.right = nn.Conv2d(1, 6, 3)
        self.reader = nn.Conv2d(10, 2, 1)

    def forward(self, x):
        return self.reader(F.relu(torch.cat([self.left(x), self.right(x)], 1)))


def test_branches_of_a_concatenation_are_scored_before_either_shrinks():
    model = Fork()
    zero = {"left": [0, 1], "right": [1, 3, 5]}  # these never fire
    with torch.no_grad():
        for name, channels in zero.items():
            layer = getattr(model, name)
            layer.weight.fill_(1.0)
            layer.bias.copy_(torch.arange(layer.out_channels) + 1.0)
            layer.weight[channels] = 0
            layer.bias[channels] = -1
    pruner = FilterPruner(model, IMAGE, PruningConfig(sparsity={"": 0.5}))
    pruner.step(1.0, importance("apoz", model, torch.ones(3, 1, 8, 8), None, F.cross_entropy))
    assert model.left.bias.tolist() == [3, 4]
    assert model.right.bias.tolist() == [1, 3, 5]


def test_old_gradients_are_not_carried_into_the_smaller_network():
    model = Residual()
    pruner = FilterPruner(model, IMAGE, PruningConfig(sparsity={"": 0.5}))
    model(IMAGE).sum().backward()
    pruner.step(1.0, l1(model))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_running_statistics_survive(training):
    model = Residual().train(training)
    pruned(model, **{"": 0.5})
    assert model.training is training
    assert model.block[1].num_batches_tracked == 0


def test_without_sparsity_nothing_changes():
    model = Residual()
    before = parameter_count(model)
    assert pruned(model).warnings == []
    assert parameter_count(model) == before


def test_unknown_submodule_is_rejected_with_the_names_there_are():
    with pytest.raises(TrainingError, match=r"sparsity_stage9 .* only stem, block, last; rename one"):
        FilterPruner(Residual(), IMAGE, PruningConfig(sparsity={"stage9": 0.5}))


class ConstantView(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.last = nn.Linear(4 * 36, 2)

    def forward(self, x):
        return self.last(self.conv(x).view(-1, 4 * 36))


class AddsItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.last(x + self.conv(x))


@pytest.mark.parametrize(
    ("model", "example"), [(ConstantView(), IMAGE), (AddsItsInput(), torch.zeros(1, 4, 8, 8))]
)
def test_network_that_breaks_when_pruned_is_rejected_with_a_remedy(model, example):
    with pytest.raises(TrainingError, match="take channel counts from the tensors"):
        pruned(model, example, conv=0.5)


class TwoReaders(nn.Module):
    """Its output holds the channels that another layer reads too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.inner = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.conv(x)
        return torch.cat([x.mean((2, 3)), self.inner(x).mean((2, 3))], 1)


def test_pruning_that_would_change_the_output_is_rejected_with_a_remedy():
    with pytest.raises(TrainingError, match=r"from \(1, 6\) to \(1, 4\); end the network with a layer"):
        pruned(TwoReaders(), conv=0.5)


def test_forward_pass_that_fails_is_rejected_with_a_remedy():
    with pytest.raises(TrainingError, match=r"shape \(1, 3, 8, 8\) .* mend its forward pass"):
        FilterPruner(Residual(), torch.zeros(1, 3, 8, 8), PruningConfig())


class Joined(nn.Module):
    """A depthwise layer of the channels of two layers, one behind the other."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 6, 3), nn.Conv2d(1, 5, 3)
        self.depthwise = nn.Conv2d(11, 11, 3, groups=11)
        self.last = nn.Conv2d(11, 3, 1)

    def forward(self, x):
        return self.last(self.depthwise(torch.cat([self.left(x), self.right(x)], dim=1))).mean((2, 3))


def test_layers_side_by_side_before_a_depthwise_layer_stay():
    model = Joined()
    before = widths(model)
    pruner = pruned(model, **{"": 0.5})
    assert widths(model) == before
    assert "side by side and stays unpruned" in pruner.warnings[0]
