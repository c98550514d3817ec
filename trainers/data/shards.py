"""Reads .tar shards as a stream, through the webdataset library, for sets larger than a disk.

Each worker of each process reads shards of its own, in an order that is shuffled anew every epoch,
and draws from the samples that it holds ready. A resumed run begins at the start of a shard.
"""

import dataclasses
import itertools
import os
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from webdataset import shuffle
from webdataset.shardlists import expand_urls
from webdataset.tariterators import tarfile_samples

from gan_models.errors import Unreadable, UserError
from gan_models.images import centre_square, read_picture
from trainers.data.files import decode, in_part, is_picture, say_passed_over
from trainers.data.stream import Fetched, Stream, batch_spans, enlarged_note

SHUFFLE_BUFFER = 1_000  # samples that a worker holds ready, still compressed
SAMPLES_AHEAD = 16  # read by each worker before they are asked for
FRUITLESS_EPOCHS = 10  # passes over the shards without one picture before a worker gives up


@dataclass(eq=False)
class Shards(IterableDataset):
    """The pictures of `urls`: as a dataset, what one worker of process `rank` reads."""

    urls: list[str]
    size: int
    resize: str
    seed: int
    mirror: bool
    classes: list[str]
    holdout: float
    part: str
    start: tuple[int, int] = (0, 0)  # the epoch, and how many shards of its order are done
    rank: int = 0
    world_size: int = 1

    length, names = None, ()

    def __iter__(self) -> Iterator[Fetched]:
        """A picture and its class each, or why it cannot be read; without end, if there are any."""
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        reader = self.rank * workers + (worker.id if worker else 0)
        readers = self.world_size * workers
        self.found = Fetched()  # what is wrong with shards, to be told with the next picture
        (epoch, done), fruitful = self.start, self.start[0]
        while epoch < fruitful + FRUITLESS_EPOCHS:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.urls))
            shards = list(enumerate(order.tolist()))[done:]
            if readers <= len(self.urls):
                samples = self.samples(shards[reader::readers])
            else:
                samples = itertools.islice(self.samples(shards), reader, None, readers)
            rng, started = random.Random(f"{self.seed} {epoch} {reader}"), time.perf_counter()
            for shard, name, picture, label in shuffle(SHUFFLE_BUFFER, rng=rng)(samples):
                fetched, self.found = self.found, Fetched()
                coin = rng.random() < 0.5
                self.read(name, picture, label, self.mirror and coin, fetched)
                fetched.place = reader, epoch, shard
                if fetched.arrays:
                    fruitful = epoch
                fetched.seconds = time.perf_counter() - started
                yield fetched
                started = time.perf_counter()
            epoch, done = epoch + 1, 0
        yield self.found

    def samples(self, shards: Iterable[tuple[int, int]]) -> Iterator[tuple]:
        """(place of the shard, name, picture's bytes, class's bytes) of this part's samples."""
        for shard, number in shards:
            url = self.urls[number]
            for sample in tarfile_samples([{"url": url}], handler=partial(self.note, url)):
                pictures = [key for key in sample if is_picture(f"x.{key}")]
                if not pictures or not in_part(sample["__key__"], self.holdout, self.part):
                    continue
                # "jpg" before "depth.png": the plain name is the picture itself.
                chosen = min(pictures, key=lambda key: (key.count("."), key))
                if len(pictures) > 1:
                    note = merged_note(sample, chosen, len(pictures))
                    self.found.notes.setdefault("merged", note)
                name = f"{sample['__key__']} in {url}"
                yield shard, name, sample[chosen], sample.get("cls", b"")

    def note(self, url: str, error: Exception) -> bool:
        """Take down what webdataset stumbles over; it goes on with what follows."""
        reason = error.args[0] if error.args else error
        if "duplicate file name" in str(reason):
            self.found.notes["merged"] = f"{url}: {reason}; it is left out."
        else:
            reason = f"the shard is missing, no .tar, or cut short ({reason})."
            self.found.unreadable[url] = reason
        return True

    def read(self, name: str, picture: bytes, label: bytes, mirror: bool, fetched: Fetched):
        """Put the picture (3, size, size) uint8 and its class into `fetched`, or why not."""
        try:
            label, picture = self.label(label), read_picture(picture)
        except Unreadable as error:
            fetched.unreadable[name] = str(error)
            return
        fetched.readable.append(name)
        if min(picture.shape[:2]) < self.size:
            fetched.notes["enlarged"] = enlarged_note(name)
        images = centre_square(picture, self.size, self.resize).transpose(2, 0, 1)
        images = (images[..., ::-1] if mirror else images).copy()
        fetched.arrays = {"images": torch.from_numpy(images), "labels": torch.tensor(label)}

    def label(self, written: bytes) -> int:
        if not self.classes:
            return 0
        text = decode(written).strip()
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        raise Unreadable(f"its .cls file says {text!r}, which is no class of classes.txt.")


class ShardStream(Stream):
    """Batches of `Shards`; a position also has "shard", the (epoch, shard) to begin at."""

    def _batches(self, position, size_at, rank, world_size):
        start = tuple(position.get("shard", (0, 0)))
        dataset = dataclasses.replace(self.source, start=start, rank=rank, world_size=world_size)
        loading = self._load(dataset, prefetch_factor=SAMPLES_AHEAD if self.num_workers else None)
        places = {}
        for first, end in batch_spans(position, size_at, world_size):
            items = []
            while len(items) < len(range(first + rank, end, world_size)):
                fetched = next(loading, None)
                if fetched is None:
                    raise UserError(
                        f"There are no pictures to be read in {', '.join(self.source.urls[:3])} "
                        f"({len(self.source.urls)} shards): a sample is a picture file, with a "
                        ".cls file of the same name when training with labels."
                    )
                self._learn(fetched)
                if fetched.arrays:
                    items.append(fetched.arrays)
                    reader, *place = fetched.place
                    places[reader] = max(places.get(reader, place), place)
            batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
            yield batch, {"images_seen": end, "shard": min(places.values())}


def merged_note(sample: dict, chosen: str, count: int) -> str:
    name = sample["__key__"]
    return (
        f"{sample['__url__']} holds {count} pictures whose names begin with {name} and a dot: of "
        f"this and others like it only one picture is used, here {name}.{chosen}. Take the other "
        "dots out of the names of pictures that stand for themselves."
    )


def shard_urls(path: str) -> list[str]:
    """Shard addresses of a brace pattern, a .tar, or a folder of .tar files, in a fixed order; none
    for another path. Raises UserError when a local shard is not there.
    """
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        shards = [name for name in names if name.endswith(".tar")]
        if shards:
            beside = [name for name in names if name not in (*shards, "classes.txt")]
            say_passed_over(path, beside, "beside .tar shards only classes.txt is read")
        return [os.path.join(path, name) for name in shards]
    if not (is_remote(path) or path.endswith(".tar") or "{" in path):
        return []
    urls = expand_urls(path)
    missing = next((url for url in urls if not is_remote(url) and not os.path.isfile(url)), None)
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
