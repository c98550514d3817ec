"""Reads .tar shards as a stream, through the webdataset library, for sets larger than a disk.

The stream is cut into lanes that do not depend on how many processes or workers read it. Lane k
reads the shards k, k + lanes, ... of the epoch's shuffled order, and image n of the run comes from
lane n % lanes. So every number of ranks and workers sees the same images in the same order, and
where ranks x workers divides the lanes (a power of two, at most 32) each shard is read once.
"""

import contextlib
import copy
import itertools
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gan_models.errors import Unreadable, UserError
from gan_models.images import read_picture
from trainers.data.reading import MINIMUM_TRIED, Fetched
from trainers.data.sources import fit, in_part, is_picture_name

MAXIMUM_LANES = 32
SHUFFLE_BUFFER = 64  # samples of each lane, still compressed
FRUITLESS_EPOCHS = 10  # passes of a lane over its shards without one picture before it gives up


@dataclass
class Lane:
    """One lane's read position: `ordinal` counts its samples since the start of the run."""

    ordinal: int
    place: list[int]  # [epoch, shard's place in the lane, samples taken from that shard]
    stream: object
    ahead: deque = field(default_factory=deque)  # read in search of a substitute, not yet due


class Shards:
    """The stream of `urls`; ask for image numbers that grow."""

    def __init__(self, urls, *, size, resize, seed, labels, holdout, part):
        self.urls, self.size, self.resize, self.seed = urls, size, resize, seed
        self.holdout, self.part = holdout, part
        self.length = None
        self.classes = read_class_names(urls[0]) if labels else []
        self.num_lanes = min(MAXIMUM_LANES, 1 << (len(urls).bit_length() - 1))
        self.saved: dict[int, list[int]] = {}
        self.lanes: dict[int, Lane] = {}
        self.broken_shards: dict[str, str] = {}

    def starting_at(self, images_seen: int, saved: list[list[int]]) -> "Shards":
        """A reader of its own that begins at image `images_seen`; `saved`: a position's "lanes".

        A lane's row is [lane, ordinal, epoch, shard, sample]: the shard is opened at its start,
        and the samples already seen go by undecoded. The lanes of other ranks are not in `saved`
        and begin where the first saved one does, which is exact when shards hold equal numbers.
        """
        reader = copy.copy(self)
        reader.saved, reader.lanes, reader.broken_shards = {}, {}, {}
        rows = {lane: state for lane, *state in saved}
        elsewhere = rows[min(rows)] if rows else [images_seen // self.num_lanes, 0, 0, 0]
        for lane in range(self.num_lanes):
            ordinal, epoch, shard, sample = rows.get(lane, elsewhere)
            due = -(-(images_seen - lane) // self.num_lanes)  # images of this lane before this one
            early = max(0, ordinal - due)  # a lane copied from one that is a turn ahead
            reader.saved[lane] = [ordinal - early, epoch, shard, sample - early]
        return reader

    def pieces(self, numbers: list[int], num_pieces: int, world_size: int) -> list[list[int]]:
        """Rows of `numbers` for each worker, so that a worker keeps to its own lanes."""
        owners = [number % self.num_lanes // world_size % num_pieces for number in numbers]
        return [[r for r, owner in enumerate(owners) if owner == p] for p in range(num_pieces)]

    def __getitem__(self, piece: list[tuple[int, bool]]) -> Fetched:
        """Decode images (number, mirrored); the numbers of a reader must grow."""
        started = time.perf_counter()
        fetched = Fetched.empty(len(piece), self.size)
        try:
            for row, (number, mirrored) in enumerate(piece):
                picture, fetched.labels[row] = self.take(number, fetched)
                fetched.put(row, picture, mirrored)
        except UserError as error:  # raised in the main process, without a worker's traceback
            fetched.error = str(error)
        fetched.lanes = {k: [k, lane.ordinal, *lane.place] for k, lane in self.lanes.items()}
        fetched.unreadable.update(self.broken_shards)
        fetched.seconds = time.perf_counter() - started
        return fetched

    def take(self, number: int, fetched: Fetched) -> tuple[np.ndarray, int]:
        """Picture (size, size, 3) uint8 and class of image `number`.

        An unreadable one is replaced by the next readable one of its lane, which still appears
        in its own turn, so that no later image moves.
        """
        k = number % self.num_lanes
        if k not in self.lanes:
            ordinal, *place = self.saved[k]
            self.lanes[k] = Lane(ordinal, place, self.stream(k, *place))
        lane = self.lanes[k]
        while True:
            sample, place = lane.ahead.popleft() if lane.ahead else next(lane.stream)
            lane.ordinal, lane.place = lane.ordinal + 1, place
            if lane.ordinal > number // self.num_lanes:
                break
        for attempt in range(MINIMUM_TRIED):
            name = f"{sample['__key__']} in {sample['__url__']}"
            try:
                picture, enlarged = fit(read_picture(sample["picture"]), self.size, self.resize)
                label = self.label(sample)
            except (Unreadable, OSError) as error:
                fetched.unreadable[name] = str(error)
                if attempt == len(lane.ahead):
                    lane.ahead.append(next(lane.stream))
                sample = lane.ahead[attempt][0]
                continue
            fetched.readable.append(name)
            fetched.enlarged = name if enlarged else fetched.enlarged
            return picture, label
        raise UserError(f"{MINIMUM_TRIED} pictures in a row cannot be read, the last being {name}.")

    def stream(self, lane: int, epoch: int, shard: int, skip: int):
        """Endless (sample, [epoch, shard, samples taken]) of one lane from the given place on."""
        fruitless = 0
        while fruitless < FRUITLESS_EPOCHS:
            fruitless += 1
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.urls))
            order = order[lane :: self.num_lanes]
            for place in range(shard, len(order)):
                samples = self.read_shard(self.urls[order[place]], (self.seed, epoch, order[place]))
                for taken, sample in enumerate(samples, start=1):
                    fruitless = 0
                    if taken > skip:
                        yield sample, [epoch, place, taken]
                skip = 0
            epoch, shard = epoch + 1, 0
        raise UserError(
            f"There are no pictures to be read in {', '.join(self.urls[:3])}"
            f"{' and the other shards' if len(self.urls) > 3 else ''}: a sample is a picture file, "
            "with a .cls file of the same name when training with labels."
        )

    def read_shard(self, url: str, shuffle_key: tuple):
        """The shard's samples of this part, shuffled; "picture" holds the undecoded bytes."""
        from webdataset import gopen, shuffle
        from webdataset.tariterators import group_by_keys, tar_file_expander

        def note(error: Exception) -> bool:  # the rest of a broken shard is left out
            reason = error.args[0] if error.args else error
            self.broken_shards[url] = f"the shard is missing, no .tar, or cut short ({reason})."
            return True

        try:
            file = gopen(url)
        except OSError as error:
            note(error)
            return
        try:
            members = tar_file_expander([{"url": url, "stream": file}], handler=note)
            samples = self.select(group_by_keys(members, handler=note))
            rng = random.Random(repr([int(number) for number in shuffle_key]))
            yield from shuffle(SHUFFLE_BUFFER, SHUFFLE_BUFFER, rng=rng)(samples)
        finally:
            with contextlib.suppress(OSError):  # a download that is cut off here counts as failed
                file.close()

    def select(self, samples):
        for sample in samples:
            pictures = [key for key in sample if is_picture_name(key)]
            if pictures and in_part(sample["__key__"], self.holdout, self.part):
                # "jpg" before "depth.png": the plain name is the picture itself.
                sample["picture"] = sample[min(pictures, key=lambda key: (key.count("."), key))]
                yield sample

    def label(self, sample: dict) -> int:
        if not self.classes:
            return 0
        text = sample.get("cls", b"").decode("utf-8", "replace").strip()
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        raise Unreadable(f"its .cls file says {text!r}, which is no class of classes.txt.")


def expand(path: str) -> list[str]:
    """Shard addresses of a brace pattern, a .tar, or a folder of .tar files, in a fixed order.

    Raises UserError when webdataset is missing or a local shard is not there.
    """
    try:
        from webdataset.shardlists import expand_urls
    except ImportError as error:
        raise UserError("Reading .tar shards needs webdataset: pip install webdataset") from error
    if Path(path).is_dir():
        return sorted(str(shard) for shard in Path(path).glob("*.tar"))
    urls = expand_urls(path)
    local = itertools.filterfalse(is_remote, urls)
    missing = next((url for url in local if not Path(url).is_file()), None)
    if missing:
        raise UserError(f"There is no shard {missing}, which the pattern {path} asks for.")
    return urls


def is_remote(url: str) -> bool:
    return "://" in url or url.startswith("pipe:")


def read_class_names(first_shard: str) -> list[str]:
    """The lines of classes.txt beside the shards: the class names in the order of their numbers."""
    file = Path(first_shard).parent / "classes.txt"
    if is_remote(first_shard) or not file.is_file():
        raise UserError(
            "Training .tar shards with labels needs a file classes.txt in the folder of the "
            "shards, one class name per line, because a stream does not tell its classes."
        )
    names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [name for name in names if name]
