"""What a network costs before it meets a compiler: multiply-accumulates and parameters."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def macs(model: nn.Module, example: torch.Tensor) -> int:
    """Return the multiply-accumulates of convolutions and matrix products; FLOPs are twice that.

    Args:
        model: Any network; its mode and parameters stay as they are.
        example: One sample, 1 x C x H x W, 1 x C x L or 1 x F.

    Example:
        >>> macs(nn.Linear(3, 2), torch.zeros(1, 3))
        6
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(example)
    finally:
        model.train(was_training)
    return int(counter.get_total_flops()) // 2


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable values, batch normalisation included.

    Example:
        >>> parameter_count(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in model.parameters())
