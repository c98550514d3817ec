"""Endless pairs of frames from clips, in an order that any process can take up at any pair.

Pair n of a run comes from slot permutation(seed, epoch)[n % epoch length] of epoch n // epoch
length, an epoch being every clip `repeats` times; a global batch is sliced [rank::world_size], as
in `trainers.data.pictures`. Nothing but the number of pairs seen has to be saved to go on exactly.
"""

import csv
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gan_models.errors import Unreadable, UserError
from trainers.data.clip_files import (
    FINGERPRINT_SIZE,
    find_twins,
    fingerprint,
    group,
    list_clips,
    video_id,
)
from trainers.data.clip_reading import Augmentation, PairReader
from trainers.data.clip_sources import FileClips, PuppetClips
from trainers.data.pictures import RATE_WINDOW, Pictures, check_options, epoch_order
from trainers.data.sources import in_part

DEFAULT_PUPPETS = 6_000
MOST_COMPARED = 5_000  # clips; in larger sets nobody looks for twins
CLIPS_HELP = """\
puppets or puppets:COUNT (clips of characters drawn by this project, 6000 unless COUNT says
otherwise, kept in memory); a folder of clips, or one with train/ and test/ folders of them. A clip
is a folder of frames, a video (.mp4, .gif, .mov, .mkv, .avi, .webm), or a picture with square
frames side by side. Any size: frames become the square in their middle. Videos are decoded once,
into the cache folder."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairBatch:
    """One process's share of a batch, and where the next batch starts."""

    source: torch.Tensor  # (n, 3, size, size) uint8
    driving: torch.Tensor  # (n, 3, size, size) uint8, another frame of the same clips
    position: dict  # give it to Clips.batches to go on after this batch; JSON can hold it


def open_clips(
    path,
    *,
    size: int,
    seed: int = 0,
    num_workers: int = 0,
    time_flip: bool = True,
    mirror: bool = True,
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    resize_range: tuple[float, float] | None = None,
    id_sampling: bool = False,
    holdout: float = 0.0,
    part: str = "train",
    repeats: int = 1,
    cache_folder: str | Path | None = None,
) -> "Clips":
    """Open the training clips at `path` (see CLIPS_HELP) as (size, size) squares.

    time_flip, mirror, jitter, resize_range: see `Augmentation`. id_sampling:
    an epoch has one pair per video, the clips of a video being those whose names agree up to "#".
    part: "train" or "held_out", which is test/ where there are train/ and test/, and otherwise a
    share `holdout`, 0 to 0.5, chosen by a hash of the names. Copies and mirror images of a clip,
    and clips of one video, stay on its side. repeats: how often an epoch visits each clip.
    cache_folder: keeps decoded clips for the next run; a temporary folder when None.
    Raises UserError when there is nothing to train on.
    """
    check_options(size, "crop", seed, num_workers, holdout, part)
    check_augmentation(jitter, resize_range, repeats)
    augmentation = Augmentation(time_flip, mirror, tuple(jitter), resize_range)
    name = str(path)
    common = dict(augmentation=augmentation, seed=seed, place=name, repeats=repeats)
    if name.partition(":")[0] == "puppets":
        count = name.partition(":")[2] if ":" in name else str(DEFAULT_PUPPETS)
        if not count.isdecimal() or int(count) == 0:
            raise UserError(f"{name} is not puppets:COUNT with a COUNT of 1 or more.")
        source = PuppetClips(int(count), size=size, seed=seed, part=part)
        return Clips(source, num_workers=0, **common)
    cache_folder = None if cache_folder is None else Path(cache_folder).expanduser()
    source = open_files(Path(name).expanduser(), size, cache_folder, holdout, part)
    groups: dict[str, list[int]] = {}
    for index, clip_name in enumerate(source.names):
        groups.setdefault(video_id(clip_name) if id_sampling else clip_name, []).append(index)
    return Clips(source, num_workers=num_workers, groups=list(groups.values()), **common)


def check_augmentation(jitter, resize_range, repeats):
    """Raise UserError for a value that open_clips cannot use."""
    if len(jitter) != 4 or min(jitter) < 0 or jitter[3] > 0.5:
        raise UserError(
            f"A jitter of {jitter} is not four numbers from 0 (brightness, contrast, saturation, "
            "and hue up to 0.5)."
        )
    if resize_range is not None and not 0 < resize_range[0] <= resize_range[1]:
        raise UserError(f"A resize range of {resize_range} is not (lowest, highest), both above 0.")
    if repeats < 1:
        raise UserError(f"{repeats} repeats are not possible: give 1 or more.")


def open_files(folder: Path, size: int, cache_folder, holdout: float, part: str) -> FileClips:
    """The clips of `part`, from train/ and test/ or by `holdout`."""
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}. Data is a folder of clips (folders of frames, videos or "
            'strips), or "puppets".'
        )
    train = folder / "train" if (folder / "train").is_dir() else folder
    test = folder / "test"
    has_test = train != folder and test.is_dir()
    if part == "held_out" and holdout == 0 and not has_test:
        raise UserError(
            "With a holdout of 0 no clips are held out: give a share such as 0.1, or put them into "
            f"{test} beside {folder / 'train'}."
        )
    root = test if has_test and part == "held_out" else train
    names = list_clips(root)
    if not names:
        raise UserError(
            f"There are no clips in {root}: a data folder holds folders of frames, videos, or "
            "pictures with the frames side by side."
        )
    tests = list_clips(test) if has_test and part == "train" else []
    paths = [root / name for name in names] + [test / name for name in tests]
    source = FileClips(paths, names + tests, size=size, cache_folder=cache_folder)
    if has_test:
        return without_twins(source, len(names)) if tests else source
    if holdout == 0:
        return source
    firsts = group(len(names), same_videos(names) + twins(source))
    chosen = [index for index, first in enumerate(firsts) if in_part(names[first], holdout, part)]
    if not chosen:
        raise UserError(
            f"A holdout of {holdout} leaves no clip of {folder} for the {part} part: the set is "
            "too small for it."
        )
    return source.selected(chosen)


def without_twins(source: FileClips, count: int) -> FileClips:
    """The first `count` clips but for copies and mirror images of those behind them."""
    firsts = group(source.length, twins(source))
    tested = {firsts[index] for index in range(count, source.length)}
    kept = [index for index in range(count) if firsts[index] not in tested]
    if not kept:
        raise UserError(
            f"Every clip of {source.paths[0].parent} is a copy or mirror image of one in the test "
            "folder: train on other clips."
        )
    if len(kept) < count:
        dropped = next(index for index in range(count) if firsts[index] in tested)
        log.warning(
            "%d of the %d training clips, such as %s, are copies or mirror images of test clips "
            "and are left out of training.",
            count - len(kept),
            count,
            source.name(dropped),
        )
    return source.selected(kept)


def same_videos(names: list[str]) -> list[tuple[int, int]]:
    """Links between the clips whose names say, by "#", that they were cut from one video."""
    first_of: dict[str, int] = {}
    return [
        (first_of.setdefault(video_id(name), index), index)
        for index, name in enumerate(names)
        if "#" in name
    ]


def twins(source: FileClips) -> list[tuple[int, int]]:
    """Pairs of clips of the set that show the same, plain or mirrored."""
    if source.length > MOST_COMPARED or source.is_slow:
        log.warning(
            "The set is too large to look for clips that are copies or mirror images of another: "
            "make sure that none of them lies on both sides of the split."
        )
        return []
    source.pack_all()
    # A clip that cannot be read is like no other: no two of these lengths are neighbours.
    num_frames = -3 * np.arange(1, source.length + 1)
    prints = np.zeros((source.length, 3, FINGERPRINT_SIZE, FINGERPRINT_SIZE, 3), np.float32)
    for index in range(source.length):
        try:
            last = source.num_frames(index) - 1
            prints[index] = fingerprint(source.frames(index, [0, last // 2, last])[0])
            num_frames[index] = last + 1
        except Unreadable:
            continue
    found = find_twins(prints, num_frames)
    if found:
        log.info(
            "%d clips are copies or mirror images of another, such as %s of %s.",
            len({second for _, second in found}),
            source.name(found[0][1]),
            source.name(found[0][0]),
        )
    return found


def read_pairs(path: Path, names: list[str], count: int) -> list[tuple[int, int]]:
    """Up to `count` (driving, source) numbers from a CSV with columns `source` and `driving`.

    Rows with a name that is not among `names` (with or without its ending) are left out.
    """
    numbers = {Path(name).stem: index for index, name in enumerate(names)}
    numbers |= {name: index for index, name in enumerate(names)}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"The list of pairs {path} cannot be read: {error}.") from error
    if not rows or not {"source", "driving"} <= set(rows[0]):
        raise UserError(
            f"The list of pairs {path} has no rows with the columns source and driving."
        )
    found = [(numbers.get(row["driving"]), numbers.get(row["source"])) for row in rows]
    pairs = [pair for pair in found if None not in pair][:count]
    if not pairs:
        raise UserError(
            f"None of the pairs in {path} names two clips of the data, such as {names[0]}."
        )
    return pairs


class Clips(Pictures):
    """Opened training clips; made by `open_clips`. length: clips; names: theirs, in order."""

    noun = "clips"

    def __init__(self, source, augmentation, *, seed, num_workers, place, repeats, groups=None):
        # Takes the order, the slicing, the workers and the counting of Pictures, not its reader.
        self.source, self.seed, self.num_workers, self.place = source, seed, num_workers, place
        self.length: int = source.length
        self.repeats = repeats
        self.names = [source.name(index) for index in range(self.length)]
        self.groups = groups or [[index] for index in range(self.length)]
        self.classes: list[str] = []
        self._reader = PairReader(source, self.groups, augmentation, seed)
        self._readable: set = set()
        self._unreadable: dict[str, str] = {}
        self._warned_small = False
        self._reads: deque = deque(maxlen=RATE_WINDOW)  # (pairs, seconds)
        if isinstance(source, FileClips):  # a set that cannot be trained on is refused at once
            probes = self._reader.probes()[: 4 if source.is_slow else None]
            self._learn(self._reader[[(slot, 0) for slot in probes]])
            self._reads.clear()

    def batches(
        self, position: dict, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[PairBatch]:
        """Batches without end from `position` ({} or {"images_seen": n}: pairs seen so far).

        batch_size: pairs in the global batch; this process gets [rank::world_size] of each. Raises
        UserError when most clips are unreadable.
        """
        for batch in super().batches(position, lambda _: batch_size, rank, world_size):
            yield PairBatch(batch.images[:, 0], batch.images[:, 1], batch.position)

    def _item(self, number: int) -> tuple[int, int]:
        """(slot, epoch) of pair `number` of the run."""
        epoch_length = self.repeats * len(self.groups)
        epoch, place = divmod(number, epoch_length)
        order, _ = epoch_order(self.seed, epoch, epoch_length)
        return int(order[place]), epoch

    def num_frames(self, index: int) -> int:
        """Frames of clip `index`; Unreadable when it cannot be read."""
        return self.source.num_frames(index)

    def clip(self, index: int, max_frames: int | None = None) -> np.ndarray:
        """(T, size, size, 3) uint8: the clip's frames in order, the first `max_frames` of them.

        Raises Unreadable when the clip cannot be read.
        """
        count = self.num_frames(index)
        times = range(count if max_frames is None else min(count, max_frames))
        return self.source.frames(index, list(times))[0]

    def pairs(
        self, path: str | Path | None = None, count: int = 50, seed: int = 0
    ) -> list[tuple[int, int]]:
        """Up to `count` (driving, source) clip numbers to animate, as the official code picks them.

        path: a CSV (see `read_pairs`); None draws among all pairs of the first `count` clips.
        """
        if path is not None:
            return read_pairs(Path(path).expanduser(), self.names, count)
        first = min(count, self.length)
        chosen = np.random.RandomState(seed).choice(
            first * first, min(count, first * first), replace=False
        )
        return [divmod(int(number), first) for number in chosen]
