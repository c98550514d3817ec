"""Endless batches of a source's items, in an order that any process can take up at any item.

A source has `length`, `names` (one of each item) and `read(index, random)`, which returns a dict of
named arrays or raises Unreadable; arrays of two or more dimensions are pictures (..., H, W). Item n
of a run is permutation(seed, epoch)[n % epoch length] of epoch n // epoch length; the global batch
[n, n + batch size) is sliced [rank::world_size]; mirror coin and `random` depend on (seed, item,
epoch) alone, and workers only read. So any number of processes sees the same items, and nothing but
the number of items seen has to be saved to go on exactly.
"""

import functools
import itertools
import logging
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from gan_models.errors import Unreadable, UserError

MINIMUM_TRIED = 20  # items that must have been tried before a set is called unreadable
KNOWN_READABLE = 100_000  # readable items remembered; after so many a set is not "mostly" broken
RATE_WINDOW = 50  # reads that loader_rate averages over
MOST_WORKERS = 4
ITEM_STREAM = 2  # keeps the items' generators apart from others made of the same seed

log = logging.getLogger(__name__)


@dataclass
class Fetched:
    """What was read at once, and learned while reading it (it crosses processes)."""

    arrays: dict[str, torch.Tensor] = field(default_factory=dict)  # a batch's, or of a shard's item
    readable: list[int | str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> reason
    notes: dict[str, str] = field(default_factory=dict)  # kind of trouble -> a sentence, said once
    seconds: float = 0.0
    place: tuple[int, int, int] = (0, 0, 0)  # the shards' reader, epoch, and shard in its order
    error: str | None = None  # why nothing can be read; an exception would lose its words


class Items:
    """Reads items by their numbers in the run; each worker process holds a copy."""

    def __init__(self, source, seed, mirror, shuffle, groups, repeats):
        self.source, self.seed, self.mirror, self.shuffle = source, seed, mirror, shuffle
        self.groups = groups
        self.epoch_length = repeats * len(groups or source.names)
        self.unreadable: dict[int, str] = {}
        # A stride that visits every item and spreads over the whole set.
        self.stride = max(1, int(source.length * 0.618))
        while math.gcd(self.stride, source.length) > 1:
            self.stride += 1

    def __getitem__(self, numbers: Sequence[int]) -> Fetched:
        """The items with these numbers, put together."""
        started, fetched = time.perf_counter(), Fetched()
        try:
            items = [self.read(number, fetched) for number in numbers]
            # Not np.stack, which would keep the items' order of axes in memory.
            fetched.arrays = {
                name: torch.from_numpy(np.array([item[name] for item in items]))
                for name in items[0]
            }
        except UserError as error:
            fetched.error = str(error)
        fetched.seconds = time.perf_counter() - started
        return fetched

    def read(self, number: int, fetched: Fetched) -> dict[str, np.ndarray]:
        """Item `number` of the run, or the first readable one on a fixed walk from it.

        The walk depends on nothing but the number and the files, so every process and every
        resumed run takes the same substitute.
        """
        epoch, slot = divmod(number, self.epoch_length)
        coin = False
        if self.shuffle:
            order, coins = epoch_order(self.seed, epoch, self.epoch_length)
            slot = int(order[slot])
            coin = self.mirror and coins[slot]
        key = (self.seed, slot, epoch, ITEM_STREAM)
        random, index = np.random.default_rng(key), slot % self.source.length
        if self.groups:
            group = self.groups[slot % len(self.groups)]
            index = group[random.integers(len(group))] if len(group) > 1 else group[0]
        for _ in range(min(MINIMUM_TRIED, self.source.length)):
            try:
                if index in self.unreadable:
                    raise Unreadable(self.unreadable[index])
                item = self.source.read(index, random)
            except (Unreadable, OSError) as error:
                self.unreadable[index] = fetched.unreadable[self.source.names[index]] = str(error)
                index = (index + self.stride) % self.source.length
                # What was drawn before must not matter: it depends on where the item broke.
                random = np.random.default_rng((*key, index))
                continue
            fetched.readable.append(index)
            if item.pop("enlarged", False):
                fetched.notes["enlarged"] = enlarged_note(self.source.names[index])
            if coin:  # left and right of its pictures exchanged
                item = {name: a[..., ::-1] if np.ndim(a) > 1 else a for name, a in item.items()}
            return item
        raise UserError(f"{MINIMUM_TRIED} files in a row cannot be read.")


def enlarged_note(name: str) -> str:
    return f"{name} is smaller than the training size and was enlarged, as others may be."


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The epoch's order (length,) of places, and each place's mirror coin (length,)."""
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(length), rng.integers(2, size=length)


class Stream:
    """An opened set. length: its items, None when streamed; names: theirs; classes: [] without.

    place, noun: what messages call the set and its items. num_workers: processes that read; None:
    as many as pay. groups, repeats: an epoch draws one item of each group (default: of itself),
    `repeats` times. shuffle: False takes the items as they lie, unmirrored. probes: items looked at
    first, so that a set that cannot be trained on is refused at once, by UserError.
    """

    def __init__(
        self,
        source,
        *,
        place: str,
        noun: str = "pictures",
        seed: int = 0,
        num_workers: int | None = None,
        mirror: bool = False,
        shuffle: bool = True,
        groups: list[list[int]] | None = None,
        repeats: int = 1,
        probes: int = MINIMUM_TRIED,
    ):
        self.source, self.place, self.noun = source, place, noun
        self.num_workers = useful_workers() if num_workers is None else num_workers
        self.length: int | None = source.length
        self.names: list[str] = source.names
        self.classes: list[str] = getattr(source, "classes", [])
        self._readable: set = set()
        self._unreadable: dict[str, str] = {}
        self._said: set[str] = set()
        self._reads: deque = deque(maxlen=RATE_WINDOW)  # (items, seconds)
        if self.length is not None:
            self._items = Items(source, seed, mirror, shuffle, groups, repeats)
            self.first(min(probes, self.length))
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
        """Items per second that loading alone reached lately, all workers together; 0.0 at first"""
        items, seconds = np.sum(self._reads, axis=0) if self._reads else (0, 0)
        return float(max(1, self.num_workers) * items / seconds) if seconds else 0.0

    def first(self, count: int) -> dict[str, torch.Tensor]:
        """The first `count` items of a run as one batch, read in this process (not of shards)."""
        fetched = self._items[range(count)]
        self._learn(fetched)
        return fetched.arrays

    def batches(
        self,
        position: dict,
        batch_size: int | Callable[[int], int],
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | None = None,
    ) -> Iterator[tuple[dict[str, torch.Tensor], dict]]:
        """(batch, the position after it) without end; a batch is a dict of tensors (n, ...).

        position: {} or {"images_seen": n, ...} as it came with a batch; JSON can hold it.
        batch_size: of the global batch, or images seen -> size of the batch that starts there; this
        process gets the items [rank::world_size] of each. device: where the tensors are wanted.
        Raises UserError when most items are unreadable.
        """
        size_at = batch_size if callable(batch_size) else lambda _: batch_size
        batches = self._batches(position, size_at, rank, world_size)
        return ahead(batches, device) if device is not None else batches

    def _batches(self, position, size_at, rank, world_size):
        spans, plan = itertools.tee(batch_spans(position, size_at, world_size))
        numbers = (range(start + rank, end, world_size) for start, end in plan)
        loading = self._load(self._items, sampler=numbers)
        for (_, end), fetched in zip(spans, loading, strict=False):
            self._learn(fetched)
            yield fetched.arrays, {"images_seen": end}

    def _load(self, dataset, **options) -> Iterator[Fetched]:
        """What the dataset reads, here or in worker processes, in a fixed order."""
        loader = torch.utils.data.DataLoader(
            dataset,
            batch_size=None,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # of its own: the global random state stays untouched
            worker_init_fn=ignore_interrupt,
            **options,
        )
        try:
            yield from loader
        except RuntimeError as error:
            if "worker" in str(error) and ("exited" in str(error) or "killed" in str(error)):
                raise UserError(
                    "A worker process that reads the data was ended from outside, often for want "
                    "of memory: use fewer --num-workers."
                ) from error
            raise

    def _learn(self, fetched: Fetched):
        """Count what was read; warn once of each kind of trouble; stop if most is unreadable."""
        if fetched.readable:
            self._reads.append((len(fetched.readable), fetched.seconds))
        if len(self._readable) < KNOWN_READABLE:
            self._readable.update(fetched.readable)
        notes = dict(fetched.notes)
        for name, reason in itertools.islice(fetched.unreadable.items(), 1):
            notes["skipped"] = f"Skipped {name}: {reason} Others are counted without a message."
        self._unreadable.update(fetched.unreadable)
        for kind, sentence in notes.items():
            if kind not in self._said:
                self._said.add(kind)
                log.warning("%s: %s", self.place, sentence)
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


def useful_workers() -> int:
    """Processes that reading is worth: each core but one, shared by the processes of torchrun.

    None on two cores without a GPU, where they would only take turns with the training.
    """
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    pays = cores > 2 or cores == 2 and torch.cuda.is_available()
    return min(MOST_WORKERS, cores - 1) if pays else 0


def batch_spans(position: dict, size_at, world_size: int) -> Iterator[tuple[int, int]]:
    """(first, end) of every global batch from the position on, in images seen."""
    start = position.get("images_seen", 0)
    while True:
        size = size_at(start)
        if size < world_size:
            raise UserError(
                f"A batch of {size} cannot be shared by {world_size} processes: raise the batch "
                "size or start fewer processes."
            )
        yield start, start + size
        start += size


def ahead(batches: Iterator, device: torch.device) -> Iterator:
    """The batches on `device`; on CUDA each is read and copied while the one before it is used."""
    if device.type != "cuda":
        yield from (({name: t.to(device) for name, t in batch.items()}, p) for batch, p in batches)
        return
    copying, waiting = torch.cuda.Stream(device), None
    for batch, position in batches:
        with torch.cuda.stream(copying):
            batch = {n: t.pin_memory().to(device, non_blocking=True) for n, t in batch.items()}
        copied = copying.record_event()
        if waiting:
            yield handed_over(*waiting)
        waiting = batch, position, copied


def handed_over(batch, position, copied):
    """The batch and its position, once what is computed next on the device waits for the copy."""
    for tensor in batch.values():
        computing = torch.cuda.current_stream(tensor.device)
        computing.wait_event(copied)
        tensor.record_stream(computing)
    return batch, position


def ignore_interrupt(worker: int):
    """Ctrl-C is for the main process, which ends its workers after its last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
