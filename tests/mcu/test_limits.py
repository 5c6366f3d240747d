from dataclasses import replace

import pytest
from small_graphs import small_resnet

from tinypareto.errors import TargetMemoryError
from tinypareto.mcu.footprint import Footprint
from tinypareto.mcu.limits import check_memory
from tinypareto.mcu.targets import target

NEEDS = Footprint(
    rom_bytes=5000, code_bytes=1000, weight_bytes=4000, ram_bytes=700, arena_bytes=500, static_bytes=0,
    stack_bytes=200, breakdown={},
)  # fmt: skip


def core(flash, ram):
    return replace(target("cortex-m4"), flash_bytes=flash, ram_bytes=ram)


def test_a_program_that_fits_to_the_byte_is_accepted():
    check_memory(small_resnet()[0], core(5000, 700), NEEDS)


@pytest.mark.parametrize(
    ("flash", "ram", "said"),
    [
        (4990, 700, "needs 5,000 bytes of flash, 10 more than the 4,990 there are, .* 'second/a' with 315 weights;"),
        (5000, 699, r"needs 700 bytes of RAM, 1 more than the 699 .* tensor is 'stem' with 180 bytes \(6 x 6 x 5\);"),
        (4990, 699, "10 more than .*, and needs 700 bytes of RAM, 1 more than .*; prune the model or choose a larger"),
    ],
)  # fmt: skip
def test_excess_is_said_in_bytes_with_the_largest_operator_or_tensor(flash, ram, said):
    with pytest.raises(TargetMemoryError, match=said):
        check_memory(small_resnet()[0], core(flash, ram), NEEDS)


def test_a_program_that_was_not_simulated_is_judged_by_what_it_needs_besides_its_stack():
    graph, unknown = small_resnet()[0], replace(NEEDS, ram_bytes=500, stack_bytes=0)
    check_memory(graph, core(5000, 500), unknown)
    with pytest.raises(
        TargetMemoryError, match="needs 500 bytes of RAM besides its stack, 1 more than the 499 "
    ):
        check_memory(graph, core(5000, 499), unknown)
