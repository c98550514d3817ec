"""Training pictures: opening a folder, .tar shards or puppets, with or without classes."""

from pathlib import Path

import numpy as np

from gan_models.errors import UserError
from gan_models.images import centre_square, read_picture
from trainers import puppets
from trainers.data.files import check_folder, check_holdout, list_pictures, of_part
from trainers.data.shards import Shards, ShardStream, read_class_names, shard_urls
from trainers.data.stream import Stream

KEPT_BYTES = 512 * 2**20  # a smaller decoded set is kept in memory after the first epoch
DEFAULT_PUPPETS = 20_000


def open_data(
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
    name, root = str(path), Path(path).expanduser()
    if puppets.is_puppets(name):
        root, names = puppets.drawn_set(
            "progan", name, DEFAULT_PUPPETS, size=size, seed=seed, part=part
        )
        classes = list(puppets.DOMAINS) if labels else []
    else:
        if part == "held_out" and holdout == 0:
            raise UserError("With a holdout of 0 no pictures are held out: give a share, as 0.1.")
        if urls := shard_urls(name):
            classes = read_class_names(urls[0]) if labels else []
            shards = Shards(urls, size, resize, seed, mirror, classes, holdout, part)
            return ShardStream(shards, place=name, num_workers=num_workers)
        check_folder(root, "pictures or of .tar shards")
        found = list_pictures(root)
        if not found:
            raise UserError(
                f"There are no pictures in {root}: a data folder holds picture files or .tar "
                "shards."
            )
        names = [found[index] for index in of_part(found, holdout, part, root)]
        # All pictures' classes, not only this part's, so that both parts number them alike.
        classes = class_folders(root, found) if labels else []
    source = Folder(root, names, size, resize, classes)
    if not num_workers and source.length * 3 * size**2 <= KEPT_BYTES:
        source.kept, num_workers = {}, 0
    return Stream(source, place=name, seed=seed, mirror=mirror, num_workers=num_workers)


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
