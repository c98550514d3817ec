"""Drawn sets of puppets, which `--data puppets[:COUNT]` means: files in the layout that its system
documents, drawn once into a cache folder and read from there as any other data.

A set is known by layout, version of the drawing, size and seed. It grows as more are asked for:
what is missing, or was cut off, is drawn. Files appear whole, so that several processes may draw.
"""

import os
from pathlib import Path

from gan_models.errors import UserError
from trainers import distributed
from trainers.puppets.drawing import VERSION, nearest_size
from trainers.puppets.layouts import Entry, Options, drawn
from trainers.puppets.parameters import puppet_seed

CLIP_FRAMES = 8  # one second apart: every pair is a clear movement
WRITTEN_LAST = {"spade": "inst"}  # the folder of a puppet's last file, where it has several
ENDS = {".png": (12, b"\0\0\0\0IEND"), ".npz": (22, b"PK\5\6")}  # how the last bytes begin


def is_puppets(data: str) -> bool:
    return data.partition(":")[0] == "puppets"


def cache_folder() -> Path:
    """$GAN_ATELIER_CACHE, or gan-atelier in the user's cache folder."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GAN_ATELIER_CACHE") or Path(user, "gan-atelier")).expanduser()


def drawn_set(
    layout: str, data: str, default: int, *, size: int, seed: int = 0, part: str = "train"
) -> tuple[Path, list[str]]:
    """The set that `data`, "puppets" or "puppets:COUNT", means: its folder, and the names of its
    files below that (spade: in each of img, label and inst), in the order of the puppets' numbers.

    default: the count where none is given. size: of the pictures that are wanted; they are drawn at
    the nearest size that the drawing is made for. part: "train", or "held_out" for puppets that no
    training sees, the same for every seed. Raises UserError.
    """
    count = data.partition(":")[2] if ":" in data else str(default)
    if not count.isdecimal() or int(count) == 0:
        raise UserError(f"{data} is not puppets:COUNT with a COUNT of 1 or more.")
    side = nearest_size(size)
    which = f"seed{seed}" if part == "train" else "held-out"
    root = cache_folder() / "puppets" / f"{layout}-{VERSION}-{side}px-{which}"
    options = Options(
        side, clips="strips", num_frames=CLIP_FRAMES, fps=1, class_folders=layout == "progan"
    )

    home = root / WRITTEN_LAST.get(layout, "")

    def complete() -> list[str]:
        found = whole_files(home)
        names = [f"{index:06d}" for index in range(int(count))]
        missing = [
            Entry("", name, puppet_seed(seed, index, part == "train"))
            for index, name in enumerate(names)
            if name not in found
        ]
        for entry, files in zip(missing, drawn(layout, root, missing, options), strict=True):
            found[entry.name] = (root / files[-1]).relative_to(home).as_posix()
        return [found[name] for name in names]

    try:
        return root, distributed.one_by_one(complete)
    except OSError as error:
        raise UserError(
            f"The puppets could not be drawn into {root} ({error.strerror or error}): make room "
            "there, or set GAN_ATELIER_CACHE to a folder that can be written to."
        ) from error


def whole_files(root: Path) -> dict[str, str]:
    """Stem -> name below `root` of the set's files that end as they should."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            if not name.startswith(".") and is_whole(path):
                found[path.stem] = path.relative_to(root).as_posix()
    return found


def is_whole(path: Path) -> bool:
    length, word = ENDS.get(path.suffix, (0, b""))
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - length))
        return size > length and file.read().startswith(word)
