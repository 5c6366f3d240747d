import dataclasses

import pytest
from small_histories import DESCRIPTION, finished_trial, history_of

from tinypareto.choice import choose
from tinypareto.errors import ConfigError
from tinypareto.trials import History

# Errors 0.02 .. 0.62 and ROM 16 .. 1024: in the middle a doubling of ROM buys much, beyond it little.
FRONT = [(0.62, 16.0), (0.12, 64.0), (0.06, 512.0), (0.02, 1024.0)]
HISTORY = history_of(*(finished_trial(number, *values) for number, values in enumerate(FRONT)))


def test_knee_compares_errors_as_they_are_and_sizes_by_ratios():
    # By hand, (share of the error's span)^2 + (share of the ROM's doublings)^2: 1.00, 0.14, 0.70, 1.00.
    assert choose(HISTORY).network.number == 1
    steep = history_of(
        *(finished_trial(n, *v) for n, v in enumerate([(0.5, 16.0), (0.4, 400.0), (0.0, 1024.0)]))
    )
    # Were sizes compared as they are, trial 1 would be nearest: 1.00, 0.79, 1.00 beside 1.00, 1.24, 1.00.
    assert choose(steep).network.number == 0


def test_reason_has_the_numbers_of_the_best_and_of_the_smallest():
    why = choose(HISTORY).why
    assert "Trial 1 is, of 4 on the front" in why
    assert "Its error is 0.12 instead of 0.02 (trial 3, the lowest), for 6 % of its ROM" in why
    assert "the smallest, trial 0, needs 25 % of its ROM at error 0.62" in why


@pytest.mark.parametrize(
    ("pick", "number", "said"),
    [("error", 3, "0.02, the lowest"), ("rom_bytes", 0, "no other needs less ROM")],
)
def test_ends_of_the_front_can_be_picked(pick, number, said):
    choice = choose(HISTORY, pick)
    assert choice.network.number == number
    assert said in choice.why


def test_three_sizes_that_say_the_same_count_as_one():
    names = ("error", "rom_bytes", "ram_bytes", "flops")
    # By hand, as above: 1.00, 0.45, 0.47, 1.00; with a vote for each size it would be 3.00, 1.34, 0.69, 1.00.
    values = [(0.0, 1024.0), (0.1, 256.0), (0.6, 64.0), (1.0, 16.0)]
    two = history_of(*(finished_trial(number, *of_trial) for number, of_trial in enumerate(values)))
    trials = tuple(
        dataclasses.replace(trial, objectives={"error": error, **dict.fromkeys(names[1:], size)})
        for trial, (error, size) in zip(two.trials, values, strict=True)
    )
    four = History(description=dataclasses.replace(DESCRIPTION, objectives=names), trials=trials)
    assert choose(four).network.number == choose(two).network.number == 1


def test_sizes_of_zero_are_compared_as_they_are():
    history = history_of(
        finished_trial(0, 0.5, 0.0), finished_trial(1, 0.1, 10.0), finished_trial(2, 0.0, 1000.0)
    )
    assert choose(history).network.number == 1
    assert "needs 0 % of its ROM" in choose(history).why


def test_nothing_feasible_is_no_choice_and_an_unknown_pick_an_error():
    assert choose(history_of(finished_trial(0, 0.1, 9999.0))) is None
    with pytest.raises(ConfigError, match="one of knee, error, rom_bytes, got 'best'; choose"):
        choose(HISTORY, "best")
