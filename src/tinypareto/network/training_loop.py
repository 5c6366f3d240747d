"""One training under way, epoch by epoch, with the pruning steps that are due.

Axes: b samples of a batch.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.swa_utils import get_swa_multi_avg_fn, update_bn

from tinypareto.errors import TrainingError
from tinypareto.network.augment import Augment
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.data import Data
from tinypareto.network.device import device_of, mixed_precision
from tinypareto.network.filter_pruner import FilterPruner
from tinypareto.network.importance import Loss, importance
from tinypareto.network.prune import PruningConfig
from tinypareto.network.training_config import TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What one epoch did; ``macs`` and ``parameters`` are those of the network that it trained."""

    epoch: int  # from 0
    loss: float  # mean over the epoch's batches, minimised
    learning_rate: float  # of the epoch's first batch
    macs: int  # of one sample
    parameters: int
    removed_filters: int  # by the pruning step before this epoch


class TrainingLoop:
    """One training under way: the network, its optimizer and the data on the network's device."""

    EVIDENCE = 256  # training samples that the heuristics taylor and apoz see
    GLIMPSED = 64  # of these, what the normalisation of a glimpse sees
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
        self._device = device = device_of(model)
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
        # A copy of the network as it is pruned now: to make one for each glimpse takes half as long as to judge it.
        self._glimpsed: nn.Module | None = None
        self._update_means = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]
        self._measure()
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
            for place, batch in enumerate(order[begin : begin + self.CHECKED], begin):
                steps.append(self._train_batch(batch))
                if average:
                    self._update_means(self._means, list(self.model.parameters()), place)
            losses += self._finite(torch.stack(steps), epoch)
        return EpochRecord(
            epoch=epoch,
            loss=sum(losses) / len(losses),
            learning_rate=first_rate,
            macs=self._macs,
            parameters=self._parameters,
            removed_filters=removed,
        )

    def averaged(self) -> nn.Module:
        """Return the network with the mean weights of the epoch's batches: what a lower learning rate would lead to.

        A training is on its way here, at a rate at which weights still swing around the good ones.

        Source: Izmailov et al., Averaging weights leads to wider optima and better generalization (2018).
        """
        return self._with_means(copy.deepcopy(self.model), self._inputs)

    def glimpse(self) -> nn.Module:
        """Return the same, seen quickly: its batch normalisation knows few samples. The next glimpse overwrites it."""
        if self._glimpsed is None:
            self._glimpsed = copy.deepcopy(self.model)
        return self._with_means(self._glimpsed, self._inputs[self._evidence[: self.GLIMPSED]])

    def _with_means(self, model: nn.Module, inputs: torch.Tensor) -> nn.Module:
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), self._means, strict=True):
                parameter.copy_(mean)
            for buffer, current in zip(model.buffers(), self.model.buffers(), strict=True):
                buffer.copy_(current)
        batches = torch.split(inputs, self.STATISTICS)
        with torch.random.fork_rng(devices=[]):  # dropout must not draw what the training would
            update_bn((batch.contiguous(memory_format=self._format) for batch in batches), model)
        return model.eval()

    def _measure(self) -> None:
        """Count what only pruning changes."""
        self._macs, self._parameters = macs(self.model, self._inputs[:1]), parameter_count(self.model)

    def _prune(self, share: float) -> int:
        score = importance(
            self._pruning.heuristic,
            self.model,
            self._inputs[self._evidence],
            self._targets[self._evidence],
            self._loss,
        )
        removed = self.pruner.step(share, score)
        self._glimpsed = None
        # The step replaced the parameters: the old optimizer would train tensors that nothing reads. Momentum
        # starts from zero again.
        self._optimizer = self._new_optimizer()
        self._measure()
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
