"""Which parameters a trial had no use for: conditional ones, which are asked for at some values of others alone."""

from collections.abc import Mapping, Sequence
from functools import cache

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tinypareto.hosts.suggestions import published


def unasked(
    trials: Sequence[FrozenTrial], search_space: Mapping[str, BaseDistribution]
) -> dict[int, set[str]]:
    """Return, by trial number, the parameters without which a trial came to its end: any value would be the same.

    What was suggested and not asked for is certainly such a parameter. What was not, since nobody knew of it yet, may
    have come into the study later, and then old points with it are new; so another parameter must tell the trial from
    those that asked for it. A failed trial may have been cut off before it asked.

    Args:
        trials: Of a study, in any order and state.
        search_space: The parameters in question.
    """

    @cache
    def beside(name: str) -> dict[str, set[str]]:
        """Return which values the other parameters had where this one was asked for."""
        values: dict[str, set[str]] = {}
        for trial in trials:
            for other, value in trial.params.items() if name in trial.params else ():
                values.setdefault(other, set()).add(repr(value))
        return values

    def is_told_apart(trial: FrozenTrial, name: str) -> bool:
        known = beside(name)
        return not known or any(
            repr(value) not in known.get(other, {repr(value)}) for other, value in trial.params.items()
        )

    free = {name for name, kind in search_space.items() if not kind.single()}
    found = {}
    for trial in trials:
        # Without any parameter of this space a trial was of another one; it is not the same as all points of this.
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and free & trial.params.keys():
            missing = search_space.keys() - trial.params.keys()
            suggested = missing & published(trial, search_space).keys() if missing else set()
            found[trial.number] = suggested | {n for n in missing - suggested if is_told_apart(trial, n)}
    return found
