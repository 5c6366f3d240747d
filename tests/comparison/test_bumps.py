import numpy as np
import pytest

from tinypareto.comparison.arms import ARMS
from tinypareto.comparison.bumps import (
    NOTHING_PENDING,
    POSTER,
    SPACE,
    bumps_table,
    complete_bumps,
    history_of,
    sample,
    view,
)  # fmt: skip
from tinypareto.comparison.bumps_figure import draw_bumps
from tinypareto.comparison.reproduce import REPRODUCTIONS, SHOWN, reproduction
from tinypareto.errors import ConfigError, StudyError
from tinypareto.search.suggest import suggest
from tinypareto.synthetic import EDGE, GLOBAL_MINIMUM, bumps, bumps_prior


@pytest.fixture(scope="module")
def early():
    return sample("poster", 3, 12)[0]


def test_samples_begin_with_the_prior_in_the_upper_left(early):
    np.testing.assert_allclose(early[:5] * EDGE, bumps_prior(3))
    assert early.shape == (12, 2)


def test_walks_that_are_drawn_are_those_the_next_sample_is_taken_from(early):
    walks = view(early, early, 3).walks
    chosen = suggest(SPACE, history_of(early), NOTHING_PENDING, POSTER, seed=3, trial_number=12)
    assert any(np.array_equal(walk, chosen.path) for walk in walks)
    assert walks.shape == (POSTER.n_policies, 1 + POSTER.horizon, 2)


def test_mean_goes_through_the_samples_and_improvement_is_nothing_there(early):
    seen = view(early, early, 3)
    np.testing.assert_allclose(seen.mean, bumps(early * EDGE), atol=0.05)
    somewhere = view(early, np.random.default_rng(0).random((200, 2)), 3)
    assert seen.improvement.max() < 0.1 * somewhere.improvement.max()


def test_runs_that_a_csv_holds_are_not_made_again(tmp_path):
    path, told = tmp_path / "bumps.csv", []
    first = complete_bumps(path, [0], on_run=lambda *said: told.append(said))
    assert [(row["sampler"], row["seed"]) for row in first] == [("poster", "0"), ("qparego", "0")]
    best = float(first[0]["best"])
    assert (best <= GLOBAL_MINIMUM + 0.1) == (first[0]["found"] == "True")
    assert best == bumps(sample("poster", 0)[0] * EDGE).min()
    assert [said[:2] for said in told] == [(1, 2), (2, 2)]
    before = path.read_bytes()
    assert complete_bumps(path, [0]) == first
    assert path.read_bytes() == before


def test_table_counts_what_was_found():
    rows = [
        {"sampler": "poster", "found": found, "best": best, "seconds_per_suggestion": "0.5"}
        for found, best in (("True", "-3.95"), ("False", "-2.0"), ("True", "-3.9"))
    ]
    assert "| poster | 3 | 2 | -3.900 | 0.50 |" in bumps_table(rows)


def test_other_csv_and_no_seeds_are_refused(tmp_path):
    path = tmp_path / "bumps.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(StudyError, match="not a CSV of this experiment"):
        complete_bumps(path, [0])
    with pytest.raises(ConfigError, match="seeds must be at least 1"):
        complete_bumps(path, [])


def test_figure_is_drawn_as_png_and_svg(tmp_path):
    names = {path.name: path.stat().st_size for path in draw_bumps(tmp_path)}
    assert set(names) == {"bumps.png", "bumps.svg"}
    assert min(names.values()) > 50_000


def test_reproductions_show_every_sampler_of_the_poster_that_there_is():
    assert set(SHOWN) == set(ARMS) - {"gp", "tpe"}
    assert {plan.trials for name, plan in REPRODUCTIONS.items() if name != "imu"} == {150}
    assert reproduction("resnet18-cifar10").experiment == "resnet18_cifar10"


def test_unknown_reproduction_is_refused_with_the_names():
    with pytest.raises(ConfigError, match=r"choose one of digits, .*bumps"):
        reproduction("figure3")
