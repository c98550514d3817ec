"""Reads the official ProGAN data sets, NAME-rNN.tfrecords, without TensorFlow.

A file holds one record after another: the length as a uint64, a checksum of those 8 bytes, the
data, a checksum of the data. The data is a tf.train.Example with two features, `shape` (channels,
height, width) and `data` (that many bytes). NN is log2 of the pictures' size; the class labels of
all sizes lie in NAME-rxx.labels, a .npy array of one-hot float32 rows.
(tkarras/progressive_growing_of_gans, dataset_tool.py, TFRecordExporter.)
"""

import re
import struct
from pathlib import Path

import numpy as np

from gan_models.errors import Unreadable, UserError
from trainers.data.sources import fit, in_part

FILE_NAME = re.compile(r"(.+)-r(\d\d)\.tfrecords")


class Records:
    """One official data set: the file of the wanted size, or the next larger one reduced.

    The checksum of each length is verified when the file is opened, that of each picture is not:
    it would take longer than the training step, and the shape already has to fit the data.
    """

    def __init__(self, folder, *, size, resize, labels, holdout, part):
        self.size, self.resize = size, resize
        prefix, files = find_files(Path(folder))
        large_enough = [side for side in sorted(files) if side >= size]
        self.file = files[large_enough[0] if large_enough else max(files)]
        offsets = scan(self.file)
        # The number of the record in the whole file: what the hold-out and the labels go by.
        self.numbers = np.array(
            [i for i in range(len(offsets)) if in_part(f"{prefix}[{i}]", holdout, part)], dtype=int
        )
        self.prefix, self.offsets, self.length = prefix, offsets, len(self.numbers)
        self.classes: list[str] = []
        if labels:
            self.labels = read_labels(Path(folder) / f"{prefix}-rxx.labels", len(offsets))
            self.classes = [str(number) for number in range(self.labels.shape[1])]

    def name(self, index: int) -> str:
        return f"{self.prefix}[{self.numbers[index]}]"

    def label(self, index: int) -> int:
        return int(self.labels[self.numbers[index]].argmax()) if self.classes else 0

    def decode(self, index: int) -> tuple[np.ndarray, bool]:
        offset, length = self.offsets[self.numbers[index]]
        with open(self.file, "rb") as file:
            file.seek(offset)
            picture = read_example(file.read(length))
        return fit(halve(picture, self.size), self.size, self.resize)


def find_files(folder: Path) -> tuple[str, dict[int, Path]]:
    """The data set's name and its file for each size in pixels."""
    found = {path: FILE_NAME.fullmatch(path.name) for path in sorted(folder.iterdir())}
    found = {path: match for path, match in found.items() if match}
    names = sorted({match[1] for match in found.values()})
    if len(names) != 1:
        raise UserError(
            f"{folder} holds {' and '.join(names)}: keep one data set's .tfrecords in a folder."
            if names
            else f"The .tfrecords in {folder} are not named NAME-rNN.tfrecords, as the official "
            "dataset_tool.py names them, so their size is unknown."
        )
    return names[0], {2 ** int(match[2]): path for path, match in found.items()}


def scan(file: Path) -> list[tuple[int, int]]:
    """(offset, length) in bytes of the data of every record of `file`.

    Raises UserError when a length's checksum is wrong or the file ends inside a record.
    """
    offsets, position, total = [], 0, file.stat().st_size
    with open(file, "rb") as stream:
        while position < total:
            stream.seek(position)
            header = stream.read(12)
            length, checksum = struct.unpack("<QI", header.ljust(12, b"\0"))
            if len(header) == 12 and masked_crc32c(header[:8]) != checksum:
                raise UserError(
                    f"{file} is damaged or no TFRecord file: the length of record {len(offsets)} "
                    "does not match its checksum. Make or copy the file again."
                )
            if position + 12 + length + 4 > total:
                raise UserError(
                    f"{file} is cut short: it ends inside record {len(offsets)}. "
                    "Make or copy the file again."
                )
            offsets.append((position + 12, length))
            position += 12 + length + 4
    if not offsets:
        raise UserError(f"{file} is empty. Make or copy the file again.")
    return offsets


def read_labels(file: Path, count: int) -> np.ndarray:
    """(count, classes) float32, one-hot. Raises UserError when the file does not hold that."""
    if not file.exists():
        raise UserError(f"Training with labels needs {file.name} beside the .tfrecords files.")
    try:
        labels = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{file} is not a readable .npy array ({error}).") from error
    if labels.ndim != 2 or len(labels) != count:
        raise UserError(
            f"{file} has shape {labels.shape}, but there are {count} pictures: it needs one row "
            "per picture and one column per class."
        )
    if labels.shape[1] == 0 or not ((labels == 1).sum(1) == 1).all():
        raise UserError(
            f"{file} does not give each picture exactly one class, so it cannot be trained with "
            "labels; train without."
        )
    return labels


def read_example(data: bytes) -> np.ndarray:
    """A serialised tf.train.Example -> (H, W, 3) uint8; grey becomes three equal channels.

    Raises Unreadable when the bytes are not an Example with `shape` and `data`.
    """
    try:
        features = {}
        for entry in read_fields(read_fields(data)[1][0])[1]:  # map<string, Feature>
            key, value = read_fields(entry)[1][0], read_fields(entry)[2][0]
            features[key] = read_fields(value)
        shape = read_integers(read_fields(features[b"shape"][3][0])[1])  # int64_list
        pixels = read_fields(features[b"data"][1][0])[1][0]  # bytes_list
        picture = np.frombuffer(pixels, np.uint8).reshape(shape)  # (C, H, W)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise Unreadable("the record is not an Example of the official layout.") from error
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or 0 in picture.shape:
        raise Unreadable(f"the record's shape {shape} is not (1 or 3, height, width).")
    return np.broadcast_to(picture, (3, *picture.shape[1:])).transpose(1, 2, 0)  # (H, W, 3)


def read_fields(message: bytes) -> dict[int, list]:
    """Field number -> values (int or bytes) of one protocol-buffer message, in their order."""
    fields: dict[int, list] = {}
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        if tag & 7 == 0:
            value, position = read_varint(message, position)
        elif tag & 7 == 2:
            length, position = read_varint(message, position)
            value, position = message[position : position + length], position + length
        else:
            raise ValueError(f"wire type {tag & 7} does not occur in an Example of pictures")
        if position > len(message):
            raise ValueError("a field is longer than its message")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def read_integers(values: list) -> list[int]:
    """A repeated int64 field, packed (one run of bytes) or not (one value each)."""
    integers = []
    for value in values:
        if isinstance(value, int):
            integers.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = read_varint(value, position)
            integers.append(number)
    return integers


def halve(picture: np.ndarray, size: int) -> np.ndarray:
    """Means of 2x2 boxes until the next halving would fall below `size`; (H, W, 3) uint8.

    As in the official code: each level halves the unrounded level above it, and only what is
    written is rounded (half to even), so the result equals the official file of that size.
    """
    level = picture.astype(np.float32)
    while min(level.shape[:2]) >= 2 * size and level.shape[0] % 2 == level.shape[1] % 2 == 0:
        level = (level[0::2, 0::2] + level[0::2, 1::2] + level[1::2, 0::2] + level[1::2, 1::2]) / 4
    return np.rint(level).clip(0, 255).astype(np.uint8)


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated by 15 bits and offset as TFRecord files store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in table]
    return table


CRC_TABLE = crc_table()
