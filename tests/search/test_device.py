"""Where a suggestion is computed does not change it. Without CUDA the comparison is skipped, and says so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.history import History
from tinypareto.search.suggest import suggest
from tinypareto.space import Space

SPACE = Space({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(1e-3, 1.0, log=True)})
MIXED = Space({"x": FloatDistribution(0.0, 1.0), "c": CategoricalDistribution(["a", "b", "c"])})
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
presets = pytest.mark.parametrize("preset", ["default", "poster"])


def ask(space, preset, device="cpu", constraints=1, steps=None):
    points = space.round_points(np.random.default_rng(0).random((15, space.n_columns)))
    values = np.stack([points.sum(1), ((points - 0.7) ** 2).sum(1)], axis=1)
    known = History(
        numbers=np.arange(15), points=points, values=values, violations=points[:, :constraints] - 0.6
    )
    pending = points[:2] * 0.9
    config = SearchConfig.preset(preset)
    config = replace(config, ars=replace(config.ars, n_steps=steps or config.ars.n_steps))
    return suggest(space, known, space.round_points(pending), config, seed=0, trial_number=30, device=device)


@pytest.mark.parametrize("space", [SPACE, MIXED], ids=["continuous", "mixed"])
@presets
def test_default_device_and_type_of_the_callers_process_do_not_matter(preset, space):
    """On the device "meta" nothing has a value, so a tensor that was made there would be noticed."""
    expected = ask(space, preset)
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float16)
        found = ask(space, preset)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found.point, expected.point)
    assert found.reward == expected.reward


def test_device_that_is_not_there_is_refused_with_a_remedy():
    with pytest.raises(ConfigError, match='choose "cpu"'):
        ask(SPACE, "default", device="abacus")


@needs_cuda
@pytest.mark.parametrize("constraints", [0, 1])
@pytest.mark.parametrize("space", [SPACE, MIXED], ids=["continuous", "mixed"])
@presets
def test_cpu_and_gpu_agree(preset, space, constraints):
    # Each step of poster's training multiplies rounding by five to ten, so after all of its 25 steps chance decides
    # where a policy goes, on any two machines; after three it is the same.
    steps = 3 if preset == "poster" else None
    cpu, gpu = (ask(space, preset, device, constraints, steps) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu.point, cpu.point, atol=1e-3)
    np.testing.assert_allclose(gpu.mean, cpu.mean, atol=1e-4)
    np.testing.assert_allclose(gpu.std, cpu.std, atol=1e-4)
