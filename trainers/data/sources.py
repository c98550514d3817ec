"""Pictures that can be asked for by number: a folder of files, or drawn puppets.

A source has `size`, `length`, `classes`, `label(index)`, `name(index)` and `decode(index)`, which
returns ((size, size, 3) uint8 RGB, whether the picture had to be enlarged) or raises Unreadable.
`trainers/data/tfrecord.py` holds the third source, `trainers/data/pictures.py` what reads them.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from gan_models.errors import UserError
from gan_models.images import centre_square, read_picture, resize

PICTURE_SUFFIXES = frozenset(
    "png jpg jpeg jpe jfif jp2 webp avif bmp gif ico tif tiff ppm pgm pbm pnm".split()
)
FIRST_SCORE_SEED = 1_000_000_000  # puppets with this seed or a higher one are never trained on


def in_part(name: str, holdout: float, part: str) -> bool:
    """Whether the picture called `name` belongs to `part` ("train" or "held_out").

    Decided by a hash of the name alone, so the answer is the same on every machine, at every size
    and after pictures are added or removed.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    held_out = int.from_bytes(digest[:8], "big") < holdout * 2**64
    return held_out == (part == "held_out")


def fit(picture: np.ndarray, size: int, how: str) -> tuple[np.ndarray, bool]:
    """(H, W, 3) uint8 -> ((size, size, 3) uint8, whether it had to be enlarged)."""
    return centre_square(picture, size, how), min(picture.shape[:2]) < size


class Folder:
    """The picture files below `root`, in the order of their relative paths.

    With `labels`, the class of a picture is the first-level folder that it lies in.
    """

    def __init__(self, root, *, size, resize, labels, holdout, part):
        self.root, self.size, self.resize = Path(root), size, resize
        found = list_pictures(self.root)
        if not found:
            raise UserError(
                f"There are no pictures in {self.root}: a data folder holds picture files, .tar "
                "shards, or the official .tfrecords files."
            )
        self.names = [name for name in found if in_part(name, holdout, part)]
        self.length = len(self.names)
        self.classes: list[str] = []
        if labels:
            outside = next((name for name in found if "/" not in name), None)
            if outside:
                raise UserError(
                    f"{self.root / outside} lies outside a class folder: for training with labels, "
                    "put every picture into a folder named after its class."
                )
            # All names, not only this part's, so that both parts number the classes alike.
            self.classes = sorted({name.partition("/")[0] for name in found})
            numbers = {name: number for number, name in enumerate(self.classes)}
            self.labels = np.array([numbers[name.partition("/")[0]] for name in self.names])

    def name(self, index: int) -> str:
        return self.names[index]

    def label(self, index: int) -> int:
        return int(self.labels[index]) if self.classes else 0

    def decode(self, index: int) -> tuple[np.ndarray, bool]:
        return fit(read_picture(self.root / self.names[index]), self.size, self.resize)


def list_pictures(root: Path) -> list[str]:
    """Relative paths (with /) of the picture files below `root`, sorted; hidden ones left out."""
    found, visited = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link that leads back up
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in sorted(folders) if not name.startswith((".", "__MACOSX"))]
        below = Path(folder).relative_to(root)
        found += [
            (below / name).as_posix()
            for name in files
            if not name.startswith(".") and is_picture_name(name)
        ]
    return sorted(found)


def is_picture_name(name: str) -> bool:
    return name.rpartition(".")[2].lower() in PICTURE_SUFFIXES


def puppet_seed(seed: int, index: int, training: bool = True) -> int:
    """The number that puppet `index` of a set is drawn from.

    Training: made of (seed, index), below FIRST_SCORE_SEED. Otherwise FIRST_SCORE_SEED + index,
    whatever the seed, so that nothing scored was ever trained on.
    """
    if not training:
        return FIRST_SCORE_SEED + index
    return int(np.random.default_rng((seed, index)).integers(FIRST_SCORE_SEED))


class Puppets:
    """`count` characters drawn by `trainers.puppets`; the class of a puppet is its domain.

    `puppet_seed` says from which number each is drawn.
    """

    def __init__(self, count: int, *, size: int, seed: int, part: str, labels: bool):
        from trainers.puppets import DOMAINS

        self.length, self.size, self.seed, self.part = count, size, seed, part
        self.classes = list(DOMAINS) if labels else []
        self.labels: dict[int, int] = {}  # known so far

    def name(self, index: int) -> str:
        return f"puppet {index}"

    def parameters(self, index: int):
        from trainers.puppets import random_parameters

        return random_parameters(puppet_seed(self.seed, index, self.part == "train"))

    def label(self, index: int) -> int:
        if self.classes and index not in self.labels:
            self.labels[index] = self.classes.index(self.parameters(index).domain)
        return self.labels.get(index, 0)

    def decode(self, index: int) -> tuple[np.ndarray, bool]:
        from trainers.puppets import draw

        drawn_size = min(max(self.size, 32), 256)  # the sizes that the drawing is made for
        picture = draw(self.parameters(index), drawn_size).picture
        if drawn_size != self.size:
            picture = resize(picture, self.size)
        return picture, drawn_size < self.size
