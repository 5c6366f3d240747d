"""Settings of the search and the presets; the reasons for their figures are in docs/method.md."""

from dataclasses import dataclass, replace
from typing import Literal

from tinypareto.errors import ConfigError
from tinypareto.search.ars import ARSConfig
from tinypareto.space import Space

PRESETS = ("default", "poster")
MOST_STEPS_FACTOR = 3  # by which many parameters may lengthen a stage of training


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of the search.

    Attributes:
        n_startup: Size of the Latin hypercube; None: see ``startup_trials``.
        choose_scale: Whether an objective's logarithm is modelled where that predicts better; else, where it is less
            skewed.
        log_objectives: Numbers of objectives that are modelled on a log scale as long as none of their values is
            negative, without a choice: quantities of which a tenth less is as much at 0.5 as at 0.05, like errors.
        noisy_objectives: Numbers of objectives that differ when the same is evaluated again, like errors of trained
            networks: what is told of a suggestion expects that.
        known_as_inputs: Whether the models of what is learnt depend on what else is known too.
        choose_kernel: Whether a second kernel competes with Matern-5/2 for each output.
        reward: What the policies are trained to find: "chebyshev" expected improvement of one random
            scalarisation, or "hypervolume" improvement.
        take_turns: Whether some suggestions' hypervolume improvement leaves out the parts of the front that exchange
            objectives at extreme rates.
        n_policies: L, competing policies.
        n_raw_starts: How many of them start at the best of many points that were not evaluated; the others at
            centres of the front.
        horizon: H, moves of a rollout.
        reaches: Longest move along one coordinate, in units of the cube's edge; one stage of training for each,
            which begins where the one before ended.
        remember: Whether the best point that a policy met in training counts, or only its last walk.
        n_polished: How many policies' ends are improved along the gradient of the reward.
        n_hidden: Width of a policy's hidden layer.
        n_samples: s, Monte-Carlo samples of the Chebyshev reward.
        ars: Settings of the training in each stage.
        grow_with_dimension: Whether a stage has at least as many steps as there are parameters, up to three times those
            of ``ars``.
        learn_failures: Whether trials that failed make others near them less promising.
        effort: Multiplies the steps of training; a suggestion's time grows with it.
    """

    n_startup: int | None
    choose_scale: bool
    known_as_inputs: bool
    choose_kernel: bool
    reward: Literal["chebyshev", "hypervolume"]
    take_turns: bool
    n_policies: int
    n_raw_starts: int
    horizon: int
    reaches: tuple[float, ...]
    remember: bool
    n_polished: int
    n_hidden: int
    n_samples: int
    ars: ARSConfig
    grow_with_dimension: bool
    learn_failures: bool
    log_objectives: tuple[int, ...] = ()
    noisy_objectives: tuple[int, ...] = ()
    effort: float = 1.0

    def __post_init__(self) -> None:
        smallest = min(self.n_policies, self.horizon, self.n_hidden, self.n_samples)
        if smallest < 1 or (self.n_startup is not None and self.n_startup < 1):
            raise ConfigError(
                "n_startup, n_policies, horizon, n_hidden and n_samples must be at least 1, got "
                f"{self.n_startup}, {self.n_policies}, {self.horizon}, {self.n_hidden} and {self.n_samples}; "
                "start from SearchConfig.preset()."
            )
        if not self.reaches or not all(0 < reach <= 1 for reach in self.reaches):
            raise ConfigError(
                f"reaches must be one or more lengths in (0, 1], the cube's edge, got {self.reaches}; try (0.2,)."
            )
        if not 0 <= self.n_raw_starts <= self.n_policies:
            raise ConfigError(
                f"n_raw_starts must lie in 0..n_policies (here 0..{self.n_policies}), got {self.n_raw_starts}; "
                "lower it."
            )
        if not 0 <= self.effort < float("inf"):
            raise ConfigError(f"effort must be a factor of at least 0, got {self.effort}; 1 is usual.")
        if self.log_objectives and not self.choose_scale:
            raise ConfigError(
                "log_objectives are for settings that choose scales; set choose_scale, or leave them out."
            )
        if self.reward not in {"chebyshev", "hypervolume"}:
            raise ConfigError(f"reward must be chebyshev or hypervolume, got {self.reward!r}; choose one.")

    @staticmethod
    def preset(name: str) -> "SearchConfig":
        """Return the settings called ``name``: "default" or "poster".

        Raises:
            ConfigError: If there is no such preset.
        """
        if name == "poster":
            return SearchConfig(
                n_startup=None,
                choose_scale=False,
                known_as_inputs=False,
                choose_kernel=False,
                reward="chebyshev",
                take_turns=False,
                n_policies=5,
                n_raw_starts=0,
                horizon=4,
                reaches=(0.2,),
                remember=False,
                n_polished=0,
                n_hidden=8,
                n_samples=64,
                ars=ARSConfig(n_steps=25, n_directions=16, n_top=8, probe=0.3, step=0.3),
                grow_with_dimension=False,
                learn_failures=False,
            )
        if name == "default":
            return SearchConfig(
                n_startup=None,
                choose_scale=True,
                known_as_inputs=True,
                choose_kernel=True,
                reward="hypervolume",
                take_turns=True,
                n_policies=8,
                n_raw_starts=4,
                horizon=4,
                reaches=(0.2, 0.05, 0.0125),
                remember=True,
                n_polished=3,
                n_hidden=8,
                n_samples=64,
                ars=ARSConfig(n_steps=8, n_directions=8, n_top=4, probe=0.3, step=0.3, rank_rewards=True),
                grow_with_dimension=True,
                learn_failures=True,
            )
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}; choose one of these.")

    def training(self, space: Space) -> ARSConfig:
        """Return the settings of a stage's training in ``space``."""
        steps = self.ars.n_steps
        if self.grow_with_dimension:
            steps = min(max(space.n_free, steps), MOST_STEPS_FACTOR * steps)
        return replace(self.ars, n_steps=round(self.effort * steps))

    def startup_trials(self, space: Space, *, knows_objectives: bool = False) -> int:
        """Return the size of the Latin hypercube: one more than there are parameters, within 5..20.

        Half of that is enough where some objectives need not be learnt.
        """
        whole = min(max(space.n_free + 1, 5), 20)
        return self.n_startup or (max(whole // 2, 5) if knows_objectives else whole)
