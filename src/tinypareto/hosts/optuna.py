"""The search as a sampler for any Optuna 5 study.

Directions are turned here, so that the search minimises; constraints come from ``trial.constraints``
(kept at <= 0). The sampler has no state but its settings: what a trial is given follows from the study's
trials, the seed and the trial's number. So a study that was killed goes on as if nothing had
happened, and threads or processes share a study without sharing a sampler.

Two things are written to a trial's system attributes, as JSON in pieces that fit every storage:

    tinypareto:parameters:0, 1, ...   the whole vector, before the first of its parameters is stored, so that
                                      other workers see where this trial is heading
    tinypareto:suggestion:0, 1, ...   why: origin, policy, path, prediction, reward (``read_suggestion``)
"""

import dataclasses
import json
import threading
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History, Suggestion
from tinypareto.search.suggest import suggest
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

PARAMETERS_KEY = "tinypareto:parameters"
SUGGESTION_KEY = "tinypareto:suggestion"
ATTRIBUTE_LENGTH = 2045  # what an Optuna RDB storage keeps of one attribute
# Threads that suggested side by side would not see each other's points; one core does the work anyway.
ONE_AT_A_TIME = threading.Lock()
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


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
        **settings: Matrix,
    ) -> Suggestion:
        """Return the suggestion for one trial."""


class PureSampler(BaseSampler):
    """Any pure suggest function as an Optuna sampler.

    Args:
        suggest: From space, history, pending points, seed and trial number to a `Suggestion`.
        seed: Of everything random, at least 0. None draws a seed, which ``seed`` tells.
        search_space: Parameters and distributions, if known beforehand; else those that completed trials
            had, each as the newest trial had it. A trial that lacked some of them (conditional parameters)
            counts as if they had been in the middle of their ranges.
        reference_point: Is handed on, turned like the objectives, to a suggest function that takes one.

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
    ) -> None:
        if seed is not None and seed < 0:
            raise ConfigError(f"The seed must be at least 0, got {seed}; use a natural number or None.")
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self.search_space = None if search_space is None else dict(search_space)
        if self.search_space is not None:
            Space(self.search_space)  # refused here rather than in the first trial
        self.reference_point = reference_point
        self._suggest = suggest

    def reseed_rng(self) -> None:
        """Do nothing: what is random depends on the trial's number, so copies never repeat each other."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the given space or, without one, every parameter of a completed trial."""
        if self.search_space is not None:
            return dict(self.search_space)
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        found = {name: kind for t in sorted(trials, key=_number) for name, kind in t.distributions.items()}
        return {name: found[name] for name in sorted(found)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the suggestion for one trial; the one already published if the trial is taken up again."""
        if not search_space:
            return {}
        published = _published(trial, search_space)
        if Space(search_space).contains(published):
            return published
        with ONE_AT_A_TIME:
            suggestion = self._suggestion(study, trial, search_space)
            _publish(study, trial, search_space, suggestion)
        return suggestion.parameters

    def _suggestion(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> Suggestion:
        space = Space(search_space)
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        signs = _signs(study.directions)
        turned = {} if self.reference_point is None else {"reference": _turned(self.reference_point, signs)}
        return self._suggest(
            space,
            _history(space, search_space, others, signs),
            _pending(space, search_space, others),
            seed=self.seed,
            trial_number=trial.number,
            **turned,
        )

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a uniform value that depends on seed, trial number and parameter name alone."""
        space = Space({param_name: param_distribution})
        rng = np.random.default_rng([self.seed, trial.number, zlib.crc32(param_name.encode())])
        return space.decode(space.from_shares(rng.random((1, space.n_free)))[0])[param_name]


class ARSSampler(PureSampler):
    """Multi-objective Bayesian optimisation whose acquisition is maximised by policies trained with ARS.

    The first trials follow a Latin hypercube. Without ``search_space`` the sampler learns the space from
    finished trials, so the very first one is random; with it the hypercube begins at trial 0. A parameter that no
    finished trial had is drawn at random, and so is one whose range was changed if the suggestion lies outside.

    Args:
        seed: Of everything random, at least 0. Two studies with the same seed and the same objective get
            the same points. None draws a seed, which ``seed`` tells.
        preset: "default" or "poster".
        search_space: Parameters and distributions, if known beforehand.
        n_startup_trials: Size of the Latin hypercube; None leaves it to the preset.
        reference_point: What bounds the hypervolume that is sought, one value for each objective in the study's
            units and directions; infinite for an objective without. None: it is inferred.
        config: Settings that replace the preset's.
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
        effort: float = 1.0,
        device: str = "cpu",
    ) -> None:
        self.config = SearchConfig.preset(preset) if config is None else config
        self.config = dataclasses.replace(self.config, effort=effort * self.config.effort)
        if n_startup_trials is not None:
            self.config = dataclasses.replace(self.config, n_startup=n_startup_trials)
        super().__init__(
            partial(suggest, config=self.config, device=device), seed, search_space, reference_point
        )


def read_suggestion(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return why a trial got its parameters, or None if this sampler did not choose them.

    The keys are ``origin``, ``policy``, ``path`` (points of the unit cube, start first), ``mean`` and
    ``std`` (in the objectives' units and directions), ``reward`` and ``feasibility``; what does not apply
    is None or empty.
    """
    text = _read_chunks(trial, SUGGESTION_KEY)
    return None if text is None else json.loads(text)


def _history(
    space: Space,
    search_space: Mapping[str, BaseDistribution],
    trials: Sequence[FrozenTrial],
    signs: Matrix,
) -> History:
    finished = [t for t in trials if t.state in FINISHED]
    middle = space.decode(np.full(space.n_columns, 0.5))
    absent = {t.number: middle if t.state == TrialState.COMPLETE else {} for t in finished}
    known = [(t, {**absent[t.number], **_parameters(t, search_space)}) for t in finished]
    usable = [(t, p) for t, p in known if space.contains(p)]
    keys = sorted({key for t, _ in usable if t.state == TrialState.COMPLETE for key in t.constraints})
    failed = np.full(len(signs), np.nan)
    values = [signs * t.values if t.state == TrialState.COMPLETE else failed for t, _ in usable]
    # A constraint that a trial did not report is kept, as Optuna has it.
    violations = [[t.constraints.get(key, 0.0) for key in keys] for t, _ in usable]
    return History(
        numbers=np.array([t.number for t, _ in usable], dtype=np.int64),
        points=_points(space, [p for _, p in usable]),
        values=np.array(values).reshape(-1, len(signs)),
        violations=np.array(violations, dtype=np.float64).reshape(len(usable), len(keys)),
    )


def _number(trial: FrozenTrial) -> int:
    return trial.number


def _pending(
    space: Space, search_space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]
) -> Matrix:
    running = [_parameters(t, search_space) for t in trials if t.state == TrialState.RUNNING]
    return _points(space, [p for p in running if space.contains(p)])


def _points(space: Space, parameters: Sequence[Mapping[str, Any]]) -> Matrix:
    return np.array([space.encode(p) for p in parameters]).reshape(-1, space.n_columns)


def _turned(reference_point: Sequence[float], signs: Matrix) -> Matrix:
    point = np.asarray(reference_point, dtype=np.float64)
    if point.shape != signs.shape or np.isnan(point).any():
        raise ConfigError(
            f"reference_point must have one number for each of the {len(signs)} objectives, got "
            f"{list(reference_point)}; use inf for an objective without one."
        )
    return np.where(np.isinf(point), np.inf, signs * point)


def _signs(directions: Sequence[StudyDirection]) -> Matrix:
    return np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions])


def _parameters(trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return what is known of a trial's parameters: stored, else enqueued, else published."""
    enqueued = trial.system_attrs.get("fixed_params", {})
    return {**_published(trial, search_space), **enqueued, **trial.params}


def _published(trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    text = _read_chunks(trial, PARAMETERS_KEY)
    internal = {} if text is None else json.loads(text)
    try:
        return {
            name: distribution.to_external_repr(internal[name])
            for name, distribution in search_space.items()
            if name in internal
        }
    except IndexError:  # a category that the space has no longer
        return {}


def _publish(
    study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution], suggestion: Suggestion
) -> None:
    internal = {name: search_space[name].to_internal_repr(v) for name, v in suggestion.parameters.items()}
    _write_chunks(study, trial, PARAMETERS_KEY, internal)
    _write_chunks(study, trial, SUGGESTION_KEY, _reasons(suggestion, _signs(study.directions)))


def _reasons(suggestion: Suggestion, signs: Matrix) -> dict[str, Any]:
    mean = suggestion.mean * signs if len(suggestion.mean) else suggestion.mean
    return {
        "origin": suggestion.origin,
        "policy": suggestion.policy,
        "path": [[round(x, 4) for x in point] for point in suggestion.path.tolist()],
        "mean": [float(f"{v:.6g}") for v in mean],
        "std": [float(f"{v:.6g}") for v in suggestion.std],
        "reward": suggestion.reward,
        "feasibility": suggestion.feasibility,
    }


def _write_chunks(study: Study, trial: FrozenTrial, key: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, separators=(",", ":"))
    for i, start in enumerate(range(0, len(text), ATTRIBUTE_LENGTH)):
        piece = text[start : start + ATTRIBUTE_LENGTH]
        study._storage.set_trial_system_attr(trial._trial_id, f"{key}:{i}", piece)


def _read_chunks(trial: FrozenTrial, key: str) -> str | None:
    pieces: list[str] = []
    while (name := f"{key}:{len(pieces)}") in trial.system_attrs:
        pieces.append(trial.system_attrs[name])
    return "".join(pieces) or None
