"""History, seed -> Suggestion: the whole of MOBOpt-ARS, a pure function.

    trial < n_startup, or nothing to learn from    a row of a Latin hypercube
    else  outcomes -> Gaussian processes -> reward -> k-means starts -> policies trained by ARS
          -> validation: every trained policy walks once, the best point on the best walk is suggested

The same history, pending points, settings, seed and trial number give the same point to the last bit,
in another process too and in whatever order the trials are listed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.front import feasible_rows
from tinypareto.search.ars import ARSConfig, train
from tinypareto.search.design import latin_hypercube, seen_among, unseen_point
from tinypareto.search.gaussian_process import GaussianProcesses, condition
from tinypareto.search.history import History, Suggestion
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.policies import PolicyShape, initial_weights, roll_out
from tinypareto.search.rewards import ChebyshevImprovement, Reward, poster_reward
from tinypareto.search.starts import starting_points
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

PRESETS = ("default", "poster")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of the search. The presets and the reasons for their figures: docs/method.md.

    Attributes:
        n_startup: Size of the Latin hypercube; None: see ``startup_trials``.
        n_policies: L, competing policies.
        horizon: H, moves of a rollout.
        reach: Longest move along one coordinate, in units of the cube's edge.
        n_hidden: Width of a policy's hidden layer.
        n_samples: s, Monte-Carlo samples of the reward.
        ars: Settings of the training.
    """

    n_startup: int | None
    n_policies: int
    horizon: int
    reach: float
    n_hidden: int
    n_samples: int
    ars: ARSConfig

    def __post_init__(self) -> None:
        smallest = min(self.n_policies, self.horizon, self.n_hidden, self.n_samples)
        if smallest < 1 or (self.n_startup is not None and self.n_startup < 1):
            raise ConfigError(
                "n_startup, n_policies, horizon, n_hidden and n_samples must be at least 1, got "
                f"{self.n_startup}, {self.n_policies}, {self.horizon}, {self.n_hidden} and {self.n_samples}; "
                "start from SearchConfig.preset()."
            )
        if not 0 < self.reach <= 1:
            raise ConfigError(f"reach must lie in (0, 1], the cube's edge, got {self.reach}; try 0.2.")

    @staticmethod
    def preset(name: str) -> "SearchConfig":
        """Return the settings called ``name``: "poster", or "default", which equals it for now.

        Raises:
            ConfigError: If there is no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(
                f"preset must be one of {', '.join(PRESETS)}, got {name!r}; choose one of these."
            )
        return SearchConfig(
            n_startup=None,
            n_policies=5,
            horizon=4,
            reach=0.2,
            n_hidden=8,
            n_samples=64,
            ars=ARSConfig(n_steps=25, n_directions=16, n_top=8, probe=0.3, step=0.3),
        )

    def startup_trials(self, space: Space) -> int:
        """Return the size of the Latin hypercube: one more than there are parameters, within 5..20."""
        return self.n_startup or min(max(space.n_free + 1, 5), 20)


def suggest(
    space: Space,
    history: History,
    pending: Matrix,
    config: SearchConfig,
    *,
    seed: int,
    trial_number: int,
) -> Suggestion:
    """Return the point to evaluate next.

    Args:
        space: What may be varied.
        history: Finished evaluations.
        pending: Points under evaluation elsewhere, q x d, in any order; the model takes them for observed
            at their predicted values, so that workers do not suggest the same.
        config: Settings.
        seed: Of the study, at least 0.
        trial_number: Of the trial that will evaluate the point, at least 0.

    Raises:
        ShapeError: If history or pending points do not have the space's number of columns.
    """
    for name, points in (("history.points", history.points), ("pending", pending)):
        if points.ndim != 2 or points.shape[1] != space.n_columns:
            raise ShapeError(
                f"{name} must be n x {space.n_columns} for this space, got {points.shape}; "
                "encode parameters with the same space."
            )
    usable = history.usable()
    seen = np.concatenate([history.points, pending])
    if trial_number < config.startup_trials(space) or len(usable.numbers) == 0 or space.n_columns == 0:
        return _from_design(space, usable, seen, config, seed, trial_number)
    with _one_core():
        return _from_policies(space, usable, pending, seen, config, _stream(seed, trial_number))


def _from_design(
    space: Space, usable: History, seen: Matrix, config: SearchConfig, seed: int, trial_number: int
) -> Suggestion:
    point = latin_hypercube(space, config.startup_trials(space), seed, trial_number)
    if seen_among(point[None], seen)[0]:
        point = unseen_point(space, seen, _stream(seed, trial_number), otherwise=point)
    return Suggestion(
        parameters=space.decode(point),
        point=point,
        origin="latin hypercube",
        policy=None,
        path=np.empty((0, space.n_columns)),
        mean=np.empty(0),
        std=np.empty(0),
        reward=None,
        feasibility=None,
    )


def _from_policies(
    space: Space,
    usable: History,
    pending: Matrix,
    seen: Matrix,
    config: SearchConfig,
    rng: np.random.Generator,
) -> Suggestion:
    outcomes = standardise(usable.values, usable.violations)
    model = _model(space, usable, pending, outcomes)
    reward = poster_reward(
        model,
        outcomes.targets[:, : outcomes.n_objectives],
        outcomes.limits,
        feasible_rows(usable.violations),
        n_samples=config.n_samples,
        rng=rng,
    )
    paths = trained_paths(space, usable, reward, config, rng)
    policy, point = _best_new_point(space, paths, reward, seen)
    if policy is None:
        known = space.round_points(paths.reshape(-1, space.n_columns))[0]
        point = unseen_point(space, seen, rng, otherwise=known)
    return _explained(space, point, policy, paths, model, outcomes, reward)


def _model(space: Space, usable: History, pending: Matrix, outcomes: Outcomes) -> GaussianProcesses:
    points, groups = torch.from_numpy(usable.points), torch.from_numpy(space.groups)
    outputs = torch.from_numpy(outcomes.targets)
    model = fit(points, outputs, groups)
    if len(pending) == 0:
        return model
    # Sorted, since rounding in a matrix product depends on the order of its rows.
    believed = torch.from_numpy(pending[np.lexsort(pending.T[::-1])])
    mean, _ = model.predict(believed)
    return condition(
        torch.cat([points, believed]), torch.cat([outputs, mean.T]), groups, model.hyperparameters
    )


def trained_paths(
    space: Space, usable: History, reward: Reward, config: SearchConfig, rng: np.random.Generator
) -> Matrix:
    """Return the walks of the trained policies, L x (H + 1) x d, starts included, not rounded."""
    starts = torch.from_numpy(
        starting_points(usable.points, usable.values, usable.violations, config.n_policies, rng)
    )
    shape = PolicyShape(
        n_columns=space.n_columns, n_hidden=config.n_hidden, reach=config.reach, horizon=config.horizon
    )

    def score(weights: Tensor) -> Tensor:  # L x b x w -> L x b
        n_policies, batch, _ = weights.shape
        begin = starts[:, None, :].expand(-1, batch, -1).reshape(n_policies * batch, -1)
        path = roll_out(shape, weights.reshape(n_policies * batch, -1), begin)  # Lb x H x d
        values = _rounded_reward(space, reward, path.reshape(-1, space.n_columns))
        return values.reshape(n_policies, batch, -1).amax(-1)

    weights = train(initial_weights(shape, config.n_policies, rng), score, config.ars, rng)
    walks = roll_out(shape, weights, starts)
    return torch.cat([starts[:, None, :], walks], dim=1).numpy()


def _rounded_reward(space: Space, reward: Reward, points: Tensor) -> Tensor:
    """Return the reward of the parameter values nearest to points, q x d, which the model has seen."""
    return reward(torch.from_numpy(space.round_points(points.numpy())))


def _best_new_point(space: Space, paths: Matrix, reward: Reward, seen: Matrix) -> tuple[int | None, Matrix]:
    """Return the policy and the point of the largest reward among the points that are not known yet."""
    candidates = space.round_points(paths[:, 1:].reshape(-1, space.n_columns))  # LH x d
    scores = reward(torch.from_numpy(candidates)).numpy().copy()
    scores[seen_among(candidates, seen)] = -np.inf
    best = int(scores.argmax())
    if scores[best] == -np.inf:
        return None, candidates[best]
    return best // (paths.shape[1] - 1), candidates[best]


def _explained(
    space: Space,
    point: Matrix,
    policy: int | None,
    paths: Matrix,
    model: GaussianProcesses,
    outcomes: Outcomes,
    reward: Reward,
) -> Suggestion:
    query = torch.from_numpy(point[None])
    mean, std = model.predict(query)
    feasibility = reward.feasibility if isinstance(reward, ChebyshevImprovement) else reward
    m = outcomes.n_objectives
    units = outcomes.objective_units(mean[:m, 0].numpy(), std[:m, 0].numpy())
    return Suggestion(
        parameters=space.decode(point),
        point=point,
        origin="unseen point" if policy is None else "policy",
        policy=policy,
        path=np.empty((0, space.n_columns)) if policy is None else paths[policy],
        mean=units[0],
        std=units[1],
        reward=float(reward(query)[0]),
        feasibility=float(feasibility.of_prediction(mean, std).exp()[0]),
    )


def _stream(seed: int, trial_number: int) -> np.random.Generator:
    return np.random.default_rng([seed, trial_number, 1])


@contextmanager
def _one_core() -> Iterator[None]:
    """Use one CPU thread: on small matrices more are slower, and sums must round the same everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_num_threads(before)
