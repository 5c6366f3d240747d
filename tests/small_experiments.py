"""Experiments whose trials take a second: a dense network on two real features of scikit-learn's iris."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.datasets import load_iris
from torch import nn

from tinypareto.experiment import Experiment, train_and_prune
from tinypareto.network.data import Data, Split

SPACE = {
    "width": IntDistribution(4, 32),
    "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
}


def load_data():
    features, labels = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = [order[:90], order[90:120], order[120:]]
    train, validation, test = (Split(inputs=features[part] / 8, targets=labels[part]) for part in parts)
    return Data(train=train, validation=validation, test=test)


def build_model(parameters):
    width = parameters["width"]
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def train_briefly(model, data, parameters, seed):
    return train_and_prune(model, data, {**parameters, "epochs": 3, "batch_size": 32}, seed)


def crash_at_some_widths(parameters):
    if parameters["width"] % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # what the system does to a process that takes all memory
    if parameters["width"] % 3 == 1:
        raise MemoryError
    return build_model(parameters)


def fill_the_disk(network, data, parameters, seed, folder):
    (folder / "model.onnx").symlink_to("/dev/full")
    with open(folder / "model.onnx", "wb") as file:
        file.write(bytes(1 << 20))


def energy(folder: Path):
    return {"energy": float((folder / "firmware.elf").stat().st_size)}


def iris(**changes):
    settings = {
        "name": "iris",
        "space": SPACE,
        "build_model": build_model,
        "load_data": load_data,
        "train": train_briefly,
        "limits": {"rom_bytes": 16 * 1024},
    }
    return Experiment(**{**settings, **changes})


SCALES = {"rom_bytes": 16 * 1024, "ram_bytes": 1024, "flops": 1e4}  # so that no largest network is built
small = iris()
tight = iris(limits={"flops": 250})  # width 17 at most
EACH_REST_OF_3 = {
    **SPACE,
    "width": CategoricalDistribution([6, 7, 8]),
}  # the first trials meet every category
crashing = iris(build_model=crash_at_some_widths, space=EACH_REST_OF_3, scales=SCALES)
full_disk = iris(quantize=fill_the_disk, scales=SCALES)
measured = iris(
    objectives=("error", "energy", "ram_bytes"), limits={}, measure=energy, scales={"energy": 1e6}
)
# Trained as configured, so its sizes are known: a third of random trials would fit.
knowable = iris(
    name="knowable",
    space={
        "width": IntDistribution(8, 32, step=4),
        "sparsity": FloatDistribution(0.0, 0.9),
        "learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
        "epochs": IntDistribution(2, 2),
    },
    train=train_and_prune,
    scales=SCALES,
    limits={"flops": 120},
)
# Its trainings pass through networks that are deployable themselves.
stepwise = iris(
    name="stepwise",
    space={
        "width": IntDistribution(16, 32, step=4),
        "sparsity": FloatDistribution(0.5, 0.9),
        "learning_rate": FloatDistribution(1e-2, 1e-1, log=True),
        "epochs": IntDistribution(6, 6),
        "batch_size": CategoricalDistribution([16, 32]),
        "pruning_steps": IntDistribution(1, 3),
    },
    train=train_and_prune,
    scales=SCALES,
    limits={"flops": 400},
)
# Two objectives, so that suggestions take no time either.
stepwise_pair = replace(stepwise, name="stepwise-pair", objectives=("error", "flops"), scales={"flops": 1e4})
stepwise_elsewhere = replace(stepwise, space={**stepwise.space, "sparsity": FloatDistribution(0.4, 0.9)})
not_an_experiment = {"name": "iris"}
