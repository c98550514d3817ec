"""Pictures of several domains for StarGAN v2: a source, and two references of any one domain."""

from pathlib import Path

import numpy as np
from PIL import Image

from gan_models.errors import UserError
from gan_models.images import read_picture, resize
from trainers import puppets
from trainers.data.companions import companion, puppets_of, recoloured
from trainers.data.files import check_folder, check_holdout, is_shown, list_pictures, of_part
from trainers.data.stream import Stream
from trainers.puppets import draw
from trainers.puppets.drawing import nearest_size

DEFAULT_PUPPETS = 6_000
AREA, RATIO = (0.8, 1.0), (0.9, 1.1)  # of a random crop: share of the area, width / height
PARTS = {"train": "train", "held_out": "val"}


def open_domains(
    path,
    *,
    size: int,
    mirror: bool = False,
    crop_probability: float = 0.0,
    pairs: bool = False,
    seed: int = 0,
    num_workers: int | None = None,
    holdout: float = 0.0,
    part: str = "train",
    shuffle: bool = True,
) -> Stream:
    """Open pictures of several domains; batches hold "images" (n, 3, size, size) uint8 with their
    "domains" (n,) int64, and "references" (n, 2, 3, size, size), both of "targets" (n,) int64; if
    `pairs`, of puppets also "pairs" (n, 3, 3, size, size): itself, itself in other colours, and
    another of its domain in its colours.

    path: puppets or puppets:COUNT; a folder with a folder of pictures for each domain, or with two
    such folders called train and val. holdout: without those, the share that `part` "train" leaves
    out and "held_out" gives. Domains are drawn equally often. Pictures are squeezed to squares.
    Raises UserError for fewer than two domains, or an empty one.
    """
    check_holdout(holdout)
    parameters = None
    if puppets.is_puppets(str(path)):
        root, names = puppets.drawn_set(
            "progan", str(path), DEFAULT_PUPPETS, size=size, seed=seed, part=part
        )
        everything = names
        if pairs:
            parameters = puppets_of(len(names), seed, part)
    else:
        root = Path(path).expanduser()
        check_folder(root, "a folder of pictures for each domain")
        own = root / PARTS[part]
        if own.is_dir():
            root = own
        everything = names = list_pictures(root)
        if not own.is_dir() and names:
            names = [names[index] for index in of_part(names, holdout, part, root)]
    domains = domains_of(root, everything)
    source = Domains(root, names, domains, size, mirror, crop_probability, parameters)
    count = max(map(len, source.members))
    return Stream(
        source, place=str(path), seed=seed, num_workers=num_workers, shuffle=shuffle,
        groups=source.members, repeats=count,
    )  # fmt: skip


def domains_of(root, names) -> list[str]:
    """The folders that pictures lie in, sorted; UserError for fewer than two, or an empty one."""
    alone = next((name for name in names if "/" not in name), None)
    if alone:
        raise UserError(f"{root / alone} lies outside a domain: put it into a folder named so.")
    found = sorted({name.partition("/")[0] for name in names})
    if len(found) < 2:
        raise UserError(
            f"{root} has {len(found)} folders with pictures: translation takes two domains or "
            "more, each a folder of its pictures."
        )
    folders = [path.name for path in root.iterdir() if path.is_dir()]
    empty = sorted(name for name in folders if name not in found and is_shown(name))
    if empty:
        raise UserError(f"{root / empty[0]} has no pictures: fill it or take it away.")
    return found


class Domains:
    """The pictures `names` below `root`, each called DOMAIN/.../FILE.

    parameters: of each puppet, where pairs are drawn.
    """

    def __init__(self, root, names, domains, size, mirror, crop_probability, parameters=None):
        self.root, self.names, self.length, self.classes = root, names, len(names), domains
        self.size, self.mirror, self.crop_probability = size, mirror, crop_probability
        self.parameters = parameters
        of = [domains.index(name.partition("/")[0]) for name in names]
        self.domain = np.array(of)
        self.members = [np.flatnonzero(self.domain == d).tolist() for d in range(len(domains))]
        without = [d for d, members in zip(domains, self.members, strict=True) if not members]
        if without:
            raise UserError(f"Nothing of {without[0]} is left for training: lower the holdout.")

    def read(self, index: int, random: np.random.Generator) -> dict:
        """The picture and, of one domain, two others; each cropped and mirrored by chance. With
        `parameters` also a pair, which is neither.

        Differs from the official code, whose references have one partner for the whole run.
        """
        target = int(random.integers(len(self.classes)))
        chosen = random.choice(self.members[target], 2)
        item = {
            "images": self.picture(index, random),
            "domains": self.domain[index],
            "references": np.stack([self.picture(other, random) for other in chosen]),
            "targets": np.int64(target),
        }
        if self.parameters:
            puppet, drawn = self.parameters[index], nearest_size(self.size)
            pictures = [read_picture(self.root / self.names[index])]
            for other in (recoloured(puppet, random), companion(puppet, random)):
                pictures.append(draw(other, drawn).picture)
            pictures = [resize(picture, self.size) for picture in pictures]
            item["pairs"] = np.stack(pictures).transpose(0, 3, 1, 2)
        return item

    def picture(self, index, random):
        """(3, size, size) uint8."""
        picture = read_picture(self.root / self.names[index])
        if random.random() < self.crop_probability:
            picture = cropped(picture, random)
        picture = resize(picture, self.size)
        if self.mirror and random.random() < 0.5:
            picture = picture[:, ::-1]
        return picture.transpose(2, 0, 1)


def cropped(picture, random):
    """A random part of a picture (H, W, 3), as in the official code."""
    height, width = picture.shape[:2]
    area = random.uniform(*AREA) * height * width
    ratio = np.exp(random.uniform(*np.log(RATIO)))
    across = min(width, round((area * ratio) ** 0.5))
    down = min(height, round((area / ratio) ** 0.5))
    left, top = random.integers(width - across + 1), random.integers(height - down + 1)
    return np.asarray(Image.fromarray(picture).crop((left, top, left + across, top + down)))
