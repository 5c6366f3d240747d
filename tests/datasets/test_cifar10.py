import pickle
from dataclasses import replace

import numpy as np
import pytest
from small_data import PIXELS, as_tar, cifar_batches, write_cifar_binary, write_cifar_python

from tinypareto.datasets import cifar10
from tinypareto.datasets.cifar10 import load_cifar10
from tinypareto.errors import DataError

BATCHES = cifar_batches()


@pytest.fixture
def folder(tmp_path):
    return write_cifar_python(tmp_path / "cifar", BATCHES)


def test_folder_python_archive_and_binary_archive_give_the_same_data(folder, tmp_path):
    one = load_cifar10(folder)
    two = load_cifar10(as_tar(folder, tmp_path / "some.tar.gz"))
    three = load_cifar10(as_tar(write_cifar_binary(tmp_path / "binary", BATCHES), tmp_path / "binary.tar.gz"))
    assert one.fingerprint() == two.fingerprint() == three.fingerprint()
    assert [len(split) for split in (one.train, one.validation, one.test)] == [180, 20, 40]
    assert (one.sample_shape, one.classes) == ((3, 32, 32), 10)


def test_every_image_keeps_its_label_and_is_in_one_split(folder):
    data = load_cifar10(folder)
    raw = cifar10.read_cifar10(folder)
    train = np.concatenate([part.inputs for part in raw["train"]]).astype(float)
    mean, std = train.mean((0, 2, 3))[:, None, None], train.std((0, 2, 3))[:, None, None]
    known = {
        pixels.tobytes(): (label, name == "test_batch")
        for name, (batch, labels) in BATCHES.items()
        for pixels, label in zip(batch, labels, strict=True)
    }
    met = set()
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        for image, target in zip(split.inputs, split.targets, strict=True):
            pixels = np.round(image * std + mean).astype(np.uint8).tobytes()
            assert known[pixels] == (target, name == "test")
            met.add(pixels)
    assert met == set(known)


def test_first_colour_of_the_file_is_red_row_by_row(folder):
    image = BATCHES["test_batch"][0][0]
    raw = cifar10.read_cifar10(folder)["test"][0].inputs[0]
    np.testing.assert_array_equal(raw[0, 0], image[:32])
    np.testing.assert_array_equal(raw[2, 31], image[-32:])


def test_validation_holds_each_class_alike_and_is_always_the_same(folder, tmp_path):
    data = load_cifar10(folder)
    assert np.bincount(data.validation.targets).tolist() == [2] * 10
    again = load_cifar10(write_cifar_python(tmp_path / "again", BATCHES))
    np.testing.assert_array_equal(data.validation.inputs, again.validation.inputs)


def test_test_images_change_nothing_but_the_test_split(folder, tmp_path):
    dark = {**BATCHES, "test_batch": (BATCHES["test_batch"][0] // 9, BATCHES["test_batch"][1])}
    one, two = load_cifar10(folder), load_cifar10(write_cifar_python(tmp_path / "dark", dark))
    np.testing.assert_array_equal(one.train.inputs, two.train.inputs)
    np.testing.assert_array_equal(one.validation.inputs, two.validation.inputs)
    assert two.test.inputs.mean() < one.test.inputs.mean() - 1


@pytest.mark.parametrize("missing", ["data_batch_4", "test_batch"])
def test_missing_batch_is_named_with_what_to_fetch(missing, folder):
    (folder / "cifar-10-batches-py" / missing).unlink()
    with pytest.raises(DataError, match=rf"{missing} is missing.*cifar-10-python.tar.gz.*--data"):
        load_cifar10(folder)


def rewrite(folder, content):
    (folder / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"data": np.zeros((3, PIXELS), np.uint8)}, "dict with data and labels"),
        ([1, 2], "dict with data and labels, got list"),
        ({"data": np.zeros((3, PIXELS), np.uint8), "labels": [1, 2]}, "for each of its 2 labels"),
        ({"data": np.zeros((2, PIXELS)), "labels": [1, 2]}, "float64"),
        ({"data": [1, 2], "labels": [1, 2]}, "got list"),
        ({"data": np.zeros((2, PIXELS), np.uint8), "labels": [1, 10]}, r"classes 0\.\.9, got \[1, 10\]"),
        ({"data": np.zeros((0, PIXELS), np.uint8), "labels": []}, r"classes 0\.\.9"),
    ],
)
def test_batch_of_another_form_is_named(batch, said, folder):
    rewrite(folder, pickle.dumps(batch, protocol=3))
    with pytest.raises(DataError, match=rf"data_batch_2.*{said}"):
        load_cifar10(folder)


def test_batch_that_would_run_a_program_is_refused(folder):
    rewrite(folder, b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"data_batch_2 .*os\.system"):
        load_cifar10(folder)


def test_truncated_batch_is_named(folder, tmp_path):
    path = folder / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="data_batch_2 must be a whole pickle"):
        load_cifar10(folder)
    binary = write_cifar_binary(tmp_path / "binary", BATCHES)
    path = binary / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"test_batch\.bin must hold records of 3073 bytes"):
        load_cifar10(binary)


def test_archive_of_the_published_name_must_have_the_published_sum(folder, tmp_path):
    archive = as_tar(folder, tmp_path / "cifar-10-python.tar.gz")
    with pytest.raises(DataError, match="MD5 sum c58f30108f718f92721af3b95e74349a"):
        load_cifar10(archive)


def test_path_that_is_not_there_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*nowhere; .*170,498,071 bytes.*--data PATH"):
        load_cifar10(tmp_path / "nowhere")


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(cache, monkeypatch):
    unreachable = replace(cifar10.PUBLICATION, url="http://127.0.0.1:1/cifar-10-python.tar.gz")
    monkeypatch.setattr(cifar10, "PUBLICATION", unreachable)
    with pytest.raises(DataError, match=r"could not be fetched .*170,498,071 bytes.*put it at .*") as caught:
        load_cifar10()
    assert str(cache / "cifar-10-python.tar.gz") in str(caught.value)


def test_archive_in_the_cache_is_taken(folder, cache, monkeypatch):
    monkeypatch.setattr(cifar10, "PUBLICATION", replace(cifar10.PUBLICATION, published_md5={}))
    as_tar(folder, cache / "cifar-10-python.tar.gz")
    assert len(load_cifar10().test) == 40
