"""Training samples varied at random: what a network shall not mind.

Axes: b samples of a batch.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from tinypareto.errors import ConfigError

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]  # b x ... -> b x ...

SHIFT = 4  # pixels at most, in each direction


def shift_and_mirror(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return each image moved by up to four pixels, zeros where nothing was, and half of them mirrored.

    Args:
        images: b x C x H x W.
        generator: What is drawn comes from it.

    Raises:
        ConfigError: If they are no images.

    Source: He et al., Deep residual learning for image recognition (2016), section 4.2.
    """
    if images.ndim != 4:
        raise ConfigError(
            f"augmentation shift-and-mirror is for images, n x C x H x W, got samples of shape "
            f"{tuple(images.shape[1:])}; set it to none."
        )
    count, channels, height, width = images.shape
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.arange(width).expand(count, width)
    rows = torch.arange(height) + down  # b x H
    columns = torch.where(mirrored, columns.flip(1), columns) + right  # b x W
    rows, columns = rows.to(images.device), columns.to(images.device)
    padded = F.pad(images, (SHIFT,) * 4)
    samples = torch.arange(count, device=images.device)[:, None, None, None]
    planes = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[samples, planes, rows[:, None, :, None], columns[:, None, None, :]]


AUGMENTATIONS: dict[str, Augment | None] = {"none": None, "shift-and-mirror": shift_and_mirror}
