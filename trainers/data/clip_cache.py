"""Decoded clips at the training size, each in one file from which any frame is read at once.

A video must be decoded from its start, so it is decoded once and packed. Small sets are packed as
plain pixels, which the system keeps in memory; large ones as JPEGs. Worker processes share the
files, and a cache folder that is given is used again by the next run.
"""

import hashlib
import os
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import cv2
import numpy as np

from gan_models.errors import Unreadable, UserError
from trainers.data.sources import fit

MAX_FRAMES = 3_000  # of a longer clip every second frame is kept, or every fourth ...
JPEG_QUALITY = 95
JPEG_OPTIONS = [
    cv2.IMWRITE_JPEG_QUALITY,
    JPEG_QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]
OPEN_FILES = 4_096  # packed clips kept mapped by a process
FORMAT = 1


class CacheError(UserError):
    """A packed clip cannot be written; the message is a sentence."""


class Cache:
    """Packed clips in `folder`, or in a temporary one that goes with this object."""

    def __init__(self, folder: Path | None, size: int, jpeg: bool):
        self.size, self.jpeg = size, jpeg
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="clips-"))
            weakref.finalize(self, remove, self.folder, os.getpid())
        else:
            self.folder = Path(folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        self.opened: OrderedDict[Path, np.ndarray] = OrderedDict()

    def __getstate__(self):  # mapped files do not travel to spawned workers
        return {**self.__dict__, "opened": OrderedDict()}

    def packed(self, path: Path, frames) -> np.ndarray:
        """The packed clip, made by `frames()` (an iterator of (H, W, 3) uint8) when it is missing.

        Returns the file's bytes, for `count`, `enlarged` and `read`. Raises Unreadable when the
        clip holds nothing that can be read and CacheError when the file cannot be written.
        """
        if path in self.opened:
            self.opened.move_to_end(path)
            return self.opened[path]
        file = self.folder / f"{self.key(path)}.{'jpgs' if self.jpeg else 'raw'}"
        if not file.exists():
            self.pack(file, path, frames())
        data = np.memmap(file, np.uint8, mode="r")
        self.opened[path] = data
        if len(self.opened) > OPEN_FILES:
            self.opened.popitem(last=False)
        return data

    def key(self, path: Path) -> str:
        """Changes with the file, so that no stale clip is used."""
        state = path.stat()
        size = len(os.listdir(path)) if path.is_dir() else state.st_size
        text = f"{FORMAT} {path.absolute()} {size} {state.st_mtime_ns} {self.size} {MAX_FRAMES}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def pack(self, file: Path, path: Path, frames: Iterable[np.ndarray]):
        kept, enlarged = thinned(frames, self.prepare)
        if not kept:
            raise Unreadable(f"{path} holds no frames.")
        offsets = np.cumsum([0] + [len(frame) for frame in kept])
        header = np.concatenate([[enlarged, len(kept)], offsets]).astype("<i8")
        # Another worker may pack the same clip: each writes its own file, the last rename stays.
        part = file.with_name(f"{file.name}.{os.getpid()}-{id(kept):x}.part")
        try:
            with open(part, "wb") as stream:
                stream.write(header.tobytes())
                stream.writelines(kept)
            os.replace(part, file)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise CacheError(
                f"A decoded clip cannot be written to {self.folder} ({error.strerror or error}): "
                "make room there, or give another cache folder."
            ) from error

    def prepare(self, frame: np.ndarray) -> tuple[bytes, bool]:
        picture, enlarged = fit(frame, self.size, "crop")
        if self.jpeg:
            flipped = np.ascontiguousarray(picture[:, :, ::-1])
            return cv2.imencode(".jpg", flipped, JPEG_OPTIONS)[1].tobytes(), enlarged
        return np.ascontiguousarray(picture).tobytes(), enlarged

    def read(self, data: np.ndarray, times: list[int]) -> np.ndarray:
        """(len(times), size, size, 3) uint8 frames of a packed clip."""
        numbers = count(data)
        offsets = data[16 : 16 + 8 * (numbers + 1)].view("<i8")
        start = 16 + 8 * (numbers + 1)
        frames = np.empty((len(times), self.size, self.size, 3), np.uint8)
        for row, time in enumerate(times):
            stored = data[start + offsets[time] : start + offsets[time + 1]]
            if self.jpeg:
                frames[row] = cv2.imdecode(stored, cv2.IMREAD_COLOR)[:, :, ::-1]
            else:
                frames[row] = stored.reshape(self.size, self.size, 3)
        return frames


def count(data: np.ndarray) -> int:
    return int(data[8:16].view("<i8")[0])


def enlarged(data: np.ndarray) -> bool:
    return bool(data[0])


def thinned(frames: Iterable[np.ndarray], prepare) -> tuple[list[bytes], bool]:
    """The prepared frames, evenly thinned to at most MAX_FRAMES, and whether any was enlarged.

    A clip that breaks off is used up to there; one that breaks at its first frame raises.
    """
    kept: list[bytes] = []
    step, any_enlarged = 1, False
    try:
        for number, frame in enumerate(frames):
            if number % step:
                continue
            if len(kept) == MAX_FRAMES:
                kept, step = kept[::2], 2 * step
                if number % step:
                    continue
            prepared, was_enlarged = prepare(frame)
            kept.append(prepared)
            any_enlarged |= was_enlarged
    except Unreadable:
        if not kept:
            raise
    return kept, any_enlarged


def remove(folder: Path, owner: int):
    """Runs when the cache is dropped or the process ends; a forked worker must not do it."""
    if os.getpid() == owner:
        rmtree(folder, ignore_errors=True)
