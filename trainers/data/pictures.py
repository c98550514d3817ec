"""Endless batches of training pictures in an order that any process can take up at any image.

Image n of a run is picture number permutation(seed, epoch)[n % length] of epoch n // length. The
global batch [n, n + batch size) is sliced [rank::world_size], so one process and many see the same
images; the mirror coin depends on (seed, picture, epoch); workers only decode. Nothing but the
number of images seen (and, for .tar shards, the place in them) has to be saved to go on exactly.
"""

import functools
import itertools
import logging
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gan_models.errors import UserError
from trainers.data.reading import MINIMUM_TRIED, Fetched, Indexed
from trainers.data.shards import Shards, expand, is_remote
from trainers.data.sources import Folder, Puppets
from trainers.data.tfrecord import Records

KEPT_BYTES = 512 * 2**20  # a smaller decoded set is kept in memory after the first epoch
DEFAULT_PUPPETS = 20_000
RATE_WINDOW = 50  # reads that loader_rate averages over
KNOWN_READABLE = 100_000  # readable pictures remembered; after so many a set is not "mostly" broken

DATA_HELP = """\
puppets or puppets:COUNT (characters drawn by this project, 20000 unless COUNT says otherwise, kept
in memory); a folder of pictures, searched with its subfolders, of any size and mode (with labels,
the first-level folders are the classes); a folder of .tar shards, one .tar, or a pattern such as
"shards/{0000..0099}.tar", read as a stream (with labels, a classes.txt beside them names the
classes and each sample has a .cls); a folder of the official NAME-rNN.tfrecords, with labels in
NAME-rxx.labels. Workers decode in the background; puppets are drawn without them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One process's share of a batch, and where the next batch starts."""

    images: torch.Tensor  # (n, 3, size, size) uint8
    labels: torch.Tensor  # (n,) int64, zeros when the set is opened without labels
    position: dict  # give it to Pictures.batches to go on after this batch; JSON can hold it


def open_data(
    path,
    *,
    size: int,
    resize: str = "crop",
    mirror: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    labels: bool = False,
    holdout: float = 0.0,
    part: str = "train",
) -> "Pictures":
    """Open the training pictures at `path` (see DATA_HELP) as (size, size) squares.

    resize: "crop" takes the centre square, "stretch" the whole picture. holdout: share of the
    pictures, 0 to 0.5, that `part` "train" leaves out and `part` "held_out" gives, chosen by a hash
    of each picture's name; puppets always have a held-out part of their own. num_workers: processes
    that decode (puppets ignore it). Raises UserError when there is nothing to train on.
    """
    check_options(size, resize, seed, num_workers, holdout, part)
    name = str(path)
    if name.partition(":")[0] == "puppets":
        count = read_count(name)
        source = Puppets(count, size=size, seed=seed, part=part, labels=labels)
        return Pictures(source, mirror=mirror, seed=seed, num_workers=0, place=name, keep=True)
    if part == "held_out" and holdout == 0:
        raise UserError("With a holdout of 0 no pictures are held out: give a share such as 0.1.")

    common = dict(size=size, resize=resize, labels=labels, holdout=holdout, part=part)
    if is_remote(name) or name.endswith(".tar") or "{" in name and not Path(name).exists():
        source = Shards(expand(name), seed=seed, **common)
        return Pictures(source, mirror=mirror, seed=seed, num_workers=num_workers, place=name)

    folder = Path(name).expanduser()
    check_folder(folder)
    if any(folder.glob("*.tar")):
        source = Shards(expand(str(folder)), seed=seed, **common)
        return Pictures(source, mirror=mirror, seed=seed, num_workers=num_workers, place=name)
    source = (Records if any(folder.glob("*.tfrecords")) else Folder)(folder, **common)
    if source.length == 0:
        raise UserError(
            f"A holdout of {holdout} leaves no picture of {folder} for the {part} part: "
            "the set is too small for it."
        )
    keep = num_workers == 0 and source.length * 3 * size * size <= KEPT_BYTES
    return Pictures(
        source, mirror=mirror, seed=seed, num_workers=num_workers, place=name, keep=keep
    )


class Pictures:
    """Opened training pictures; made by `open_data`.

    length: pictures in an epoch, None when streamed; classes: their names, [] without labels.
    """

    noun = "pictures"  # what messages call them

    def __init__(self, source, *, mirror, seed, num_workers, place, keep=False):
        self.source, self.mirror, self.seed = source, mirror, seed
        self.num_workers, self.place = num_workers, place
        self.length: int | None = source.length
        self.classes: list[str] = source.classes
        self._reader = source if self.length is None else Indexed(source, keep)
        self._readable: set = set()
        self._unreadable: dict[str, str] = {}
        self._warned_small = False
        self._reads: deque = deque(maxlen=RATE_WINDOW)  # (pictures, seconds)
        if self.length is not None:  # a set that cannot be trained on is refused at once
            self._learn(self._reader[[(index, False) for index in self._reader.probes()]])
            self._reads.clear()

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def skipped(self) -> int:
        """Unreadable files (or shards cut short) met so far by this process, each counted once."""
        return len(self._unreadable)

    @property
    def loader_rate(self) -> float:
        """Pictures per second that loading alone reached lately, all workers together; 0.0 before
        the first batch."""
        seconds = sum(seconds for _, seconds in self._reads)
        pictures = sum(pictures for pictures, _ in self._reads)
        return max(1, self.num_workers) * pictures / seconds if seconds else 0.0

    def batches(
        self,
        position: dict,
        batch_size_at: Callable[[int], int],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Batches without end from `position` ({} or {"images_seen": n, ...}, as a Batch gave it).

        batch_size_at: images seen -> size of the global batch that starts there. This process gets
        the images [rank::world_size] of each. Raises UserError when most pictures are unreadable.
        """
        start, saved_lanes = position.get("images_seen", 0), position.get("lanes", [])
        reader, lanes = self._reader, {row[0]: row for row in saved_lanes}
        if self.length is None:
            reader = reader.starting_at(start, saved_lanes)
        plans, upcoming = itertools.tee(self._plan(start, batch_size_at, rank, world_size))
        pieces = (piece for _, batch in upcoming for _, piece in batch)
        fetch = self._fetch(reader, pieces)
        for end, batch in plans:
            parts = [(rows, next(fetch)) for rows, _ in batch]
            for _, fetched in parts:
                self._learn(fetched)
                lanes.update(fetched.lanes)
            new_position = {"images_seen": end}
            if self.length is None:
                new_position["lanes"] = [lanes[lane] for lane in sorted(lanes)]
            yield Batch(*join(parts), new_position)

    def _plan(self, start, batch_size_at, rank, world_size):
        """For each batch: (its end, [(rows of this process's share, piece to read), ...])."""
        while True:
            batch_size = batch_size_at(start)
            if batch_size < world_size:
                raise UserError(
                    f"A batch of {batch_size} cannot be shared by {world_size} processes: "
                    "raise the batch size or start fewer processes."
                )
            numbers = range(start + rank, start + batch_size, world_size)
            if self.length is None:
                parts = self._reader.pieces(numbers, max(1, self.num_workers), world_size)
                items = [(n, self.mirror and self._coin(n)) for n in numbers]
            else:
                parts = [range(len(numbers))]
                items = [self._item(n) for n in numbers]
            start += batch_size
            yield start, [(rows, [items[row] for row in rows]) for rows in parts]

    def _item(self, number: int) -> tuple[int, bool]:
        """(index, mirrored) of image `number` of the run."""
        epoch, place = divmod(number, self.length)
        permutation, coins = epoch_order(self.seed, epoch, self.length)
        index = int(permutation[place])
        return index, self.mirror and bool(coins[index])

    def _coin(self, number: int) -> bool:
        return bool(np.random.default_rng((self.seed, number, 1)).integers(2))

    def _fetch(self, reader, pieces: Iterator[list]) -> Iterator[Fetched]:
        """Read the pieces in their order, here or in worker processes."""
        if self.num_workers == 0:
            yield from (reader[piece] for piece in pieces)
            return
        # DataLoader hands piece after piece to its workers in turn; the shards count on it (for
        # speed only). A generator of its own, so that the global random state stays untouched.
        loader = torch.utils.data.DataLoader(
            reader,
            sampler=pieces,
            batch_size=None,
            num_workers=self.num_workers,
            collate_fn=as_it_is,
            generator=torch.Generator(),
            worker_init_fn=ignore_interrupt,
        )
        try:
            yield from loader
        except RuntimeError as error:
            if "worker" in str(error) and "exited unexpectedly" in str(error):
                raise UserError(
                    "A worker process that decodes pictures was ended from outside, often for want "
                    "of memory: use fewer workers."
                ) from error
            raise

    def _learn(self, fetched: Fetched):
        """Count what was read; warn once of each kind of trouble; stop if most is unreadable."""
        if fetched.readable:
            self._reads.append((len(fetched.readable), fetched.seconds))
        if len(self._readable) < KNOWN_READABLE:
            self._readable.update(fetched.readable)
        if fetched.unreadable and not self._unreadable:
            name, reason = next(iter(fetched.unreadable.items()))
            log.warning(
                "Skipped %s of %s: %s Others like it are counted without a message.",
                name,
                self.place,
                reason,
            )
        self._unreadable.update(fetched.unreadable)
        if fetched.enlarged and not self._warned_small:
            self._warned_small = True
            log.warning(
                "%s in %s is smaller than %d pixels and was enlarged, as others may be; "
                "training at a smaller size keeps them sharp.",
                fetched.enlarged,
                self.place,
                self.source.size,
            )
        tried = len(self._readable) + len(self._unreadable)
        enough = min(MINIMUM_TRIED, self.length or MINIMUM_TRIED)
        if tried >= enough and len(self._unreadable) > tried / 2:
            name, reason = next(iter(self._unreadable.items()))
            raise UserError(
                f"{len(self._unreadable)} of the {tried} {self.noun} tried in {self.place} cannot "
                f"be read, such as {name}: {reason} Repair or remove them, or give another folder."
            )
        if fetched.error:
            raise UserError(f"{fetched.error} The data is {self.place}.")


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The epoch's order (length,) of picture numbers, and each picture's mirror coin (length,)."""
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(length), rng.integers(2, size=length)


def join(parts: list[tuple[list[int], Fetched]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the pieces of a batch at their rows: (n, 3, size, size) uint8 and (n,) int64."""
    if len(parts) == 1:
        return torch.from_numpy(parts[0][1].images), torch.from_numpy(parts[0][1].labels)
    count = sum(len(rows) for rows, _ in parts)
    images = np.empty((count, *parts[0][1].images.shape[1:]), np.uint8)
    labels = np.empty(count, np.int64)
    for rows, fetched in parts:
        images[rows], labels[rows] = fetched.images, fetched.labels
    return torch.from_numpy(images), torch.from_numpy(labels)


def as_it_is(fetched: Fetched) -> Fetched:
    return fetched


def ignore_interrupt(worker: int):
    """Ctrl-C is for the main process, which ends its workers after its last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def read_count(name: str) -> int:
    if name == "puppets":
        return DEFAULT_PUPPETS
    count = name.partition(":")[2]
    if not count.isdecimal() or int(count) == 0:
        raise UserError(f"{name} is not puppets:COUNT with a COUNT of 1 or more.")
    return int(count)


def check_options(size, resize, seed, num_workers, holdout, part):
    """Raise UserError for a value that open_data cannot use."""
    if size < 1:
        raise UserError(f"A size of {size} is too small: pictures need at least 1 pixel.")
    if resize not in ("crop", "stretch"):
        raise UserError(f'resize is "crop" or "stretch", not {resize!r}.')
    if seed < 0:
        raise UserError(f"A seed of {seed} is not possible: give 0 or a higher number.")
    if num_workers < 0:
        raise UserError(f"{num_workers} workers are not possible: give 0 or more.")
    if not 0 <= holdout <= 0.5:
        raise UserError(f"A holdout of {holdout} is not between 0 and 0.5.")
    if part not in ("train", "held_out"):
        raise UserError(f'part is "train" or "held_out", not {part!r}.')


def check_folder(folder: Path):
    if not folder.exists():
        raise UserError(
            f"There is no folder {folder}. Data is a folder of pictures, of .tar shards or of "
            '.tfrecords, or "puppets".'
        )
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: give the folder that it lies in, or unpack it first.")
