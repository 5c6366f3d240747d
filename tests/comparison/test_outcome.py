import hashlib

import numpy as np
import pytest
from comparison_parts import SUBJECT, row, values

from tinypareto.comparison.figures import draw_figures, fronts_figure, hypervolume_figure
from tinypareto.comparison.outcome import Outcome
from tinypareto.comparison.summary import summary_text


def study(arm, seed, *hypervolumes, found=(), passed=()):
    networks = [*found, *[values(0.6)] * (len(hypervolumes) - len(found))]
    ways = [*passed, *[{}] * (len(hypervolumes) - len(passed))]
    rows = zip(hypervolumes, networks, ways, strict=True)
    return tuple(
        row(arm=arm, seed=seed, trial=trial, hypervolume=volume, objectives=network, on_way=way)
        for trial, (volume, network, way) in enumerate(rows)
    )


@pytest.fixture
def outcome():
    better, smaller, too_large = values(0.1), values(0.5, 500.0), values(0.05, flops=401.0)
    return Outcome(
        subject=SUBJECT,
        studies={
            "ars": (
                study("ars", 0, 0.1, 0.3, 0.5, 0.6, found=[better, too_large], passed=[{0: smaller}]),
                study("ars", 1, 0.0, 0.2, 0.4, 0.8, found=[better, values(0.1, 610.0)]),
            ),
            "random": (study("random", 0, 0.1, 0.1, 0.1, 0.5), study("random", 1, 0.2, 0.2, 0.2, 0.9)),
            "tpe": (study("tpe", 0, 0.1, 0.1, 0.1, 0.1), study("tpe", 1, 0.2, 0.2, 0.2, 0.2)),
        },
        runs=({"commit": "abc1234", "machine": "x86_64", "versions": "torch=2.13.0"},),
    )


def test_front_is_that_of_feasible_networks_those_on_the_way_included(outcome):
    assert outcome.front("ars", 0).tolist() == [[0.1, 600.0, 70.0, 100.0], [0.5, 500.0, 70.0, 100.0]]
    assert outcome.front("ars", 1).tolist() == [[0.1, 600.0, 70.0, 100.0]]


def test_front_of_all_seeds_counts_equal_networks_once(outcome):
    assert len(outcome.front("ars")) == 2
    assert outcome.front("random").tolist() == [[0.6, 600.0, 70.0, 100.0]]


def test_front_without_a_feasible_network_is_empty():
    none = Outcome(
        subject=SUBJECT, studies={"ars": (study("ars", 0, 0.0, found=[values(0.1, flops=1e3)]),)}, runs=()
    )
    assert none.front("ars").shape == (0, 4)
    summary_text(none)
    fronts_figure(none)


def test_differences_are_paired_by_seed_and_corrected(outcome):
    told = outcome.differences("ars")
    assert (told["random"].wins, told["random"].seeds) == (1, 2)
    assert told["random"].median == pytest.approx(0.0)
    assert told["tpe"].wins == 2
    assert told["tpe"].p == pytest.approx(0.5)  # 1/4 alone, and there are two peers
    assert told["random"].p == pytest.approx(0.75)


def test_tables_say_medians_counts_and_tests(outcome):
    text = summary_text(outcome)
    assert "# stepwise: 3 samplers, 2 seeds, 4 trainings each" in text
    assert "| ars | 0.0500 (0.0250-0.0750) | 0.2500 (0.2250-0.2750) | 0.7000 (0.6500-0.7500) |" in text
    assert "| ars | 2 (1-2) | 2 | 0 | 1 | 0.25 | 2.5 |" in text
    assert "| tpe | 2 of 2 | +0.5500 | 0.500 |" in text
    assert "With 2 seeds p is at least 0.25 before" in text
    assert "commit abc1234, x86_64, torch=2.13.0" in text


def test_curves_are_drawn_at_the_median_with_quartiles_as_a_band(outcome):
    (panel,) = hypervolume_figure(outcome).axes
    lines = {line.get_label().split(",")[0]: line for line in panel.lines}
    np.testing.assert_allclose(lines["ars"].get_ydata(), [0.05, 0.25, 0.45, 0.7])
    np.testing.assert_allclose(lines["ars"].get_xdata(), [1, 2, 3, 4])
    bands = {band.get_facecolor()[0][:3].tobytes(): band for band in panel.collections}
    low, high = np.sort(outcome.curves("random"), axis=0)
    colour = np.array([127, 127, 127]) / 255  # random's grey
    corners = bands[colour.tobytes()].get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(low[-1] + 0.75 * (high[-1] - low[-1]))
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["ars, 0.700", "random, 0.700", "tpe, 0.150"]


def test_every_pair_of_objectives_shows_each_front_with_its_count(outcome):
    figure = fronts_figure(outcome)
    panels = [panel for panel in figure.axes if panel.axison]
    assert len(panels) == 6
    first = {points.get_label(): points.get_offsets().tolist() for points in panels[0].collections}
    assert first["ars (2)"] == [[0.1, 600 / 1024], [0.5, 500 / 1024]]
    assert set(first) == {"ars (2)", "random (1)", "tpe (1)"}
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["ars (2)", "random (1)", "tpe (1)"]


def test_pictures_drawn_again_are_the_same_bytes(outcome, tmp_path):
    def hashes():
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in draw_figures(outcome, tmp_path)
        }

    first = hashes()
    assert set(first) == {"hypervolume.png", "hypervolume.svg", "fronts.png", "fronts.svg"}
    assert hashes() == first
