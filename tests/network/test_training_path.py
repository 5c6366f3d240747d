"""What is seen of a training on its way: networks before pruning steps, means of weights, glimpses."""

import torch
import torch.nn.functional as F
from small_trainings import HALF, data_of, network, same, state, train

from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.prune import kept_filters
from tinypareto.network.training_config import TrainingConfig
from tinypareto.network.training_loop import TrainingLoop


def test_path_holds_the_network_before_each_step_with_the_sparsity_that_it_had():
    trained = train(pruning=HALF, epochs=6, keep_path=True)
    assert [(one.at.step, one.at.epochs) for one in trained.path] == [(0, 2), (1, 4)]
    widths = [one.model[0].out_channels for one in trained.path] + [trained.model[0].out_channels]
    assert widths == [8, kept_filters(8, 0.5 * (1 - 0.5**3)), 4]
    for one, record in zip(trained.path, (trained.history[1], trained.history[3]), strict=True):
        assert not one.model.training
        assert (one.macs, one.parameters) == (record.macs, record.parameters)
        assert (one.macs, one.parameters) == (
            macs(one.model, torch.zeros(1, 1, 3, 3)),
            parameter_count(one.model),
        )


def test_weights_on_the_path_are_the_means_of_their_epoch_and_statistics_those_of_the_data():
    weights = []

    def note(inputs, generator):
        weights.append({name: value.detach().clone() for name, value in seen.named_parameters()})
        return inputs

    data = data_of()
    loop = TrainingLoop(
        network(), data, TrainingConfig(epochs=3, batch_size=16), HALF, 0, F.cross_entropy, note
    )
    seen = loop.model
    loop.run_epoch(0, average=True)
    averaged = loop.averaged()
    after = [*weights[1:], dict(loop.model.named_parameters())]  # noted at the beginning of each batch
    assert len(after) == 3
    glimpsed = dict(loop.glimpse().named_parameters())
    for name, value in averaged.named_parameters():
        assert torch.allclose(value, torch.stack([one[name] for one in after]).mean(0), atol=1e-6)
        assert torch.equal(value, glimpsed[name])
    values = averaged[0](torch.from_numpy(data.train.inputs))
    assert torch.allclose(averaged[1].running_mean, values.mean((0, 2, 3)), atol=1e-5)


def test_each_glimpse_is_of_its_own_epoch_and_pruning():
    config = TrainingConfig(epochs=6, batch_size=16)
    loop = TrainingLoop(network(), data_of(), config, HALF, 0, F.cross_entropy, None)
    for epoch in range(6):
        loop.run_epoch(epoch, average=True)
        glimpsed, averaged = loop.glimpse(), loop.averaged()
        assert not glimpsed.training
        for (name, value), (_, wanted) in zip(
            glimpsed.named_parameters(), averaged.named_parameters(), strict=True
        ):
            assert torch.equal(value, wanted), (epoch, name)


def test_who_watches_a_training_sees_networks_at_rest_and_changes_nothing():
    seen = []
    watched = train(
        pruning=HALF,
        epochs=6,
        on_epoch=lambda record, model: seen.append((record.epoch, model.training, model)),
        keep_path=True,
    )
    assert len(watched.path) == 2
    assert [(epoch, training) for epoch, training, _ in seen] == [(epoch, False) for epoch in range(6)]
    assert all(seen[one.at.epochs - 1][2] is one.model for one in watched.path)
    assert same(state(watched), state(train(pruning=HALF, epochs=6)))


def test_training_does_not_depend_on_whether_its_path_is_kept():
    with_path = train(pruning=HALF, epochs=6, keep_path=True)
    without = train(pruning=HALF, epochs=6)
    assert len(with_path.path) == 2
    assert without.path == ()
    assert same(state(with_path), state(without))
