import pytest
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from tinypareto.network.importance import HEURISTICS, PRODUCERS, importance


def groups_of(model, example):
    """Return the groups by the names of the layers whose filters they hold."""
    graph = tp.DependencyGraph().build_dependency(model, (example,))
    names = {module: name for name, module in model.named_modules()}
    return {
        names[member.dep.target.module]: group
        for group in graph.get_all_groups()
        for member in group.items
        if member.dep.handler in PRODUCERS
    }


def with_filters(filters):
    """Return conv (no bias), ReLU and a reader, the conv's filters as given: one list per filter."""
    weight = torch.tensor(filters, dtype=torch.float32)
    model = nn.Sequential(
        nn.Conv2d(weight.shape[1], len(weight), 1, bias=False), nn.ReLU(), nn.Conv2d(len(weight), 2, 1)
    )
    with torch.no_grad():
        model[0].weight.copy_(weight[:, :, None, None])
    return model


def scores(heuristic, model, inputs, targets=None, loss=F.cross_entropy, group="0"):
    score = importance(heuristic, model, inputs, targets, loss)
    return score(groups_of(model, inputs[:1])[group])


def test_l1_adds_magnitudes_and_l2_squares():
    model = with_filters([[3.0, -3.0], [5.0, 0.0], [0.0, 1.0]])
    inputs = torch.ones(1, 2, 1, 1)
    torch.testing.assert_close(scores("l1", model, inputs), torch.tensor([6.0, 5.0, 1.0]))
    torch.testing.assert_close(scores("l2", model, inputs), torch.tensor([18.0**0.5, 5.0, 1.0]))


def test_fpgm_prefers_the_filter_far_from_the_others_and_sees_signs():
    model = with_filters([[1.0, 0.0], [1.0, 0.5], [-1.0, 0.0]])
    expected = [0.5 + 2.0, 0.5 + (4 + 0.25) ** 0.5, 2.0 + (4 + 0.25) ** 0.5]
    torch.testing.assert_close(scores("fpgm", model, torch.ones(1, 2, 1, 1)), torch.tensor(expected))


def test_apoz_counts_what_the_next_layer_reads_as_zero():
    model = with_filters([[1.0], [-1.0], [0.0]])
    inputs = torch.tensor([1.0, 2.0, 3.0, -4.0]).reshape(4, 1, 1, 1)
    torch.testing.assert_close(scores("apoz", model, inputs), torch.tensor([0.75, 0.25, 0.0]))


def test_apoz_carries_flattened_features_back_to_their_channel():
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
    inputs = torch.tensor([1.0, 2.0, 3.0, -4.0]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(scores("apoz", model, inputs), torch.tensor([0.75, 0.25]))


def test_taylor_is_the_product_of_weight_and_gradient():
    model = with_filters([[1.0, 2.0], [0.5, 1.0]])
    inputs = torch.tensor([[1.0, 3.0]]).reshape(1, 2, 1, 1)
    # loss = sum of reader_k * relu(w_k . x), so dloss/dw_kj = reader_k * x_j: score_k = reader_k * sum |w_kj * x_j|
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([[1.0, -10.0], [0.0, 0.0]]).reshape(2, 2, 1, 1))
    found = scores("taylor", model, inputs, None, lambda outputs, _: outputs.sum())
    torch.testing.assert_close(found, torch.tensor([1 + 6.0, 10 * (0.5 + 3.0)]))


class Residual(nn.Module):
    """stem and inner are coupled by their sum."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        return self.last(F.relu(x + self.inner(x)).mean((2, 3)))


@pytest.fixture
def residual():
    torch.manual_seed(0)
    return Residual()


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 5, 5, generator=generator), torch.arange(12) % 3


def slow_taylor(layer, channel):
    return float((layer.weight[channel] * layer.weight.grad[channel]).detach().abs().sum())


def test_coupled_layers_score_the_mean_of_their_own_scores(residual, samples):
    found = {name: scores(name, residual, *samples, group="stem") for name in ("l1", "l2", "fpgm", "taylor")}
    residual.eval()
    F.cross_entropy(residual(samples[0]), samples[1]).backward()
    for channel in range(4):
        layers = [residual.stem, residual.inner]
        weights = [layer.weight[channel] for layer in layers]
        distances = [
            sum(float((w[channel] - other).norm().detach()) for other in w)
            for w in (layer.weight for layer in layers)
        ]
        expected = {
            "l1": sum(float(w.detach().abs().sum()) for w in weights) / 2,
            "l2": sum(float(w.detach().square().sum()) ** 0.5 for w in weights) / 2,
            "fpgm": sum(distances) / 2,
            "taylor": sum(slow_taylor(layer, channel) for layer in layers) / 2,
        }
        for name, value in expected.items():
            assert float(found[name][channel]) == pytest.approx(value, rel=1e-4), name


def test_apoz_of_coupled_layers_is_the_mean_over_their_readers(residual, samples):
    found = scores("apoz", residual, *samples, group="stem")
    residual.eval()
    inner = F.relu(residual.norm(residual.stem(samples[0])))
    pooled = F.relu(inner + residual.inner(inner)).mean((2, 3))
    expected = ((inner != 0).float().mean((0, 2, 3)) + (pooled != 0).float().mean(0)) / 2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("heuristic", HEURISTICS)
@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_network_as_it_was(residual, samples, heuristic, training):
    residual.train(training)
    before = {name: value.clone() for name, value in residual.state_dict().items()}
    scores(heuristic, residual, *samples, group="stem")
    residual_after = residual.state_dict()
    assert all(torch.equal(value, residual_after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in residual.parameters())
    assert not any(module._forward_pre_hooks for module in residual.modules())


def test_mode_is_given_back_after_watching(residual, samples):
    residual.train()
    importance("apoz", residual, *samples, F.cross_entropy)
    assert residual.training
    residual.eval()
    importance("taylor", residual, *samples, F.cross_entropy)
    assert not residual.training
