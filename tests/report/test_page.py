import pytest
from small_histories import finished_trial as trial
from small_histories import history_of

from tinypareto.report.page import render_page
from tinypareto.report.plots import breakdown_figure, hypervolume_figure, pareto_figure

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
