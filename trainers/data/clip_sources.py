"""Clips that can be asked for by number.

A source has `size`, `length`, `name(index)`, `num_frames(index)` and `frames(index, times)`, which
returns ((len(times), size, size, 3) uint8 RGB, whether they had to be enlarged) or raises
Unreadable. Whether a clip raises depends on its files alone, not on what was read before.
"""

import logging
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gan_models.errors import Unreadable, UserError
from gan_models.images import read_picture, resize
from trainers.data import clip_cache
from trainers.data.clip_cache import MAX_FRAMES, Cache
from trainers.data.clip_files import expected_frames, frame_files, read_frames
from trainers.data.sources import fit, puppet_seed

KEPT_BYTES = 2 * 2**30  # decoded frames kept in memory
ESTIMATED_FROM = 16  # clips that the size of a set is estimated from
JPEG_SHARE = 0.2  # of the plain pixels, with room to spare
PUPPET_FRAMES = 8  # frames of a puppet clip, one second apart: every pair is a clear movement

log = logging.getLogger(__name__)


class PuppetClips:
    """`count` clips of one character each, drawn by `trainers.puppets` as frames are asked for."""

    def __init__(self, count: int, *, size: int, seed: int, part: str):
        self.length, self.size, self.seed, self.part = count, size, seed, part
        kept = min(count, KEPT_BYTES // (PUPPET_FRAMES * 3 * size * size))
        # Pages of np.empty take memory only once they are written.
        self.kept = np.empty((kept, PUPPET_FRAMES, size, size, 3), np.uint8)
        self.is_kept = np.zeros((kept, PUPPET_FRAMES), bool)

    def name(self, index: int) -> str:
        return f"puppet {index}"

    def num_frames(self, index: int) -> int:
        return PUPPET_FRAMES

    def frames(self, index: int, times: list[int]) -> tuple[np.ndarray, bool]:
        if index >= len(self.kept):
            return self.draw(index, times), self.size > 256
        missing = [time for time in dict.fromkeys(times) if not self.is_kept[index, time]]
        if missing:
            self.kept[index, missing] = self.draw(index, missing)
            self.is_kept[index, missing] = True
        return self.kept[index, times], self.size > 256

    def draw(self, index: int, times: list[int]) -> np.ndarray:
        from trainers.puppets import clip, draw

        parameters = clip(
            puppet_seed(self.seed, index, self.part == "train"), PUPPET_FRAMES, fps=1.0
        )
        drawn_size = min(max(self.size, 32), 256)  # the sizes that the drawing is made for
        frames = [draw(parameters[time], drawn_size).picture for time in times]
        if drawn_size != self.size:
            frames = [resize(frame, self.size) for frame in frames]
        return np.stack(frames)


class FileClips:
    """The clips at `paths`, called `names`; decoded once each, see `clip_cache`.

    Large sets of frame folders are not packed: their frames are read where they are.
    """

    def __init__(
        self, paths: list[Path], names: list[str], *, size: int, cache_folder: Path | None
    ):
        self.paths, self.names, self.size = paths, names, size
        self.length = len(names)
        self.broken: dict[int, str] = {}
        pixels = estimated_frames(paths) * 3 * size * size
        self.small = pixels <= KEPT_BYTES
        # Decoding all of it, to look at it, would take too long.
        self.is_slow = not self.small and not all(path.is_dir() for path in spread(paths))
        if self.small or self.is_slow:
            check_room(cache_folder, pixels if self.small else pixels * JPEG_SHARE)
        self.cache = Cache(cache_folder, size, jpeg=not self.small)

    def selected(self, indices: list[int]) -> "FileClips":
        """The clips with these numbers, sharing what is packed."""
        chosen = object.__new__(FileClips)
        chosen.__dict__.update(self.__dict__)
        chosen.names = [self.names[index] for index in indices]
        chosen.paths = [self.paths[index] for index in indices]
        chosen.length, chosen.broken = len(indices), {}
        return chosen

    def name(self, index: int) -> str:
        return self.names[index]

    def is_packed(self, index: int) -> bool:
        return self.small or not self.paths[index].is_dir()

    def num_frames(self, index: int) -> int:
        if self.is_packed(index):
            return clip_cache.count(self.packed(index))
        return len(frame_files(self.paths[index]))

    def frames(self, index: int, times: list[int]) -> tuple[np.ndarray, bool]:
        if self.is_packed(index):
            packed = self.packed(index)
            return self.cache.read(packed, times), clip_cache.enlarged(packed)
        folder = self.paths[index]
        files = frame_files(folder)
        fitted = [fit(read_picture(folder / files[time]), self.size, "crop") for time in times]
        return np.stack([frame for frame, _ in fitted]), any(small for _, small in fitted)

    def packed(self, index: int) -> np.ndarray:
        if index in self.broken:
            raise Unreadable(self.broken[index])
        path = self.paths[index]
        try:
            return self.cache.packed(path, lambda: read_frames(path, self.size))
        except (Unreadable, OSError) as error:
            self.broken[index] = str(error)
            raise Unreadable(str(error)) from error

    def pack_all(self):
        """Decode everything now, several clips at once; broken ones are left for later."""

        def pack(index: int):
            try:
                self.num_frames(index)
            except Unreadable:
                pass

        log.info("Decoding %d clips, once.", self.length)
        with ThreadPoolExecutor() as pool:
            list(pool.map(pack, range(self.length)))


def spread(names: list) -> list:
    """Up to ESTIMATED_FROM of them, evenly spread."""
    return names[:: max(1, -(-len(names) // ESTIMATED_FROM))]


def estimated_frames(paths: list[Path]) -> float:
    """About how many frames the clips have that will be kept."""
    counts = []
    for path in spread(paths):
        try:
            counts.append(min(MAX_FRAMES, expected_frames(path)))
        except (Unreadable, OSError):
            continue
    return len(paths) * sum(counts) / len(counts) if counts else 0.0


def check_room(folder: Path | None, needed: float):
    """UserError when the packed clips will hardly fit on the disk."""
    place = folder or Path(tempfile.gettempdir())
    existing = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"The decoded clips need about {needed / 2**30:.1f} GB in {place}, which has "
            f"{free / 2**30:.1f} GB left: give a cache folder on a larger disk, or train on "
            "folders of frames, which are read where they are."
        )
