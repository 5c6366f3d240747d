import dataclasses
import warnings

import pytest
from comparison_parts import PAIR, STEPWISE, SUBJECT, run_formula

from tinypareto.comparison.arm_run import ArmTask, run_arm
from tinypareto.comparison.arms import ARMS
from tinypareto.errors import StudyError
from tinypareto.front import normalised_hypervolume
from tinypareto.results import open_history
from tinypareto.study import run_search
from tinypareto.study_plan import SearchSettings

# The formula's sizes are not those of real networks, which `ars-full` knows.
CONTRADICTED = pytest.mark.filterwarnings("ignore:The known function of:RuntimeWarning")

# Beyond its first population NSGA-II has parents, which it keeps beside its trials.
TRIALS = {"nsga2": 58, "random": 20, "tpe": 20, "gp": 13, "ars-full": 11}
MODEL_BASED = 9  # the last of them beyond every sampler's first design


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return run_formula("ars-full", 3, TRIALS["ars-full"], [], tmp_path_factory.mktemp("full"))


def timeless(rows):
    return [dataclasses.replace(row, seconds=0.0, suggest_seconds=0.0) for row in rows]


@CONTRADICTED
@pytest.mark.parametrize("arm", list(ARMS))
def test_study_rebuilt_from_rows_goes_on_as_if_nothing_had_happened(arm, tmp_path):
    trials = TRIALS.get(arm, MODEL_BASED)
    whole = run_formula(arm, 3, trials, [], tmp_path)
    assert [row.trial for row in whole] == list(range(trials))
    assert {row.failure for row in whole} == {None, "out of memory."}
    done = trials - 2
    assert timeless(run_formula(arm, 3, trials, whole[:done], tmp_path)) == timeless(whole)


@CONTRADICTED
def test_full_arm_goes_on_from_what_was_harvested(full, tmp_path):
    assert any(row.on_way for row in full)
    forgetful = [dataclasses.replace(row, on_way={}) for row in full[:-1]]
    (last,) = run_formula("ars-full", 3, len(full), forgetful, tmp_path)[len(full) - 1 :]
    assert last.parameters != full[-1].parameters


def test_hypervolume_counts_feasible_networks_on_the_way_too(full):
    networks = [found for row in full for found in row.networks if found["flops"] <= 400]
    rows = [[found[name] for name in PAIR.objectives] for found in networks]
    expected = normalised_hypervolume(rows, [PAIR.scales[name] for name in PAIR.objectives])
    assert full[-1].hypervolume == pytest.approx(expected)
    alone = [[row.objectives[name] for name in PAIR.objectives] for row in full if row.feasible]
    assert normalised_hypervolume(alone, [PAIR.scales[name] for name in PAIR.objectives]) < expected


@pytest.mark.parametrize("arm", ["random", "tpe"])
def test_rows_that_the_sampler_would_not_make_now_are_refused(arm, tmp_path):
    whole = run_formula(arm, 3, 4, [], tmp_path)
    changed = dataclasses.replace(whole[2], parameters={**whole[2].parameters, "sparsity": 0.55})
    with pytest.raises(StudyError, match=r"trial 2 of .*remove this study's rows"):
        run_formula(arm, 3, 6, [*whole[:2], changed, whole[3]], tmp_path)


def test_arm_is_the_study_that_search_makes_and_trains_each_configuration_once(tmp_path):
    trials, rows = 3, []
    task = ArmTask(
        arm="ars-full", seed=1, trials=trials, experiment=STEPWISE, data_path=None, subject=SUBJECT, rows=(),
        run=1, versions={}, work=tmp_path / "work", cache=tmp_path / "cache",
    )  # fmt: skip
    run_arm(task, rows.append)
    run_search(STEPWISE, tmp_path / "study", SearchSettings(trials=trials, seed=1))
    history = open_history(tmp_path / "study")
    assert [row.parameters for row in rows] == [trial.parameters for trial in history.trials]
    assert [row.objectives for row in rows] == [trial.objectives for trial in history.trials]
    assert [list(row.on_way.values()) for row in rows] == [
        [network.objectives for network in trial.harvested] for trial in history.trials
    ]
    assert any(row.on_way for row in rows)
    volumes = [history.hypervolume(n) for n in range(1, trials + 1)]
    assert [row.hypervolume for row in rows] == pytest.approx(volumes)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(kept) == trials
    again = []
    run_arm(task, again.append)
    seconds = [row.seconds for row in again]  # those of the training, not of the look-up
    assert seconds == [row.seconds for row in rows]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == kept
    assert timeless(again) == timeless(rows)
