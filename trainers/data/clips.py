"""Training clips: opening a set, its split into parts, and pairs of frames as a stream's items."""

import copy
import csv
import logging
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_models.errors import Unreadable, UserError
from gan_models.images import centre_square, read_picture, resize
from trainers import puppets
from trainers.data.files import check_folder, check_holdout, decode, of_part, say_passed_over
from trainers.data.frames import expected_frames, frame_files, list_clips, read_frames
from trainers.data.packing import MAX_FRAMES, Cache, unpacked
from trainers.data.pairs import Augmentation, augment, draw_times
from trainers.data.stream import MINIMUM_TRIED, Stream
from trainers.data.twins import find_twins, fingerprint, group
from trainers.puppets.drawing import nearest_size
from trainers.puppets.sets import CLIP_FRAMES

FRAME_NAMES = ("source", "driving", "leader_first", "leader_then")  # of a batch; leaders are rare
DEFAULT_PUPPETS = 6_000
MOST_COMPARED = 5_000  # clips; in larger sets nobody looks for twins
KEPT_BYTES = 2 * 2**30  # decoded frames kept as plain pixels
ESTIMATED_FROM = 16  # clips that the size of a set is estimated from
JPEG_SHARE = 0.25  # of the plain pixels, with room to spare

log = logging.getLogger(__name__)


def open_clips(
    path,
    *,
    size: int,
    seed: int = 0,
    num_workers: int | None = None,
    time_flip: bool = True,
    mirror: bool = True,
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    resize_range: tuple[float, float] | None = None,
    repaint: float = 0.0,
    transfers: float = 0.0,
    id_sampling: bool = False,
    holdout: float = 0.0,
    part: str = "train",
    repeats: int = 1,
    cache_folder: str | Path | None = None,
) -> "Clips":
    """Open training clips; batches hold "source" and "driving", (n, 3, size, size) uint8 each, two
    frames of the same clips, or with transfers of the same puppets.

    path: puppets or puppets:COUNT (6000 unless COUNT says otherwise), or a folder of clips, or of
    train/ and test/ folders of them; see `frames` for what is one. Frames become the square in
    their middle. time_flip, mirror, jitter, resize_range, repaint: see `Augmentation`. id_sampling:
    an epoch has one pair per video, the clips of a video being those whose names agree up to "#".
    part: "train" or "held_out", which is test/ where there are train/ and test/, and otherwise a
    share `holdout`, 0 to 0.5, chosen by a hash of the names. Copies and mirror images of a clip,
    and clips of one video, stay on its side. repeats: how often an epoch visits each clip.
    cache_folder: keeps decoded clips for the next run; a temporary folder when None.
    transfers, 0 to 1: in this part of the pairs, puppets move as another of their set does, and
    batches hold two more frames, "leader_first" and "leader_then": the other's, or the pair itself.
    Raises UserError when there is nothing to train on.
    """
    check_holdout(holdout)
    if jitter[3] > 0.5:
        raise UserError(f"A jitter of {jitter} is too strong: hue is shifted by 0.5 at most.")
    if resize_range is not None and not 0 < resize_range[0] <= resize_range[1]:
        raise UserError(f"A resize range of {resize_range} is not (lowest, highest), both above 0.")
    name, cache_folder = str(path), cache_folder and Path(cache_folder).expanduser()
    if puppets.is_puppets(name):
        root, names = puppets.drawn_set(
            "fomm", name, DEFAULT_PUPPETS, size=size, seed=seed, part=part
        )
        source = ClipFiles(root, names, size, root / ".packed")
        source.transfers, source.seed = transfers, seed
    elif transfers:
        raise UserError(f"--transfers {transfers}: only puppets can lend each other their motion.")
    else:
        source = open_files(Path(name).expanduser(), size, cache_folder, holdout, part)
    source.augmentation = Augmentation(time_flip, mirror, tuple(jitter), resize_range, repaint)
    groups: dict[str, list[int]] = {}
    for index, clip_name in enumerate(source.names if id_sampling else ()):
        groups.setdefault(video_id(clip_name), []).append(index)
    return Clips(
        source,
        place=name,
        noun="clips",
        seed=seed,
        num_workers=num_workers,
        groups=list(groups.values()),
        repeats=repeats,
        probes=4 if source.is_slow else MINIMUM_TRIED,
    )


class Clips(Stream):
    """Opened training clips; made by `open_clips`."""

    def clip(self, index: int, max_frames: int | None = None) -> np.ndarray:
        """(T, size, size, 3) uint8: the clip's frames in order, the first `max_frames` of them.

        Raises Unreadable when the clip cannot be read.
        """
        count = self.source.num_frames(index)
        return self.source.frames(index, list(range(min(count, max_frames or count))))

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


def read_pairs(path: Path, names: list[str], count: int) -> list[tuple[int, int]]:
    """Up to `count` (driving, source) numbers from a CSV with columns `source` and `driving`.

    Rows with a name that is not among `names` (with or without its ending) are left out.
    """
    numbers = {Path(name).stem: index for index, name in enumerate(names)}
    numbers |= {name: index for index, name in enumerate(names)}
    try:
        rows = list(csv.DictReader(decode(path.read_bytes()).splitlines()))
    except (OSError, csv.Error) as error:
        raise UserError(f"The list of pairs {path} cannot be read: {error}.") from error
    found = [(numbers.get(row.get("driving")), numbers.get(row.get("source"))) for row in rows]
    pairs = [pair for pair in found if None not in pair][:count]
    if not pairs:
        raise UserError(
            f"None of the pairs in {path} names two clips of the data, such as {names[0]}, in its "
            "columns source and driving."
        )
    return pairs


# --- the clips of a folder, and their split -------------------------------------------------------


def open_files(folder: Path, size: int, cache_folder, holdout: float, part: str) -> "ClipFiles":
    """The clips of `part`, from train/ and test/ or by `holdout`."""
    check_folder(folder, "clips (folders of frames, videos or strips)")
    train, test = folder / "train", folder / "test"
    has_test = train.is_dir() and test.is_dir()
    if part == "held_out" and holdout == 0 and not has_test:
        raise UserError(
            "With a holdout of 0 no clips are held out: give a share such as 0.1, or put them into "
            f"{test} beside {train}."
        )
    root = test if has_test and part == "held_out" else train if train.is_dir() else folder
    if root != folder:
        beside = [path.name for path in sorted(folder.iterdir()) if path not in (train, test)]
        say_passed_over(folder, beside, "clips lie in train and test")
    names = list_clips(root)
    if not names:
        raise UserError(
            f"There are no clips in {root}: a data folder holds folders of frames, videos, or "
            "pictures with the frames side by side."
        )
    tests = [f"../test/{n}" for n in list_clips(test)] if has_test and root != test else []
    source = ClipFiles(root, names + tests, size, cache_folder)
    if tests:
        return without_twins(source, len(names))
    if has_test or holdout == 0:
        return source
    firsts = group(len(names), same_videos(names) + twins(source))
    keys = [names[first] for first in firsts]
    return source.selected(of_part(keys, holdout, part, folder))


def without_twins(source: "ClipFiles", count: int) -> "ClipFiles":
    """The first `count` clips but for copies and mirror images of those behind them."""
    firsts = group(source.length, twins(source))
    tested = {firsts[index] for index in range(count, source.length)}
    kept = [index for index in range(count) if firsts[index] not in tested]
    if not kept:
        raise UserError(
            f"Every clip of {source.root} is a copy or mirror image of one in the test folder: "
            "train on other clips."
        )
    if len(kept) < count:
        dropped = next(index for index in range(count) if firsts[index] in tested)
        log.warning(
            "%d of the %d training clips, such as %s, are copies or mirror images of test clips "
            "and are left out of training.",
            count - len(kept),
            count,
            source.names[dropped],
        )
    return source.selected(kept)


def video_id(name: str) -> str:
    """The video that a clip was cut from: its file name up to "#", or without its ending."""
    last = name.rpartition("/")[2]
    identity, mark, _ = last.partition("#")
    return identity if mark else Path(last).stem


def same_videos(names: list[str]) -> list[tuple[int, int]]:
    """Links between the clips whose names say, by "#", that they were cut from one video."""
    first_of: dict[str, int] = {}
    return [
        (first_of.setdefault(video_id(name), index), index)
        for index, name in enumerate(names)
        if "#" in name
    ]


def twins(source: "ClipFiles") -> list[tuple[int, int]]:
    """Pairs of clips of the set that show the same, plain or mirrored."""
    if source.length > MOST_COMPARED or source.is_slow:
        log.warning(
            "The set is too large to look for clips that are copies or mirror images of another: "
            "make sure that none of them lies on both sides of the split."
        )
        return []
    # A clip that cannot be read is like no other: no two of these lengths are neighbours.
    num_frames = -3 * np.arange(1, source.length + 1)
    prints = np.zeros((source.length, *fingerprint(np.zeros((3, 1, 1, 3))).shape), np.float32)

    def look_at(index: int):
        with suppress(Unreadable, OSError):
            last = source.num_frames(index) - 1
            prints[index] = fingerprint(source.frames(index, [0, last // 2, last]))
            num_frames[index] = last + 1

    log.info("Decoding %d clips, once.", source.length)
    with ThreadPoolExecutor() as pool:
        list(pool.map(look_at, range(source.length)))
    return find_twins(prints, num_frames)


class ClipFiles:
    """The clips `names` below `root`; decoded once each, see `packing`.

    Large sets of frame folders are not packed: their frames are read where they are.
    """

    augmentation = Augmentation()
    transfers = 0.0  # part of the pairs that is drawn, see `transferred`
    seed = 0  # of the puppets

    def __init__(self, root: Path, names: list[str], size: int, cache_folder: Path | None):
        self.root, self.names, self.length, self.size = root, names, len(names), size
        pixels = self.estimated_frames() * 3 * size * size
        self.small = pixels <= KEPT_BYTES
        # Decoding all of it, to look at it, would take too long.
        self.is_slow = not self.small and not all((root / n).is_dir() for n in spread(names))
        if self.small or self.is_slow:
            check_room(cache_folder, pixels if self.small else pixels * JPEG_SHARE)
        self.cache = Cache(cache_folder, size, jpeg=not self.small)

    def selected(self, indices: list[int]) -> "ClipFiles":
        """The clips with these numbers, sharing what is packed."""
        chosen = copy.copy(self)
        chosen.names, chosen.length = [self.names[index] for index in indices], len(indices)
        return chosen

    def estimated_frames(self) -> float:
        """About how many frames the clips have that will be kept."""
        counts = []
        for name in spread(self.names):
            with suppress(Unreadable, OSError):
                counts.append(min(MAX_FRAMES, expected_frames(self.root / name)))
        return self.length * sum(counts) / len(counts) if counts else 0.0

    def packed(self, index: int) -> np.ndarray | None:
        """The packed clip, or None where its frames are read in place."""
        path = self.root / self.names[index]
        if path.is_dir() and not self.small:
            return None
        return self.cache.packed(path, lambda: read_frames(path, self.size))

    def num_frames(self, index: int) -> int:
        packed = self.packed(index)
        return len(frame_files(self.root / self.names[index]) if packed is None else packed)

    def frames(self, index: int, times: list[int]) -> np.ndarray:
        """(len(times), size, size, 3) uint8 RGB."""
        packed, path = self.packed(index), self.root / self.names[index]
        if packed is not None:
            return unpacked(packed, times)
        files = frame_files(path)
        frames = (read_picture(path / files[time], 2 * self.size) for time in times)
        return np.stack([centre_square(frame, self.size) for frame in frames])

    def read(self, index: int, random: np.random.Generator) -> dict:
        """A pair of frames, drawn and changed by `random`: FRAME_NAMES (3, size, size)."""
        times = draw_times(self.num_frames(index), random)
        if self.transfers and random.random() < self.transfers:
            frames = self.transferred(index, times, random)
        else:  # with transfers, what is left leads itself
            frames = self.frames(index, times * 2 if self.transfers else times)
        frames = augment(frames, self.augmentation, random).transpose(0, 3, 1, 2)
        enlarged = self.root / self.names[index] in self.cache.enlarged
        return dict(zip(FRAME_NAMES, frames, strict=False)) | {"enlarged": enlarged}

    def transferred(self, index: int, times: list[int], random: np.random.Generator):
        """The puppet `index` as another moves, then the other, at two times: (4, S, S, 3) uint8.

        At least half of the others are of its domain. In two of five pairs their head is held
        still: smiles were lost beside what the head does. Turned around in time, by `augment`, it
        is the puppet that leads.
        """
        puppet = puppets.random_parameters(puppets.puppet_seed(self.seed, index))
        other = puppets.puppet_seed(self.seed, int(random.integers(self.length)))
        domain = puppet.domain if random.integers(2) else None
        moves = puppets.clip(other, CLIP_FRAMES, domain, fps=1)
        theirs = [moves[time] for time in times]
        if random.random() < 0.4:
            theirs[1] = with_head_still(*theirs, random)
        both = [puppets.transfer(puppet, moment) for moment in theirs] + theirs
        drawn = (puppets.draw(one, nearest_size(self.size)).picture for one in both)
        return np.stack([resize(picture, self.size) for picture in drawn])


def with_head_still(first, then, random: np.random.Generator):
    """The puppet `then` with the head of `first`; in three of five, `first` but for the corners of
    its mouth.
    """
    if random.random() < 0.6:
        corners = {12: 0.0, 14: 0.0, 15: 0.0}
        unit = int(random.choice([12, 12, 14, 15]))
        return first.with_action_units(corners | {unit: random.random()})
    gaze = {"gaze_x": then.pose.gaze_x, "gaze_y": then.pose.gaze_y}
    return replace(then, pose=replace(first.pose, **gaze))


def spread(names: list) -> list:
    """Up to ESTIMATED_FROM of them, evenly spread."""
    return names[:: max(1, -(-len(names) // ESTIMATED_FROM))]


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
