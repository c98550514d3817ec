"""Decoded clips at the training size: an array on disk each, from which any frame is read at once.

A film must be decoded from its start, so it is decoded once and packed. Small sets are packed as
plain pixels, which the system keeps in memory; large ones as JPEGs, in rows of one length. Worker
processes share the files, and a cache folder that is given is used again by the next run.
"""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import rmtree

import cv2
import numpy as np

from gan_models.errors import Unreadable, UserError
from gan_models.images import centre_square, written_whole
from trainers.data.frames import frame_files

MAX_FRAMES = 3_000  # of a longer clip every second frame is kept, or every fourth ...
JPEG_OPTIONS = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
FORMAT = 2


class Cache:
    """Packed clips in `folder`, or in a temporary one that goes with this object."""

    def __init__(self, folder: Path | None, size: int, jpeg: bool):
        self.size, self.jpeg = size, jpeg
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="clips-"))
            weakref.finalize(self, remove, folder, os.getpid())
        self.folder = folder
        self.files: dict[Path, Path] = {}  # of the clips that were looked for
        self.enlarged: set[Path] = set()  # clips packed by this process that had smaller frames

    def packed(self, path: Path, frames: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
        """The packed clip, made of `frames()` ((H, W, 3) uint8) where it is missing or broken.

        Raises Unreadable when the clip holds nothing that can be read and UserError when the file
        cannot be written.
        """
        if path in self.files:  # mapped anew: a process may keep too few files open for all clips
            return np.load(self.files[path], mmap_mode="r")
        file = self.folder / f"{self.key(path)}.{'jpgs' if self.jpeg else 'raw'}"
        try:
            data = np.load(file, mmap_mode="r")
            if not data[-1].any():  # a power cut leaves an end of zeros
                raise ValueError
        except (OSError, ValueError, EOFError):
            self.pack(file, path, frames())
            data = np.load(file, mmap_mode="r")
        self.files[path] = file
        return data

    def key(self, path: Path) -> str:
        """Changes with every file of the clip, so that no stale one is used."""
        names = frame_files(path) if path.is_dir() else [""]
        states = [(name, (path / name).stat()) for name in names]
        files = [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in states]
        text = repr((FORMAT, os.path.abspath(path), self.size, MAX_FRAMES, files))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def pack(self, file: Path, path: Path, frames: Iterable[np.ndarray]):
        kept = thinned(frames, lambda frame: self.prepare(frame, path))
        if not kept:
            raise Unreadable(f"{path} holds no frames.")
        if self.jpeg:
            longest = max(len(row) for row in kept)
            kept = [np.pad(row, (0, longest - len(row))) for row in kept]
        try:
            # Another worker may pack the same clip: each writes its own file, the last one stays.
            with written_whole(file) as part, open(part, "wb") as stream:
                np.save(stream, np.stack(kept))
        except OSError as error:
            raise UserError(
                f"A decoded clip cannot be written to {self.folder} ({error.strerror or error}): "
                "make room there, or give another cache folder."
            ) from error

    def prepare(self, frame: np.ndarray, path: Path) -> np.ndarray:
        """A frame as it is packed: (size, size, 3) pixels, or a JPEG's bytes."""
        if min(frame.shape[:2]) < self.size:
            self.enlarged.add(path)
        picture = np.array(centre_square(frame, self.size))
        if not self.jpeg:
            return picture
        blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", blue_first, JPEG_OPTIONS)[1]


def unpacked(packed: np.ndarray, times: list[int]) -> np.ndarray:
    """(len(times), size, size, 3) uint8 frames of a packed clip."""
    if packed.ndim == 4:
        return packed[times]
    frames = [cv2.imdecode(packed[time], cv2.IMREAD_COLOR) for time in times]
    if any(frame is None for frame in frames):
        raise Unreadable(f"{packed.filename} is damaged: delete it, and it is made again.")
    return np.stack(frames)[..., ::-1]


def thinned(frames: Iterable[np.ndarray], prepare: Callable) -> list[np.ndarray]:
    """The prepared frames, evenly thinned to at most MAX_FRAMES.

    A clip that breaks off is used up to there; one that breaks at its first frame raises.
    """
    kept, step = [], 1
    try:
        for number, frame in enumerate(frames):
            if len(kept) == MAX_FRAMES and number % step == 0:
                kept, step = kept[::2], 2 * step
            if number % step == 0:
                kept.append(prepare(frame))
    except Unreadable:
        if not kept:
            raise
    return kept


def remove(folder: Path, owner: int):
    """Runs when the cache is dropped or the process ends; a forked worker must not do it."""
    if os.getpid() == owner:
        rmtree(folder, ignore_errors=True)
