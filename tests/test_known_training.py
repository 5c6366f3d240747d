import math

import pytest

from tinypareto.experiments import digits
from tinypareto.known_training import updates_since_pruning

TRIAL = {
    "epochs": 10,
    "batch_size": 32,
    "sparsity": 0.5,
    "pruning_start": 0.2,
    "pruning_steps": 2,
    "pruning_schedule": "agp",
}


@pytest.mark.parametrize(
    ("changed", "fidelity", "epochs"),
    [
        ({}, 1.0, 4),  # pruned before epochs 3 and 7 of 10
        ({}, 0.6, 4),
        ({}, 0.2, 2),
        ({"pruning_schedule": "one-shot"}, 1.0, 8),
        ({"pruning_schedule": "one-shot", "pruning_steps": 5}, 1.0, 8),
        ({"pruning_steps": 1}, 1.0, 8),
        ({"sparsity": 0.0}, 1.0, 10),
    ],
)
def test_updates_are_counted_from_the_last_pruning_step(changed, fidelity, epochs):
    data = digits.load_data()
    batches = math.ceil(len(data.train) / 32)
    found = updates_since_pruning(data)({**TRIAL, **changed}, fidelity)
    assert found == pytest.approx(math.log(epochs * batches))
