"""Expected hypervolume improvement in closed form, averaged over plausible reference points.

    phi, Phi        normal density and distribution
    psi(a)          E[max(0, a - y)] = s ((a - mu) / s Phi + phi)  for y ~ N(mu, s^2)
                    or, for y = exp(l), l ~ N(mu, s^2):  a Phi(z) - exp(mu + s^2 / 2) Phi(z - s),  z = (log a - mu) / s
    EHVI(x)         sum over boxes of prod_j (psi_j(upper_j) - psi_j(lower_j)): outputs are independent
    r(x)            log sum_R EHVI_R(x) / HV_R  +  log P(every constraint is kept at x)

An objective that is modelled on a log scale enters the hypervolume as itself: that half as many bytes are as much of a
gain at 2 KB as at 200 KB is what its model believes, not what a front is judged by.

Which hypervolume a front is judged by depends on the reference point R, and that decides where the search goes:
near the observed front's nadir it never leaves the middle of the front, far away it sees nothing but the
front's ends. So suggestions take turns. A wide one averages the gain, as a share of the hypervolume so far, over two
points: a tenth of the front's range and the whole of it beyond the nadir of the front that was observed or
is predicted. Ends of the front that win next to nothing for a large loss do not count for nadir and range: on many
problems they lie far out. A narrow one has a single point, near the nadir of those parts of the front alone where
objectives are exchanged at moderate rates; it makes the middle good where the wide one is lost in the ends, which
are most of the front with four objectives. A reference point that the user gives replaces all of them.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.front import feasible_front, hypervolume
from tinypareto.search.boxes import nondominated_boxes
from tinypareto.search.rewards import Feasibility, chebyshev
from tinypareto.search.surrogate import Surrogate

Matrix = npt.NDArray[np.float64]

MARGINS = (0.1, 1.0)  # of the front's range, beyond its nadir
LITTLE, MUCH = (
    0.01,
    0.1,
)  # shares of the range: an end that wins at most the first for at least the second is no end
WORST_RATE = 5.0  # ranges of one objective paid for one range of another, in a narrow suggestion
N_WEIGHTS = 64  # for each objective, to find such points
# Boxes grow with a power of the front, and time with the boxes: beyond these sizes an evenly spread part of the
# front stands for it, and the improvement is approximate.
LARGEST_FRONT = {1: 1, 2: 1000, 3: 200, 4: 80, 5: 25, 6: 14}
MOST_OBJECTIVES = max(LARGEST_FRONT)
BOXES_AT_ONCE = 4096  # bounds the memory of one evaluation


@dataclass(frozen=True, kw_only=True)
class Region:
    """What lies below one reference point and is not dominated: boxes whose corners share few coordinates."""

    edges: tuple[Tensor, ...]  # m tensors: the different finite coordinates of corners along each objective
    lower: Tensor  # m x b: each box's lower corner as an index into (-inf, *edges)
    upper: Tensor  # m x b
    log_volume: float  # of what the front dominates below the reference point
    front: Matrix  # f x m, the observed front below the reference point, as `linear` has it
    corner: Matrix  # m, the reference point
    exponents: Matrix  # m, of `linear`

    def log_share(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return log(EHVI / HV), q, for predictions m x q; hardly anything is -700 and not -inf."""
        psi = [self._psi(j, mean[j], std[j]) for j in range(len(self.edges))]
        total = torch.zeros_like(mean[0])
        for start in range(0, self.lower.shape[1], BOXES_AT_ONCE):
            part = slice(start, start + BOXES_AT_ONCE)
            product = psi[0][self.upper[0, part]] - psi[0][self.lower[0, part]]  # b x q
            for j in range(1, len(psi)):
                product = product * (psi[j][self.upper[j, part]] - psi[j][self.lower[j, part]])
            total = total + product.sum(0)
        return total.clamp_min(1e-304).log() - self.log_volume

    def _psi(self, j: int, mean: Tensor, std: Tensor) -> Tensor:
        exponent = float(self.exponents[j])
        if exponent == 0.0:
            return _expected_excess(self.edges[j], mean, std)
        return _expected_excess_of_exponential(self.edges[j], exponent * mean, exponent * std)


@dataclass(frozen=True, kw_only=True)
class HypervolumeImprovement:
    """Log of the expected share by which the hypervolume grows, plus log-probability of feasibility."""

    feasibility: Feasibility
    regions: tuple[Region, ...]

    def __call__(self, points: Tensor) -> Tensor:
        """Return the reward, q, of points q x d."""
        return self.of_prediction(*self.feasibility.model.predict(points))

    def of_prediction(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the reward, q, for predictions k x q."""
        shares = torch.stack([region.log_share(mean, std) for region in self.regions])
        return shares.logsumexp(0) + self.feasibility.of_prediction(mean, std)


def hypervolume_reward(
    feasibility: Feasibility,
    values: Matrix,
    predicted: Matrix,
    reference: Matrix | None,
    exponents: Matrix,
    *,
    narrow: bool,
    rng: np.random.Generator,
) -> HypervolumeImprovement:
    """Return the reward of one suggestion.

    Args:
        feasibility: Holds the posteriors of m objectives, then c constraints.
        values: Standardised objectives of the feasible observations, n x m with n >= 1.
        predicted: Front that the surrogate predicts, f x m; f may be 0.
        reference: Standardised reference point given by the user, m; infinite where none was given. None for none.
        exponents: Of objectives that are modelled on a log scale (`Outcomes.exponents`), 0 for the others, m.
        narrow: Whether only those parts of the front count that exchange objectives at moderate rates.
        rng: Source of the weights that find these.
    """
    values, predicted = linear(values, exponents), linear(predicted, exponents)
    front = values[feasible_front(values)]
    everything = np.concatenate([front, predicted])
    reach = worthwhile(everything[feasible_front(everything)])
    if narrow:
        reach = moderate(reach, rng)
    lowest, nadir = reach.min(axis=0), reach.max(axis=0)
    corners = [nadir + margin * _span(lowest, nadir) for margin in (MARGINS[:1] if narrow else MARGINS)]
    if reference is not None:
        reference = linear(reference, exponents)
        corners = [np.where(np.isfinite(reference), reference, corner) for corner in corners]
        if np.isfinite(reference).all():
            corners = corners[:1]
    regions = tuple(_region(front, corner, lowest, exponents, feasibility.model) for corner in corners)
    return HypervolumeImprovement(feasibility=feasibility, regions=regions)


def is_narrow(trial_number: int, n_objectives: int) -> bool:
    """Return whose turn it is: every second trial's is narrow, two of three from four objectives on."""
    return trial_number % 2 == 0 if n_objectives < 4 else trial_number % 3 != 0


def worthwhile(front: Matrix) -> Matrix:
    """Return the front, f x m, without points that win little of some objectives for much of another."""
    for _ in range(2):  # the ranges shrink with the first points that go
        low, high = front.min(axis=0), front.max(axis=0)
        gaps = (front[None] - front[:, None]) / _span(low, high)  # q - p for all pairs, f x f x m
        nearly, cheaper = (gaps <= LITTLE).all(axis=2), (gaps <= -MUCH).any(axis=2)
        front = front[~np.any(nearly & cheaper, axis=1)]
    return front


def moderate(front: Matrix, rng: np.random.Generator) -> Matrix:
    """Return the points of the front, f x m, that minimise a Chebyshev value whose weights differ by at most 5."""
    m = front.shape[1]
    weights = rng.dirichlet(np.ones(m), size=N_WEIGHTS * m).clip(1.0 / WORST_RATE)
    chosen = front
    for _ in range(3):  # weights mean another thing as the ranges shrink
        low, high = chosen.min(axis=0), chosen.max(axis=0)
        scaled = torch.from_numpy((front - low) / _span(low, high))
        best = chebyshev(scaled[:, None, :], torch.from_numpy(weights)).argmin(0).numpy()
        chosen = front[np.unique(best)]
    return chosen


def linear(values: Matrix, exponents: Matrix) -> Matrix:
    """Return standardised objectives, ... x m, with those on a log scale turned into what they are the logarithm of.

    Example:
        >>> linear(np.array([[2.0, 2.0]]), np.array([0.0, 0.5])).round(3)
        array([[2.   , 2.718]])
    """
    logged = exponents > 0
    return np.where(logged, np.exp(exponents * np.where(logged, values, 0.0)), values)


def _region(front: Matrix, corner: Matrix, lowest: Matrix, exponents: Matrix, model: Surrogate) -> Region:
    inside = front[(front < corner).all(axis=1)]
    volume = hypervolume(inside, corner) if len(inside) else 0.0
    whole = float(np.prod(_span(lowest, corner)))
    lower, upper = nondominated_boxes(_thinned(inside), corner)
    edges = tuple(
        np.unique(np.concatenate([low[np.isfinite(low)], high]))
        for low, high in zip(lower.T, upper.T, strict=True)
    )
    return Region(
        edges=tuple(model.tensor(values) for values in edges),
        lower=model.tensor(_indices(edges, lower)),
        upper=model.tensor(_indices(edges, upper)),
        log_volume=math.log(max(volume, 1e-3 * whole)),
        front=inside,
        corner=corner,
        exponents=exponents,
    )


def _indices(edges: tuple[Matrix, ...], corners: Matrix) -> npt.NDArray[np.int64]:
    """Return the places of corners, b x m, in (-inf, *edges), m x b."""
    rows = [
        np.where(np.isfinite(column), np.searchsorted(values, column) + 1, 0)
        for values, column in zip(edges, corners.T, strict=True)
    ]
    return np.array(rows)


def _thinned(front: Matrix) -> Matrix:
    """Return the front or, if it is large, points of it that lie far from each other, its ends first."""
    most = LARGEST_FRONT[front.shape[1]]
    if len(front) <= most:
        return front
    scaled = (front - front.min(axis=0)) / _span(front.min(axis=0), front.max(axis=0))
    chosen = list(dict.fromkeys(scaled.argmin(axis=0).tolist()))[:most]
    gaps = np.abs(scaled[:, None, :] - scaled[None, chosen, :]).max(axis=2).min(axis=1)
    while len(chosen) < most:
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, np.abs(scaled - scaled[chosen[-1]]).max(axis=1))
    return np.asarray(front[np.sort(chosen)])


def _span(low: Matrix, high: Matrix) -> Matrix:
    span: Matrix = np.where(high > low, high - low, 1.0)
    return span


def _expected_excess(edges: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return psi, (1 + e) x q: 0 for the edge at -inf, then E[max(0, edge - y)] for y ~ N(mean, std^2)."""
    z = (edges[:, None] - mean) / std  # e x q
    density = (-0.5 * z.square()).exp() / math.sqrt(2.0 * math.pi)
    # Below 0 by Mills' ratio, since z Phi + phi would lose all digits near z = -8.
    ratio = math.sqrt(math.pi / 2.0) * torch.special.erfcx(-z.clamp_max(0.0) / math.sqrt(2.0))
    excess = torch.where(z < 0.0, density * (1.0 + z * ratio), density + z * torch.special.ndtr(z))
    return torch.cat([torch.zeros_like(mean)[None], std * excess.clamp_min(0.0)])


def _expected_excess_of_exponential(edges: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return psi, (1 + e) x q: 0 for the edge at -inf, then E[max(0, edge - exp(l))] for l ~ N(mean, std^2)."""
    height = edges[:, None]  # e x q
    z = (height.clamp_min(torch.finfo(height.dtype).tiny).log() - mean) / std
    below, weighted = torch.special.log_ndtr(z), torch.special.log_ndtr(z - std) + mean + 0.5 * std.square()
    # At an edge far above the mean the difference is all there is; far below, both terms are small and nearly equal.
    excess = height * below.exp() - weighted.exp()
    excess = torch.where(height > 0.0, excess, torch.zeros_like(excess))
    return torch.cat([torch.zeros_like(mean)[None], excess.clamp_min(0.0)])
