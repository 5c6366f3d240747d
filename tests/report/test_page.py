import pytest
from small_histories import finished_trial as trial
from small_histories import history_of, predicted

from tinypareto.calibration import Gain
from tinypareto.report.page import render_page
from tinypareto.report.plots import (
    breakdown_figure,
    calibration_figure,
    gains_figure,
    hypervolume_figure,
    pareto_figure,
)

HISTORY = history_of(
    trial(0, 0.5, 1024.0), trial(1, 0.1, 4096.0), trial(2, 0, 0, failure="out of <memory>"),
    trial(3, 0.25, 1024.0), trial(4, 0.5, 512.0),
)  # fmt: skip


def test_hypervolume_counts_trials_as_they_finish():
    figure = hypervolume_figure(HISTORY)
    assert list(figure.data[0].y) == pytest.approx([0.25, 0.25, 0.25, 0.375, 0.5])


def test_front_leaves_out_dominated_infeasible_and_failed_trials():
    assert [trial.number for trial in HISTORY.front()] == [3, 4]


def test_each_trial_is_drawn_once_in_its_group_and_limits_are_lines():
    figure = pareto_figure(HISTORY)
    drawn = {scatter.name: list(scatter.text) for scatter in figure.data}
    assert drawn == {
        "over a limit": ["trial 1"],
        "feasible, dominated": ["trial 0"],
        "feasible Pareto front": ["trial 3", "trial 4"],
    }
    assert [shape.y0 for shape in figure.layout.shapes] == [2.0]  # KB


def test_breakdown_stacks_the_parts_of_one_memory():
    figure = breakdown_figure([("3", {"rom: code": 1024, "ram: arena": 512})], "rom: ")
    assert [(bar.name, list(bar.y)) for bar in figure.data] == [("code", [1.0])]


def test_page_is_self_contained_and_escapes_what_it_shows():
    page = render_page(HISTORY, {(3, None): 0.3, (4, None): None})
    assert "out of &lt;memory&gt;" in page
    assert "kind &lt;b&gt;" in page
    assert "0.3000" in page
    assert 'src="http' not in page
    assert "<link" not in page


def test_page_of_a_study_without_a_feasible_trial_says_so():
    history = history_of(trial(0, 0.1, 9999.0))
    assert "No trial is within the limits yet" in render_page(history, {})


def test_calibration_draws_each_prediction_once_and_counts_those_that_held():
    history = history_of(
        trial(0, 0.5, 1024.0),
        predicted(trial(1, 0.25, 1024.0), 0.3, [0.2, 0.4]),
        predicted(trial(2, 0.6, 1024.0), 0.3, [0.2, 0.4]),
    )
    figure = calibration_figure(history, ("error",))
    drawn = {scatter.name: list(scatter.x) for scatter in figure.data if scatter.mode == "markers"}
    assert drawn == {"in its interval": [0.25], "outside": [0.6]}
    page = render_page(history, {})
    assert "error: 1 of 2 in their intervals (50 %)." in page
    assert "ROM: known before training." in page
    assert "The last 2 promised" in page
    assert "Predicted and measured" not in render_page(HISTORY, {})


def test_gains_add_up_from_trial_to_trial():
    figure = gains_figure([Gain(trial=5, promised=0.1, came=0.0), Gain(trial=6, promised=0.1, came=0.3)])
    lines = {line.name: list(line.y) for line in figure.data}
    assert lines == {"promised": pytest.approx([0.1, 0.2]), "came": pytest.approx([0.0, 0.3])}
