"""History, seed -> Suggestion: the whole of MOBOpt-ARS, a pure function.

    trial < n_startup, or nothing to learn from    a row of a Latin hypercube
    else  outcomes -> Gaussian processes -> reward -> starts -> policies trained by ARS
          -> gradients improve the best ends
          -> validation: of all points on the trained policies' paths the best new one is suggested

Where outcomes are known functions of the parameters, points of the design keep the constraints among them, and of the
points on the paths the most promising are looked up: what breaks a known constraint is never suggested.

The same history, pending points, settings, seed and trial number give the same point to the last bit,
in another process too and in whatever order the trials are listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.front import feasible_rows
from tinypareto.search.best_point import Reward, best_new_point, best_unseen
from tinypareto.search.config import SearchConfig
from tinypareto.search.ensemble import trained_paths
from tinypareto.search.first_trials import earlier_points, from_design, kept, stream_of
from tinypareto.search.forecast import forecast
from tinypareto.search.history import History, Suggestion
from tinypareto.search.hypervolume_reward import (
    MOST_OBJECTIVES,
    hypervolume_reward,
    is_narrow,
)
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.outcomes import Outcomes
from tinypareto.search.polish import polished_ends
from tinypareto.search.prior import Prior
from tinypareto.search.rewards import Feasibility, poster_reward
from tinypareto.search.starts import raw_starts, starting_points
from tinypareto.search.surrogate import Surrogate, limits_of, look_up
from tinypareto.search.surrogate_fit import fitted
from tinypareto.search.surrogate_front import predicted_front
from tinypareto.search.trace import TraceFunction
from tinypareto.space import Space
from tinypareto.threads import one_thread

Matrix = npt.NDArray[np.float64]


def suggest(
    space: Space,
    history: History,
    pending: Matrix,
    config: SearchConfig,
    *,
    seed: int,
    trial_number: int,
    reference: Matrix | None = None,
    known: KnownOutcomes | None = None,
    trace: TraceFunction | None = None,
    priors: Sequence[Prior] = (),
    device: str = "cpu",
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
        reference: Point that bounds the hypervolume, m, in the history's units; infinite where an objective has
            none. None: it is inferred. The reward "chebyshev" needs none.
        known: Objectives and violations that are functions of the parameters.
        trace: What else a trial evaluates on its way.
        priors: What earlier, related tasks showed.
        device: Where models and policies live, "cpu" or "cuda"; randomness is the same on both.

    Raises:
        ShapeError: If history or pending points do not have the space's number of columns.
        ConfigError: If PyTorch does not have the device, there are more than six objectives for hypervolumes, a known
            function fails, or everything is known.
    """
    for name, points in (("history.points", history.points), ("pending", pending)):
        if points.ndim != 2 or points.shape[1] != space.n_columns:
            raise ShapeError(
                f"{name} must be n x {space.n_columns} for this space, got {points.shape}; "
                "encode parameters with the same space."
            )
    _check_device(device)
    if config.reward == "hypervolume" and history.values.shape[1] > MOST_OBJECTIVES:
        raise ConfigError(
            f"Hypervolumes of {history.values.shape[1]} objectives take too long, {MOST_OBJECTIVES} are the most; "
            'use preset="poster", or make constraints of some objectives.'
        )
    seen = np.concatenate([history.suggested(), pending])
    size = config.startup_trials(space, knows_objectives=known is not None and known.has_objectives)
    if trial_number < size or len(history.usable().numbers) == 0 or space.n_columns == 0:
        first = earlier_points(space, known, priors, size)
        return from_design(space, known, seen, size, seed, trial_number, first)
    task = _Task(
        space=space,
        history=history,
        # A matrix product's rounding depends on the order of its rows.
        pending=pending[np.lexsort(pending.T[::-1])],
        seen=seen,
        reference=reference,
        known=known,
        trace=trace,
        config=config,
        seed=seed,
        trial_number=trial_number,
    )
    with one_thread():
        model, outcomes = fitted(space, history, task.pending, known, config, device, seed, priors)
        return _from_policies(task, model, outcomes, stream_of(seed, trial_number))


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What `suggest` was asked, with the points that it must not repeat."""

    space: Space
    history: History
    pending: Matrix
    seen: Matrix
    reference: Matrix | None
    known: KnownOutcomes | None
    trace: TraceFunction | None
    config: SearchConfig
    seed: int
    trial_number: int


def _from_policies(task: _Task, model: Surrogate, outcomes: Outcomes, rng: np.random.Generator) -> Suggestion:
    space, config, usable = task.space, task.config, task.history.usable()
    reward, candidates = _reward(task, model, outcomes, rng)

    def worth(points: Matrix) -> Matrix:
        return np.asarray(reward(model.tensor(points)).cpu().numpy())

    starts = starting_points(
        usable.points, usable.values, usable.violations, config.n_policies - config.n_raw_starts, rng
    )
    if config.n_raw_starts:
        starts = np.concatenate([starts, raw_starts(space, candidates, worth, config.n_raw_starts, rng)])
    paths = trained_paths(space, model.tensor(starts), reward, config, rng)
    if config.n_polished:
        ends = polished_ends(space, paths, reward, config.n_polished, model.device)
        paths = np.concatenate([paths, ends[:, None]], axis=1)
    policy, point = best_new_point(space, paths, worth, model, reward, task.trace, task.seen)
    if policy is None:
        point = best_unseen(space, candidates, worth, task.seen, rng, otherwise=point)
    if task.known is not None:
        point = kept(space, task.known, point, task.seen, task.seed)
    path = None if policy is None else paths[policy]
    return _explained(task, model, outcomes, reward, point, policy, path)


def _reward(
    task: _Task, model: Surrogate, outcomes: Outcomes, rng: np.random.Generator
) -> tuple[Reward, Matrix]:
    """Return the reward, and points worth a look, q x d, that finding it came across; q may be 0."""
    config, usable, m = task.config, task.history.usable(), outcomes.n_objectives
    feasible, limits = feasible_rows(usable.violations), limits_of(model, outcomes)
    if config.reward == "chebyshev":
        scalarised = poster_reward(
            model, outcomes.targets[:, :m], limits, feasible, n_samples=config.n_samples, rng=rng
        )
        return scalarised, np.empty((0, task.space.n_columns))
    feasibility = Feasibility(model=model, limits=model.tensor(limits))
    observed = usable.points[feasible] if feasible.any() else usable.points
    front = predicted_front(model, task.space, observed, limits, m, rng)
    if not feasible.any():
        return feasibility, front.candidates
    # What is believed of pending points counts as observed: no gain is expected where another works.
    mean = model.predict_mean(model.tensor(task.pending)).cpu().numpy().T
    believed = mean[(mean[:, m:] <= limits).all(axis=1), :m]
    values = np.concatenate([outcomes.targets[feasible, :m], believed])
    own = None if task.reference is None else outcomes.standardised_objectives(task.reference)
    narrow = config.take_turns and is_narrow(task.trial_number, m)
    reward = hypervolume_reward(
        feasibility, values, front.values, own, outcomes.exponents, narrow=narrow, rng=rng
    )
    return reward, front.candidates


def _explained(
    task: _Task,
    model: Surrogate,
    outcomes: Outcomes,
    reward: Reward,
    point: Matrix,
    policy: int | None,
    path: Matrix | None,
) -> Suggestion:
    usable, query = task.history.usable(), model.tensor(point[None])
    hoped = look_up(model, query)
    mean, std, measured = forecast(model, hoped, outcomes, usable.values[usable.whole], query, task.config)
    units = outcomes.objective_units(mean, std)
    return Suggestion(
        parameters=task.space.decode(point),
        point=point,
        origin="unseen point" if policy is None else "policy",
        policy=policy,
        path=np.empty((0, task.space.n_columns)) if path is None else path,
        mean=units[0],
        std=units[1],
        reward=float(reward.of_prediction(*hoped)[0]),
        feasibility=float(_feasibility(reward).of_prediction(*hoped).exp()[0]),
        interval=outcomes.intervals(mean, measured),
    )


def _feasibility(reward: Reward) -> Feasibility:
    return reward if isinstance(reward, Feasibility) else reward.feasibility


def _check_device(device: str) -> None:
    if device != "cpu" and not (device.split(":")[0] == "cuda" and torch.cuda.is_available()):
        raise ConfigError(
            f'PyTorch cannot use the device {device!r} here; choose "cpu"'
            + (' or "cuda".' if torch.cuda.is_available() else ", or install PyTorch with CUDA.")
        )
