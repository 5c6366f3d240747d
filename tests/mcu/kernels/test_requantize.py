"""kernels/requantize.h against the specification."""

import ctypes
from importlib import resources

import numpy as np
import pytest

from tinypareto.mcu.fixed_point import MAX_SHIFT, fixed_point, requantize
from tinypareto.mcu.toolchain import HOST_FLAGS, compile_c

PROBE = """
#include "requantize.h"
void probe(const int32_t *acc, const tp_scale *scale, uint32_t count, int8_t *out);
void probe(const int32_t *acc, const tp_scale *scale, uint32_t count, int8_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = tp_requantize(acc[i], scale, i);
    }
}
"""


class Scale(ctypes.Structure):
    _fields_ = [
        ("multipliers", ctypes.c_void_p),
        ("shifts", ctypes.c_void_p),
        ("zero_point", ctypes.c_int8),
        ("low", ctypes.c_int8),
        ("high", ctypes.c_int8),
    ]


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.c").write_text(PROBE)
    include = f"-I{resources.files('tinypareto.mcu.kernels')}"
    library = ctypes.CDLL(
        str(compile_c(folder, ["probe.c"], [*HOST_FLAGS, "-shared", include], output="probe.so"))
    )

    def run(acc, multiplier, shift, zero_point, low, high):
        shift = np.ascontiguousarray(shift, dtype=np.int8)
        multiplier = np.ascontiguousarray(multiplier, dtype=np.int32)
        acc = np.ascontiguousarray(acc, dtype=np.int32)
        scale = Scale(multiplier.ctypes.data, shift.ctypes.data, zero_point, low, high)
        out = np.empty(len(acc), dtype=np.int8)
        pointers = (ctypes.c_void_p(acc.ctypes.data), ctypes.byref(scale))
        library.probe(*pointers, len(acc), ctypes.c_void_p(out.ctypes.data))
        return out

    return run


@pytest.mark.parametrize("shift", range(MAX_SHIFT + 1))
@pytest.mark.parametrize(("zero_point", "low", "high"), [(0, -128, 127), (-128, -128, 127), (7, -3, 40)])
def test_every_shift_gives_the_bits_of_the_specification(in_c, shift, zero_point, low, high):
    rng = np.random.default_rng(shift)
    reach = 2 ** (31 - shift) - 1
    multiplier = 2 ** rng.integers(0, 31, 900) + rng.integers(0, 2, 900)
    multiplier[:3] = 2**31 - 1
    # Accumulators around the rounding and clamping edges of their factors, and anywhere within reach.
    edges = np.arange(-300, 300) * 2.0 ** (32 - shift) / multiplier[:600] + rng.uniform(-2, 2, 600)
    anywhere = rng.integers(-reach, reach, 294) >> rng.integers(0, 31 - shift, 294)
    acc = np.concatenate([edges, anywhere, [-reach, reach, -2, -1, 0, 1]])
    acc = np.clip(acc, -reach, reach).astype(np.int64)
    shifts = np.full(len(acc), shift)
    expected = requantize(acc, multiplier, shifts, zero_point, low, high)
    assert len(np.unique(expected)) > 30
    np.testing.assert_array_equal(in_c(acc, multiplier, shifts, zero_point, low, high), expected)


def test_a_factor_of_zero_gives_the_zero_point(in_c):
    multiplier, shift = fixed_point(np.zeros(3))
    acc = np.array([1 - 2**31, 0, 2**31 - 1])
    assert in_c(acc, multiplier, shift, 5, -128, 127).tolist() == [5, 5, 5]


def test_halves_are_rounded_up_on_either_side_of_zero(in_c):
    multiplier, shift = fixed_point(np.full(6, 1 / 8))
    acc = np.array([-12, -5, -4, 3, 4, 12])  # -1.5, -0.625, -0.5, 0.375, 0.5, 1.5
    assert in_c(acc, multiplier, shift, 0, -128, 127).tolist() == [-1, -1, 0, 0, 1, 2]
