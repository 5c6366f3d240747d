import numpy as np
import pytest

from tinypareto.mcu.emit.packing import pack_pairs


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (5, 1), (1, 1), (6, 2), (6, 3)])
def test_every_weight_is_found_where_the_kernels_look_for_it(channels, groups):
    weight = np.random.default_rng(0).integers(-127, 128, (channels, 3, 3, 3), dtype=np.int8)
    packed = pack_pairs(weight, groups)
    depth, count = 28, channels // groups
    assert len(packed) == channels * depth
    for channel in range(channels):
        group, index = divmod(channel, count)
        alone = index == count - 1 and count % 2 == 1
        start = (group * count + index - index % 2) * depth + (0 if alone else 4 * (index % 2))
        words = packed[start:].reshape(-1)[: depth if alone else 2 * depth].reshape(-1, 4)
        flat = words[:: 1 if alone else 2][: depth // 4].ravel()
        assert flat[:27].tolist() == weight[channel].ravel().tolist()
        assert flat[27] == 0
