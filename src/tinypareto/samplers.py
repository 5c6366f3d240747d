"""The samplers that the command line knows, by name."""

from collections.abc import Callable, Mapping

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from tinypareto.errors import ConfigError
from tinypareto.hosts.optuna import ARSSampler

Space = Mapping[str, BaseDistribution]

SAMPLERS: Mapping[str, Callable[[int, Space], BaseSampler]] = {
    "ars": lambda seed, space: ARSSampler(seed=seed, preset="default", search_space=space),
    "poster": lambda seed, space: ARSSampler(seed=seed, preset="poster", search_space=space),
    "nsga2": lambda seed, space: NSGAIISampler(seed=seed),
    "random": lambda seed, space: RandomSampler(seed=seed),
    "tpe": lambda seed, space: TPESampler(seed=seed, multivariate=True),
}


def make_sampler(name: str, seed: int, space: Space) -> BaseSampler:
    """Return the sampler called ``name``.

    Only ``ars`` and ``poster`` are pure functions of history and seed: a study that is killed and
    continued with another sampler goes on, but not with the suggestions of an uninterrupted one.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in SAMPLERS:
        raise ConfigError(f"there is no sampler {name!r}; choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name](seed, space)
