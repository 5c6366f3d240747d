from dataclasses import replace

import pytest

from tinypareto.errors import ConfigError
from tinypareto.mcu.targets import STACK_ROOM, roomy, target, targets


def test_every_target_is_found_by_its_name():
    assert [target(core.name) for core in targets()] == list(targets())


def test_an_unknown_target_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"must be one of cortex-m4.*got 'cortex-m99'; choose one of these"):
        target("cortex-m99")


@pytest.mark.parametrize("sizes", [{"flash_bytes": 1000}, {"ram_bytes": 0}, {"ram_bytes": -4096}])
def test_a_region_that_is_not_whole_pages_is_refused_with_a_remedy(sizes):
    with pytest.raises(ConfigError, match="round it to whole pages"):
        replace(target("cortex-m4"), **sizes)


def test_a_program_that_fits_leaves_the_target_as_it_is():
    core = target("cortex-m4")
    assert roomy(core, core.flash_bytes, core.ram_bytes - STACK_ROOM) == core


def test_a_program_that_does_not_fit_gets_whole_pages_with_room_for_its_stack():
    core = replace(target("cortex-m4"), flash_bytes=8192, ram_bytes=8192 + STACK_ROOM)
    large = roomy(core, 8193, 8193)
    assert large.flash_bytes == 12288
    assert large.ram_bytes == 12288 + STACK_ROOM
    assert replace(large, flash_bytes=core.flash_bytes, ram_bytes=core.ram_bytes) == core
