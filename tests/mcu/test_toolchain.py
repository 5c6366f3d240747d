from dataclasses import replace

import numpy as np
import pytest
from small_graphs import small_resnet

from tinypareto.errors import ShapeError, ToolchainError
from tinypareto.mcu import toolchain
from tinypareto.mcu.compilers import GCC, ZIG
from tinypareto.mcu.emit.project import c_sources
from tinypareto.mcu.firmware import host_model, write_files, write_program
from tinypareto.mcu.reference import run_reference
from tinypareto.mcu.targets import target
from tinypareto.mcu.toolchain import build_elf, build_host_library, compile_c

M4 = target("cortex-m4")


@pytest.fixture(scope="module")
def network():
    graph, builder = small_resnet()
    return write_program(graph, M4), builder


def test_compiler_error_is_one_line_that_quotes_the_first_error(tmp_path):
    (tmp_path / "bad.c").write_text("int f(void) { return missing; }\nint g(void) { return gone; }\n")
    with pytest.raises(ToolchainError, match=r"bad\.c:1:.*error: .*'missing'") as caught:
        build_host_library(tmp_path, ["bad.c"])
    assert "\n" not in str(caught.value)
    assert "gone" not in str(caught.value)


def test_missing_compiler_says_what_to_install(tmp_path):
    for compiler, remedy in (
        (ZIG, "install ziglang with pip"),
        (GCC, "install the package gcc-arm-none-eabi"),
    ):
        missing = replace(compiler, command=(str(tmp_path / "no-such-compiler"),))
        with pytest.raises(ToolchainError, match=remedy):
            compile_c(tmp_path, [], [], "model.so", missing)


def test_core_that_lacks_no_arithmetic_is_linked_without_the_compilers_library(
    network, tmp_path, monkeypatch
):
    program, _ = network
    write_files(program.files, tmp_path)
    monkeypatch.setattr(toolchain, "compile_c", None)
    assert build_elf(tmp_path, c_sources(program.files), M4).is_file()


def test_program_larger_than_its_region_does_not_link(network, tmp_path):
    program, _ = network
    write_files(program.files, tmp_path)
    script = program.files["link.ld"].replace(f"LENGTH = {M4.flash_bytes}", "LENGTH = 1024")
    (tmp_path / "small.ld").write_text(script)
    with pytest.raises(ToolchainError, match=r"will not fit in region 'FLASH'"):
        build_elf(tmp_path, c_sources(program.files), M4, "small.ld")


def test_host_model_gives_each_sample_its_own_output(network):
    program, builder = network
    inputs = builder.inputs(7)
    with host_model(program) as host:
        together = host.predict(inputs)
        alone = np.concatenate([host.predict(sample[None]) for sample in inputs])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, run_reference(program.graph, inputs))
    assert len(np.unique(together, axis=0)) == 7


def test_host_model_reads_samples_that_are_not_contiguous_and_leaves_them_alone(network):
    program, builder = network
    inputs = builder.inputs(8)
    before = inputs.copy()
    with host_model(program) as host:
        np.testing.assert_array_equal(host.predict(inputs[::2]), host.predict(inputs[::2].copy()))
    np.testing.assert_array_equal(inputs, before)


@pytest.mark.parametrize("change", [lambda x: x.astype(np.float32), lambda x: x[:, :-1], lambda x: x[0]])
def test_inputs_of_another_type_or_shape_are_refused(network, change):
    program, builder = network
    with (
        host_model(program) as host,
        pytest.raises(ShapeError, match=r"n x 6 x 6 x 3, got .*pass what quantize_input returns"),
    ):
        host.predict(change(builder.inputs(2)))
