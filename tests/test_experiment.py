from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from small_experiments import iris

from tinypareto.errors import ConfigError, DataError, ExperimentError, SpaceError
from tinypareto.experiment import Experiment, builtin_experiments, load_experiment

HERE = Path(__file__).resolve().parent


def test_builtin_experiment_is_found_by_name():
    assert load_experiment("digits").name == "digits"


def test_every_builtin_experiment_has_one_line_about_it():
    assert builtin_experiments()
    assert all(len(line) > 20 for line in builtin_experiments().values())


def test_experiment_in_a_file_is_found_by_path_and_name():
    assert isinstance(load_experiment(f"{HERE / 'small_experiments.py'}:small"), Experiment)


@pytest.mark.parametrize(
    ("reference", "remedy"),
    [
        ("digit", "built in are digits"),
        ("no/such/file.py:experiment", "give an existing"),
        (f"{HERE / 'small_experiments.py'}:nothing", "'nothing' is not there; the file holds small"),
        (f"{HERE / 'small_experiments.py'}:not_an_experiment", "is dict; the file holds small"),
    ],
)
def test_unknown_reference_is_an_error_with_a_remedy(reference, remedy):
    with pytest.raises(ExperimentError, match=remedy):
        load_experiment(reference)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpy\nraise ValueError('oh no')\n", r"line 2 raised ValueError: oh no; mend the file"),
        ("x = (\n", r"line 1 raised SyntaxError"),
        ("import sys\nsys.exit(3)\n", r"raised SystemExit: 3"),
        (
            "from tinypareto import Experiment\nExperiment(name='e', space={}, build_model=1, load_data=1)",
            "empty space",
        ),
    ],
)
def test_file_that_raises_is_one_line_with_the_place(tmp_path, text, said):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match=said):
        load_experiment(f"{path}:experiment")


def test_empty_space_is_rejected_with_an_example():
    with pytest.raises(SpaceError, match="give at least one parameter"):
        iris(space={})


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"limits": {"latency": 1.0}}, r"limits must name objectives .* got \['latency'\]; add them"),
        ({"limits": {"rom_bytes": -1.0}}, "must be positive and finite"),
        ({"objectives": ("error", "speed")}, "name one of those or return them from measure="),
        ({"objectives": ("error", "error")}, "name each once"),
        ({"objectives": ()}, "one or more"),
    ],
)
def test_contradictory_experiment_is_rejected_with_a_remedy(changes, remedy):
    with pytest.raises(ExperimentError, match=remedy):
        iris(**changes)


def test_unknown_target_is_rejected_at_once():
    with pytest.raises(ConfigError, match="cortex-m4"):
        iris(target="cortex-x9")


def test_data_path_for_a_loader_without_one_is_rejected():
    with pytest.raises(ExperimentError, match="reads no --data"):
        iris().read_data(Path("/tmp"))


def test_loader_gets_the_data_path():
    seen = []

    def load(path):
        seen.append(path)
        return iris().read_data()

    iris(load_data=load).read_data(Path("somewhere"))
    assert seen == [Path("somewhere")]


def test_loader_that_raises_is_a_data_error():
    with pytest.raises(DataError, match="raised ZeroDivisionError: division by zero; mend it"):
        iris(load_data=lambda: 1 / 0).read_data()


def test_loader_that_returns_something_else_is_a_data_error():
    with pytest.raises(DataError, match=r"must return tinypareto.Data, got tuple"):
        iris(load_data=lambda: (1, 2)).read_data()


def test_objective_from_measure_is_accepted():
    experiment = iris(objectives=("error", "energy"), limits={}, measure=lambda folder: {"energy": 1.0})
    assert experiment.objectives == ("error", "energy")
    assert experiment.space["learning_rate"] == FloatDistribution(1e-3, 1e-1, log=True)
