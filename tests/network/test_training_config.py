import pytest

from tinypareto.errors import ConfigError
from tinypareto.network.training_config import TrainingConfig


def test_training_settings_are_read_from_a_trials_parameters():
    config = TrainingConfig.from_parameters({"epochs": 3, "optimizer": "adam", "width": 9})
    assert config == TrainingConfig(epochs=3, optimizer="adam")


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0; raise it"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"momentum": 1.0}, "lower it"),
        ({"weight_decay": -1.0}, "set 0 for none"),
        ({"optimizer": "lion"}, "'lion'; pick one of them"),
        ({"schedule": "step"}, "'step'; pick one of them"),
    ],
)
def test_impossible_setting_is_rejected_with_a_remedy(settings, remedy):
    with pytest.raises(ConfigError, match=remedy):
        TrainingConfig(**settings)
