"""Pictures with label maps for SPADE: where the files of each data set lie, how they become the
network's size, and which labels they may hold.

    coco, facades   train_img/, train_label/ and train_inst/ (if there are instances), val_* alike;
                    the files of one picture have the same name. coco adds train_img_portrait/ ...
    ade20k          anywhere below the folder: *_train_* and *_val_*, .jpg pictures, .png maps
    cityscapes      leftImg8bit/{train,val}/*/NAME_leftImg8bit.png,
                    gtFine/{train,val}/*/NAME_gtFine_{labelIds,instanceIds}.png
    custom          any three folders of files with the same names

A label map is a picture of 8 bits, grey or indexed, whose numbers are classes; 255 is no label.
"""

import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from tqdm import tqdm

from gan_models.errors import Unreadable, UserError
from gan_models.images import READABLE, read_picture
from trainers import distributed, puppets, state
from trainers.data.companions import companion, puppets_of
from trainers.data.files import check_folder, check_holdout, is_picture, of_part, walk
from trainers.data.stream import Stream
from trainers.puppets import draw
from trainers.puppets.sets import cache_folder

DEFAULT_PUPPETS = 5_000
Layout = Literal["puppets", "coco", "ade20k", "cityscapes", "facades", "custom"]
Mode = Literal[
    "resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "scale_shortside",
    "scale_shortside_and_crop", "fixed", "none",
]  # fmt: skip
VOID = 255  # the label of pixels without a label
PARTS = {"train": "train", "held_out": "val"}  # what the data sets call them

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Framing:
    """How a picture of any size becomes the network's `size` (height, width).

    Modes are the official code's: resize_and_crop squeezes the picture to load_size x load_size;
    scale_width brings that side to load_size; *_and_crop and crop then cut a random square of
    crop_size; fixed squeezes to `size`; none rounds the sides to multiples of 32. As in the
    official code: scale_shortside, too, changes the long side alone, as if the short one were
    brought to load_size.
    """

    size: tuple[int, int]
    mode: Mode = "fixed"
    load_size: int = 286
    crop_size: int = 256

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) before a crop."""
        load = self.load_size
        if self.mode == "resize_and_crop":
            return load, load
        if self.mode == "fixed":
            return self.size[1], self.size[0]
        if self.mode == "none":
            return round(width / 32) * 32, round(height / 32) * 32
        if self.mode.startswith("scale_width"):
            return load, int(load * height / width)
        if self.mode.startswith("scale_shortside"):
            short = min(width, height)
            longer = int(load * max(width, height) / short)
            return (width, longer) if width == short else (longer, height)
        return width, height

    def draw(self, width: int, height: int, random: np.random.Generator) -> tuple[int, int]:
        """The (left, top) of the crop of a picture of this size."""
        left, top = (
            int(random.integers(max(0, side - self.crop_size) + 1))
            for side in self.scaled(width, height)
        )
        return left, top

    def apply(self, picture: Image.Image, corner: tuple[int, int], nearest=False) -> np.ndarray:
        """The picture as an array, cut at `corner`.

        As in the official code: what lies beyond the border is 0.
        """
        scaled = self.scaled(*picture.size)
        if scaled != picture.size:
            how = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
            picture = picture.resize(scaled, how)
        side = self.crop_size
        if "crop" in self.mode and (scaled[0] > side or scaled[1] > side):
            left, top = corner
            picture = picture.crop((left, top, left + side, top + side))
        return np.asarray(picture)


def open_labelled(
    path,
    *,
    layout: Layout,
    classes: int,
    unknown: int | None,
    framing: Framing,
    instances: bool = False,
    companions: bool = False,
    folders: tuple[str, str, str] = ("images", "labels", ""),
    mirror: bool = False,
    seed: int = 0,
    num_workers: int | None = None,
    holdout: float = 0.0,
    part: str = "train",
    shuffle: bool = True,
) -> Stream:
    """Open pictures with label maps; batches hold "images" (n, 3, H, W) uint8, "label_maps"
    (n, H, W) uint8 below `classes` and, if `instances`, "instances" (n, H, W) int32; if
    `companions`, of puppets also "companions" as the images: another in the colours of each.

    path: puppets or puppets:COUNT, or a folder in one of the layouts above. unknown: the class of
    pixels without a label, which they may have then. instances: where a set has no such maps, the
    labels stand for them. folders: of pictures, maps and instances (or "") below `path`, for
    custom, whose `holdout` share is the "held_out" part; the others have a part of their own.
    Raises UserError when there is nothing to train on, and for labels out of range.
    """
    parameters = None
    if puppets.is_puppets(str(path)):
        root, names = puppets.drawn_set(
            "spade", str(path), DEFAULT_PUPPETS, size=framing.size[0], seed=seed, part=part
        )
        files = [tuple(f"{kind}/{name}" for kind in ("img", "label", "inst")) for name in names]
        if companions:
            parameters = puppets_of(len(names), seed, part)
    else:
        root = Path(path).expanduser()
        check_folder(root, "pictures with label maps")
        files = listed(root, layout, folders, instances, holdout, part)
        check_labels(root, [names[1] for names in files], classes, unknown)
    source = Labelled(root, files, framing, unknown, instances, parameters)
    how = {"seed": seed, "mirror": mirror, "num_workers": num_workers, "shuffle": shuffle}
    return Stream(source, place=str(path), **how)


# --- files ---------------------------------------------------------------------------------------


def listed(root, layout, folders, wanted, holdout, part) -> list[tuple[str, str, str | None]]:
    """(picture, label map, instance map if `wanted` and there) of each, as names below `root`."""
    check_holdout(holdout)
    pictures, maps, found = FINDERS[layout](root, PARTS[part], folders)
    instances = found if wanted else {}
    common = [key for key in sorted(pictures) if key in maps]
    alone = sorted(pictures.keys() ^ maps.keys())
    if alone:
        log.warning(
            "Passed over in %s: %d without a partner, such as %s (a picture and its label map have "
            "the same name).", root, len(alone), (pictures | maps)[alone[0]],
        )  # fmt: skip
    if not common:
        raise UserError(
            f"There are no pictures with label maps in {root} for the {PARTS[part]} part: the "
            f"layout {layout} wants {WANTED[layout].format(part=PARTS[part])}, with equal names."
        )
    if layout == "custom":
        common = [common[index] for index in of_part(common, holdout, part, root)]
    without = [pictures[key] for key in common if instances and key not in instances]
    if without:
        raise UserError(
            f"{root / without[0]} has no instance map, and others have one: add it, or take the "
            "folder of instance maps away."
        )
    return [(pictures[key], maps[key], instances.get(key)) for key in common]


def files_below(root: Path, folder: str) -> list[str]:
    """Names below `root` of the pictures in `folder` and its folders, if it is there."""
    home = root / folder
    if not home.is_dir():
        return []
    place = home.as_posix() if Path(folder).is_absolute() else folder
    found = [below + name for below, _, names in walk(home) for name in names if is_picture(name)]
    return [f"{place}/{name}".removeprefix("./") for name in found]


def by_name(root: Path, folder: str, suffix: str = "") -> dict[str, str]:
    """The files of a folder by what their names, without endings, have in common."""
    return {
        suffix + name.removeprefix(folder).rpartition(".")[0]: name
        for name in files_below(root, folder)
    }


def find_coco(root, part, folders):
    """Also facades: its folders are named alike."""
    kinds = ("img", "label", "inst")
    found = [by_name(root, f"{part}_{kind}") for kind in kinds]
    if part == "train":  # upright pictures, which not all downloads have
        for files, kind in zip(found, kinds, strict=True):
            files |= by_name(root, f"train_{kind}_portrait", "portrait ")
    return found


def find_ade20k(root, part, folders):
    pictures, maps = {}, {}
    for name in files_below(root, "."):
        if f"_{part}_" in name:
            stem, _, ending = name.rpartition("/")[2].rpartition(".")
            (maps if ending.lower() == "png" else pictures)[stem] = name
    return pictures, maps, {}


def find_cityscapes(root, part, folders):
    def three(folder, ending):  # a name is CITY_NUMBER_NUMBER_what.png
        return {
            tuple(name.rpartition("/")[2].split("_")[:3]): name
            for name in files_below(root, f"{folder}/{part}")
            if name.endswith(ending)
        }

    kinds = ("labelIds.png", "instanceIds.png")
    return three("leftImg8bit", ""), *(three("gtFine", kind) for kind in kinds)


def find_custom(root, part, folders):
    pictures, maps, instances = folders
    return by_name(root, pictures), by_name(root, maps), by_name(root, instances or "no folder")


FINDERS = {
    "coco": find_coco, "facades": find_coco, "ade20k": find_ade20k, "cityscapes": find_cityscapes,
    "custom": find_custom,
}  # fmt: skip
WANTED = {
    "coco": "{part}_img/ and {part}_label/",
    "facades": "{part}_img/ and {part}_label/",
    "ade20k": "*_{part}_*.jpg and *_{part}_*.png",
    "cityscapes": "leftImg8bit/{part}/ and gtFine/{part}/ (*_labelIds.png)",
    "custom": "--image-dir and --label-dir, two folders in it,",
}


# --- labels --------------------------------------------------------------------------------------


def check_labels(root: Path, names: list[str], classes: int, unknown: int | None) -> None:
    """UserError with the file's name for a label out of range, which on a GPU would only be an
    error of CUDA's, far away.
    """
    for label, name in sorted(distributed.one_by_one(lambda: labels_in(root, names)).items()):
        if label < classes or label == VOID and unknown is not None:
            continue
        remedy = f"give --num-classes {label + 1} or more if it is one"
        if label == VOID:
            remedy = "if it marks pixels without a label, give --dont-care"
        raise UserError(
            f"{root / name} has the label {label}, but the {classes} classes are 0 to "
            f"{classes - 1}: {remedy}, or mend the map."
        )


def labels_in(root: Path, names: list[str]) -> dict[int, str]:
    """Each label that occurs, with the first file that has it. All files are read once; the answer
    is kept in the cache folder until one of them changes.
    """
    stats = [(root / name).stat() for name in names]
    stats = [(name, s.st_size, s.st_mtime_ns) for name, s in zip(names, stats, strict=True)]
    digest = hashlib.sha256(json.dumps([str(root.resolve()), stats]).encode()).hexdigest()
    kept = cache_folder() / "labels" / f"{digest[:32]}.json"
    if kept.is_file():
        return {int(label): name for label, name in json.loads(kept.read_text()).items()}

    def labels(name):
        try:
            return np.unique(read_ids(root / name)).tolist()
        except Unreadable:  # the stream says so
            return []

    found: dict[int, str] = {}
    with ThreadPoolExecutor() as pool:
        every = tqdm(pool.map(labels, names), "labels", total=len(names), disable=None, leave=False)
        for name, some in zip(names, every, strict=True):
            for label in some:
                found.setdefault(label, name)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        state.replace_file(kept, lambda file: file.write(json.dumps(found).encode()))
    except (OSError, UserError):  # then it is read again next time
        pass
    return found


def read_ids(path: Path) -> np.ndarray:
    """(H, W) whole numbers of a map. Raises Unreadable for colours, and what is no picture."""
    try:
        with Image.open(path, formats=READABLE) as image:
            ids = np.asarray(image)
            mode = image.mode
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise Unreadable(f"{path} is no label map that can be read ({error}).") from error
    if ids.ndim != 2 or ids.dtype.kind not in "iub":
        raise Unreadable(
            f"{path} is a colour picture ({mode}), and a map holds one number a pixel: save it "
            "with 8 bits, grey or indexed."
        )
    return ids.astype(np.int32)


class Labelled:
    """The pictures `files` below `root`: (picture, label map, instance map or None) of each.

    parameters: of each puppet, where companions are drawn.
    """

    def __init__(self, root, files, framing, unknown, instances, parameters):
        self.root, self.files, self.framing = root, files, framing
        self.unknown, self.instances, self.parameters = unknown, instances, parameters
        self.names, self.length = [names[0] for names in files], len(files)

    def read(self, index: int, random: np.random.Generator) -> dict:
        picture, label_map, instances = self.files[index]
        picture = Image.fromarray(read_picture(self.root / picture))
        ids = read_ids(self.root / label_map)
        corner = self.framing.draw(ids.shape[1], ids.shape[0], random)

        def framed(numbers):
            return self.framing.apply(Image.fromarray(numbers), corner, nearest=True)

        pixels, labels = self.framing.apply(picture, corner), framed(ids)
        for shape in (pixels.shape[:2], labels.shape):
            if shape != self.framing.size:
                wanted = "{1} x {0}".format(*self.framing.size)
                raise Unreadable(
                    f"after --preprocess {self.framing.mode} it is {shape[1]} x {shape[0]} pixels, "
                    f"not {wanted} as the network: choose another mode, such as fixed."
                )
        item = {
            "images": pixels.transpose(2, 0, 1),
            "label_maps": np.where(labels == VOID, self.unknown or 0, labels).astype(np.uint8),
        }
        if self.instances:
            theirs = ids if instances is None else read_ids(self.root / instances)
            item["instances"] = framed(theirs)
        if self.parameters:
            other = draw(companion(self.parameters[index], random), len(ids)).picture
            other = self.framing.apply(Image.fromarray(other), corner)
            item["companions"] = other.transpose(2, 0, 1)
        return item
