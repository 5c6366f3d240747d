import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from tinypareto import ARSSampler
from tinypareto.hosts.conditional import unasked
from tinypareto.hosts.optuna_history import history_of
from tinypareto.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = {name: IntDistribution(1, 5) for name in "nz"}


def asked(state=TrialState.COMPLETE, **params):
    return create_trial(
        state=state,
        value=0.0 if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: IntDistribution(1, 5) for name in params},
    )


def study_of(*trials):
    study = optuna.create_study(sampler=ARSSampler(seed=0, search_space=SPACE))
    study.add_trials(trials)
    return study


def unasked_in(study):
    """Return, for each trial that ended, the parameters of which any value would be the same point."""
    return ["".join(sorted(names)) for names in unasked(study.trials, SPACE).values()]


def test_parameter_is_conditional_while_another_tells_apart_who_asks_for_it():
    assert unasked_in(study_of(asked(n=1), asked(n=2))) == ["z", "z"]
    assert unasked_in(study_of(asked(n=1), asked(n=2, z=1))) == ["z", ""]
    assert unasked_in(study_of(asked(n=1), asked(n=2, z=1), asked(n=3, z=1))) == ["z", "", ""]


def test_parameter_that_came_into_the_study_later_makes_new_points_of_old_ones():
    assert unasked_in(study_of(asked(n=1), asked(n=2), asked(n=1, z=3), asked(n=2, z=3))) == ["", "", "", ""]


def test_what_was_suggested_and_not_asked_for_is_conditional():
    """Whoever asks for z, no value of n tells them apart: the sum of all does, say."""
    study = study_of(*(asked(n=n, z=3) for n in range(1, 6)))
    trial = study.ask()
    trial.suggest_int("n", 1, 5)
    study.tell(trial, 0.0)
    assert unasked_in(study) == ["", "", "", "", "", "z"]


@pytest.mark.parametrize(
    ("state", "found"), [(TrialState.PRUNED, ["z"]), (TrialState.FAIL, []), (TrialState.RUNNING, [])]
)
def test_trial_that_did_not_come_to_its_end_may_have_been_about_to_ask(state, found):
    assert unasked_in(study_of(asked(state, n=1))) == found


def test_order_in_which_trials_are_listed_does_not_matter():
    trials = study_of(asked(n=1), asked(n=2, z=1), asked(n=3), asked(n=1, z=3)).trials
    assert unasked(trials, SPACE) == unasked(trials[::-1], SPACE) == {0: set(), 1: set(), 2: {"z"}, 3: set()}


def test_trial_of_another_space_is_not_the_same_as_every_point():
    assert unasked(study_of(asked(x=1), asked(one=1)).trials, SPACE | {"one": IntDistribution(1, 1)}) == {}


def test_points_that_count_as_seen_leave_open_what_was_not_asked_for():
    trials = study_of(asked(n=1), asked(n=2, z=1)).trials
    seen = history_of(Space(SPACE), SPACE, trials, np.ones(1), [], {}).suggested()
    np.testing.assert_allclose(seen, [[0.1, np.nan], [0.3, 0.1]])
