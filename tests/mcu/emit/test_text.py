import numpy as np
import pytest

from tinypareto.errors import UnsupportedModelError
from tinypareto.mcu.emit.text import (
    MAX_DIMENSION,
    Table,
    comment_text,
    dimension,
    float_constant,
    identifier,
)


@pytest.mark.parametrize("value", [1e-7, 1.0, 0.1, 3.4e38, 1e-45, 0.007812501])
def test_float_constants_read_back_bit_for_bit(value):
    text = float_constant(value)
    assert text.endswith("f")
    assert np.float32(float.fromhex(text[:-1])) == np.float32(value)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_scale_that_c_cannot_hold_is_refused_with_a_remedy(value):
    with pytest.raises(UnsupportedModelError, match="calibrate the model again"):
        float_constant(value)


def test_identifiers_keep_letters_and_digits_only():
    assert identifier("/layer1.0/Conv*/ü\n;") == "layer1_0_Conv"


@pytest.mark.parametrize("text", ["a */ b", "/* a", "a\nb", "a\\", "*/*/", "a*\x00/"])
def test_no_text_ends_a_comment_early_or_goes_on_to_the_next_line(text):
    safe = comment_text(text)
    assert "*/" not in safe
    assert "/*" not in safe
    assert "\\" not in safe
    assert safe.isprintable()


def test_the_largest_dimension_fits_and_the_next_is_refused():
    assert dimension(MAX_DIMENSION, "in_width of conv") == "65535"
    with pytest.raises(UnsupportedModelError, match=r"in_width of conv .* 65536; make the layer smaller"):
        dimension(MAX_DIMENSION + 1, "in_width of conv")


def test_a_table_lists_every_value_once_and_in_order():
    values = np.arange(-128, 128, dtype=np.int8)
    table = Table(name="t", ctype="int8_t", values=values)
    text = " ".join(table.lines())
    assert [int(number) for number in text.rstrip(",").split(",")] == values.tolist()
