"""Points of the policies' paths -> the one to evaluate.

Known functions and what a trial evaluates on its way cost too much for every point of a walk: only the most promising
are looked at with them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinypareto.search.design import seen_among, unseen_point
from tinypareto.search.hypervolume_reward import HypervolumeImprovement
from tinypareto.search.rewards import Reward as PosterReward
from tinypareto.search.surrogate import Surrogate, known_outcomes, look_up
from tinypareto.search.trace import TraceFunction, trace_of, with_trace
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]
Worth = Callable[[Matrix], Matrix]  # points q x d to rewards q
Reward = PosterReward | HypervolumeImprovement

# Points that known functions are asked about: of each policy's path, and of all paths together.
N_OF_EACH, N_OF_ALL = 8, 32
N_CHANGES = 3
N_TRACED = 24  # of which, or of all, what is evaluated on the way is looked at


def best_new_point(
    space: Space,
    paths: Matrix,
    worth: Worth,
    model: Surrogate,
    reward: Reward,
    trace: TraceFunction | None,
    seen: Matrix,
) -> tuple[int | None, Matrix]:
    """Return the policy and the point of the largest reward among the points that are not known yet.

    Where outcomes are known functions, the most promising points are looked up, and the best of these is returned;
    where more is evaluated on the way to a point, that counts as well.
    """
    candidates = space.round_points(paths[:, 1:].reshape(-1, space.n_columns))  # Lp x d
    scores = worth(candidates).copy()
    scores[seen_among(candidates, seen)] = -np.inf
    best = int(scores.argmax())
    if scores[best] == -np.inf:
        return None, candidates[best]
    _, different = np.unique(candidates, axis=0, return_index=True)
    different = different[scores[different] > -np.inf]
    known = known_outcomes(model)
    if known is not None:
        promising = _promising(different, scores, length=paths.shape[1] - 1)
        exact = reward.of_prediction(*look_up(model, model.tensor(candidates[promising]))).cpu().numpy()
        kept = known.kept_at(space, candidates[promising])
        scores[:] = -np.inf
        scores[promising] = np.where(kept, exact, -np.inf)
        best = int(promising[scores[promising].argmax()])
    if trace is not None and isinstance(reward, HypervolumeImprovement):
        promising = _largest(different, scores, N_TRACED)
        points = candidates[promising]
        whole = np.where(
            scores[promising] > -np.inf, _with_trace(space, points, reward, model, trace), -np.inf
        )
        best = int(promising[whole.argmax()])
        candidates[best] = _best_neighbour(space, candidates[best], whole.max(), reward, model, trace, seen)
    return best // (paths.shape[1] - 1), candidates[best]


def _best_neighbour(
    space: Space,
    point: Matrix,
    worth: float,
    reward: HypervolumeImprovement,
    model: Surrogate,
    trace: TraceFunction,
    seen: Matrix,
) -> Matrix:
    """Return the best point, d, that a few changes of one discrete parameter each lead to.

    The policies walk towards good ends of trials; in steps and schedules of the way itself they have no interest.
    """
    for _ in range(N_CHANGES):
        others = space.neighbours(point)
        others = others[~seen_among(others, seen)]
        if len(others) == 0:
            break
        rewards = _with_trace(space, others, reward, model, trace)
        if rewards.max() <= worth:
            break
        point, worth = others[rewards.argmax()], rewards.max()
    return point


def _with_trace(
    space: Space, points: Matrix, reward: HypervolumeImprovement, model: Surrogate, trace: TraceFunction
) -> Matrix:
    return with_trace(reward, model, points, trace_of(trace, space, points))


def _promising(rows: npt.NDArray[np.int64], scores: Matrix, *, length: int) -> npt.NDArray[np.int64]:
    """Return the rows of the largest scores, those of each policy for itself among them: one may have gone astray.

    Args:
        rows: Of different points, each policy's in a block of ``length`` numbers.
        scores: By row.
        length: Of a policy's path.
    """
    policies = rows // length
    chosen = [_largest(rows[policies == policy], scores, N_OF_EACH) for policy in np.unique(policies)]
    return np.unique(np.concatenate([*chosen, _largest(rows, scores, N_OF_ALL)]))


def _largest(rows: npt.NDArray[np.int64], scores: Matrix, count: int) -> npt.NDArray[np.int64]:
    """Return those of the rows that have the largest scores, largest first."""
    return rows[np.argsort(-scores[rows], kind="stable")[:count]]


def best_unseen(
    space: Space,
    candidates: Matrix,
    worth: Worth,
    seen: Matrix,
    rng: np.random.Generator,
    *,
    otherwise: Matrix,
) -> Matrix:
    """Return the best of the candidates that is not known yet or, if all are, any such point."""
    new = candidates[~seen_among(candidates, seen)]
    if len(new) == 0:
        return unseen_point(space, seen, rng, otherwise=otherwise)
    best: Matrix = new[int(worth(new).argmax())]
    return best
