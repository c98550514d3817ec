"""The files of a data folder: which are taken, what is passed over, which part a name is of."""

import codecs
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from gan_models.errors import UserError
from gan_models.images import PICTURE_ENDINGS
from gan_models.video import FILM_ENDINGS

log = logging.getLogger(__name__)


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS


def is_film(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in FILM_ENDINGS


def walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """("" or "below/root/", its folders, its files), sorted; hidden ones left out.

    Whoever clears the list of folders goes no deeper. A link that leads upwards ends there, and a
    folder that several links lead to is visited once.
    """
    visited, home = set(), Path(os.path.realpath(root))
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited or visited and home.is_relative_to(real):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in sorted(folders) if is_shown(name)]
        below = Path(folder).relative_to(root).as_posix()
        yield "" if below == "." else f"{below}/", folders, sorted(filter(is_shown, files))


def is_shown(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def list_pictures(root: Path) -> list[str]:
    """Relative paths (with /) of the picture files below `root`, sorted."""
    files = [below + name for below, _, names in walk(root) for name in names]
    say_passed_over(root, [name for name in files if not is_picture(name)], "no pictures")
    return sorted(filter(is_picture, files))


def say_passed_over(root: Path | str, names: list[str], why: str):
    if names:
        log.warning("Passed over in %s: %d, such as %s (%s).", root, len(names), names[0], why)


def check_folder(folder: Path, of: str):
    if not folder.exists():
        raise UserError(f'There is no folder {folder}. Data is a folder of {of}, or "puppets".')
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: give the folder that it lies in, or unpack it first.")


def check_holdout(holdout: float):
    if not 0 <= holdout <= 0.5:
        raise UserError(f"A holdout of {holdout} is not between 0 and 0.5.")


def of_part(names: list[str], holdout: float, part: str, root: Path) -> list[int]:
    """The numbers of the names that belong to `part`; UserError when there are none."""
    chosen = [index for index, name in enumerate(names) if in_part(name, holdout, part)]
    if not chosen:
        raise UserError(
            f"A holdout of {holdout} leaves nothing of {root} for the {part} part: the set is too "
            "small for it."
        )
    return chosen


def in_part(name: str, holdout: float, part: str) -> bool:
    """Whether the picture called `name` belongs to `part` ("train" or "held_out").

    Decided by a hash of the name alone, so the answer is the same on every machine, at every size
    and after pictures are added or removed.
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    held_out = int.from_bytes(digest[:8], "big") < holdout * 2**64
    return held_out == (part == "held_out")


def decode(text: bytes) -> str:
    """Text as any editor saves it: a byte order mark says how, and is no letter."""
    wide = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return text.decode("utf-16" if wide else "utf-8-sig", "replace")
