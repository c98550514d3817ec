"""Pictures of faces with their action units, for GANimation.

    DATA/aus_openface.pkl   as the official code wants it: intensities by the picture's name; or
    DATA/aus.csv            a row for each picture; or
    DATA/**/*.csv           tables as OpenFace, py-feat and LibreFace write them
    DATA/**/NAME.jpg        the pictures, in any folders
    DATA/train_ids.csv      where there are lists: the pictures of each part, a name a line
    DATA/test_ids.csv

A row belongs to the picture that its column "file" (or "input", "image", ...) names; without such a
column to that with the table's name, or, if the table counts frames, to that with the frame's
number in a folder with the table's name. All raise UserError.
"""

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gan_models import checkpoints, faces
from gan_models.errors import Unreadable, UserError
from gan_models.ganimation.action_units import CODES
from gan_models.ganimation.tables import MIN_CONFIDENCE, read_table
from gan_models.images import centre_square, read_picture
from trainers import distributed, puppets, state
from trainers.data.files import (
    check_folder,
    check_holdout,
    decode,
    list_pictures,
    of_part,
    say_passed_over,
)
from trainers.data.stream import Stream
from trainers.puppets import draw, puppet_seed, random_parameters
from trainers.puppets.sets import cache_folder

DEFAULT_PUPPETS = 16_000
KEPT_BYTES = 512 * 2**20  # a smaller decoded set is kept in memory after the first epoch
OFFICIAL = "aus_openface.pkl"
FULL = 5  # OpenFace's strongest intensity
LISTS = {"train": "train_ids.csv", "held_out": "test_ids.csv"}
MOST_CHANGED = 3  # action units of a target that is a picture's own but for these
Crop = Literal["face", "centre", "none"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Targets:
    """How the wanted action units of a picture are drawn: those of another picture of the set, each
    up to `noise` off, as in the official code; `clip` keeps them in [0, 1]. `own`: share that are
    the picture's own, but for 0 to 3 drawn anew (ours). `truth`: puppets are also drawn with them.
    """

    noise: float = 0.1
    clip: bool = False
    own: float = 0.0
    truth: bool = False

    def draw(self, table: np.ndarray, index: int, random: np.random.Generator) -> np.ndarray:
        """(17,) float32 for picture `index` of the table (length, 17)."""
        if random.random() < self.own:
            target, count = table[index].copy(), random.integers(MOST_CHANGED + 1)
            changed = random.choice(len(target), count, replace=False)
            target[changed] = random.random(count)
        else:
            target = table[random.integers(len(table))]
            target = target + random.uniform(-self.noise, self.noise, len(target))
        return np.float32(target.clip(0, 1) if self.clip else target)


def open_action_units(
    path,
    *,
    size: int,
    crop: Crop = "face",
    margin: float = 0.0,
    targets: Targets | None = None,
    mirror: bool = False,
    seed: int = 0,
    num_workers: int | None = None,
    holdout: float = 0.0,
    part: str = "train",
    shuffle: bool = True,
) -> Stream:
    """Open pictures with action units; batches hold "images" (n, 3, size, size) uint8 and
    "action_units" (n, 17) float32 in [0, 1], which `.source.action_units` lists for all; with
    `targets` also "targets" (n, 17) and, if it says so, "truths", which are as the images.

    path: puppets or puppets:COUNT, or a folder as described above. crop: what is seen of a picture.
    face: what weights of that kind and `margin` see, the square of its largest face; centre: the
    middle square; none: all of it. holdout: the share that `part` "held_out" gives, where no lists
    say it. UserError when there is nothing to train on, and for tables that cannot be used.
    """
    check_holdout(holdout)
    parameters, boxes = None, {}
    if puppets.is_puppets(str(path)):
        root, names = puppets.drawn_set(
            "ganimation", str(path), DEFAULT_PUPPETS, size=size, seed=seed, part=part
        )
        seeds = [puppet_seed(seed, index, part == "train") for index in range(len(names))]
        parameters = [random_parameters(number) for number in seeds]
        table = [one.action_units for one in parameters]
    else:
        root = Path(path).expanduser()
        check_folder(root, "pictures with action units")
        found = labelled(root)
        every = sorted(found)
        names = of_list(root, part, every)
        if names is None:
            names = [every[index] for index in of_part(every, holdout, part, root)]
        if crop == "face":
            boxes = distributed.one_by_one(lambda: face_boxes(root, names, margin))
            names = [name for name in names if name in boxes]
        if not names:
            raise UserError(
                f"In no picture of {root} a face was found: if they are faces that were cut out, "
                "give --crop centre."
            )
        table = [found[name] for name in names]
    if targets and targets.truth and parameters is None:
        raise UserError("--reconstruction-weight needs puppets: of others no truth is known.")
    source = Faces(root, names, np.float32(table), size, crop, boxes, targets, parameters)
    if not num_workers and source.length * 3 * size**2 <= KEPT_BYTES:
        source.kept, num_workers = {}, 0
    how = {"seed": seed, "mirror": mirror, "num_workers": num_workers, "shuffle": shuffle}
    return Stream(source, place=str(path), **how)


class Faces:
    """The pictures `names` below `root` with the action units (length, 17) of each; cut at `boxes`
    by name, if there are some. parameters: of puppets.
    """

    def __init__(self, root, names, action_units, size, crop, boxes, targets, parameters):
        self.root, self.names, self.length = Path(root), names, len(names)
        self.action_units, self.size, self.crop, self.boxes = action_units, size, crop, boxes
        self.targets, self.parameters = targets, parameters
        self.kept: dict[int, np.ndarray] | None = None  # pictures read before, where they are kept

    def read(self, index: int, random: np.random.Generator) -> dict:
        square = self.kept.get(index) if self.kept is not None else None
        if square is None:
            square = self.cut(self.names[index])
            if self.kept is not None:
                self.kept[index] = square
        item = {"images": square, "action_units": self.action_units[index]}
        if self.targets:
            item["targets"] = target = self.targets.draw(self.action_units, index, random)
            if self.targets.truth:
                wanted = dict(zip(CODES, target.clip(0, 1).tolist(), strict=True))
                truth = self.parameters[index].with_action_units(wanted)
                item["truths"] = draw(truth, self.size).picture.transpose(2, 0, 1)
        return item

    def cut(self, name: str) -> np.ndarray:
        """(3, size, size) uint8 of a picture."""
        picture = read_picture(self.root / name)
        if name in self.boxes:
            square = faces.crop(picture, faces.Box(*self.boxes[name]), self.size)
        else:
            height, width = picture.shape[:2]
            if self.crop == "none" and height != width:
                raise Unreadable(
                    f"it is {width} x {height} pixels, no square: give --crop face or centre."
                )
            square = centre_square(picture, self.size)
        return np.ascontiguousarray(square.transpose(2, 0, 1))


# --- which picture has which action units --------------------------------------------------------


def labelled(root: Path) -> dict[str, np.ndarray]:
    """The pictures below `root` that have action units, by name: (17,) in [0, 1]."""
    pictures, (rows, tables) = list_pictures(root), read_tables(root)
    found, used = {}, set()
    for name in pictures:
        key = next((key for key in keys_of(name) if key in rows), None)
        if key is not None:
            found[name] = rows[key]
            used.add(key)
    if not found:
        raise UserError(
            f"No picture below {root} has action units ({len(pictures)} pictures, rows of "
            f"{len(rows)} in {', '.join(tables)}): a row names its picture in a column called "
            "file, or the table has the picture's name."
        )
    say_passed_over(root, [x for x in pictures if x not in found], "pictures without a row")
    say_passed_over(root, [x for x in rows if x not in used], "rows without a picture")
    return found


def keys_of(name: str) -> list[str]:
    """How rows may call the picture: by its name, with its ending or without; or by folder and
    frame, as OpenFace names the faces that it cuts out of a film.
    """
    path = Path(name)
    keys, number = [path.name, path.stem], re.search(r"(\d+)$", path.stem)
    if number:
        keys.append(f"{path.parent.name.removesuffix('_aligned')} frame {int(number[1])}")
    return keys


def of_list(root: Path, part: str, names: list[str]) -> list[str] | None:
    """The names of this part by the official code's lists; None where there are no lists."""
    if not (root / LISTS["train"]).is_file():
        return None
    path = root / LISTS[part]
    try:
        lines = decode(path.read_bytes()).splitlines()
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}).") from error
    wanted = {line.strip() for line in lines}
    found = [name for name in names if Path(name).name in wanted]
    if not found:
        raise UserError(f"{path} names no picture that is there and has action units.")
    return found


def read_tables(root: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Action units (17,) by what names a picture (see `keys_of`), and the first tables' names."""
    if (root / OFFICIAL).is_file():
        return read_official(root / OFFICIAL), [OFFICIAL]
    tables = [root / "aus.csv"]
    if not tables[0].is_file():
        tables = [path for path in sorted(root.rglob("*.csv")) if path.name not in LISTS.values()]
    if not tables:
        raise UserError(
            f"There is no table of action units in {root}: put {OFFICIAL}, aus.csv or the .csv "
            "files of OpenFace, py-feat or LibreFace there."
        )
    best: dict[str, tuple[float, np.ndarray]] = {}
    unsure, others = [], []
    for path in tqdm(tables, "tables", disable=len(tables) < 100 or None, leave=False):
        table = read_table(path)
        for row, (file, frame) in enumerate(zip(table.files, table.frames, strict=True)):
            key = file or (path.stem if frame is None else f"{path.stem} frame {frame}")
            sure = float(table.confidence[row])
            if sure < MIN_CONFIDENCE:
                unsure.append(key)
                continue
            others += [key] * (key in best)
            if key not in best or sure > best[key][0]:
                best[key] = sure, table.action_units[row]
    say_passed_over(root, unsure, f"faces that are less than {MIN_CONFIDENCE:.0%} certain")
    say_passed_over(root, others, "further faces of a picture; the most certain one is taken")
    return {key: units for key, (_, units) in best.items()}, [path.name for path in tables[:3]]


def read_official(path: Path) -> dict[str, np.ndarray]:
    """The official code's pickle; nothing in it is executed."""
    content = checkpoints.load(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} is no table of action units: the official one is a dictionary.")
    found = {}
    for name, values in content.items():
        values = np.asarray(values)
        if values.shape != (len(CODES),) or values.dtype.kind not in "fiu":
            raise UserError(f"{path}: {name} does not have {len(CODES)} numbers.")
        if not (values.min() >= 0 and values.max() <= FULL):  # NaN fails too
            raise UserError(f"{path}: action units are 0 to {FULL}, and those of {name} are not.")
        found[str(name)] = np.float32(values / FULL)
    return found


# --- faces ---------------------------------------------------------------------------------------


def face_boxes(root: Path, names: list[str], margin: float) -> dict[str, list[float]]:
    """(left, top, right, bottom) of what weights of this margin see of each picture. Those without
    a face are left out and counted. Pictures are searched once: the answers are kept in the cache
    folder until one of them changes.
    """
    stats = [(root / name).stat() for name in names]
    stats = [(name, s.st_size, s.st_mtime_ns) for name, s in zip(names, stats, strict=True)]
    known = json.dumps([str(root.resolve()), margin, stats])
    kept = cache_folder() / "faces" / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    found, without, broken = {}, [], []
    for name in tqdm(names, "faces", disable=None, leave=False):
        try:
            framing = faces.frame(read_picture(root / name), "face", margin=margin)
        except Unreadable:
            broken.append(name)
            continue
        if framing.faces:
            box = framing.box
            found[name] = [box.left, box.top, box.right, box.bottom]
        else:
            without.append(name)
    say_passed_over(root, without, "no face is found in them")
    say_passed_over(root, broken, "they can't be read")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        state.replace_file(kept, lambda file: file.write(json.dumps(found).encode()))
    except (OSError, UserError):  # then they are searched again next time
        pass
    return found
