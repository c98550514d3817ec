"""trainers/data/tfrecord.py: official data sets, against recorded pictures; damaged files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gan_models.errors import UserError
from trainers.data import open_data
from trainers.data.tfrecord import masked_crc32c, read_example

TFRECORDS = Path(__file__).parent / "parity" / "progan" / "tfrecord_tiny"


def unshuffled(opened) -> np.ndarray:
    """(N, 3, size, size) in the order of the file."""
    source = opened.source
    return np.stack([source.decode(i)[0].transpose(2, 0, 1) for i in range(source.length)])


@pytest.mark.parametrize("size", [4, 8, 16])
def test_official_tfrecords_equal_the_recorded_pictures(size):
    expected = np.load(TFRECORDS / "expected.npz")
    opened = open_data(TFRECORDS, size=size, labels=True)
    assert opened.length == 5 and opened.num_classes == 4
    assert (unshuffled(opened) == expected[f"images_{size}"]).all()
    batch = next(opened.batches({}, lambda images_seen: 5))
    for image, label in zip(batch.images, batch.labels, strict=True):
        index = [(image.numpy() == x).all() for x in expected[f"images_{size}"]].index(True)
        assert label == expected["labels"][index].argmax()


@pytest.mark.parametrize("size", [4, 8])
def test_a_missing_level_is_averaged_from_the_next_larger_one(tmp_path, size):
    shutil.copy(TFRECORDS / "tfrecord_tiny-r04.tfrecords", tmp_path)
    expected = np.load(TFRECORDS / "expected.npz")[f"images_{size}"]
    assert (unshuffled(open_data(tmp_path, size=size)) == expected).all()


def test_the_held_out_records_do_not_depend_on_the_size():
    kept = [open_data(TFRECORDS, size=s, holdout=0.4, part="train").source for s in (4, 16)]
    assert kept[0].numbers.tolist() == kept[1].numbers.tolist() and 0 < kept[0].length < 5


def test_damaged_tfrecords_are_refused(tmp_path):
    data = (TFRECORDS / "tfrecord_tiny-r04.tfrecords").read_bytes()
    file = tmp_path / "x-r04.tfrecords"
    for damaged, message in [
        (data[:-10], "cut short: it ends inside record 4"),
        (data[: len(data) // 5 + 5], "cut short: it ends inside record 1"),
        (b"", "is empty"),
        (b"\x89PNG" * 20, "record 0 does not match its checksum"),
    ]:
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=message):
            open_data(tmp_path, size=16)
    file.rename(tmp_path / "x.tfrecords")
    with pytest.raises(UserError, match="NAME-rNN"):
        open_data(tmp_path, size=16)


def test_labels_of_tfrecords_are_checked(tmp_path):
    shutil.copy(TFRECORDS / "tfrecord_tiny-r02.tfrecords", tmp_path / "a-r02.tfrecords")
    for labels, message in [
        (None, "needs a-rxx.labels"),
        (np.eye(4, dtype=np.float32), "there are 5 pictures"),
        (np.ones((5, 2), np.float32), "exactly one class"),
        (np.array([{}] * 5), "not a readable .npy"),  # a pickle: never opened
    ]:
        if labels is not None:
            with open(tmp_path / "a-rxx.labels", "wb") as file:
                np.save(file, labels, allow_pickle=True)
        with pytest.raises(UserError, match=message):
            open_data(tmp_path, size=4, labels=True)


def test_examples_with_unpacked_shapes_and_grey_pictures_are_read():
    shape = b"\x1a\x06" + b"\x08\x01\x08\x02\x08\x02"  # int64_list, one varint per value
    data = b"\x0a\x06\x0a\x04\x00\x50\xa0\xff"  # bytes_list

    def entry(key, feature):
        body = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(feature)]) + feature
        return b"\x0a" + bytes([len(body)]) + body

    features = entry(b"data", data) + entry(b"shape", shape)
    picture = read_example(b"\x0a" + bytes([len(features)]) + features)
    assert picture.shape == (2, 2, 3)
    assert picture[..., 0].tolist() == [[0, 80], [160, 255]]


def test_checksum_of_the_published_test_vector():
    crc = 0xE3069283  # CRC-32C of "123456789"
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
