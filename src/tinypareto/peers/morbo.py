"""MORBO with one trust region: Thompson sampling of hypervolume improvement around the most valuable front point.

    centre      of the points since the region began, the feasible one with the greatest hypervolume contribution;
                equals are told apart by a random Chebyshev value; before there is a feasible one, the least violation
    model       of the evaluations in the box of edge 2 L around the centre, and the nearest others up to 250
    candidate   whose sampled objectives add the most hypervolume to the whole front; pending points count with theirs
    success     a trial that adds hypervolume; without a feasible point yet, one that lowers the least violation
    restart     at the best point of a sample of the model of everything, by a random hypervolume scalarisation

Source: Daulton, Eriksson, Balandat and Bakshy (2022), written from the paper. Differs: one region instead of
several, and the reference point is not given but follows from the front and all that was observed.
"""

import moocore
import numpy as np
import numpy.typing as npt

from tinypareto.errors import ConfigError
from tinypareto.front import feasible_front, feasible_rows, hypervolume
from tinypareto.peers.thompson import best_row, local_model, scalarised, total_violations
from tinypareto.peers.trust_region import RegionRules, TrustRegion, candidates, global_candidates
from tinypareto.search.config import SearchConfig
from tinypareto.search.design import latin_hypercube, seen_among, unseen_point
from tinypareto.search.history import History, Suggestion
from tinypareto.space import Space
from tinypareto.threads import one_thread

Matrix = npt.NDArray[np.float64]

MARGIN = 0.1  # of the observed range, from the front's nadir to the reference point
FEWEST_POINTS = 250  # of a local model, if there are as many
_STREAM = 4  # of random numbers of one trial


def suggest_morbo(
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
        pending: Points under evaluation elsewhere, q x d.
        seed: Of the study.
        trial_number: Of the trial that will evaluate the point.
        n_startup: Trials of the Latin hypercube at the beginning; None: as many as the other samplers have.

    Raises:
        ConfigError: If there is one objective only.
    """
    if history.values.shape[1] == 1:
        raise ConfigError("morbo needs two objectives or more, got one; use turbo, or gp.")
    startup = n_startup or SearchConfig.preset("poster").startup_trials(space)
    usable = history.usable()
    pending = np.unique(pending, axis=0)  # sorted: the workers' order must not matter
    seen = np.concatenate([history.suggested(), pending])
    rng = np.random.default_rng([seed, trial_number, _STREAM])
    if trial_number < startup or len(usable.numbers) == 0 or space.n_columns == 0:
        origin, point = "latin hypercube", latin_hypercube(space, startup, seed, trial_number)
    else:
        region = region_of(space, history, startup=startup)
        with one_thread():
            if (usable.numbers >= region.first).any():
                origin = f"MORBO-1, region of length {region.length:g}"
                point = _best_candidate(space, usable, region, pending, seen, rng)
            else:
                origin, point = "MORBO-1, restart", _restart(space, usable, seen, rng)
    if seen_among(point[None], seen)[0]:
        point = unseen_point(space, seen, rng, otherwise=point)
    return Suggestion.without_model(space.decode(point), point, origin)


def region_of(space: Space, history: History, *, startup: int) -> TrustRegion:
    """Return the trust region after a history, whatever order it is listed in.

    Args:
        space: What may be varied; a region shrinks after a third as many failures as it has parameters, at least 10.
        history: Finished evaluations.
        startup: Trials at the beginning that do not count as successes or failures.
    """
    rules = RegionRules(shortest=0.01, to_grow=None, to_shrink=max(10, -(-space.n_free // 3)))
    region = TrustRegion(length=rules.initial)
    usable = history.usable()
    for number in np.unique(history.numbers).tolist():
        # The point at which a region restarts is where it begins, not what it achieves.
        if number >= max(startup, region.first + (region.first > 0)):
            region = region.after(number, _adds_hypervolume(usable, number), rules)
    return region


def _adds_hypervolume(usable: History, number: int) -> bool:
    """Return whether a trial succeeded: with a feasible point that no earlier one equals or beats in everything."""
    known = usable.rows(usable.numbers <= number)
    before = known.numbers < number
    feasible = feasible_rows(known.violations)
    if not feasible.any():
        return best_row(np.zeros(len(before)), total_violations(known.violations)) >= int(before.sum())
    earlier = known.values[feasible & before]
    new = known.values[feasible & ~before]
    return bool((~_beaten(new, earlier)).any())


def _beaten(values: Matrix, front: Matrix) -> npt.NDArray[np.bool_]:
    """Return which of q x m objectives a point of f x m equals or beats in everything."""
    no_worse = np.asarray(front[None] <= values[:, None])  # q x f x m
    return np.asarray(np.any(np.all(no_worse, axis=2), axis=1))


def centre_row(own: History, weights: Matrix) -> int:
    """Return the row of the evaluation around which the trust region lies.

    Args:
        own: Evaluations since the region began, n >= 1, all of which succeeded.
        weights: Of the Chebyshev value that tells equals apart, m.
    """
    scores = scalarised(own.values, weights, own.values)
    front = feasible_front(own.values, own.violations)
    if len(front) == 0:
        return best_row(scores, total_violations(own.violations))
    values = own.values[front]
    corner = reference_point(values, own.values[feasible_rows(own.violations)])
    contributions = moocore.hv_contributions(values, ref=corner)
    greatest = front[contributions >= contributions.max() * (1.0 - 1e-9)]
    return int(greatest[scores[greatest].argmin()])


def reference_point(front: Matrix, observed: Matrix) -> Matrix:
    """Return the upper corner, m, of the hypervolume: a tenth of the observed range beyond the front's nadir.

    With the front's own range in place of the observed one, fronts that began short never spread.

    Args:
        front: Objectives, f x m with f >= 1, minimised.
        observed: Of all feasible evaluations, n x m.
    """
    span = np.ptp(observed, axis=0)
    return np.asarray(front.max(axis=0) + MARGIN * np.where(span > 0, span, 1.0))


def improvements(values: Matrix, front: Matrix, reference: Matrix) -> Matrix:
    """Return the hypervolume, q, that each of q x m objectives would add to a front, f x m."""
    useful = np.flatnonzero((values < reference).all(axis=1) & ~_beaten(values, front))
    before = hypervolume(front, reference)
    gains = np.zeros(len(values))
    for row in useful:
        gains[row] = hypervolume(np.concatenate([front, values[row : row + 1]]), reference) - before
    return np.maximum(gains, 0.0)


def neighbourhood(usable: History, centre: Matrix, length: float) -> History:
    """Return the evaluations in the box of edge 2 L around a centre, d, and the nearest others up to 250 in all."""
    distance = np.abs(usable.points - centre).max(axis=1)
    nearest = np.argsort(distance, kind="stable")[:FEWEST_POINTS]
    chosen = distance <= length
    chosen[nearest] = True
    return usable.rows(chosen)


def _best_candidate(
    space: Space,
    usable: History,
    region: TrustRegion,
    pending: Matrix,
    seen: Matrix,
    rng: np.random.Generator,
) -> Matrix:
    weights = rng.dirichlet(np.ones(usable.values.shape[1]))
    own = usable.rows(usable.numbers >= region.first)
    centre = own.points[centre_row(own, weights)]
    points = candidates(space, centre, region.length, np.ones(space.n_free), seen, rng)
    if len(points) == 0:
        return np.asarray(centre)
    model = local_model(space, neighbourhood(usable, centre, region.length))
    values, violations = model.draw(np.concatenate([points, pending]), rng)
    q = len(points)
    kept = feasible_rows(usable.violations)
    front = np.concatenate([usable.values[kept], values[q:][violations[q:] <= 0]])
    observed = usable.values[kept] if kept.any() else usable.values
    scores = _scores(values[:q], violations[:q], front[feasible_front(front)], observed, weights)
    return np.asarray(points[best_row(scores, violations[:q])])


def _scores(values: Matrix, violations: Matrix, front: Matrix, observed: Matrix, weights: Matrix) -> Matrix:
    """Return what is to be minimised, q: minus the hypervolume gained or, where nothing gains, a Chebyshev value."""
    kept = violations <= 0
    if len(front) and kept.any():
        gains = np.zeros(len(values))
        gains[kept] = improvements(values[kept], front, reference_point(front, observed))
        if gains.max() > 0:
            return -gains
    return scalarised(values, weights, observed)


def _restart(space: Space, usable: History, seen: Matrix, rng: np.random.Generator) -> Matrix:
    """Return where the next region begins: the best point of a sample by a random hypervolume scalarisation."""
    points = global_candidates(space, seen, rng)
    if len(points) == 0:
        return np.asarray(usable.points[0])  # everything is known
    values, violations = local_model(space, usable).draw(points, rng)
    kept = feasible_rows(usable.violations)
    observed = usable.values[kept] if kept.any() else usable.values
    known = observed[feasible_front(observed)]
    corner = reference_point(known, observed)
    direction = np.abs(rng.standard_normal(len(corner)))
    direction /= np.linalg.norm(direction)
    span = np.where(corner > known.min(axis=0), corner - known.min(axis=0), 1.0)
    lengths = ((corner - values) / span / direction).min(axis=1)
    return np.asarray(points[best_row(-lengths, violations)])
