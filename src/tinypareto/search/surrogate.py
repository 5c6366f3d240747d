"""What the search knows of outcomes at points that were not evaluated.

Either Gaussian processes alone, or, where some outcomes are known functions of the parameters, these imitated by
Gaussian processes of their own: a walk of a policy asks about thousands of points, for which the functions would take
too long. They are trained on what the functions gave at hundreds of points. Only the last few candidates are looked up.
Known objectives are also inputs of the models of what is learnt: that a network's error depends on its size is seen at
once, while width and sparsities have to be put together first.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.search.gaussian_process import GaussianProcesses, condition
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.outcomes import Outcomes
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

CERTAIN = 1e-6  # standard deviation of what is known, in standardised units
CAUTION = 4.0  # deviations, noise included, by which imitated objectives are taken for worse than expected
INPUT_DEVIATIONS = 4.0  # that are one edge of the cube, where what is known is an input


class Surrogate(Protocol):
    """Predictions of k standardised outcomes."""

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, at points q x d."""

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, k x q."""

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""


@dataclass(frozen=True, kw_only=True)
class MultiFidelity:
    """Posteriors that know evaluations of every fidelity; a surrogate of whole ones."""

    posteriors: GaussianProcesses  # of d + 1 columns, the last of which is the fidelity
    trials: Tensor  # n, the trial of each observation

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""
        return self.posteriors.device

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, of whole evaluations at points q x d."""
        return self.posteriors.predict(_with_fidelity(points, points.new_ones(len(points))))

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, k x q."""
        return self.posteriors.predict_mean(_with_fidelity(points, points.new_ones(len(points))))

    def left_out(self) -> tuple[Tensor, Tensor]:
        """Return what `GaussianProcesses.left_out` does, k x w, of whole evaluations predicted from other trials."""
        misses, deviations = self.posteriors.left_out(self.trials)
        whole = self.posteriors.points[:, -1] == 1.0
        return misses[:, whole], deviations[:, whole]

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""
        return self.posteriors.tensor(values)


@dataclass(frozen=True, kw_only=True)
class Informed:
    """Posteriors of what models of earlier tasks leave unexplained, beside these (prior.py)."""

    own: GaussianProcesses | MultiFidelity  # of residuals, each divided by its deviation
    earlier: tuple[GaussianProcesses | MultiFidelity, ...]
    places: tuple[Tensor, ...]  # for each earlier model: which of the k outcomes its outputs are
    slopes: tuple[Tensor, ...]  # for each earlier model: what its outputs are multiplied by
    offsets: Tensor  # k
    scales: Tensor  # k, the residuals' deviations

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""
        return self.own.device

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, at points q x d."""
        mean, std = self.own.predict(points)
        return self.scales[:, None] * mean + self.prior_mean(points), self.scales[:, None] * std

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, k x q."""
        return self.scales[:, None] * self.own.predict_mean(points) + self.prior_mean(points)

    def prior_mean(self, points: Tensor, fidelities: Tensor | None = None) -> Tensor:
        """Return what is expected of points, q x d, by the earlier tasks alone, k x q."""
        mean = self.offsets[:, None].repeat(1, len(points))
        for model, places, slopes in zip(self.earlier, self.places, self.slopes, strict=True):
            mean = mean.index_add(0, places, slopes[:, None] * mean_at(model, points, fidelities))
        return mean

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""
        return self.own.tensor(values)


def mean_at(model: GaussianProcesses | MultiFidelity, points: Tensor, fidelities: Tensor | None) -> Tensor:
    """Return the mean, k x q, at points q x d, of whole evaluations or such of other fidelities, q."""
    if isinstance(model, MultiFidelity) and fidelities is not None:
        return model.posteriors.predict_mean(_with_fidelity(points, fidelities))
    return model.predict_mean(points)


Learnt = GaussianProcesses | MultiFidelity | Informed


def as_inputs(known: Tensor) -> Tensor:
    """Return standardised outcomes, q x f, as inputs of a model beside coordinates of the unit cube."""
    return (known / INPUT_DEVIATIONS).clamp(-1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class PartlyKnown:
    """Posteriors of the outcomes that have to be evaluated, beside imitations of those that are known."""

    space: Space
    outcomes: Outcomes
    known: KnownOutcomes
    learnt: Learnt  # of points and, where there are such, what is known of them
    inputs: Tensor  # which of the f known outcomes and s further inputs these are
    input_scale: tuple[Matrix, Matrix]  # mean and deviation of the further inputs, s each
    imitated: GaussianProcesses  # of known outcomes and further inputs
    examples: Matrix  # points, N x d, from which the functions are imitated
    answers: Matrix  # what they gave there, standardised, N x (f + s)
    order: Tensor  # k: where each outcome lies in (learnt, imitated)

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""
        return self.learnt.device

    @property
    def learnt_places(self) -> Tensor:
        """Which of the k outcomes are learnt."""
        return self.order.argsort()[: len(self.order) - len(self.known.columns)]

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, at points q x d; known outcomes are imitated, with caution.

        A size that is imitated as one percent too small promises a gain that no network gives, and late in a study
        more than any gives: policies would go where imitations err most.
        """
        mean, std = self.imitated.predict(points)
        learnt, f = self.learnt.predict(self.seen(points, mean)), len(self.known.columns)
        worse = mean + CAUTION * (std.square() + self.imitated.hyperparameters.noises[:, None]).sqrt()
        violation = self.tensor(self.known.is_violation)[:, None]  # where a limit lies is not moved
        cautious = torch.where(violation, mean[:f], worse[:f])
        certain = torch.where(violation, std[:f], CERTAIN)
        return torch.cat([learnt[0], cautious])[self.order], torch.cat([learnt[1], certain])[self.order]

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, k x q."""
        imitated = self.imitated.predict_mean(points)
        learnt = self.learnt.predict_mean(self.seen(points, imitated))
        return torch.cat([learnt, imitated[: len(self.known.columns)]])[self.order]

    def seen(self, points: Tensor, known: Tensor) -> Tensor:
        """Return what learnt outcomes depend on: points, q x d, and some of what is known of them, (f + s) x q."""
        return torch.cat([points, as_inputs(known[self.inputs].T)], dim=1)

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""
        return self.learnt.tensor(values)

    def look_up(self, points: Matrix, fidelities: Matrix) -> Matrix:
        """Return known outcomes and further inputs, standardised, q x (f + s), at points q x d and fidelities q."""
        outcomes = self.outcomes.standardised_finite(self.known.columns, self.known.at(self.space, points))
        means, scales = self.input_scale
        inputs = (self.known.inputs_at(self.space, points, fidelities) - means) / scales
        return np.concatenate([outcomes, inputs], axis=1)

    def with_examples(self, points: Matrix) -> "PartlyKnown":
        """Return this surrogate with imitations that know the functions at these points, q x d, too."""
        examples = np.concatenate([self.examples, points])
        answers = np.concatenate([self.answers, self.look_up(points, np.ones(len(points)))])
        old = self.imitated
        imitated = condition(self.tensor(examples), self.tensor(answers), old.groups, old.hyperparameters)
        return replace(self, imitated=imitated, examples=examples, answers=answers)


@dataclass(frozen=True, kw_only=True)
class Fallible:
    """A surrogate of evaluations that may fail: one more outcome, at most 0 where they succeed."""

    outcomes: Surrogate
    failure: GaussianProcesses  # of labels, -1 for success and 1 for failure

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""
        return self.outcomes.device

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each (k + 1) x q, at points q x d."""
        return self.with_failure(points, *self.outcomes.predict(points))

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, (k + 1) x q."""
        return torch.cat([self.outcomes.predict_mean(points), self.failure.predict_mean(points)])

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""
        return self.outcomes.tensor(values)

    def with_failure(self, points: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions k x q of the outcomes with that of failure below them."""
        failure = self.failure.predict(points)
        return torch.cat([mean, failure[0]]), torch.cat([std, failure[1]])


def look_up(model: Surrogate, points: Tensor, fidelities: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the best prediction there is, mean and standard deviation, each k x q: for few points.

    What is known is as the functions have it, certain, and not imitated.

    Args:
        model: Any surrogate.
        points: q x d.
        fidelities: q, of evaluations on the way of a trial; None for whole ones. A model that has seen whole
            evaluations alone tells no difference.
    """
    if isinstance(model, Fallible):
        return model.with_failure(points, *look_up(model.outcomes, points, fidelities))
    if isinstance(model, PartlyKnown):
        shares = np.ones(len(points)) if fidelities is None else fidelities.cpu().numpy()
        known = model.tensor(model.look_up(points.cpu().numpy(), shares)).T
        mean, std = look_up(model.learnt, model.seen(points, known), fidelities)
        values = known[: len(model.known.columns)]
        certain = torch.full_like(values, CERTAIN)
        return torch.cat([mean, values])[model.order], torch.cat([std, certain])[model.order]
    if isinstance(model, Informed):
        mean, std = look_up(model.own, points, fidelities)
        scales = model.scales[:, None]
        return scales * mean + model.prior_mean(points, fidelities), scales * std
    if isinstance(model, MultiFidelity) and fidelities is not None:
        return model.posteriors.predict(_with_fidelity(points, fidelities))
    return model.predict(points)


def limits_of(model: Surrogate, outcomes: Outcomes) -> Matrix:
    """Return the standardised value up to which each constraint is kept, that of failure the last, if it is one."""
    return np.append(outcomes.limits, 0.0) if isinstance(model, Fallible) else outcomes.limits


def known_outcomes(model: Surrogate) -> KnownOutcomes | None:
    """Return what the model knows without learning it, if anything."""
    if isinstance(model, Fallible):
        return known_outcomes(model.outcomes)
    return model.known if isinstance(model, PartlyKnown) else None


def _with_fidelity(points: Tensor, fidelities: Tensor) -> Tensor:
    return torch.cat([points, fidelities[:, None]], dim=1)
