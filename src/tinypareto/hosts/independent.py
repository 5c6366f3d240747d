"""Values drawn one parameter at a time, where the sampler cannot know the space yet: a study's very first trials."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from tinypareto.hosts.suggestions import parameters_of
from tinypareto.search.design import unseen_point
from tinypareto.space import Space


def drawn_value(
    trial: FrozenTrial,
    others: Sequence[FrozenTrial],
    name: str,
    distribution: BaseDistribution,
    rng: np.random.Generator,
) -> Any:
    """Return a uniform value among those that the fewest other trials took; of continuous ones any.

    Only trials that agree in what this one has so far count. So trials spread evenly over the branches of a grid, and
    none of its points comes twice before each came once.

    Args:
        trial: Which asks, with its parameters so far.
        others: The study's other trials, in any order and state.
        name: Of the parameter.
        distribution: Of the parameter.
        rng: Source of randomness.
    """
    space = Space({name: distribution})
    known = [parameters_of(t, {**trial.distributions, name: distribution}) for t in others]
    same = [p for p in known if all(p.get(key) == value for key, value in trial.params.items())]
    taken = [space.encode(p) for p in same if space.contains(p)]
    points, counts = np.unique(np.reshape(taken, (len(taken), space.n_columns)), axis=0, return_counts=True)
    fewest = counts.min() if len(points) == space.n_points else 0
    middle = np.full(space.n_columns, 0.5)
    return space.decode(unseen_point(space, points[counts > fewest], rng, otherwise=middle))[name]
