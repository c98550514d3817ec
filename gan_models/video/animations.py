"""Pictures in place of clips: what Pillow opens, still or animated, as frames.

Animated GIF is left to ffmpeg, which is faster; whether it knows the others depends on its version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from gan_models import images
from gan_models.errors import Unreadable

RATE = Fraction(25)  # of a picture, which is one frame
HASTY = 10  # ms; browsers show a frame that asks for this or less for 100


@dataclass(frozen=True)
class Animation:
    """Times are in milliseconds."""

    times: np.ndarray  # (frames,) int64, when each is shown
    end: int
    width: int
    height: int
    whole: bool  # False: later frames are damaged


def scan(path: Path) -> Animation | None:
    """When each frame is shown, from decoding all once; None for what is left to ffmpeg."""
    try:
        with Image.open(path, formats=images.READABLE) as image:
            if image.format == "GIF" and is_animated(image):
                return None
    except Image.DecompressionBombError:
        images.read_picture(path)  # raises with its own sentence
    except Exception:  # noqa: BLE001 - damaged files make Pillow raise nearly anything
        return None
    ends, shape, damage = [0], None, None
    try:
        for picture, length in frames(path):
            shape = shape or picture.shape
            ends.append(ends[-1] + length)
    except Exception as error:  # noqa: BLE001 - as above
        damage = error
    if shape is None:
        raise Unreadable(f"{path} is damaged or cut off ({damage}).")
    times = np.array(ends[:-1], np.int64)
    return Animation(times, ends[-1], shape[1], shape[0], whole=damage is None)


def frames(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """(picture, milliseconds) of each frame."""
    with Image.open(path, formats=images.READABLE) as image:
        if not is_animated(image):
            yield images.read_picture(image), round(1000 / RATE)
            return
        for index in range(image.n_frames):
            image.seek(index)
            picture = images.read_picture(image)  # decodes it; WebP knows its length only then
            length = round(image.info.get("duration") or 0)
            yield picture, length if length > HASTY else 100


def is_animated(image: Image.Image) -> bool:
    return image.format in images.ANIMATED and getattr(image, "is_animated", False)
