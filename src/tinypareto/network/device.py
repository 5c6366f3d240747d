"""Where a network is trained: on the processor, or on a GPU where one is there and pays."""

import contextlib

import torch
from torch import nn

from tinypareto.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")

# Below this a batch is too little work for a GPU: starting its kernels takes longer than one core takes for all of it.
WORTH_MACS = 5_000_000  # of one sample


def check_device(name: str) -> None:
    """Check that a device can be used.

    Raises:
        ConfigError: If it is unknown, or is CUDA and there is none.
    """
    if name not in DEVICES:
        raise ConfigError(f"device must be one of {DEVICES}, got {name!r}; pick one of them.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device is cuda, but PyTorch finds no CUDA device here; install a PyTorch with CUDA, or give cpu or auto."
        )


def choose_device(name: str, macs: int) -> torch.device:
    """Return the device to train on.

    Args:
        name: ``cpu``, ``cuda`` or ``auto``: CUDA if it is there and the network large enough.
        macs: The network's multiply-accumulates of one sample.

    Raises:
        ConfigError: As `check_device`.
    """
    check_device(name)
    if name == "auto":
        name = "cuda" if macs >= WORTH_MACS and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which products are taken in bfloat16 where the device is faster at it, else in float32.

    Weights, sums and statistics stay float32. bfloat16 has float32's range, so losses need no scaling.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def device_of(model: nn.Module) -> torch.device:
    """Return where a network is; the processor if it has no parameters."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
