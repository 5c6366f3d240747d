"""What BoTorch's samplers have in common: history -> fitted model, acquisition -> suggestion.

One SingleTaskGP for each objective and constraint, in the unit cube, outcomes standardised, as BoTorch's
multi-objective tutorials do it. BoTorch maximises, so objectives are negated here and back again.
Needs the extra ``bench``.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.exceptions.warnings import BotorchWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.models.transforms import Standardize
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.mlls import SumMarginalLogLikelihood  # type: ignore[import-untyped]
from linear_operator.utils.warnings import NumericalWarning  # type: ignore[import-untyped]
from torch import Tensor

from tinypareto.search.config import SearchConfig
from tinypareto.search.design import latin_hypercube, seen_among, unseen_point
from tinypareto.search.history import History, Matrix, Suggestion
from tinypareto.space import Space
from tinypareto.threads import one_thread

N_SAMPLES = 128  # s, of the acquisition function
RESTARTS, RAW_SAMPLES = 10, 512  # of its optimisation
# Raw samples valued together. The result is the same; with many boxes all at once would take 4 GB and twice the time.
RAW_SAMPLES_AT_ONCE = 32
Candidates = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class BotorchProblem:
    """Observations as BoTorch wants them; m objectives, to be maximised, then c constraints, kept at <= 0."""

    model: ModelListGP
    points: Tensor  # n x d
    outputs: Tensor  # n x (m + c)
    n_objectives: int
    pending: Tensor | None  # q x d

    @property
    def constraints(self) -> list[Candidates] | None:
        """One function for each constraint: samples ... x (m + c) to violations ..."""
        columns = range(self.n_objectives, self.outputs.shape[1])
        return [_column(column) for column in columns] or None

    @property
    def feasible(self) -> Tensor:
        """Which of the n observations keep every constraint."""
        return (self.outputs[:, self.n_objectives :] <= 0).all(dim=1)

    def sampler(self, seed: int) -> SobolQMCNormalSampler:
        """Return the quasi-random samples of the acquisition function."""
        return SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed)


def suggest_by_acquisition(
    acquisition: Callable[[BotorchProblem, int], Any],
    name: str,
    space: Space,
    history: History,
    pending: Matrix,
    *,
    seed: int,
    trial_number: int,
) -> Suggestion:
    """Return the point where an acquisition function is largest; first, a Latin hypercube.

    Args:
        acquisition: Problem and seed to BoTorch's acquisition function.
        name: What the suggestion's origin says.
        space: What may be varied; integers and categories are optimised as numbers and then rounded.
        history: Finished evaluations.
        pending: Points under evaluation elsewhere, q x d.
        seed: Of the study.
        trial_number: Of the trial that will evaluate the point.
    """
    usable = history.usable()
    startup = SearchConfig.preset("poster").startup_trials(space)
    own_seed = int(np.random.SeedSequence([seed, trial_number]).generate_state(1)[0])
    if trial_number < startup or len(usable.numbers) == 0 or space.n_columns == 0:
        name, point = "latin hypercube", latin_hypercube(space, startup, seed, trial_number)
    else:
        point = _maximum(acquisition, space, usable, pending, own_seed)
    seen = np.concatenate([history.points, pending])
    if seen_among(point[None], seen)[0]:
        point = unseen_point(space, seen, np.random.default_rng(own_seed), otherwise=point)
    return Suggestion.without_model(space.decode(point), point, name)


def _maximum(
    acquisition: Callable[[BotorchProblem, int], Any],
    space: Space,
    usable: History,
    pending: Matrix,
    seed: int,
) -> Matrix:
    bounds = torch.stack([torch.zeros(space.n_columns), torch.ones(space.n_columns)]).double()
    with _seeded(seed):
        function = acquisition(fit_problem(usable, pending), seed)
        found, _ = optimize_acqf(
            function, bounds, q=1, num_restarts=RESTARTS, raw_samples=RAW_SAMPLES,
            options={"init_batch_limit": RAW_SAMPLES_AT_ONCE},
        )  # fmt: skip
    point: Matrix = space.round_points(found.detach().numpy())[0]
    return point


def fit_problem(usable: History, pending: Matrix) -> BotorchProblem:
    """Return the observations, and models fitted to them by marginal likelihood."""
    points = torch.from_numpy(usable.points)
    outputs = torch.from_numpy(np.concatenate([-usable.values, usable.violations], axis=1))
    models = [
        SingleTaskGP(points, column[:, None], outcome_transform=Standardize(m=1)) for column in outputs.T
    ]
    model = ModelListGP(*models)
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return BotorchProblem(
        model=model,
        points=points,
        outputs=outputs,
        n_objectives=usable.values.shape[1],
        pending=torch.from_numpy(pending) if len(pending) else None,
    )


def _column(number: int) -> Candidates:
    return lambda samples: samples[..., number]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with one_thread(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # A fit or an ascent that needs a second try says so; a peer is judged by its points alone.
        warnings.simplefilter("ignore", BotorchWarning)
        warnings.simplefilter("ignore", NumericalWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        torch.manual_seed(seed)
        yield
