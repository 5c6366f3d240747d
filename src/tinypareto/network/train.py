"""Training: the default loop, with filter pruning on the way.

Axes: n samples, b samples of a batch.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinypareto.errors import TinyParetoError, TrainingError, reason
from tinypareto.network.augment import AUGMENTATIONS, Augment
from tinypareto.network.data import Data
from tinypareto.network.device import device_of
from tinypareto.network.importance import Loss
from tinypareto.network.prune import PathStep, PruningConfig
from tinypareto.network.training_config import TrainingConfig
from tinypareto.network.training_loop import EpochRecord, TrainingLoop

OnEpoch = Callable[[EpochRecord, nn.Module], bool | None]  # True ends the training there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkOnPath:
    """A network that a training passed through, in evaluation mode: its weights are means over its last epoch."""

    at: PathStep
    model: nn.Module
    macs: int  # of one sample
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedNetwork:
    """A trained and pruned network in evaluation mode, and how it came about."""

    model: nn.Module
    history: tuple[EpochRecord, ...]
    warnings: tuple[str, ...]
    macs: int  # of one sample; FLOPs are twice that
    parameters: int
    path: tuple[NetworkOnPath, ...] = ()  # in order of the steps, if it was to be kept


def build_network(
    build_model: Callable[[Mapping[str, Any]], nn.Module],
    parameters: Mapping[str, Any],
    data: Data,
    seed: int,
) -> nn.Module:
    """Build a user's network with seeded initial weights and try it on two samples.

    Raises:
        TrainingError: If building or the forward pass fails, or the outputs do not fit the targets.
        TinyParetoError: As ``build_model`` raised it.
        MemoryError: As ``build_model`` raised it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = build_model(parameters)
            outputs = predict(model, data.train.inputs[:2])
        except (MemoryError, TinyParetoError):
            raise  # says already what is wrong
        except Exception as problem:
            raise TrainingError(
                f"the network for {dict(parameters)} must build and run on samples of shape "
                f"{data.sample_shape}, but {type(problem).__name__}: {reason(problem)}; mend build_model or its "
                "forward pass."
            ) from problem
    wanted = data.classes or math.prod(data.train.targets.shape[1:])
    if outputs.ndim > 2 or outputs.size != 2 * wanted:
        raise TrainingError(
            f"the network must give {wanted} outputs per sample, got shape {outputs.shape[1:]}; "
            "change its last layer."
        )
    return model


def train_network(
    model: nn.Module,
    data: Data,
    training: TrainingConfig,
    pruning: PruningConfig,
    *,
    seed: int,
    loss: Loss | None = None,
    augment: Augment | None = None,
    on_epoch: OnEpoch | None = None,
    keep_path: bool = False,
) -> TrainedNetwork:
    """Train and prune a copy of ``model`` on the training split, on the device where ``model`` is.

    Bit for bit the same for the same arguments, on a processor. On a GPU products are taken in mixed precision where
    that is faster, and the order of sums is the GPU's. A function of the same signature can take this one's place.

    Args:
        model: The network, unpruned; it stays as it is.
        data: Only the training split is read.
        training: The loop's settings.
        pruning: What is pruned, and when.
        seed: Decides the order of samples, the augmentation and everything else that is drawn.
        loss: (outputs, targets) -> scalar, minimised; default: cross entropy, or the mean squared error if
            the targets are real values.
        augment: (b inputs, generator) -> b inputs, called on every batch; default: what ``training`` names.
        on_epoch: Called after every epoch with its record and a network in evaluation mode whose weights are means over
            the epoch, which tell more of what a training will come to than its last weights do. It must not be changed,
            and is another one after the next epoch. The training ends there if True is returned.
        keep_path: Whether the networks are wanted that the training passes through, one before each pruning step.

    Raises:
        TrainingError: If the loss or a weight becomes NaN or infinite, or the network cannot be pruned.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout and the like inside the network
        augment = augment or AUGMENTATIONS[training.augmentation]
        loop = TrainingLoop(
            copy.deepcopy(model), data, training, pruning, seed, loss or default_loss(data), augment
        )
        history: list[EpochRecord] = []
        path = []
        to_come = {at.epochs: at for at in pruning.path(training.epochs)} if keep_path else {}
        for epoch in range(training.epochs):
            at = to_come.get(epoch + 1)
            history.append(loop.run_epoch(epoch, average=at is not None or on_epoch is not None))
            if at is not None:
                path.append(_on_path(at, history[-1], loop.averaged()))
            if on_epoch is not None and on_epoch(
                history[-1], loop.glimpse() if at is None else path[-1].model
            ):
                break
        loop.model.zero_grad(set_to_none=True)
        _check_finite(loop.model, training)  # the last update is followed by no loss that would tell
        return TrainedNetwork(
            model=loop.model.eval(),
            history=tuple(history),
            warnings=tuple(loop.pruner.warnings),
            macs=history[-1].macs,
            parameters=history[-1].parameters,
            path=tuple(path),
        )


def default_loss(data: Data) -> Loss:
    """Return cross entropy for classes, the mean squared error for real values."""
    if data.classes is not None:
        return F.cross_entropy
    return lambda outputs, targets: F.mse_loss(outputs.reshape(targets.shape), targets)


def predict(model: nn.Module, inputs: np.ndarray[Any, Any], batch_size: int = 256) -> np.ndarray[Any, Any]:
    """Return the float network's outputs for n inputs, n x outputs, in evaluation mode."""
    was_training = model.training
    model.eval()
    device = device_of(model)
    try:
        with torch.no_grad():
            batches = torch.split(torch.from_numpy(inputs), batch_size)
            return torch.cat([model(batch.to(device)).cpu() for batch in batches]).numpy()
    finally:
        model.train(was_training)


def _on_path(at: PathStep, record: EpochRecord, model: nn.Module) -> NetworkOnPath:
    return NetworkOnPath(at=at, model=model, macs=record.macs, parameters=record.parameters)


def _check_finite(model: nn.Module, training: TrainingConfig) -> None:
    for name, values in model.state_dict().items():
        if not torch.isfinite(values).all():
            raise TrainingError(
                f"a trained network must be finite, but {name} holds NaN or infinity; "
                f"lower learning_rate (now {training.learning_rate:g})."
            )
