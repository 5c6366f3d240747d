import pytest
import torch

from tinypareto.errors import ConfigError
from tinypareto.network.augment import SHIFT, shift_and_mirror


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def slow(images, shifts, mirrored):
    """Move and mirror pixel by pixel."""
    count, _, height, width = images.shape
    out = torch.zeros_like(images)
    for b in range(count):
        image = images[b].flip(-1) if mirrored[b] else images[b]
        for i in range(height):
            for j in range(width):
                y, x = (
                    i + shifts[0][b] - SHIFT,
                    j + (-shifts[1][b] + SHIFT if mirrored[b] else shifts[1][b] - SHIFT),
                )
                if 0 <= y < height and 0 <= x < width:
                    out[b, :, i, j] = image[:, y, x]
    return out


def test_images_are_moved_and_mirrored_as_drawn():
    images = torch.randn(12, 3, 9, 7)
    found = shift_and_mirror(images, generator())
    again = generator()
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, 12, 1), generator=again)
    mirrored = (torch.rand(12, 1, generator=again) < 0.5)[:, 0]
    assert 0 < mirrored.sum() < 12
    torch.testing.assert_close(found, slow(images, (down[:, 0], right[:, 0]), mirrored), rtol=0, atol=0)


def test_each_image_is_drawn_anew_and_the_batch_stays_as_it_was():
    images = torch.randn(1, 3, 16, 16).expand(64, -1, -1, -1).contiguous()
    before = images.clone()
    found = shift_and_mirror(images, generator())
    assert len({image.numpy().tobytes() for image in found}) > 30
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    torch.testing.assert_close(found, shift_and_mirror(before, generator()), rtol=0, atol=0)


def test_series_are_refused_with_a_remedy():
    with pytest.raises(ConfigError, match=r"for images.*\(6, 128\); set it to none"):
        shift_and_mirror(torch.zeros(4, 6, 128), generator())
