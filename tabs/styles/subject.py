"""What is translated, and the styles: a dict with a "name" that a visitor reads, and "seed" or the
"file" of a reference. The last few pictures are remembered, small.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gan_models import faces, images
from gan_models.errors import Unreadable
from gan_models.faces import Box
from gan_models.faces.pasting import Paster
from tabs.kit import crop as crops
from tabs.kit import given, jobs, results, seeds
from tabs.kit.framing import is_puppet
from tabs.styles import texts

KEPT = 64  # squares of pictures
OF = "style of "  # how the name of a reference's style begins


@functools.lru_cache(KEPT)
def cut(path: str, box: Box, size: int) -> np.ndarray:
    """(size, size, 3) uint8: a square of the picture."""
    return faces.crop(images.read_picture(path), box, size)


def square(system, weights, path: str | None, crop: dict | None = None) -> Box:
    """What is translated of a picture: the crop, or what the weights see. Raises UserError."""
    chosen = crops.chosen(crop, path, given.small(path, given.SHOWN)[2])
    return chosen or seen(system, weights, path)


@functools.lru_cache(KEPT)
def seen(system, weights, path: str) -> Box:
    """Looked for once: an answer to a slider needs the square of each reference."""
    return system.frame(weights, images.read_picture(path), is_puppet(path)).box


@functools.lru_cache(KEPT)
def domain_of(path: str) -> object:
    """The domain of what this project drew or translated, by the label inside the file."""
    try:
        settings = (images.read_settings(path) or {}).get("settings")
    except Unreadable:
        return None
    return settings.get("domain") if isinstance(settings, dict) else None


# --- styles


def of_file(path: str, name: str | None = None) -> dict:
    return {"name": f"{OF}{name or Path(path).name}"[:90], "file": path}


@jobs.lease
def numbers(system, weights, domain, styles: list[dict], strength: float) -> list[np.ndarray]:
    """(style_dim,) float32 of each; strength: 0 to 2. Raises UserError."""
    pipeline = system.open(weights)
    made = []
    for style in styles:
        if "seed" in style:
            with jobs.device:
                made.append(pipeline.style(domain, style["seed"], strength))
        else:
            part = cut(style["file"], square(system, weights, style["file"]), pipeline.size)
            with jobs.device:
                made.append(pipeline.style_of(part, domain, strength))
    return made


def mixed(system, weights, domain, first, second, share, strength) -> np.ndarray:
    """(style_dim,): the style `share` percent of the way from first to second."""
    ends = [first] if seeds.checked_share(share) == 0 else [first, second]
    made = numbers(system, weights, domain, ends, checked(strength))
    return system.open(weights).mix(*made, share / 100) if share else made[0]


def checked(strength) -> float:
    """A strength in percent as a share."""
    return seeds.checked(strength, 200, texts.BAD_STRENGTH) / 100


# --- pictures


@jobs.lease
def translated(system, weights, path: str, box: Box, styles) -> Iterator[np.ndarray]:
    """(size, size, 3) uint8 in each of the styles (n, style_dim)."""
    pipeline = system.open(weights)
    yield from jobs.batches(pipeline.translations(cut(path, box, pipeline.size), styles))


def pair(path: str, box: Box, made: np.ndarray, view: str, largest: int | None = given.SHOWN):
    """(before, after), (H, W, 3) uint8, of a translated square: that, or the whole picture.

    largest: pixels of the longer side of the whole picture; None: as the file is.
    """
    if view == "face":
        after = results.enlarge(made, results.DISPLAY)
        return cut(path, box, len(after)), after
    if largest is None:
        picture, scale = images.read_picture(path), 1
    else:
        picture, scale, _ = given.small(path, largest)
    return picture, Paster(picture, box.scaled(scale)).paste(made)
