"""What one read brings back, and the reader of sources that give pictures by number."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from gan_models.errors import Unreadable

MINIMUM_TRIED = 20  # pictures that must have been tried before a set is called unreadable


@dataclass
class Fetched:
    """A piece of a batch, with what was learned while reading it (it crosses processes)."""

    images: np.ndarray  # (n, 3, size, size) uint8
    labels: np.ndarray  # (n,) int64
    readable: list[int | str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> reason
    enlarged: str | None = None  # a picture that was smaller than the size asked for
    seconds: float = 0.0
    lanes: dict[int, list[int]] = field(default_factory=dict)  # read positions in .tar shards
    error: str | None = None  # the piece could not be read

    @staticmethod
    def empty(count: int, size: int) -> "Fetched":
        images = np.empty((count, 3, size, size), np.uint8)
        return Fetched(images, np.zeros(count, np.int64))

    def put(self, row: int, picture: np.ndarray, mirrored: bool):
        """Store a (size, size, 3) picture as row `row`, left and right exchanged if `mirrored`."""
        self.images[row] = (picture[:, ::-1] if mirrored else picture).transpose(2, 0, 1)


class Indexed:
    """Reads (index, mirrored) of a source; keeps the decoded pictures if `keep`."""

    def __init__(self, source, keep: bool):
        self.source = source
        self.unreadable: dict[int, str] = {}
        size, length = source.size, source.length
        # Pages of np.empty take memory only once they are written.
        self.kept = np.empty((length, size, size, 3), np.uint8) if keep else None
        self.is_kept = np.zeros(length, bool) if keep else None
        # A stride that visits every picture and spreads over the whole set.
        self.stride = max(1, int(length * 0.618))
        while math.gcd(self.stride, length) > 1:
            self.stride += 1

    def probes(self) -> list[int]:
        """A few indices spread over the whole set, to look at before work starts."""
        count = min(MINIMUM_TRIED, self.source.length)
        return [step * self.stride % self.source.length for step in range(count)]

    def __getitem__(self, piece: list[tuple[int, bool]]) -> Fetched:
        started = time.perf_counter()
        fetched = Fetched.empty(len(piece), self.source.size)
        for row, (index, mirrored) in enumerate(piece):
            if not self.read_into(fetched, row, index, mirrored):
                fetched.error = f"{MINIMUM_TRIED} pictures in a row cannot be read."
        fetched.seconds = time.perf_counter() - started
        return fetched

    def read_into(self, fetched: Fetched, row: int, index: int, mirrored: bool) -> bool:
        """Read picture `index`, or the first readable one on a fixed walk from it.

        The walk depends on nothing but the index and the files, so every process and every
        resumed run takes the same substitute.
        """
        for _ in range(min(MINIMUM_TRIED, self.source.length)):
            try:
                picture, enlarged = self.picture(index)
            except (Unreadable, OSError) as error:
                self.unreadable[index] = str(error)
                fetched.unreadable[self.source.name(index)] = str(error)
                index = (index + self.stride) % self.source.length
                continue
            fetched.put(row, picture, mirrored)
            fetched.labels[row] = self.source.label(index)
            fetched.readable.append(index)
            if enlarged:
                fetched.enlarged = self.source.name(index)
            return True
        return False

    def picture(self, index: int) -> tuple[np.ndarray, bool]:
        if index in self.unreadable:
            raise Unreadable(self.unreadable[index])
        if self.kept is None:
            return self.source.decode(index)
        enlarged = False
        if not self.is_kept[index]:
            self.kept[index], enlarged = self.source.decode(index)
            self.is_kept[index] = True
        return self.kept[index], enlarged
