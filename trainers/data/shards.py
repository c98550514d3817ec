"""Reads .tar shards as a stream, through the webdataset library, for sets larger than a disk.

The stream is cut into lanes that do not depend on how many processes or workers read it. Lane k
reads the shards k, k + lanes, ... of the epoch's shuffled order, and image n since the start comes
from lane n % lanes. So every number of ranks and workers sees the same images in the same order,
and where ranks x workers divides the lanes (a power of two, at most 32) each shard is read once.
A resumed run begins at the start of the shards that it was reading.
"""

import copy
import random
from collections import deque
from pathlib import Path

import numpy as np
from webdataset import shuffle
from webdataset.shardlists import expand_urls
from webdataset.tariterators import tarfile_samples

from gan_models.errors import Unreadable, UserError
from gan_models.images import centre_square, read_picture
from trainers.data.files import decode, in_part, is_picture, say_passed_over
from trainers.data.stream import MINIMUM_TRIED, Fetched, enlarged_note, fetch, mirrored

MAXIMUM_LANES = 32
SHUFFLE_BUFFER = 64  # samples of each lane, still compressed
FRUITLESS_EPOCHS = 10  # passes of a lane over its shards without one picture before it gives up


class Lane:
    """One lane's samples, and the (epoch, shard's place in the lane) that it reads."""

    def __init__(self, samples, place: tuple[int, int]):
        self.samples, self.place, self.taken = samples, place, 0
        self.ahead: deque = deque()  # read in search of a substitute, not yet due

    def next(self) -> dict:
        sample, self.place = self.ahead.popleft() if self.ahead else next(self.samples)
        self.taken += 1
        return sample


class Shards:
    """The stream of `urls`; ask for image numbers that grow."""

    length, names = None, ()

    def __init__(self, urls, size, resize, *, seed, mirror, labels, holdout, part):
        self.urls, self.size, self.resize, self.seed = urls, size, resize, seed
        self.mirror, self.holdout, self.part = mirror, holdout, part
        self.classes = read_class_names(urls[0]) if labels else []
        self.num_lanes = min(MAXIMUM_LANES, 1 << (len(urls).bit_length() - 1))

    def at(self, position: dict) -> "Shards":
        """A reader of its own that begins at image "images_seen", where the lanes read "shard"."""
        reader = copy.copy(self)
        reader.start = position.get("images_seen", 0)
        reader.place = tuple(position.get("shard", (0, 0)))
        reader.lanes, reader.broken, reader.merged = {}, {}, {}
        return reader

    def split(self, numbers: range, num_pieces: int, world_size: int) -> list[list[int]]:
        """Rows of `numbers` for each worker, so that a worker keeps to its own lanes."""
        owners = [(n - self.start) % self.num_lanes // world_size % num_pieces for n in numbers]
        return [[r for r, owner in enumerate(owners) if owner == p] for p in range(num_pieces)]

    def __getitem__(self, numbers: list[int]) -> Fetched:
        fetched = fetch(numbers, self.read)
        fetched.place = min((lane.place for lane in self.lanes.values()), default=None)
        fetched.unreadable.update(self.broken)
        fetched.notes.update(self.merged)
        return fetched

    def read(self, number: int, fetched: Fetched) -> dict:
        """Image `number` and its class.

        An unreadable one is replaced by the next readable one of its lane, which still appears
        in its own turn, so that no later image moves.
        """
        turn, k = divmod(number - self.start, self.num_lanes)
        if k not in self.lanes:
            self.lanes[k] = Lane(self.stream(k, *self.place), self.place)
        lane = self.lanes[k]
        while lane.taken <= turn:
            sample = lane.next()
        for attempt in range(MINIMUM_TRIED):
            name = f"{sample['__key__']} in {sample['__url__']}"
            try:
                picture, label = read_picture(sample["picture"]), self.label(sample)
            except (Unreadable, OSError) as error:
                fetched.unreadable[name] = str(error)
                if attempt == len(lane.ahead):
                    lane.ahead.append(next(lane.samples))
                sample = lane.ahead[attempt][0]
                continue
            fetched.readable.append(name)
            if min(picture.shape[:2]) < self.size:
                fetched.notes["enlarged"] = enlarged_note(name)
            images = centre_square(picture, self.size, self.resize).transpose(2, 0, 1)
            item = {"images": images, "labels": np.int64(label)}
            coin = self.mirror and np.random.default_rng((self.seed, number, 1)).integers(2)
            return mirrored(item) if coin else item
        raise UserError(f"{MINIMUM_TRIED} pictures in a row cannot be read, the last being {name}.")

    def stream(self, lane: int, epoch: int, shard: int):
        """Endless (sample, (epoch, shard)) of one lane from the given shard on."""
        fruitless = 0
        while fruitless < FRUITLESS_EPOCHS:
            fruitless += 1
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.urls))
            order = order[lane :: self.num_lanes]
            for place in range(shard, len(order)):
                key = (self.seed, epoch, int(order[place]))
                for sample in self.read_shard(self.urls[order[place]], key):
                    fruitless = 0
                    yield sample, (epoch, place)
            epoch, shard = epoch + 1, 0
        raise UserError(
            f"There are no pictures to be read in {', '.join(self.urls[:3])}"
            f"{' and the other shards' if len(self.urls) > 3 else ''}: a sample is a picture file, "
            "with a .cls file of the same name when training with labels."
        )

    def read_shard(self, url: str, shuffle_key: tuple[int, int, int]):
        """The shard's samples of this part, shuffled; "picture" holds the undecoded bytes."""

        def note(error: Exception) -> bool:  # the rest of a broken shard is left out
            if isinstance(error, ValueError):
                self.merged.setdefault("merged", f"{url}: {error.args[0]}; it is left out.")
            else:
                reason = error.args[0] if error.args else error
                self.broken[url] = f"the shard is missing, no .tar, or cut short ({reason})."
            return True

        samples = self.select(tarfile_samples([{"url": url}], handler=note))
        rng = random.Random(repr(list(shuffle_key)))
        yield from shuffle(SHUFFLE_BUFFER, SHUFFLE_BUFFER, rng=rng)(samples)

    def select(self, samples):
        for sample in samples:
            pictures = [key for key in sample if is_picture(f"x.{key}")]
            if not pictures or not in_part(sample["__key__"], self.holdout, self.part):
                continue
            # "jpg" before "depth.png": the plain name is the picture itself.
            chosen = min(pictures, key=lambda key: (key.count("."), key))
            sample["picture"] = sample[chosen]
            if len(pictures) > 1:
                self.merged.setdefault("merged", merged_note(sample, chosen, len(pictures)))
            yield sample

    def label(self, sample: dict) -> int:
        if not self.classes:
            return 0
        text = decode(sample.get("cls", b"")).strip()
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        raise Unreadable(f"its .cls file says {text!r}, which is no class of classes.txt.")


def merged_note(sample: dict, chosen: str, count: int) -> str:
    name = sample["__key__"]
    return (
        f"{sample['__url__']} holds {count} pictures whose names begin with {name} and a dot: of "
        f"this and others like it only one picture is used, here {name}.{chosen}. Take the other "
        "dots out of the names of pictures that stand for themselves."
    )


def expand(path: str) -> list[str]:
    """Shard addresses of a brace pattern, a .tar, or a folder of .tar files, in a fixed order.

    Raises UserError when a local shard is not there.
    """
    if Path(path).is_dir():
        names = sorted(file.name for file in Path(path).iterdir())
        beside = [n for n in names if not n.endswith(".tar") and n != "classes.txt"]
        say_passed_over(path, beside, "beside .tar shards only classes.txt is read")
        return [str(Path(path, name)) for name in names if name.endswith(".tar")]
    urls = expand_urls(path)
    missing = next((url for url in urls if not is_remote(url) and not Path(url).is_file()), None)
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
    names = [line.strip() for line in decode(file.read_bytes()).splitlines()]
    return [name for name in names if name]
