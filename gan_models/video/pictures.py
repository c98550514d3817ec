"""Pictures in place of clips: which files Pillow opens, and animated WebP, PNG and AVIF as frames.

Animated GIF is left to ffmpeg, which is faster; whether it knows the others depends on its version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gan_models import images
from gan_models.errors import Unreadable

HASTY = 10  # ms; browsers show a frame that asks for this or less for 100


@dataclass(frozen=True)
class Animation:
    """Times are in milliseconds."""

    times: np.ndarray  # (frames,) int64, when each is shown
    end: int
    width: int
    height: int
    whole: bool  # False: later frames are damaged


def kind(path: Path) -> str | None:
    """ "picture", "animation", or None for what is left to ffmpeg. Unreadable above MAX_PIXELS."""
    try:
        with Image.open(path, formats=images.READABLE) as image:
            if not getattr(image, "is_animated", False) or image.format in ("TIFF", "ICO"):
                return "picture"
            return None if image.format == "GIF" else "animation"
    except Image.DecompressionBombError:
        images.read_picture(path)  # raises with its own sentence
        raise
    except Exception:  # noqa: BLE001 - damaged files make Pillow raise nearly anything
        return None


def scan(path: Path) -> Animation:
    """When each frame of an animation is shown, from decoding it once."""
    times, end, shape, whole = [], 0, None, False
    try:
        for picture, length in _frames(path):
            shape = shape or picture.shape
            times.append(end)
            end += length
        whole = True
    except Exception as error:  # noqa: BLE001 - as above
        if shape is None:
            raise Unreadable(f"{path} is damaged or cut off ({error}).") from error
    return Animation(np.array(times, np.int64), end, shape[1], shape[0], whole)


def play(path: Path, slots: np.ndarray, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """`count` frames, (height, width, 3) uint8. slots: (frames,) at which of them each begins."""
    held, sent = None, 0
    for slot, (picture, _) in zip(slots.tolist(), _frames(path), strict=False):
        while held is not None and sent < min(slot, count):
            yield held.copy()
            sent += 1
        if sent >= count:
            return
        held = images.resize(picture, size)
    for _ in range(sent, count):
        yield held.copy()


def _frames(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """(picture, milliseconds) of each frame."""
    with Image.open(path, formats=images.READABLE) as image:
        for index in range(image.n_frames):
            image.seek(index)
            picture = images.read_picture(image)  # decodes it; WebP knows its length only then
            length = round(image.info.get("duration") or 0)
            yield picture, length if length > HASTY else 100
