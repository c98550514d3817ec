"""Training pictures: opening a folder, .tar shards or puppets, with or without classes."""

from pathlib import Path

import numpy as np

from gan_models.errors import UserError
from gan_models.images import centre_square, read_picture
from trainers import puppets
from trainers.data.files import in_part, list_pictures
from trainers.data.shards import Shards, ShardStream, expand, is_remote, read_class_names
from trainers.data.stream import Stream

KEPT_BYTES = 512 * 2**20  # a smaller decoded set is kept in memory after the first epoch
DEFAULT_PUPPETS = 20_000


def open_pictures(
    path,
    *,
    size: int,
    resize: str = "crop",
    mirror: bool = False,
    seed: int = 0,
    num_workers: int | None = None,
    labels: bool = False,
    holdout: float = 0.0,
    part: str = "train",
) -> Stream:
    """Open training pictures; batches hold "images", (n, 3, size, size) uint8, and "labels", (n,)
    int64, zeros without labels.

    path: puppets or puppets:COUNT (20000 unless COUNT says otherwise); a folder of pictures,
    searched with its subfolders, of any size and mode (with labels, the first-level folders are the
    classes); a folder of .tar shards, one .tar, or a pattern such as "shards/{0000..0099}.tar",
    read as a stream (with labels, a classes.txt beside them names the classes and each sample has a
    .cls). resize: "crop" takes the centre square, "stretch" the whole picture. holdout: share of
    the pictures, 0 to 0.5, that `part` "train" leaves out and `part` "held_out" gives, chosen by a
    hash of each picture's name; puppets always have a held-out part of their own. num_workers:
    processes that decode; None: as many as pay, none for a set that is kept in memory.
    Raises UserError when there is nothing to train on.
    """
    check_holdout(holdout)
    name = str(path)
    common = dict(place=name, seed=seed, mirror=mirror)
    if puppets.is_puppets(name):
        drawn = puppets.drawn_set("progan", name, DEFAULT_PUPPETS, size=size, seed=seed, part=part)
        source = Folder(*drawn, size, resize, list(puppets.DOMAINS) if labels else [])
        return Stream(source, num_workers=kept(source, num_workers), **common)
    if part == "held_out" and holdout == 0:
        raise UserError("With a holdout of 0 no pictures are held out: give a share such as 0.1.")

    root = Path(name).expanduser()
    streamed = is_remote(name) or name.endswith(".tar") or "{" in name and not root.exists()
    if not streamed:
        check_folder(root)
    if streamed or any(root.glob("*.tar")):
        urls = expand(name if streamed else str(root))
        classes = read_class_names(urls[0]) if labels else []
        source = Shards(urls, size, resize, seed, mirror, classes, holdout, part)
        return ShardStream(source, place=name, num_workers=num_workers)
    found = list_pictures(root)
    if not found:
        raise UserError(
            f"There are no pictures in {root}: a data folder holds picture files or .tar shards."
        )
    names = [name for name in found if in_part(name, holdout, part)]
    if not names:
        raise UserError(
            f"A holdout of {holdout} leaves no picture of {root} for the {part} part: the set is "
            "too small for it."
        )
    # All pictures' classes, not only this part's, so that both parts number them alike.
    source = Folder(root, names, size, resize, class_folders(root, found) if labels else [])
    return Stream(source, num_workers=kept(source, num_workers), **common)


def kept(source: "Folder", num_workers: int | None) -> int | None:
    """The workers for a folder: none for a small set, which is kept in memory instead."""
    if num_workers or source.length * 3 * source.size**2 > KEPT_BYTES:
        return num_workers
    source.kept = {}
    return 0


def class_folders(root: Path, names: list[str]) -> list[str]:
    """The first-level folders of all pictures, sorted."""
    outside = next((name for name in names if "/" not in name), None)
    if outside:
        raise UserError(
            f"{root / outside} lies outside a class folder: for training with labels, put every "
            "picture into a folder named after its class."
        )
    return sorted({name.partition("/")[0] for name in names})


class Folder:
    """The picture files `names` below `root`; the class of one is its first-level folder."""

    def __init__(self, root: Path, names: list[str], size: int, resize: str, classes: list[str]):
        self.root, self.names, self.length = root, names, len(names)
        self.size, self.resize, self.classes = size, resize, classes
        self.kept: dict[int, dict] | None = None  # items read before, where they are kept

    def read(self, index: int, random: np.random.Generator) -> dict:
        """The picture (3, size, size) uint8 and its class, 0 without classes."""
        if self.kept and index in self.kept:
            return dict(self.kept[index])
        picture = read_picture(self.root / self.names[index])
        square = centre_square(picture, self.size, self.resize)
        folder = self.names[index].partition("/")[0]
        item = {
            "images": square.transpose(2, 0, 1).copy(),  # not the whole picture behind it
            "labels": np.int64(self.classes.index(folder) if self.classes else 0),
            "enlarged": min(picture.shape[:2]) < self.size,
        }
        if self.kept is not None:
            self.kept[index] = item
        return dict(item)


def check_holdout(holdout: float):
    if not 0 <= holdout <= 0.5:
        raise UserError(f"A holdout of {holdout} is not between 0 and 0.5.")


def check_folder(folder: Path):
    if not folder.exists():
        raise UserError(
            f"There is no folder {folder}. Data is a folder of pictures or of .tar shards, or "
            '"puppets".'
        )
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: give the folder that it lies in, or unpack it first.")
