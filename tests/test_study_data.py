"""A study remembers where its data lies, and that it is the same."""

import json
import shutil

import numpy as np
import pytest
from small_experiments import SCALES, iris, load_data

from tinypareto.confirm import confirm_trials
from tinypareto.errors import DataError, StudyError
from tinypareto.network.data import Data, Split
from tinypareto.results import front_rows, open_history
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings


def load_from(path):
    """Iris from a file, so that a study has a path to remember."""
    if path is None or not path.exists():
        raise DataError(f"there is no {path}; give an existing file with --data.")
    factor = json.loads(path.read_text())["factor"]
    whole = load_data()
    parts = {name: getattr(whole, name) for name in ("train", "validation", "test")}
    return Data(**{
        name: Split(inputs=np.float32(factor) * part.inputs, targets=part.targets)
        for name, part in parts.items()
    })


stored = iris(name="stored", load_data=load_from, scales=SCALES)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "place" / "iris.json"
    path.parent.mkdir()
    path.write_text('{"factor": 1.0}')
    return path


@pytest.fixture
def out(data, tmp_path):
    out = tmp_path / "study"
    run_search(REFERENCE, out, SearchSettings(trials=1, sampler="random", data_path=data))
    return out


REFERENCE = f"{__file__}:stored"


def search(out, trials=2, **settings):
    return run_search(REFERENCE, out, SearchSettings(trials=trials, **settings))


def test_resumed_study_remembers_where_its_data_is(out):
    assert search(out).finished == 2
    assert all(row["test_error"] is not None for row in front_rows(out))


def test_relative_path_is_remembered_as_a_whole_one(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    out = tmp_path / "study"
    run_search(
        REFERENCE, out, SearchSettings(trials=1, sampler="random", data_path=data.relative_to(data.parent))
    )
    monkeypatch.chdir(tmp_path)
    assert search(out).finished == 2


def test_moved_data_says_where_it_was_and_how_to_name_its_new_place(out, data):
    data.unlink()
    with pytest.raises(
        StudyError, match=rf"reads its data from {data}, which is not there any more.*--data PATH"
    ):
        search(out)
    with pytest.raises(StudyError, match="not there any more"):
        confirm_trials(out, seeds=1)


def test_new_place_is_remembered_in_turn(out, data, tmp_path):
    moved = tmp_path / "elsewhere.json"
    shutil.move(data, moved)
    assert search(out, trials=2, data_path=moved).failed == 0
    assert open_history(out).description.data_path == str(moved)
    assert search(out, trials=3).finished == 3


def test_other_data_at_the_new_place_is_refused_and_the_old_one_remembered(out, data, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"factor": 2.0}')
    with pytest.raises(StudyError, match="begun with other data"):
        search(out, data_path=other)
    assert search(out).finished == 2
    assert open_history(out).description.data_path == str(data)


def test_data_that_was_changed_in_place_is_refused(out, data):
    data.write_text('{"factor": 0.5}')
    with pytest.raises(StudyError, match="begun with other data"):
        search(out)
