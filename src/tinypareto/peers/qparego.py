"""BoTorch's qLogNParEGO: noisy expected improvement of a random Chebyshev scalarisation.

Source: Daulton, Balandat and Bakshy (2020, 2023). Needs the extra ``bench``. With one objective the
scalarisation is the objective itself, and what remains is qLogNEI.
"""

import warnings
from typing import Any

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.exceptions.warnings import BotorchWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.models.transforms import Standardize
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood  # type: ignore[import-untyped]

from tinypareto.search.history import History, Matrix

N_SAMPLES = 128  # s, of the acquisition function
RESTARTS, RAW_SAMPLES = 4, 256  # of its optimisation


def suggest_qparego(history: History, *, seed: int) -> Matrix:
    """Return the next point, d, in the unit cube.

    Args:
        history: Finished evaluations, minimised, without constraints.
        seed: Of scalarisation, samples and restarts.
    """
    usable = history.usable()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # A fit that needs a second try says so; the peer is judged by its points alone.
        warnings.simplefilter("ignore", BotorchWarning)
        torch.manual_seed(seed)
        points, values = torch.from_numpy(usable.points), -torch.from_numpy(usable.values)
        models = []
        for column in range(values.shape[1]):
            model = SingleTaskGP(points, values[:, [column]], outcome_transform=Standardize(m=1))
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            models.append(model)
        bounds = torch.stack([torch.zeros(points.shape[1]), torch.ones(points.shape[1])]).double()
        candidate, _ = optimize_acqf(
            _acquisition(models, points, seed), bounds, q=1, num_restarts=RESTARTS, raw_samples=RAW_SAMPLES
        )
    return candidate[0].numpy()


def _acquisition(models: list[Any], points: torch.Tensor, seed: int) -> Any:
    sampler = SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed)
    if len(models) == 1:
        return qLogNoisyExpectedImprovement(models[0], points, sampler=sampler, prune_baseline=True)
    return qLogNParEGO(ModelListGP(*models), points, sampler=sampler, prune_baseline=True)
