import io
import os
import pickle

import numpy as np
import pytest
from small_data import python2_pickle

from tinypareto.datasets.restricted_pickle import load_restricted
from tinypareto.errors import DataError


def load(content):
    return load_restricted(io.BytesIO(content), "batch")


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_and_plain_values_are_read(protocol):
    values = {
        b"data": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "labels": [1, 2, 3],
        "more": (None, 1.5, b"bytes", True, {"a": {1}}),
        "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    if protocol < 4:
        values["more"] = values["more"][:4]  # a set is a call there
    found = load(pickle.dumps(values, protocol=protocol))
    assert list(found) == list(values)
    np.testing.assert_array_equal(found[b"data"], values[b"data"])
    np.testing.assert_array_equal(found["turned"], values["turned"])
    assert (found["labels"], found["more"]) == (values["labels"], values["more"])


def test_pickle_of_python_2_is_read():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3072), np.uint8)
    found = load(python2_pickle(pixels, [4, 3, 2, 1, 0]))
    np.testing.assert_array_equal(found[b"data"], pixels)
    assert (found[b"labels"], found[b"batch_label"]) == ([4, 3, 2, 1, 0], b"some")


@pytest.mark.parametrize(
    ("harmful", "name"),
    [
        (Call(os.system, "touch harm"), r"(posix|nt)\.system"),
        (Call(eval, "open('harm', 'w')"), r"__builtin__\.eval"),
        (Call(getattr, "text", "format"), r"__builtin__\.getattr"),
        (Call(np.loadtxt, "harm"), r"numpy.*loadtxt"),
        ([np.array([Call(os.system, "touch harm")], dtype=object)], r"(posix|nt)\.system"),
    ],
)
def test_anything_else_is_refused_by_name_and_not_run(harmful, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": harmful}, protocol=2)
    with pytest.raises(
        DataError, match=rf"^batch must hold nothing but .* asks for {name}; .*fetch the data"
    ):
        load(content)
    assert not list(tmp_path.iterdir())


def test_array_of_objects_is_refused():
    with pytest.raises(DataError, match="arrays of numbers, but one is of type 'O8'"):
        load(pickle.dumps([np.array([1, "two", None], dtype=object)], protocol=4))


def test_huge_array_that_is_not_there_takes_no_memory():
    content = pickle.dumps(np.zeros(3, np.uint8), protocol=2).replace(
        b"K\x00\x85", b"\x8a\x05\x00\x00\x00\x00\x7f\x85"
    )
    assert load(content).tolist() == [0, 0, 0]


@pytest.mark.parametrize("length", [0, 1, 30, 200])
def test_truncated_pickle_is_one_line(length):
    content = python2_pickle(np.zeros((2, 3072), np.uint8), [0, 1])
    with pytest.raises(DataError, match=r"batch must be a whole pickle.*fetch the data again"):
        load(content[:length])


def test_damaged_pickles_are_errors_of_ours_or_other_values():
    content = python2_pickle(np.zeros((1, 3072), np.uint8), [0])
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(200 if rng.random() < 0.8 else len(content))] = rng.integers(256)
        try:
            load(bytes(damaged))
        except DataError:
            pass
