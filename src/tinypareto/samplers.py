"""The samplers that the command line knows, by name."""

from collections.abc import Callable, Mapping
from importlib import import_module

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from tinypareto.errors import ConfigError
from tinypareto.hosts.optuna import ARSSampler, PureSampler, SuggestFunction

Space = Mapping[str, BaseDistribution]

SAMPLERS: Mapping[str, Callable[[int, Space], BaseSampler]] = {
    "ars": lambda seed, space: ARSSampler(seed=seed, preset="default", search_space=space),
    "poster": lambda seed, space: ARSSampler(seed=seed, preset="poster", search_space=space),
    "qnehvi": lambda seed, space: PureSampler(peer_function("qnehvi"), seed, space),
    "qparego": lambda seed, space: PureSampler(peer_function("qparego"), seed, space),
    "turbo": lambda seed, space: PureSampler(peer_function("turbo"), seed, space),
    "morbo": lambda seed, space: PureSampler(peer_function("morbo"), seed, space),
    "gp": lambda seed, space: GPSampler(seed=seed),
    "tpe": lambda seed, space: TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed, space: NSGAIISampler(seed=seed),
    "random": lambda seed, space: RandomSampler(seed=seed),
}


def make_sampler(name: str, seed: int, space: Space) -> BaseSampler:
    """Return the sampler called ``name``.

    ``ars``, ``poster``, ``qnehvi``, ``qparego``, ``turbo`` and ``morbo`` are pure functions of history and seed; with
    another, a study that is killed and continued goes on, but not with the suggestions of an uninterrupted one.

    Raises:
        ConfigError: If there is none of that name, or what it needs is not installed.
    """
    if name not in SAMPLERS:
        raise ConfigError(f"there is no sampler {name!r}; choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name](seed, space)


def peer_function(name: str) -> SuggestFunction:
    """Return the pure function behind the peer called ``name``.

    Raises:
        ConfigError: If what it needs is not installed.
    """
    try:
        module = import_module(f"tinypareto.peers.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"sampler {name!r} needs {(error.name or name).partition('.')[0]}, which is not installed; "
            "`pip install tinypareto[bench]` brings it."
        ) from error
    function: SuggestFunction = getattr(module, f"suggest_{name}")
    return function
