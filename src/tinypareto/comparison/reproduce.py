"""What the poster showed, by name: which samplers, how many seeds and trainings."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinypareto.comparison.arms import ARMS, FULL
from tinypareto.errors import ConfigError

BUMPS = "bumps"
# The poster's (poster, turbo, qparego, morbo, nsga2, random), what is ours, and the strongest peer since.
SHOWN = tuple(
    name
    for name in (FULL, "ars", "poster", "qnehvi", "qparego", "turbo", "morbo", "nsga2", "random")
    if name in ARMS
)


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """One experiment: 150 trainings and 5 seeds were the poster's budget."""

    experiment: str
    seeds: int = 5
    trials: int = 150
    samplers: tuple[str, ...] = SHOWN


REPRODUCTIONS: Mapping[str, Reproduction] = {
    "digits": Reproduction(experiment="digits"),
    "resnet18-cifar10": Reproduction(experiment="resnet18_cifar10"),
    "mobilenetv3-daliac": Reproduction(experiment="mobilenetv3_daliac"),
    "imu": Reproduction(experiment="imu", seeds=3, trials=100),
}


def reproduction(name: str) -> Reproduction:
    """Return how an experiment is reproduced.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in REPRODUCTIONS:
        names = ", ".join([*REPRODUCTIONS, BUMPS])
        raise ConfigError(f"nothing called {name!r} can be reproduced; choose one of {names}.")
    return REPRODUCTIONS[name]
