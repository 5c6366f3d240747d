import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from small_experiments import iris
from torch import nn

from tinypareto.errors import UnknownFootprintError
from tinypareto.evaluation import evaluate
from tinypareto.experiment import Experiment, train_and_prune
from tinypareto.experiments import digits
from tinypareto.network.data import Data, Split
from tinypareto.space import Space
from tinypareto.static_footprint import KNOWN, StaticFootprint

SERIES = (3, 32)


class Separable(nn.Module):
    """Depthwise and pointwise layers with a residual sum and a squeeze, for series."""

    def __init__(self, width):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(3, width, 3, stride=2, padding=1), nn.BatchNorm1d(width), nn.Hardswish()
        )
        self.depthwise = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.pointwise = nn.Conv1d(width, width, 1)
        self.squeeze, self.excite = nn.Conv1d(width, 4, 1), nn.Conv1d(4, width, 1)
        self.classifier = nn.Linear(width, 2)

    def forward(self, x):
        x = self.stem(x)
        inner = self.pointwise(nn.functional.relu(self.depthwise(x)))
        scale = nn.functional.hardsigmoid(
            self.excite(nn.functional.relu(self.squeeze(inner.mean(2, keepdim=True))))
        )
        return self.classifier((x + inner * scale).mean(2))


def random_series():
    rng = np.random.default_rng(0)
    split = Split(inputs=rng.standard_normal((16, *SERIES)).astype(np.float32), targets=np.arange(16) % 2)
    return Data(train=split, validation=split, test=split)


def series(target="cortex-m4"):
    return Experiment(
        name="series",
        space={
            "width": IntDistribution(6, 12),
            "sparsity_stem": FloatDistribution(0.0, 0.9),
            "sparsity_squeeze": FloatDistribution(0.0, 0.9),
            "per_channel": CategoricalDistribution([True, False]),
            "epochs": IntDistribution(1, 1),
        },
        build_model=lambda parameters: Separable(parameters["width"]),
        load_data=random_series,
        target=target,
    )


def random_parameters(experiment, seed, **fixed):
    space = Space(experiment.space)
    return space.decode(space.from_shares(np.random.default_rng(seed).random((1, space.n_free)))[0]) | fixed


@pytest.mark.parametrize(
    ("experiment", "fixed"),
    [(series(), {}), (series("cortex-m0plus"), {}), (digits.experiment, {"epochs": 2, "pruning_start": 0.1})],
    ids=["series", "series on an M0+", "digits"],
)
def test_sizes_are_those_that_a_trial_measures(experiment, fixed, tmp_path):
    data = experiment.read_data()
    known = StaticFootprint(experiment, data)
    for seed in range(2):
        parameters = random_parameters(experiment, seed, **fixed)
        sizes = known(parameters)
        measured = evaluate(experiment, data, parameters, seed, tmp_path).measured
        assert {name: getattr(sizes, name) for name in KNOWN} == {name: measured[name] for name in KNOWN}


def test_an_architecture_is_built_once(monkeypatch):
    built = []

    def build(parameters):
        built.append(parameters["width"])
        return Separable(parameters["width"])

    experiment = series()
    object.__setattr__(experiment, "build_model", build)
    known = StaticFootprint(experiment, experiment.read_data())
    parameters = {"width": 8, "sparsity_stem": 0.5, "per_channel": True, "epochs": 1}
    first = known(parameters)
    assert known({**parameters, "sparsity_stem": 0.1}).rom_bytes > first.rom_bytes
    assert known({**parameters, "per_channel": False}).rom_bytes <= first.rom_bytes
    assert known({**parameters, "epochs": 7}) == first  # build_model does not read it
    assert known({**parameters, "width": 9}) != first
    assert built == [8, 9]


def test_training_of_ones_own_is_not_guessed():
    def train(model, data, parameters, seed):
        return train_and_prune(model, data, parameters, seed)

    experiment = Experiment(
        name="own",
        space=iris().space,
        build_model=iris().build_model,
        load_data=iris().load_data,
        train=train,
    )
    with pytest.raises(UnknownFootprintError, match="has its own train"):
        StaticFootprint(experiment, iris().read_data())
