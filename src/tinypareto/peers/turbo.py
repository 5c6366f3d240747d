"""TuRBO-1: Thompson sampling in one trust region around the best point, which restarts when it has become too small.

Source: Eriksson, Pearce, Gardner, Turner and Poloczek (2019), written from the paper; constraints as in SCBO, Eriksson
and Poloczek (2021): each constraint has a model, candidates must keep all of them in the drawn sample, and until there
is one that does the least total violation counts.

Differs: the paper has one objective. With several, each trial judges by a Chebyshev value of its own (weights drawn
uniformly from the simplex by seed and trial number): it takes the centre from the best point of the region by that
value, the sample's best candidate by it, and is a success if it beats all earlier points of the region by it. So one
region serves all of the front. A region has a Latin hypercube and a model of its own, as in the paper; what was
evaluated before counts no more.
"""

import numpy as np
import numpy.typing as npt

from tinypareto.peers.thompson import best_row, local_model, scalarised, total_violations
from tinypareto.peers.trust_region import RegionRules, TrustRegion, candidates
from tinypareto.search.config import SearchConfig
from tinypareto.search.design import latin_hypercube, seen_among, unseen_point
from tinypareto.search.history import History, Suggestion
from tinypareto.space import Space
from tinypareto.threads import one_thread

Matrix = npt.NDArray[np.float64]

_WEIGHTS, _SAMPLE = 2, 3  # streams of random numbers of one trial


def suggest_turbo(
    space: Space,
    history: History,
    pending: Matrix,
    *,
    seed: int,
    trial_number: int,
    n_startup: int | None = None,
) -> Suggestion:
    """Return the next point.

    Args:
        space: What may be varied.
        history: Finished evaluations, in any order; those that failed count as failures of the region.
        pending: Points under evaluation elsewhere, q x d; they are not suggested again.
        seed: Of the study.
        trial_number: Of the trial that will evaluate the point.
        n_startup: Trials with which each region begins, a Latin hypercube; None: as many as the other samplers have.
    """
    startup = n_startup or SearchConfig.preset("poster").startup_trials(space)
    region = region_of(space, history, seed=seed, startup=startup)
    usable = history.usable()
    own = usable.rows(usable.numbers >= region.first)
    seen = np.concatenate([history.suggested(), pending])
    rng = np.random.default_rng([seed, trial_number, _SAMPLE])
    row = max(trial_number - region.first, 0)
    origin = f"TuRBO-1, region of length {region.length:g}"
    if row < startup or len(own.numbers) == 0 or space.n_columns == 0:
        # a hypercube of its own for each region, and the other samplers' for the first
        design_seed = int(np.random.SeedSequence([seed, region.first]).generate_state(1)[0])
        origin = "latin hypercube"
        point = latin_hypercube(space, startup, design_seed if region.first else seed, row)
    else:
        with one_thread():
            point = _best_candidate(space, own, region, seen, seed, trial_number, rng)
    if seen_among(point[None], seen)[0]:
        point = unseen_point(space, seen, rng, otherwise=point)
    return Suggestion.without_model(space.decode(point), point, origin)


def region_of(space: Space, history: History, *, seed: int, startup: int) -> TrustRegion:
    """Return the trust region after a history, whatever order it is listed in.

    Args:
        space: What may be varied; a region shrinks after as many failures as it has parameters.
        history: Finished evaluations.
        seed: Of the study, which decides each trial's weights.
        startup: Trials at a region's beginning that do not count as successes or failures.
    """
    rules = RegionRules(to_shrink=max(space.n_free, 1))
    region = TrustRegion(length=rules.initial)
    usable = history.usable()
    for number in np.unique(history.numbers).tolist():
        if number < region.first + startup:
            continue
        known = usable.rows((usable.numbers >= region.first) & (usable.numbers <= number))
        n_new = int((known.numbers == number).sum())
        success = n_new > 0 and _best(known, seed, number) >= len(known.numbers) - n_new
        region = region.after(number, success, rules)
    return region


def _best_candidate(
    space: Space,
    own: History,
    region: TrustRegion,
    seen: Matrix,
    seed: int,
    trial_number: int,
    rng: np.random.Generator,
) -> Matrix:
    model = local_model(space, own)
    centre = own.points[_best(own, seed, trial_number)]
    points = candidates(space, centre, region.length, model.stretch, seen, rng)
    if len(points) == 0:
        return np.asarray(centre)
    values, violations = model.draw(points, rng)
    scores = scalarised(values, _weights(own, seed, trial_number), own.values)
    return np.asarray(points[best_row(scores, violations)])


def _best(known: History, seed: int, trial_number: int) -> int:
    """Return the row of the point that is best by a trial's weights, the earliest of equals."""
    scores = scalarised(known.values, _weights(known, seed, trial_number), known.values)
    return best_row(scores, total_violations(known.violations))


def _weights(known: History, seed: int, trial_number: int) -> Matrix:
    rng = np.random.default_rng([seed, trial_number, _WEIGHTS])
    return rng.dirichlet(np.ones(known.values.shape[1]))
