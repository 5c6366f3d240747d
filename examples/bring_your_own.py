"""Your own model, data and limits: a small dense network that tells benign from malignant tumours.

Run it with `tinypareto search examples/bring_your_own.py:experiment --trials 20 --out runs/tumours`.
"""

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn

import tinypareto


def load_data():
    """569 real samples of 30 features, scaled with the training split's statistics only."""
    features, labels = load_breast_cancer(return_X_y=True)
    rest, test, rest_y, test_y = train_test_split(features, labels, test_size=0.2, random_state=0)
    train, validation, train_y, validation_y = train_test_split(rest, rest_y, test_size=0.25, random_state=0)
    mean, deviation = train.mean(axis=0), train.std(axis=0)

    def split(inputs, targets):
        return tinypareto.Split(inputs=((inputs - mean) / deviation).astype(np.float32), targets=targets)

    return tinypareto.Data(
        train=split(train, train_y), validation=split(validation, validation_y), test=split(test, test_y)
    )


def build_model(parameters):
    """Build the unpruned network; training, pruning and quantisation are tinypareto's own."""
    width = parameters["width"]
    return nn.Sequential(
        nn.Linear(30, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    )


experiment = tinypareto.Experiment(
    name="tumours",
    space={
        "width": IntDistribution(8, 64, step=8),
        "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
        "epochs": IntDistribution(5, 30),
        "sparsity": FloatDistribution(0.0, 0.8),
        "per_channel": CategoricalDistribution([True, False]),
    },
    build_model=build_model,
    load_data=load_data,
    target="cortex-m4",
    objectives=("error", "rom_bytes", "ram_bytes"),
    limits={"rom_bytes": 8 * 1024, "ram_bytes": 1024},
)
