"""Optuna distributions <-> points of the unit cube (n x d).

What a parameter becomes:

    float, int              1 column, linear or logarithmic, 0 = low and 1 = high
    float or int on a grid  1 column, the middles of equal cells (logarithmic ones for ``log=True``)
    2 categories            1 column, 0 or 1
    3 or more categories    one column each (one-hot), so that no order is invented
    one possible value      no column: there is nothing to search

Parameters are sorted by name, so a space does not depend on the order in which it was written down.
A grid has its points in the middle of its cells because then every value takes an equal share of the
cube; a uniform point, snapped, is a uniform value. Symbols: p parameters with more than one possible
value, d columns, n points.
"""

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tinypareto.errors import ShapeError, SpaceError

MANY_LEVELS = 32  # a parameter with more is as good as continuous

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """One parameter: its columns and, unless it is continuous, its number of levels."""

    name: str
    distribution: FloatDistribution | IntDistribution | CategoricalDistribution
    n_levels: int | None  # None: continuous

    @property
    def n_columns(self) -> int:
        if self.n_levels == 1:
            return 0
        if isinstance(self.distribution, CategoricalDistribution) and len(self.distribution.choices) > 2:
            return len(self.distribution.choices)
        return 1

    def level_of_share(self, share: Points) -> npt.NDArray[np.int64]:
        """Return the level whose cell holds each share of the unit interval."""
        levels = self.n_levels or 1
        if isinstance(self.distribution, IntDistribution) and self.distribution.log:
            low, width = self._log_bounds()
            exponent = low + np.clip(share, 0.0, 1.0) * width
            level = np.rint(np.exp(exponent)).astype(np.int64) - self.distribution.low
        else:
            level = np.floor(share * levels).astype(np.int64)
        return np.asarray(np.clip(level, 0, levels - 1))

    def columns_of_level(self, level: npt.NDArray[np.int64]) -> Points:
        """Return the columns, n x n_columns, that stand for levels, n."""
        if isinstance(self.distribution, CategoricalDistribution):
            if self.n_columns == 1:
                return level[:, None].astype(np.float64)
            return np.eye(self.n_columns)[level]
        if isinstance(self.distribution, IntDistribution) and self.distribution.log:
            low, width = self._log_bounds()
            return ((np.log(level + self.distribution.low) - low) / width)[:, None]
        return ((level + 0.5) / (self.n_levels or 1))[:, None]

    def level_of_columns(self, columns: Points) -> npt.NDArray[np.int64]:
        """Return the level nearest to columns, n x n_columns."""
        if isinstance(self.distribution, CategoricalDistribution) and self.n_columns > 1:
            return np.asarray(columns.argmax(axis=1))
        return self.level_of_share(columns[:, 0])

    def place(self, share: Points) -> Points:
        """Return the columns, n x n_columns, of shares of the unit interval, n."""
        if self.n_levels is None:
            return np.clip(share, 0.0, 1.0)[:, None]
        return self.columns_of_level(self.level_of_share(share))

    def snap(self, columns: Points) -> Points:
        """Return the nearest columns that stand for a value."""
        if self.n_columns == 0:
            return columns
        if self.n_levels is None:
            return np.clip(columns, 0.0, 1.0)
        return self.columns_of_level(self.level_of_columns(columns))

    def value(self, columns: Points) -> Any:
        """Return the parameter's value at one point's columns, 1 x n_columns."""
        if self.n_levels is None:
            return self._continuous_value(float(columns[0, 0]))
        level = int(self.level_of_columns(columns)[0]) if self.n_columns else 0
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[level]
        if isinstance(self.distribution, IntDistribution):
            return self.distribution.low + level * self.distribution.step
        step = self.distribution.step or 0.0
        return min(self.distribution.low + level * step, self.distribution.high)

    def columns(self, value: Any) -> Points:
        """Return one point's columns, n_columns, for a value inside the distribution."""
        if self.n_columns == 0:
            return np.empty(0)
        internal = self.distribution.to_internal_repr(value)
        if self.n_levels is None:
            return np.array([self._continuous_share(internal)])
        if isinstance(self.distribution, CategoricalDistribution):
            level = round(internal)
        else:
            level = round((internal - self.distribution.low) / (self.distribution.step or 1))
        return np.asarray(self.columns_of_level(np.array([level]))[0])

    def contains(self, value: Any) -> bool:
        """Return whether a value lies inside the distribution's range or choices."""
        try:
            internal = self.distribution.to_internal_repr(value)
        except ValueError:
            return False
        if isinstance(self.distribution, CategoricalDistribution):
            return True
        return bool(self.distribution.low <= internal <= self.distribution.high)

    def _log_bounds(self) -> tuple[float, float]:
        assert not isinstance(self.distribution, CategoricalDistribution)
        half = 0.5 if isinstance(self.distribution, IntDistribution) else 0.0
        low = math.log(self.distribution.low - half)
        return low, math.log(self.distribution.high + half) - low

    def _continuous_value(self, share: float) -> float:
        assert isinstance(self.distribution, FloatDistribution)
        low, high = self.distribution.low, self.distribution.high
        if self.distribution.log:
            start, width = self._log_bounds()
            value = math.exp(start + share * width)
        else:
            value = low + share * (high - low)
        return min(max(value, low), high)

    def _continuous_share(self, value: float) -> float:
        assert isinstance(self.distribution, FloatDistribution)
        if self.distribution.log:
            start, width = self._log_bounds()
            share = (math.log(value) - start) / width
        else:
            share = (value - self.distribution.low) / (self.distribution.high - self.distribution.low)
        return min(max(share, 0.0), 1.0)


class Space:
    """A search space as columns of the unit cube.

    Args:
        distributions: Parameter names and their Optuna distributions.

    Raises:
        SpaceError: If there is no distribution, or one that is not a float, int or categorical.

    Example:
        >>> space = Space({"width": IntDistribution(8, 32, step=8), "rate": FloatDistribution(0, 1)})
        >>> space.decode(space.encode({"width": 16, "rate": 0.5}))
        {'rate': 0.5, 'width': 16}
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        if not distributions:
            raise SpaceError(
                "A search space needs at least one parameter, got none; "
                'add one, for example {"width": IntDistribution(8, 32)}.'
            )
        self._axes = tuple(_axis(name, distributions[name]) for name in sorted(distributions))
        ends = list(itertools.accumulate((axis.n_columns for axis in self._axes), initial=0))
        self._columns = tuple(slice(a, b) for a, b in itertools.pairwise(ends))
        self._free = tuple(i for i, axis in enumerate(self._axes) if axis.n_columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, sorted."""
        return tuple(axis.name for axis in self._axes)

    @property
    def n_columns(self) -> int:
        """The number d of columns of a point; 0 if every parameter has one possible value."""
        return self._columns[-1].stop

    @property
    def continuous_columns(self) -> npt.NDArray[np.bool_]:
        """Which of the d columns belong to continuous parameters, so that rounding does not change them."""
        return np.array(
            [axis.n_levels is None for axis in self._axes for _ in range(axis.n_columns)], dtype=np.bool_
        )

    @property
    def n_free(self) -> int:
        """The number p of parameters with more than one possible value."""
        return len(self._free)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """For each of the d columns, the number 0..p-1 of the free parameter that it belongs to."""
        sizes = [self._axes[i].n_columns for i in self._free]
        return np.repeat(np.arange(self.n_free), sizes)

    @property
    def categorical(self) -> npt.NDArray[np.bool_]:
        """Which of the p free parameters are categories, none nearer to one than to another."""
        kinds = [isinstance(self._axes[i].distribution, CategoricalDistribution) for i in self._free]
        return np.array(kinds, dtype=np.bool_)

    @property
    def n_points(self) -> int | None:
        """The number of different points, or None if a parameter is continuous."""
        levels = [axis.n_levels for axis in self._axes]
        return None if None in levels else math.prod(n for n in levels if n is not None)

    def contains(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether ``parameters`` names every parameter with a value of this space."""
        return all(axis.name in parameters and axis.contains(parameters[axis.name]) for axis in self._axes)

    def encode(self, parameters: Mapping[str, Any]) -> Points:
        """Return the point, d, of one set of parameters; further names are ignored.

        Raises:
            SpaceError: If a parameter is missing or its value lies outside its distribution.
        """
        for axis in self._axes:
            if axis.name not in parameters or not axis.contains(parameters[axis.name]):
                value = repr(parameters[axis.name]) if axis.name in parameters else "nothing"
                raise SpaceError(
                    f"Parameter {axis.name!r} must lie in {axis.distribution}, got {value}; "
                    "give a value of the space or widen the space."
                )
        return np.concatenate([axis.columns(parameters[axis.name]) for axis in self._axes])

    def decode(self, point: Points) -> dict[str, Any]:
        """Return the parameters, as Python values, nearest to one point, d."""
        row = self._checked(np.asarray(point)[None, :], self.n_columns)
        return {
            axis.name: axis.value(row[:, columns])
            for axis, columns in zip(self._axes, self._columns, strict=True)
        }

    def round_points(self, points: Points) -> Points:
        """Return, for points n x d, the nearest points n x d that stand for parameter values."""
        points = self._checked(points, self.n_columns)
        return np.concatenate(
            [axis.snap(points[:, c]) for axis, c in zip(self._axes, self._columns, strict=True)], axis=1
        )

    def from_shares(self, shares: Points) -> Points:
        """Return points n x d for shares n x p: uniform shares in [0, 1) give uniform values.

        This is how a design with one coordinate per parameter (a Latin hypercube) becomes points.
        """
        shares = self._checked(shares, self.n_free)
        placed = [self._axes[i].place(shares[:, j]) for j, i in enumerate(self._free)]
        return np.concatenate(placed, axis=1) if placed else np.empty((len(shares), 0))

    def grid_point(self, index: int) -> Points:
        """Return point number ``index`` (modulo ``n_points``) of a space without continuous parameters.

        Raises:
            SpaceError: If a parameter is continuous.
        """
        if self.n_points is None:
            raise SpaceError(
                "Only a space of grids and categories can be numbered, got one with a continuous parameter; "
                "give every float a step."
            )
        parts = []
        for i in self._free:
            index, level = divmod(index, self._axes[i].n_levels or 1)
            parts.append(self._axes[i].columns_of_level(np.array([level]))[0])
        return np.concatenate(parts) if parts else np.empty(0)

    def levels(self, *, at_most: int) -> list[Points]:
        """Return, for each of the p free parameters, the columns of its first ``at_most`` values, one row each.

        Raises:
            SpaceError: If a parameter is continuous.
        """
        if self.n_points is None:
            raise SpaceError(
                "Only a space of grids and categories has levels, got one with a continuous parameter; "
                "give every float a step."
            )
        axes = [self._axes[i] for i in self._free]
        return [axis.columns_of_level(np.arange(min(axis.n_levels or 1, at_most))) for axis in axes]

    def columns_of(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """Return which of the d columns belong to parameters of these names."""
        return np.array(
            [axis.name in names for axis in self._axes for _ in range(axis.n_columns)], dtype=np.bool_
        )

    def neighbours(self, point: Points) -> Points:
        """Return the points, q x d, that differ from one point, d, in one parameter that is not continuous."""
        found = [np.empty((0, self.n_columns))]
        for axis, columns in zip(self._axes, self._columns, strict=True):
            if axis.n_levels is None or not MANY_LEVELS >= axis.n_levels > 1:
                continue
            levels = axis.columns_of_level(np.arange(axis.n_levels))
            others = np.repeat(point[None], axis.n_levels, axis=0)
            others[:, columns] = levels
            found.append(others[np.abs(levels - point[columns]).max(axis=1) > 0])
        return np.concatenate(found)

    @staticmethod
    def _checked(points: Points, width: int) -> Points:
        if points.ndim != 2 or points.shape[1] != width:
            raise ShapeError(
                f"Points must be n x {width} for this space, got {' x '.join(map(str, points.shape))}; "
                "encode parameters with the same space."
            )
        return points


def _axis(name: str, distribution: BaseDistribution) -> _Axis:
    if isinstance(distribution, CategoricalDistribution):
        return _Axis(name=name, distribution=distribution, n_levels=len(distribution.choices))
    if isinstance(distribution, IntDistribution):
        levels = (distribution.high - distribution.low) // distribution.step + 1
        return _Axis(name=name, distribution=distribution, n_levels=levels)
    if isinstance(distribution, FloatDistribution):
        return _Axis(name=name, distribution=distribution, n_levels=_float_levels(distribution))
    raise SpaceError(
        f"Parameter {name!r} must be a float, int or categorical distribution, got {distribution!r}; "
        "use FloatDistribution, IntDistribution or CategoricalDistribution of optuna.distributions."
    )


def _float_levels(distribution: FloatDistribution) -> int | None:
    if distribution.single():
        return 1
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1
