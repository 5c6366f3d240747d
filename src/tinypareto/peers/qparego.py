"""BoTorch's qLogNParEGO: noisy expected improvement of a random Chebyshev scalarisation.

Source: Daulton, Balandat and Bakshy (2020, 2023). With one objective the scalarisation is the objective
itself, and what remains is qLogNEI.
"""

from typing import Any

from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.acquisition.objective import GenericMCObjective

from tinypareto.peers.botorch_problem import BotorchProblem, suggest_by_acquisition
from tinypareto.search.history import History, Matrix, Suggestion
from tinypareto.space import Space


def suggest_qparego(
    space: Space, history: History, pending: Matrix, *, seed: int, trial_number: int
) -> Suggestion:
    """Return the next point; see `suggest_by_acquisition` for the arguments."""
    return suggest_by_acquisition(
        _acquisition, "qLogNParEGO", space, history, pending, seed=seed, trial_number=trial_number
    )


def _acquisition(problem: BotorchProblem, seed: int) -> Any:
    settings: dict[str, Any] = {
        "sampler": problem.sampler(seed),
        "constraints": problem.constraints,
        "X_pending": problem.pending,
        "prune_baseline": True,
    }
    if problem.n_objectives == 1:
        alone = GenericMCObjective(lambda samples, X: samples[..., 0])
        return qLogNoisyExpectedImprovement(problem.model, problem.points, objective=alone, **settings)
    objectives = IdentityMCMultiOutputObjective(outcomes=list(range(problem.n_objectives)))
    return qLogNParEGO(problem.model, problem.points, objective=objectives, **settings)
