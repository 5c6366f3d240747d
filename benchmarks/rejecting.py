"""Peers kept from configurations that are known to break a limit: what any sampler can do with known sizes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from tinypareto.experiment import Experiment
from tinypareto.known_sizes import KnownSizes
from tinypareto.space import Space

Parameters = Mapping[str, Any]

TRIES = 3  # of the sampler itself, which may insist; random ones follow


class Rejecting(BaseSampler):
    """Asks a sampler again, and at last draws at random, until every known limit is kept."""

    def __init__(self, base: BaseSampler, experiment: Experiment, sizes: KnownSizes, seed: int) -> None:
        self._base, self._sizes, self._space = base, sizes, experiment.space
        self._rng = np.random.default_rng(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space, so that a configuration is seen as one."""
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return a configuration that keeps every known limit."""
        found = self._asked(study, trial)
        for _ in range(TRIES - 1):
            if self._keeps_limits(found):
                return found
            found = self._asked(study, trial)
        space = Space(self._space)
        while not self._keeps_limits(found):
            found = space.decode(space.from_shares(self._rng.random((1, space.n_free)))[0])
        return found

    def _asked(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        own = self._base.infer_relative_search_space(study, trial)
        found = self._base.sample_relative(study, trial, own)
        return found | {
            name: self._base.sample_independent(study, trial, name, kind)
            for name, kind in self._space.items()
            if name not in found
        }

    def _keeps_limits(self, parameters: Parameters) -> bool:
        return all(excess(parameters) <= 0 for excess in self._sizes.constraints.values())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return what the sampler itself says; nothing is left to ask for."""
        return self._base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass it on."""
        self._base.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Any) -> None:
        """Pass it on."""
        self._base.after_trial(study, trial, state, values)
