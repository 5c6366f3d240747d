from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.errors import ToolchainError
from tinypareto.mcu import simulator
from tinypareto.mcu.elf import read_elf
from tinypareto.mcu.firmware import build_firmware, write_program
from tinypareto.mcu.footprint import read_footprint
from tinypareto.mcu.targets import target

M4 = target("cortex-m4")


@pytest.fixture(scope="module")
def elf(tmp_path_factory):
    return build_firmware(write_program(small_resnet()[0], M4), tmp_path_factory.mktemp("elf")).elf


def test_code_is_what_the_file_loads_at_an_address(elf):
    image = read_elf(elf)
    section = image.sections[".text"]
    assert image.code(section.address, section.size) in elf.read_bytes()
    assert image.code(section.address + 2, 2) == image.code(section.address, 4)[2:]
    with pytest.raises(ToolchainError, match="must hold code at 0x20000000"):
        image.code(0x2000_0000, 4)


def test_function_is_found_by_any_address_within_it(elf):
    image = read_elf(elf)
    invoke = image.symbol("model_invoke")
    for offset in (0, 2, invoke.size - 2):
        assert image.function_at(invoke.address + offset) == "model_invoke"
    assert image.function_at(0x10) == "0x10"


def test_files_whose_symbols_promise_too_much_are_refused_at_once(elf):
    image = read_elf(elf)

    def with_symbol(name, value):
        return replace(image, symbols={**image.symbols, name: replace(image.symbols[name], address=value)})

    for name, value, said in (
        ("model_inputs", 0xFFFF_FFFF, "must define model_input_1"),
        ("model_output_0_bytes", 0xFFFF_0000, "must hold model_output_0 in its arena"),
        ("model_input_0", 0x2000_FFFF, "must hold model_input_0 in its arena"),
        ("model_static_end", 0xFFFF_0000, "must be linked for cortex-m4"),
        ("model_static_end", 0, "must be linked for cortex-m4"),
    ):
        with pytest.raises(ToolchainError, match=said):
            simulator._job(with_symbol(name, value), M4)
    with pytest.raises(ToolchainError, match="must be linked for pico"):
        simulator._job(image, target("pico"))


def damaged(data, rng):
    """Cut short, or wrong in its header, or wrong in its tables, which stand at the end."""
    kind = rng.integers(3)
    if kind == 0:
        return data[: rng.integers(len(data))]
    low, high = ((0, 60), (len(data) - 6000, len(data)))[kind - 1]
    wrong = bytearray(data)
    for place in rng.integers(low, high, size=rng.integers(1, 30)):
        wrong[place] = rng.integers(256)
    return bytes(wrong)


def test_damaged_files_are_read_or_refused(elf, tmp_path):
    rng, data, path = np.random.default_rng(0), elf.read_bytes(), tmp_path / "damaged.elf"
    refused = 0
    for _ in range(300):
        path.write_bytes(damaged(data, rng))
        with suppress(ToolchainError):
            refused += 1
            read_footprint(path, stack_bytes=0)
            simulator._job(read_elf(path), M4)
            refused -= 1
    assert 100 < refused < 300
