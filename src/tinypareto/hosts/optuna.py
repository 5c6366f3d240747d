"""The search as a sampler for any Optuna 5 study.

Directions are turned here, so that the search minimises; constraints come from ``trial.constraints``
(kept at <= 0). The sampler has no state but its settings: what a trial is given follows from the study's
trials, the seed and the trial's number. So a study that was killed goes on as if nothing had
happened, and threads or processes share a study without sharing a sampler.

A suggestion is written to its trial's system attributes (suggestions.py), and read is what whoever evaluates may write
there: what was evaluated on the way (observations.py).
"""

import dataclasses
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tinypareto.errors import ConfigError
from tinypareto.hosts.earlier import EarlierTask
from tinypareto.hosts.independent import drawn_value
from tinypareto.hosts.optuna_history import constraint_names, history_of, pending_points, signs_of, turned
from tinypareto.hosts.suggestions import add_drawn, publish, published
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History, Suggestion
from tinypareto.search.known import InputFunction, KnownFunction, KnownInput, KnownOutcomes
from tinypareto.search.prior import Prior
from tinypareto.search.suggest import suggest
from tinypareto.search.trace import TraceFunction
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]
ParameterFunction = Callable[[Mapping[str, Any]], float]

# Threads that suggested side by side would not see each other's points; one core does the work anyway.
ONE_AT_A_TIME = threading.Lock()


class SuggestFunction(Protocol):
    """A pure function: what may be varied and what is known -> what to evaluate next."""

    def __call__(
        self,
        space: Space,
        history: History,
        pending: Matrix,
        *,
        seed: int,
        trial_number: int,
        **settings: Any,
    ) -> Suggestion:
        """Return the suggestion for one trial."""


class PureSampler(BaseSampler):
    """Any pure suggest function as an Optuna sampler.

    Args:
        suggest: From space, history, pending points, seed and trial number to a `Suggestion`.
        seed: Of everything random, at least 0. None draws a seed, which ``seed`` tells.
        search_space: Parameters and distributions, if known beforehand; else those that trials had, in whatever
            state, each as the newest trial had it. A trial that lacked some of them (conditional parameters)
            counts where they were suggested, or else in the middle of their ranges.
        reference_point: Is handed on, turned like the objectives, to a suggest function that takes one.
        known: Is handed on as `KnownOutcomes` to a suggest function that takes it, with ``known_constraints``.
        known_constraints: Functions of the parameters by a constraint's name.
        known_inputs: Functions of parameters and fidelity by a name.
        trace: Is handed on to a suggest function that takes it.
        warm_start: Is handed on as priors to a suggest function that takes them.

    Raises:
        ConfigError: If the seed is negative.
        SpaceError: If ``search_space`` is empty.
    """

    def __init__(
        self,
        suggest: SuggestFunction,
        seed: int | None = None,
        search_space: Mapping[str, BaseDistribution] | None = None,
        reference_point: Sequence[float] | None = None,
        known: Mapping[str | int, ParameterFunction] | None = None,
        known_constraints: Mapping[str, ParameterFunction] | None = None,
        known_inputs: Mapping[str, InputFunction] | None = None,
        trace: TraceFunction | None = None,
        warm_start: Sequence[EarlierTask] = (),
    ) -> None:
        if seed is not None and seed < 0:
            raise ConfigError(f"The seed must be at least 0, got {seed}; use a natural number or None.")
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self.search_space = None if search_space is None else dict(search_space)
        if self.search_space is not None:
            Space(self.search_space)  # refused here rather than in the first trial
        self.reference_point = reference_point
        self._suggest = suggest
        self._trace = trace
        self._warm_start = tuple(warm_start)
        self._priors: dict[str, tuple[Prior, ...]] = {}  # by space: models of them are fitted once
        self._known = {name: KnownFunction(str(name), f) for name, f in (known or {}).items()}
        self._known_constraints = {
            name: KnownFunction(name, f) for name, f in (known_constraints or {}).items()
        }
        self._known_inputs = tuple(KnownInput(name, f) for name, f in sorted((known_inputs or {}).items()))
        if self._known_inputs and not self._known:
            raise ConfigError(
                "known_inputs are for samplers that know an objective; give known, or leave them out."
            )

    def reseed_rng(self) -> None:
        """Do nothing: what is random depends on the trial's number, so copies never repeat each other."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the given space or, without one, every parameter of another trial, running and failed ones too."""
        if self.search_space is not None:
            return dict(self.search_space)
        others = sorted(_others(study, trial), key=_number)
        found = {name: kind for t in others for name, kind in t.distributions.items()}
        return {name: found[name] for name in sorted(found)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the suggestion for one trial; the one already published if the trial is taken up again."""
        if not search_space:
            return {}
        already = published(trial, search_space)
        if Space(search_space).contains(already):
            return already
        with ONE_AT_A_TIME:
            suggestion = self._suggestion(study, trial, search_space)
            publish(study, trial, search_space, suggestion, signs_of(study.directions))
        return suggestion.parameters

    def _suggestion(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> Suggestion:
        space = Space(search_space)
        others = _others(study, trial)
        signs = signs_of(study.directions)
        settings: dict[str, Any] = {}
        if self.reference_point is not None:
            settings["reference"] = turned(self.reference_point, signs)
        constraints = constraint_names(others, self._known_constraints)
        if self._known or self._known_constraints:
            settings["known"] = self._known_outcomes(study, others, constraints, signs)
        if self._trace is not None:
            settings["trace"] = self._trace
        if self._warm_start:
            settings["priors"] = self._priors_in(study, space, search_space)
        return self._suggest(
            space,
            history_of(space, search_space, others, signs, constraints, self._known_constraints),
            pending_points(space, search_space, others),
            seed=self.seed,
            trial_number=trial.number,
            **settings,
        )

    def _priors_in(
        self, study: Study, space: Space, search_space: Mapping[str, BaseDistribution]
    ) -> tuple[Prior, ...]:
        key = repr(sorted(search_space.items()))
        if key not in self._priors:
            self._priors[key] = tuple(task.prior(space, study.directions) for task in self._warm_start)
        return self._priors[key]

    def _known_outcomes(
        self, study: Study, trials: Sequence[FrozenTrial], constraints: Sequence[str], signs: Matrix
    ) -> KnownOutcomes | None:
        """Return what is known and was contradicted by no trial; None if nothing is."""
        complete = [t for t in trials if t.state == TrialState.COMPLETE]
        found = {}
        for name, function in self._known.items():
            column = _objective(study, name)
            if all(function.agrees(t.params, t.values[column]) for t in complete):
                found[column] = function
        for name, function in self._known_constraints.items():
            reported = [t for t in complete if name in t.constraints]
            if all(function.agrees(t.params, t.constraints[name]) for t in reported):
                found[len(signs) + constraints.index(name)] = function
        if not found:
            return None
        columns = np.array(sorted(found), dtype=np.int64)
        return KnownOutcomes(
            columns=columns,
            functions=tuple(found[column] for column in columns),
            signs=np.concatenate([signs, np.ones(len(constraints))])[columns],
            n_objectives=len(signs),
            inputs=self._known_inputs,
        )

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a uniform value; of a discrete parameter one that the fewest trials took at the same others.

        Beside that it depends on seed, trial number and parameter name alone.
        """
        rng = np.random.default_rng([self.seed, trial.number, zlib.crc32(param_name.encode())])
        with ONE_AT_A_TIME:
            value = drawn_value(trial, _others(study, trial), param_name, param_distribution, rng)
            add_drawn(study, trial, param_name, param_distribution.to_internal_repr(value))
        return value


class ARSSampler(PureSampler):
    """Multi-objective Bayesian optimisation whose acquisition is maximised by policies trained with ARS.

    The first trials follow a Latin hypercube. Without ``search_space`` the sampler learns the space from the other
    trials, so the very first one is random; with it the hypercube begins at trial 0. A parameter that no other
    trial had is drawn at random, and so is one whose range was changed if the suggestion lies outside.

    Args:
        seed: Of everything random, at least 0. Two studies with the same seed and the same objective get
            the same points. None draws a seed, which ``seed`` tells.
        preset: "default" or "poster".
        search_space: Parameters and distributions, if known beforehand.
        n_startup_trials: Size of the Latin hypercube; None leaves it to the preset.
        reference_point: What bounds the hypervolume that is sought, one value for each objective in the study's
            units and directions; infinite for an objective without. None: it is inferred.
        config: Settings that replace the preset's.
        known: Objectives that are functions of the parameters, by metric name or number, in the study's units: sizes,
            prices, FLOPs. They are not learnt but looked up, some two hundred times for each suggestion.
        known_constraints: Constraints that are such functions, kept at <= 0. A point that breaks one is not suggested.
        known_inputs: Further functions of the parameters, on whose values what is learnt may depend: the length of a
            training, a ratio of two parameters. Their second argument is the share of a trial that is done, 1 but for
            what was evaluated on its way.
        trace: What a trial evaluates on its way and adds by ``add_observations``: from a trial's parameters to those
            of each such evaluation and its fidelity, the share of the whole that is made by then. The sampler prefers
            trials that gain something on their way.
        warm_start: Earlier studies of related tasks with the same parameters, as prior knowledge: their front is
            evaluated first, and what they learnt is believed as far as this study's trials bear it out.
        effort: How long the policies are trained, as a factor; a suggestion's time grows with it. It stands in place of
            a limit in seconds, with which the machine's load would have a say in what is suggested.
        device: Where suggestions are computed, "cpu" or "cuda".

    Raises:
        ConfigError: If the preset does not exist or a setting is out of range, or, in the first trial, if
            the reference point has not one value for each objective or PyTorch does not have the device.
        SpaceError: If ``search_space`` is empty.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(directions=["minimize", "minimize"], sampler=ARSSampler(seed=0))
        >>> study.optimize(lambda t: (t.suggest_float("x", 0, 1) ** 2, 1 - t.params["x"]), n_trials=7)
        >>> len(study.trials)
        7
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        preset: str = "default",
        search_space: Mapping[str, BaseDistribution] | None = None,
        n_startup_trials: int | None = None,
        reference_point: Sequence[float] | None = None,
        config: SearchConfig | None = None,
        known: Mapping[str | int, ParameterFunction] | None = None,
        known_constraints: Mapping[str, ParameterFunction] | None = None,
        known_inputs: Mapping[str, InputFunction] | None = None,
        trace: TraceFunction | None = None,
        warm_start: EarlierTask | Study | Sequence[EarlierTask | Study] = (),
        effort: float = 1.0,
        device: str = "cpu",
    ) -> None:
        self.config = SearchConfig.preset(preset) if config is None else config
        self.config = dataclasses.replace(self.config, effort=effort * self.config.effort)
        if n_startup_trials is not None:
            self.config = dataclasses.replace(self.config, n_startup=n_startup_trials)
        super().__init__(
            partial(suggest, config=self.config, device=device),
            seed,
            search_space,
            reference_point,
            known,
            known_constraints,
            known_inputs,
            trace,
            _tasks(warm_start),
        )


def _tasks(warm_start: EarlierTask | Study | Sequence[EarlierTask | Study]) -> tuple[EarlierTask, ...]:
    given = (warm_start,) if isinstance(warm_start, EarlierTask | Study) else warm_start
    return tuple(EarlierTask.of(one) if isinstance(one, Study) else one for one in given)


def _objective(study: Study, name: str | int) -> int:
    """Return the place of an objective that is named as in ``study.set_metric_names``, or numbered from 0.

    Raises:
        ConfigError: If the study has none of that name or number.
    """
    names = list(study.metric_names or [])
    if name in names:
        return names.index(str(name))
    if isinstance(name, int) and 0 <= name < len(study.directions):
        return name
    raise ConfigError(
        f"known must name objectives of the study, but {name!r} is neither among its metric names "
        f"({', '.join(names) or 'none; see study.set_metric_names'}) nor a number below {len(study.directions)}; "
        "constraints belong into known_constraints."
    )


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    return [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]


def _number(trial: FrozenTrial) -> int:
    return trial.number
