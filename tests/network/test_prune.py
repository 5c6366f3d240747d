import math

import pytest

from tinypareto.errors import ConfigError
from tinypareto.network.prune import PruningConfig, kept_filters


@pytest.mark.parametrize("width", [1, 2, 7, 8, 24, 64])
def test_kept_filters_are_the_nearest_number_but_at_least_one(width):
    for sparsity in (step / 100 for step in range(100)):
        kept = kept_filters(width, sparsity)
        assert 1 <= kept <= width
        assert abs(kept - width * (1 - sparsity)) <= 0.5 + 1e-9 or kept == 1


def test_more_sparsity_never_keeps_more():
    kept = [kept_filters(24, step / 1000) for step in range(1000)]
    assert kept == sorted(kept, reverse=True)
    assert (kept[0], kept[-1]) == (24, 1)


def test_nothing_is_lost_to_rounding_where_the_width_divides():
    # 10 * (1 - 0.9) is 0.9999999999999998 in floating point
    assert [kept_filters(10, 0.1 * removed) for removed in range(10)] == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_parameters_with_the_documented_names_are_read_and_others_left_alone():
    config = PruningConfig.from_parameters({
        "sparsity": 0.1,
        "sparsity_stage1.conv_2": 0.2,
        "pruning_start": 0.5,
        "pruning_steps": 3,
        "pruning_schedule": "one-shot",
        "pruning_heuristic": "fpgm",
        "width": 8,
    })
    assert config == PruningConfig(
        sparsity={"": 0.1, "stage1.conv_2": 0.2}, start=0.5, steps=3, schedule="one-shot", heuristic="fpgm"
    )


def test_missing_parameters_keep_the_defaults():
    assert PruningConfig.from_parameters({}) == PruningConfig()


def test_agp_steps_follow_its_cubic():
    shares = PruningConfig(sparsity={"": 0.5}, start=0.2, steps=4).steps_by_epoch(10)
    assert list(shares) == [2, 4, 6, 8]
    assert list(shares.values()) == [1 - (3 / 4) ** 3, 1 - (1 / 2) ** 3, 1 - (1 / 4) ** 3, 1]


def test_one_shot_prunes_everything_at_the_start():
    assert PruningConfig(sparsity={"": 0.5}, start=0.25, steps=4, schedule="one-shot").steps_by_epoch(8) == {
        2: 1.0
    }


@pytest.mark.parametrize("schedule", ["agp", "one-shot"])
@pytest.mark.parametrize("start", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("epochs", [1, 2, 5, 16])
def test_final_sparsity_is_always_reached_before_the_last_epoch(schedule, start, epochs):
    for steps in range(1, 9):
        config = PruningConfig(sparsity={"": 0.5}, start=start, steps=steps, schedule=schedule)
        shares = config.steps_by_epoch(epochs)
        assert list(shares) == sorted(shares)
        assert list(shares.values()) == sorted(shares.values())
        assert shares[max(shares)] == 1.0
        assert max(shares) < epochs
        assert min(shares) >= min(math.ceil(start * epochs), epochs - 1)


@pytest.mark.parametrize("sparsity", [{}, {"": 0.0}, {"stage1": 0.0, "stage2": 0.0}])
def test_no_sparsity_means_no_step(sparsity):
    assert PruningConfig(sparsity=sparsity).steps_by_epoch(10) == {}


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"sparsity": {"stage1": 1.0}}, "'stage1' must lie in .* lower it"),
        ({"sparsity": {"": -0.1}}, "'the network' must lie in"),
        ({"start": 1.0}, "start before the last epoch"),
        ({"steps": 0}, "set sparsity 0 to prune nothing"),
        ({"schedule": "linear"}, "'linear'; pick one of them"),
        ({"heuristic": "random"}, "'random'; pick one of them"),
    ],
)
def test_impossible_setting_is_rejected_with_a_remedy(settings, remedy):
    with pytest.raises(ConfigError, match=remedy):
        PruningConfig(**settings)
