import contextlib

import pytest
import torch

from tinypareto.errors import ConfigError
from tinypareto.network.device import WORTH_MACS, check_device, choose_device, mixed_precision


@pytest.mark.parametrize(
    ("name", "macs", "there", "expected"),
    [
        ("auto", WORTH_MACS, True, "cuda"),
        ("auto", WORTH_MACS - 1, True, "cpu"),
        ("auto", WORTH_MACS, False, "cpu"),
        ("cpu", WORTH_MACS, True, "cpu"),
        ("cuda", 1, True, "cuda"),
    ],
)
def test_auto_takes_cuda_for_large_networks_where_it_is_there(name, macs, there, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(name, macs).type == expected


def test_cuda_that_is_not_there_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"no CUDA device.*give cpu or auto"):
        check_device("cuda")


def test_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="one of"):
        choose_device("tpu", 1)


def test_processor_computes_in_full_precision():
    assert isinstance(mixed_precision(torch.device("cpu")), contextlib.nullcontext)
