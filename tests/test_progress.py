import io

from rich.console import Console
from small_histories import finished_trial as trial
from small_histories import history_of

from tinypareto.progress import ProgressDisplay, trial_line
from tinypareto.study import SearchProgress

FIRST = trial(0, 0.5, 1024.0)


def shown(steps, total, terminal=False):
    """What is written while the display sees each of ``steps``: a number that run, and trials."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=140, legacy_windows=False)
    with ProgressDisplay(console) as display:
        for running, trials in steps:
            display(SearchProgress(total=total, running=running, history=history_of(*trials)))
    return stream.getvalue()


def test_elsewhere_than_in_a_terminal_each_trial_is_one_line_and_each_standing_one():
    said = shown([(1, []), (1, [FIRST]), (0, [FIRST, trial(1, 0.25, 4096.0)])], total=2)
    assert said.splitlines() == [
        "trial 0: error 0.5, ROM 1,024",
        "1/2: hypervolume 0.2500, 1 feasible Pareto trials",
        "trial 1: error 0.25, ROM 4,096 (over a limit)",
        "2/2: hypervolume 0.2500, 1 feasible Pareto trials",
    ]


def test_continued_study_does_not_list_its_past_again():
    past = [FIRST, trial(1, 0.5, 1024.0)]
    said = shown([(1, past), (1, [*past, trial(2, 0.5, 512.0)])], total=4)
    assert [line for line in said.splitlines() if line.startswith("trial")] == ["trial 2: error 0.5, ROM 512"]


def test_failed_trial_says_why():
    assert trial_line(trial(3, 0, 0, failure="out of memory; lower batch_size")) == (
        "trial 3 failed: out of memory; lower batch_size"
    )


def test_terminal_shows_a_bar_with_count_time_left_and_standing():
    said = shown([(1, []), (1, [FIRST])], total=4, terminal=True)
    for part in ("━", "1/4", "left", "hypervolume 0.2500", "1 feasible Pareto trials"):
        assert part in said
    assert "trial 0: error" not in said, "the bar speaks for trials that went well"
    assert "trial 1 failed: oh" in shown(
        [(1, []), (1, [trial(1, 0, 0, failure="oh")])], total=4, terminal=True
    )
