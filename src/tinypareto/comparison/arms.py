"""What is compared: every sampler of the command line, and ``ars`` twice, without and with what it alone can do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from optuna.distributions import BaseDistribution

from tinypareto.errors import ConfigError
from tinypareto.samplers import SAMPLERS, make_sampler
from tinypareto.study_plan import KNOWING, SearchSettings

FULL = "ars-full"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to search.

    ``alone`` is False for an arm that knows sizes and harvests where the experiment allows it. Peers can do neither, so
    the fair comparison is with it switched off.
    """

    sampler: str
    alone: bool = True

    def settings(self, *, seed: int, trials: int, data_path: Path | None) -> SearchSettings:
        """Return what `tinypareto.study.run_search` would be told."""
        extras = False if self.alone and self.sampler == KNOWING else None
        return SearchSettings(
            trials=trials,
            sampler=self.sampler,
            seed=seed,
            data_path=data_path,
            known_sizes=extras,
            harvest=extras,
            early_stop=False,  # what a training gives must not depend on the study that shares it with others
        )


# In the order in which tables and legends show them.
ARMS: Mapping[str, Arm] = {
    FULL: Arm(sampler=KNOWING, alone=False),
    **{name: Arm(sampler=name) for name in SAMPLERS},
}


def check_arms(names: Iterable[str], space: Mapping[str, BaseDistribution]) -> tuple[str, ...]:
    """Return the names, each once, in the order of `ARMS`.

    Raises:
        ConfigError: If there is none, one is unknown, or what it or the pictures need is not installed.
    """
    wanted = set(names)
    for name in sorted(wanted):
        if name not in ARMS:
            raise ConfigError(f"there is no sampler {name!r}; choose from {', '.join(ARMS)}.")
        make_sampler(ARMS[name].sampler, 0, space)  # what is not installed is said before the first trial
    if not wanted:
        raise ConfigError(f"at least one sampler is needed, got none; choose from {', '.join(ARMS)}.")
    need_matplotlib()
    return tuple(name for name in ARMS if name in wanted)


def need_matplotlib() -> None:
    """Check that pictures can be drawn.

    Raises:
        ConfigError: If they cannot.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "the pictures need matplotlib, which is not installed; `pip install tinypareto[bench]` brings it."
        )
