import dataclasses

import pytest
from comparison_parts import PARAMETERS, SUBJECT, row, values
from optuna.distributions import CategoricalDistribution, distribution_to_json

from tinypareto.comparison.rows import Columns, Subject
from tinypareto.errors import StudyError

COLUMNS = Columns(SUBJECT)


@pytest.mark.parametrize(
    "told",
    [
        row(),
        row(
            objectives=values(0.1 + 0.2, 12345678901.0),
            on_way={0: values(1 / 7), 3: values(2 / 7, flops=0.1)},
        ),
        row(failure="the loss became NaN; lower learning_rate."),
        row(objectives=values(0.5, flops=401.0), hypervolume=0.0),
    ],
)
def test_row_is_read_as_it_was_written_to_the_last_bit(told):
    assert COLUMNS.row(COLUMNS.cells(told)) == told


def test_reason_of_a_failure_stays_on_one_line_without_the_sign_of_a_comment():
    told = COLUMNS.cells(row(failure="first # line\n second\u2028third"))
    assert told[-1] == "first no. line second third"


def test_choices_that_look_alike_are_written_as_numbers():
    kind = CategoricalDistribution(["1", 1, None])
    columns = Columns(dataclasses.replace(SUBJECT, space={"x": distribution_to_json(kind)}))
    for choice in kind.choices:
        told = dataclasses.replace(row(), parameters={"x": choice})
        read = columns.row(columns.cells(told)).parameters["x"]
        assert (read, type(read)) == (choice, type(choice))


@pytest.mark.parametrize(
    ("place", "text"), [(0, "one"), (4, "2.5"), (8, "64"), (10, ""), (-6, "yes"), (-2, "1:2")]
)
def test_cell_of_another_kind_is_refused(place, text):
    cells = COLUMNS.cells(row())
    cells[place] = text
    with pytest.raises(ValueError):  # noqa: PT011  # the file's reader says where
        COLUMNS.row(cells)


def test_missing_cell_is_refused():
    with pytest.raises(ValueError, match=f"{len(COLUMNS.names)} columns are needed"):
        COLUMNS.row(COLUMNS.cells(row())[:-1])


def test_subject_is_read_as_it_was_written():
    assert Subject.from_json(SUBJECT.to_json()) == SUBJECT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiment": "digits"}, "with experiment stepwise, now it is digits"),
        ({"limits": {"flops": 500}}, "with limits"),
        ({"objectives": ("error",)}, "with objectives"),
        ({"space": {**SUBJECT.space, "width": SUBJECT.space["epochs"]}}, "another space .changed: width"),
        ({"space": dict(reversed(SUBJECT.space.items()))}, "changed: their order"),
    ],
)
def test_other_subject_is_refused_with_what_differs(change, said, tmp_path):
    with pytest.raises(StudyError, match=said):
        SUBJECT.refuse_other(dataclasses.replace(SUBJECT, **change), tmp_path)


def test_limit_that_is_just_kept_is_feasible():
    assert SUBJECT.is_feasible(values(0.1, flops=400.0))
    assert not SUBJECT.is_feasible(values(0.1, flops=400.5))


def test_networks_are_those_on_the_way_and_the_last():
    assert row(objectives=values(0.5), on_way={0: values(0.25)}).networks == (values(0.25), values(0.5))
    assert row(failure="no.").networks == ()
    assert set(PARAMETERS) == set(SUBJECT.space)
