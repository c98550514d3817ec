"""Pictures of faces with their action units, for GANimation."""

from pathlib import Path

import numpy as np

from gan_models.images import centre_square, read_picture
from trainers import puppets
from trainers.data.stream import Stream
from trainers.puppets import puppet_seed, random_parameters

DEFAULT_PUPPETS = 16_000
KEPT_BYTES = 512 * 2**20  # a smaller decoded set is kept in memory after the first epoch


def open_action_units(
    path, *, size, mirror=False, seed=0, num_workers=None, part="train", shuffle=True
):
    """Batches hold "images" (n, 3, size, size) uint8 and "action_units" (n, 17) float32."""
    root, names = puppets.drawn_set(
        "ganimation", str(path), DEFAULT_PUPPETS, size=size, seed=seed, part=part
    )
    seeds = (puppet_seed(seed, index, part == "train") for index in range(len(names)))
    table = np.float32([random_parameters(number).action_units for number in seeds])
    source = Labelled(root, names, table, size)
    return Stream(source, place=str(path), seed=seed, mirror=mirror, num_workers=0, shuffle=shuffle)


class Labelled:
    """The pictures `names` below `root`, with the action units (length, 17) of each."""

    def __init__(self, root, names, action_units, size):
        self.root, self.names, self.length = Path(root), names, len(names)
        self.action_units, self.size = action_units, size
        self.kept: dict[int, np.ndarray] = {}

    def read(self, index, random):
        if index not in self.kept:
            square = centre_square(read_picture(self.root / self.names[index]), self.size)
            self.kept[index] = square.transpose(2, 0, 1).copy()
        return {"images": self.kept[index], "action_units": self.action_units[index]}
