"""Training: the default loop, with filter pruning on the way.

Axes: n samples, b samples of a batch.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import update_bn

from tinypareto.errors import ConfigError, TinyParetoError, TrainingError, reason
from tinypareto.network.augment import AUGMENTATIONS, Augment
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.data import Data
from tinypareto.network.device import mixed_precision
from tinypareto.network.filter_pruner import FilterPruner
from tinypareto.network.importance import Loss, importance
from tinypareto.network.prune import PathStep, PruningConfig

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Settings of the default training loop."""

    epochs: int = 12
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 0.03  # at the start
    momentum: float = 0.9  # sgd only; adam keeps PyTorch's betas
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # of the learning rate, batch by batch down to 0; or "constant"
    augmentation: str = "none"  # of images also "shift-and-mirror"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it.")
        if self.learning_rate <= 0 or not math.isfinite(self.learning_rate):
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate}; raise it.")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must lie in [0, 1), got {self.momentum}; lower it.")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay must not be negative, got {self.weight_decay}; set 0 for none.")
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augmentation", tuple(AUGMENTATIONS)),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} must be one of {allowed}, got {getattr(self, name)!r}; pick one of them."
                )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainingConfig":
        """Read this class's fields from a trial's parameters; the rest keep their defaults.

        Example:
            >>> TrainingConfig.from_parameters({"epochs": 3, "width": 8}).epochs
            3
        """
        return cls(**{item.name: parameters[item.name] for item in fields(cls) if item.name in parameters})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What one epoch did; ``macs`` and ``parameters`` are those of the network that it trained."""

    epoch: int  # from 0
    loss: float  # mean over the epoch's batches, minimised
    learning_rate: float  # of the epoch's first batch
    macs: int  # of one sample
    parameters: int
    removed_filters: int  # by the pruning step before this epoch


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
    path: tuple[NetworkOnPath, ...] = ()  # in order of the steps


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
            the epoch, which tells more of what a training will come to than its last weights do: three to four times
            lower errors in its first half. It must not be changed. The training ends there if True is returned.

    Raises:
        TrainingError: If the loss or a weight becomes NaN or infinite, or the network cannot be pruned.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout and the like inside the network
        augment = augment or AUGMENTATIONS[training.augmentation]
        loop = _Loop(copy.deepcopy(model), data, training, pruning, seed, loss or default_loss(data), augment)
        history: list[EpochRecord] = []
        path = []
        to_come = {at.epochs: at for at in pruning.path(training.epochs)}
        for epoch in range(training.epochs):
            at = to_come.get(epoch + 1)
            history.append(loop.run_epoch(epoch, average=at is not None or on_epoch is not None))
            if at is not None:
                path.append(_on_path(at, history[-1], loop.averaged()))
            if on_epoch is not None:
                if on_epoch(history[-1], loop.glimpse() if at is None else path[-1].model):
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
    device = _device_of(model)
    try:
        with torch.no_grad():
            batches = torch.split(torch.from_numpy(inputs), batch_size)
            return torch.cat([model(batch.to(device)).cpu() for batch in batches]).numpy()
    finally:
        model.train(was_training)


class _Loop:
    """One training under way: the network, its optimizer and the data on the network's device."""

    EVIDENCE = (
        256  # training samples that the heuristics taylor and apoz see at each step, and a glimpse is of
    )
    CHECKED = 20  # batches after which losses are looked at: a GPU would stand still for each look
    STATISTICS = 256  # of a batch, when the mean and variance of normalised values are found anew

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        training: TrainingConfig,
        pruning: PruningConfig,
        seed: int,
        loss: Loss,
        augment: Augment | None,
    ) -> None:
        self.model = model
        self._device = device = _device_of(model)
        self._training, self._pruning, self._loss, self._augment = training, pruning, loss, augment
        self._generator = torch.Generator().manual_seed(seed)
        self._format = torch.channels_last if data.train.inputs.ndim == 4 else torch.contiguous_format
        self._inputs = torch.from_numpy(data.train.inputs).to(device)
        self._targets = torch.from_numpy(data.train.targets).to(device)
        self._evidence = torch.randperm(len(data.train), generator=self._generator)[: self.EVIDENCE]
        self.pruner = FilterPruner(model, self._inputs[:1], pruning)
        self._steps = pruning.steps_by_epoch(training.epochs)
        self._optimizer = self._new_optimizer()
        self._means: list[torch.Tensor] = []  # of each parameter over an epoch's batches, if they are wanted
        self._batches_done = 0
        full, rest = divmod(len(data.train), training.batch_size)
        # Batch normalisation has no variance of a single sample, so a last batch of one is left out.
        self._batches_per_epoch = full + (rest > 1) or 1

    def run_epoch(self, epoch: int, *, average: bool = False) -> EpochRecord:
        """Train for one epoch, after a pruning step if one is due; means of weights have to be asked for beforehand."""
        removed = self._prune(self._steps[epoch]) if epoch in self._steps else 0
        self._means = [torch.zeros_like(one) for one in self.model.parameters()] if average else []
        first_rate = self._learning_rate()
        self.model.train()
        losses: list[float] = []
        order = self._order()
        for begin in range(0, len(order), self.CHECKED):
            steps = []
            for place, batch in enumerate(order[begin : begin + self.CHECKED], begin + 1):
                steps.append(self._train_batch(batch))
                self._update_means(1 / place)
            losses += self._finite(torch.stack(steps), epoch)
        return EpochRecord(
            epoch=epoch,
            loss=sum(losses) / len(losses),
            learning_rate=first_rate,
            macs=macs(self.model, self._inputs[:1]),
            parameters=parameter_count(self.model),
            removed_filters=removed,
        )

    def averaged(self) -> nn.Module:
        """Return the network with the mean weights of the epoch's batches: what a lower learning rate would lead to.

        A training is on its way here, at a rate at which weights still swing around the good ones.

        Source: Izmailov et al., Averaging weights leads to wider optima and better generalization (2018).
        """
        return self._with_means(self._inputs)

    def glimpse(self) -> nn.Module:
        """Return the same, seen quickly: its batch normalisation knows few samples."""
        return self._with_means(self._inputs[self._evidence])

    def _with_means(self, inputs: torch.Tensor) -> nn.Module:
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), self._means, strict=True):
                parameter.copy_(mean)
        batches = torch.split(inputs, self.STATISTICS)
        with torch.random.fork_rng(devices=[]):  # dropout must not draw what the training would
            update_bn((batch.contiguous(memory_format=self._format) for batch in batches), model)
        return model.eval()

    def _update_means(self, share: float) -> None:
        """Let the weights count as ``share`` of their means: a tenth of the time that `AveragedModel` takes."""
        if self._means:
            with torch.no_grad():
                for mean, parameter in zip(self._means, self.model.parameters(), strict=True):
                    mean.lerp_(parameter, share)

    def _prune(self, share: float) -> int:
        score = importance(
            self._pruning.heuristic,
            self.model,
            self._inputs[self._evidence],
            self._targets[self._evidence],
            self._loss,
        )
        removed = self.pruner.step(share, score)
        # The step replaced the parameters: the old optimizer would train tensors that nothing reads. Momentum
        # starts from zero again.
        self._optimizer = self._new_optimizer()
        return removed

    def _train_batch(self, batch: torch.Tensor) -> torch.Tensor:
        """Take one step and return the loss, which may still be under way on the device."""
        inputs = self._inputs[batch]
        if self._augment is not None:
            inputs = self._augment(inputs, self._generator)
        inputs = inputs.contiguous(memory_format=self._format)
        self._optimizer.param_groups[0]["lr"] = self._learning_rate()
        self._optimizer.zero_grad(set_to_none=True)
        with mixed_precision(self._device):
            loss = self._loss(self.model(inputs), self._targets[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._batches_done += 1
        return loss.detach()

    def _finite(self, losses: torch.Tensor, epoch: int) -> list[float]:
        """Return losses as numbers.

        Raises:
            TrainingError: If one is not finite.
        """
        values: list[float] = losses.tolist()
        for value in values:
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss must stay finite, but was {value} in epoch {epoch + 1} of {self._training.epochs};"
                    f" lower learning_rate (now {self._training.learning_rate:g}) or check the data's scale."
                )
        return values

    def _order(self) -> tuple[torch.Tensor, ...]:
        order = torch.randperm(len(self._inputs), generator=self._generator).to(self._device)
        return torch.split(order, self._training.batch_size)[: self._batches_per_epoch]

    def _learning_rate(self) -> float:
        if self._training.schedule == "constant":
            return self._training.learning_rate
        progress = self._batches_done / (self._training.epochs * self._batches_per_epoch)
        return 0.5 * self._training.learning_rate * (1 + math.cos(math.pi * progress))

    def _new_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer of the parameters as they are now, which are laid out for speed first.

        One fused step for all parameters: one each takes a tenth of a small network's training.
        """
        # Images that lie channel by channel take up to a third more time.
        self.model.to(memory_format=self._format)  # type: ignore[call-overload]
        settings = self._training
        if settings.optimizer == "adam":
            return torch.optim.Adam(
                self.model.parameters(),
                lr=settings.learning_rate,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        return torch.optim.SGD(
            self.model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )


def _on_path(at: PathStep, record: EpochRecord, model: nn.Module) -> NetworkOnPath:
    return NetworkOnPath(at=at, model=model, macs=record.macs, parameters=record.parameters)


def _check_finite(model: nn.Module, training: TrainingConfig) -> None:
    for name, values in model.state_dict().items():
        if not torch.isfinite(values).all():
            raise TrainingError(
                f"a trained network must be finite, but {name} holds NaN or infinity; "
                f"lower learning_rate (now {training.learning_rate:g})."
            )


def _device_of(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
