import json
from pathlib import Path

import numpy as np
import pytest
from small_experiments import small

from tinypareto import confirm
from tinypareto.confirm import Confirmation, confirm_trials
from tinypareto.errors import StudyError
from tinypareto.results import open_history
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings
from tinypareto.tables import confirmation_json, confirmation_table

SMALL = f"{Path(__file__).resolve().parent / 'small_experiments.py'}:small"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "small"
    run_search(SMALL, out, SearchSettings(trials=3, seed=2))
    return out


@pytest.fixture(scope="module")
def confirmed(study):
    said = []
    return confirm_trials(study, seeds=2, on_training=lambda *progress: said.append(progress)), said


def test_the_front_is_trained_again_with_other_seeds(study, confirmed):
    confirmations, said = confirmed
    front = open_history(study).front()
    assert [one.trial for one in confirmations] == [network.name for network in front]
    assert [done for done, _, _ in said] == list(range(1, 2 * len(front) + 1))
    for one, trial in zip(confirmations, front, strict=True):
        assert one.searched == trial.objectives["error"]
        folders = [study / "confirmed" / f"{trial.number:04d}-{repetition}" for repetition in (1, 2)]
        metrics = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
        assert one.errors == tuple(found["measured"]["error"] for found in metrics)
        assert len({found["seed"] for found in metrics}) == 2
        assert all(found["parameters"] == trial.parameters for found in metrics)
        assert all(found["measured"]["rom_bytes"] == trial.objectives["rom_bytes"] for found in metrics)


def test_what_was_trained_is_not_trained_again(study, confirmed, monkeypatch):
    def refuse(task):
        raise AssertionError(f"trial {task.number} was trained again")

    monkeypatch.setattr(confirm, "TrialProcess", refuse)
    assert confirm_trials(study, seeds=2) == confirmed[0]
    with pytest.raises(AssertionError, match="was trained again"):
        confirm_trials(study, seeds=3)


def test_a_trial_that_is_not_there_is_an_error(study):
    with pytest.raises(StudyError, match="trial 99 has no firmware"):
        confirm_trials(study, names=["0", "99"])


def test_a_study_of_an_object_cannot_be_trained_by_name(tmp_path):
    run_search(small, tmp_path / "study", SearchSettings(trials=1))
    with pytest.raises(StudyError, match="begun with an experiment object"):
        confirm_trials(tmp_path / "study")


def test_spread_solved_by_hand():
    one = Confirmation(trial="3", searched=0.1, errors=(0.1, 0.2, 0.3), failures=("diverged",))
    assert one.mean == pytest.approx(0.2)
    assert one.std == pytest.approx(0.1)
    assert confirmation_json(one)["mean"] == one.mean
    lines = [str(part) for part in confirmation_table([one]).renderables]
    assert "+0.1000" in lines[-1]
    nothing = Confirmation(trial="4", searched=0.1, errors=(), failures=("diverged",))
    assert (nothing.mean, nothing.std) == (None, None)
    assert np.isfinite(nothing.searched)
