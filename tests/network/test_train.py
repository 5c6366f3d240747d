import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_trainings import HALF, data_of, network, same, split, state, train
from torch import nn

from tinypareto.errors import DataError, TrainingError
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.prune import PruningConfig
from tinypareto.network.train import build_network, predict


@pytest.mark.parametrize("heuristic", ["l1", "taylor", "apoz"])
def test_same_seed_gives_the_same_bits(heuristic):
    pruning = PruningConfig(sparsity={"0": 0.5}, heuristic=heuristic)
    model = network()
    first = train(model, pruning=pruning)
    torch.rand(1)  # what the caller drew before does not matter, not even to dropout
    second = train(model, pruning=pruning)
    assert same(state(first), state(second))
    assert first.history == second.history


def test_other_seed_gives_other_weights_of_the_same_shapes():
    first, second = train(pruning=HALF), train(pruning=HALF, seed=1)
    assert not same(state(first), state(second))
    assert [value.shape for value in state(first).values()] == [
        value.shape for value in state(second).values()
    ]


def test_seed_decides_the_order_of_the_samples():
    def order(seed):
        seen = []
        train(epochs=1, seed=seed, augment=lambda inputs, generator: seen.append(inputs) or inputs)
        return torch.cat(seen)

    assert torch.equal(order(0), order(0))
    assert not torch.equal(order(0), order(1))


def test_network_handed_over_in_evaluation_mode_is_trained_all_the_same():
    assert same(state(train(network().train())), state(train(network().eval())))


def test_callers_network_and_random_state_stay_as_they_are():
    model = network()
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    train(model, pruning=HALF)
    assert same(before, model.state_dict())
    assert torch.equal(random_state, torch.get_rng_state())


def test_only_the_training_split_is_read():
    assert same(state(train(data=data_of(seed=100))), state(train(data=data_of(seed=200))))


def test_two_blobs_are_learnt():
    trained = train(epochs=8)
    assert not trained.model.training
    test = split(seed=9)
    assert (predict(trained.model, test.inputs).argmax(1) == test.targets).mean() > 0.9
    assert trained.history[-1].loss < trained.history[0].loss


def slow_sgd(model, data, epochs, rate, momentum, decay):
    """Full-batch SGD with momentum and the cosine rate, spelled out."""
    inputs, targets = torch.from_numpy(data.train.inputs), torch.from_numpy(data.train.targets)
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for epoch in range(epochs):
        model.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        now = rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        with torch.no_grad():
            for parameter, velocity in zip(model.parameters(), velocities, strict=True):
                velocity.mul_(momentum).add_(parameter.grad + decay * parameter)
                parameter.sub_(now * velocity)


def test_training_equals_momentum_sgd_spelled_out():
    torch.manual_seed(0)
    model, data = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 2)), data_of()
    trained = train(model, data, epochs=5, batch_size=40, learning_rate=0.2, momentum=0.8, weight_decay=0.05)
    slow_sgd(model, data, 5, 0.2, 0.8, 0.05)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained.model.state_dict()[name], value)


def test_learning_rate_follows_the_cosine_batch_by_batch():
    # 40 samples in batches of 16: 3 batches an epoch, 12 in all
    rates = [record.learning_rate for record in train(learning_rate=0.1).history]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * done / 12)) for done in (0, 3, 6, 9)])


def test_constant_schedule_keeps_the_learning_rate():
    assert {record.learning_rate for record in train(schedule="constant").history} == {0.03}


def test_optimizers_differ():
    assert not same(state(train(optimizer="sgd")), state(train(optimizer="adam")))


def test_momentum_and_weight_decay_matter():
    reference = state(train())
    assert not same(reference, state(train(momentum=0.0)))
    assert not same(reference, state(train(weight_decay=0.1)))


def test_every_layer_still_learns_after_each_pruning_step():
    snapshots = []
    train(
        network(width=32),
        pruning=PruningConfig(sparsity={"0": 0.5}, start=0.2, steps=3),
        epochs=8,
        schedule="constant",
        on_epoch=lambda record, model: snapshots.append((
            record,
            [parameter.detach().clone() for parameter in model.parameters()],
        )),
    )
    pruned_at = [record.epoch for record, _ in snapshots if record.removed_filters]
    assert pruned_at == [2, 4, 6]
    for epoch in pruned_at:
        # Both snapshots follow the step, so their shapes agree; an optimizer of the old parameters would move nothing.
        before, after = snapshots[epoch][1], snapshots[epoch + 1][1]
        assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_history_shows_the_network_shrink():
    trained = train(pruning=HALF, epochs=6)
    removed = [record.removed_filters for record in trained.history]
    assert sum(removed) == 4
    assert removed[0] == 0
    example = torch.zeros(1, 1, 3, 3)
    assert trained.history[0].macs == macs(network(), example) == 8 * 4 * 4 + 32 * 2
    assert trained.macs == trained.history[-1].macs == macs(trained.model, example) == 4 * 4 * 4 + 16 * 2
    assert trained.parameters == parameter_count(trained.model)
    assert [record.epoch for record in trained.history] == list(range(6))


def test_pruning_that_removes_nothing_is_reported():
    trained = train(pruning=PruningConfig(sparsity={"0": 0.02}, schedule="one-shot"))
    assert len(trained.warnings) == 1
    assert "removed no filter" in trained.warnings[0]


def test_clean_training_has_no_warning():
    assert train(pruning=HALF).warnings == ()


@pytest.mark.parametrize("learning_rate", [1e30])
def test_loss_that_becomes_nan_stops_training_with_epoch_and_remedy(learning_rate):
    with pytest.raises(TrainingError, match=r"in epoch [1-4] of 4; lower learning_rate \(now 1e\+30\)"):
        train(learning_rate=learning_rate)


def test_infinite_loss_stops_training_too():
    with pytest.raises(TrainingError, match="was inf in epoch 1 of 4"):
        train(loss=lambda outputs, targets: outputs.sum() * 0 + float("inf"))


def test_network_broken_by_the_very_last_update_is_not_handed_on():
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        return outputs.sum() * (1e30 if len(calls) == 4 else 0.0)

    with pytest.raises(TrainingError, match=r"holds NaN or infinity; lower learning_rate"):
        train(batch_size=40, loss=loss, learning_rate=1e10, schedule="constant", weight_decay=0.0)


def test_given_loss_is_minimised_instead():
    def only_class_one(outputs, targets):
        return F.cross_entropy(outputs, torch.ones_like(targets))

    trained = train(epochs=8, loss=only_class_one)
    assert (predict(trained.model, split().inputs).argmax(1) == 1).all()


def test_augmentation_sees_every_batch_and_draws_from_the_seed():
    sizes = []

    def jitter(inputs, generator):
        sizes.append(len(inputs))
        return inputs + torch.randn(inputs.shape, generator=generator)

    first = train(augment=jitter)
    assert sizes == [16, 16, 8] * 4
    assert same(state(first), state(train(augment=jitter)))
    assert not same(state(first), state(train()))


def test_last_batch_of_one_is_left_out_since_normalisation_cannot_use_it():
    sizes = []

    def note(inputs, generator):
        sizes.append(len(inputs))
        return inputs

    train(nn.Sequential(nn.Flatten(), nn.Linear(9, 2), nn.BatchNorm1d(2)), data_of(split(33)), augment=note)
    assert sizes == [16, 16] * 4


def test_batch_larger_than_the_data_is_one_batch():
    assert len(train(batch_size=1000).history) == 4


def test_every_sample_is_seen_once_per_epoch():
    seen = []

    def note(inputs, generator):
        seen.append(inputs)
        return inputs

    train(augment=note, epochs=1)
    rows = {row.numpy().tobytes() for batch in seen for row in batch}
    assert rows == {row.tobytes() for row in split().inputs}


def test_real_targets_are_fitted_by_the_mean_squared_error():
    data = data_of(values=True)
    trained = train(network(outputs=1), data, epochs=20)
    found = predict(trained.model, data.test.inputs)[:, 0]
    assert np.mean((found - data.test.targets) ** 2) < 0.2 * np.var(data.test.targets)


def test_prediction_does_not_depend_on_the_batch_size():
    model = network().eval()
    inputs = split().inputs
    np.testing.assert_allclose(predict(model, inputs, 7), predict(model, inputs, 40), atol=1e-6)


def test_prediction_uses_evaluation_mode_and_gives_the_old_one_back():
    model = network().train()
    inputs = split().inputs
    np.testing.assert_array_equal(predict(model, inputs), predict(model, inputs))
    assert model.training


def test_seed_decides_the_initial_weights():
    def build(parameters):
        return nn.Sequential(nn.Flatten(), nn.Linear(9, parameters["outputs"]))

    first, second, other = (build_network(build, {"outputs": 2}, data_of(), seed) for seed in (0, 0, 1))
    assert same(first.state_dict(), second.state_dict())
    assert not same(first.state_dict(), other.state_dict())


def test_network_that_cannot_run_is_rejected_with_a_remedy():
    with pytest.raises(TrainingError, match=r"shape \(1, 3, 3\), but RuntimeError.*; mend build_model"):
        build_network(lambda parameters: nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), {}, data_of(), 0)


def test_builder_that_raises_is_reported_with_its_own_words():
    with pytest.raises(TrainingError, match=r"KeyError: 'width'; mend build_model"):
        build_network(lambda parameters: nn.Linear(9, parameters["width"]), {}, data_of(), 0)


@pytest.mark.parametrize("problem", [MemoryError, DataError])
def test_errors_that_explain_themselves_pass_through(problem):
    def build(parameters):
        raise problem("as it is")

    with pytest.raises(problem, match="as it is"):
        build_network(build, {}, data_of(), 0)


@pytest.mark.parametrize(("values", "outputs"), [(False, 3), (True, 2)])
def test_wrong_number_of_outputs_is_rejected_with_a_remedy(values, outputs):
    with pytest.raises(TrainingError, match="change its last layer"):
        build_network(lambda parameters: network(outputs), {}, data_of(values=values), 0)
