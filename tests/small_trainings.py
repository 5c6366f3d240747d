"""Small data, a small network and its training, for tests of the training loop."""

import numpy as np
import torch
from torch import nn

from tinypareto.network.data import Data, Split
from tinypareto.network.prune import PruningConfig
from tinypareto.network.train import train_network
from tinypareto.network.training_config import TrainingConfig

NO_PRUNING = PruningConfig()
HALF = PruningConfig(sparsity={"0": 0.5}, start=0.3, steps=2)


def split(count=40, seed=0, values=False):
    """Two blobs of 3 x 3 images, told apart by their mean."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    inputs = generator.normal(size=(count, 1, 3, 3)) * 0.5 + labels[:, None, None, None]
    return Split(inputs=inputs, targets=inputs.mean((1, 2, 3)) if values else labels)


def data_of(train=None, seed=100, values=False):
    return Data(
        train=train or split(values=values),
        validation=split(seed=seed, values=values),
        test=split(seed=seed + 1, values=values),
    )


def network(outputs=2, seed=0, width=8):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(4 * width, outputs),
    )


def train(
    model=None,
    data=None,
    pruning=NO_PRUNING,
    seed=0,
    loss=None,
    augment=None,
    on_epoch=None,
    keep_path=False,
    **training,
):
    config = TrainingConfig(**{"epochs": 4, "batch_size": 16, **training})
    return train_network(
        model or network(),
        data or data_of(),
        config,
        pruning,
        seed=seed,
        loss=loss,
        augment=augment,
        on_epoch=on_epoch,
        keep_path=keep_path,
    )


def state(trained):
    return {name: value.clone() for name, value in trained.model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
