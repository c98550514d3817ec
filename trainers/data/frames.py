"""Finds the clips in a folder and reads their files.

A clip is a film (or animated picture), a folder of frames, or a strip: one picture with all frames
side by side, each as wide as the strip is high.
"""

import functools
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from gan_models.errors import Unreadable
from gan_models.images import read_picture
from gan_models.video import open_clip
from trainers.data.files import is_film, is_picture, is_shown, say_passed_over, walk

COVERS = 10  # pictures beside a film: so many may be its covers and stills, more are frames
LEAST_STRIP = 4  # frames of a strip that lies beside films; covers are wider than high, too


def natural(name: str) -> list:
    """A sorting key under which frame10 follows frame9."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def list_clips(root: Path) -> list[str]:
    """Names (relative, with /) of the clips in `root`, naturally sorted; hidden ones left out.

    A folder below `root` that holds pictures is one clip, and is not searched further; pictures
    beside films are none, and beside films only a strip is a clip of its own.
    """
    found, passed = [], []
    for below, folders, files in walk(root):
        films = [name for name in files if is_film(name)]
        used = pictures = [name for name in files if is_frame(name)]
        if below and len(pictures) > COVERS * len(films):
            folders.clear()
            found.append(below[:-1])
        else:
            used = films + [n for n in pictures if not films or is_clear_strip(root / below / n)]
            found += [below + name for name in used]
        passed += [below + name for name in sorted(set(files) - set(used))]
    say_passed_over(root, passed, "no clips")
    return sorted(found, key=natural)


def is_frame(name: str) -> bool:
    """GIF is left to the films: a folder of .gif files is a set of clips."""
    return is_picture(name) and not is_film(name)


def frame_files(folder: Path) -> tuple[str, ...]:
    """Names of the frames in a clip's folder, in the order of time."""
    return listed(folder, folder.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def listed(folder: Path, changed: int) -> tuple[str, ...]:
    names = [name for name in os.listdir(folder) if is_shown(name) and is_frame(name)]
    return tuple(sorted(names, key=natural))


def strip_frames(path: Path) -> int:
    """How many frames a picture holds side by side; 0 for a film or an animated picture.

    Raises Unreadable for any other picture.
    """
    if is_film(path.name):
        return 0
    try:
        with Image.open(path) as image:
            width, height = image.size
            if image.format in ("PNG", "WEBP", "AVIF", "GIF") and image.is_animated:
                return 0
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise Unreadable(f"{path} is no picture that can be read: {error}.") from error
    if width % height or width == height:
        raise Unreadable(
            f"{path} is {width} x {height} pixels and no strip of square frames side by side: put "
            "the frames of each clip into a folder of their own, or give videos."
        )
    return width // height


def is_clear_strip(path: Path) -> bool:
    """Whether a picture beside films is a clip, and not one's cover."""
    try:
        return not 0 < strip_frames(path) < LEAST_STRIP
    except Unreadable:
        return False


def expected_frames(path: Path) -> int:
    """How many frames the clip has, as far as can be told without decoding it; at least 1."""
    if path.is_dir():
        return max(1, len(frame_files(path)))
    return strip_frames(path) or max(1, open_clip(path).frame_count)


def read_frames(path: Path, size: int) -> Iterator[np.ndarray]:
    """The clip's frames as (H, W, 3) uint8 RGB, one after the other, for training at `size`.

    Films and JPEGs of more than twice that come smaller, which takes less time and memory.
    Raises Unreadable (a sentence) for a file that cannot be used, at once or at the bad frame.
    """
    if path.is_dir():
        yield from read_folder(path, size)
    elif strip_frames(path):
        strip = read_picture(path)
        for left in range(0, strip.shape[1], strip.shape[0]):
            yield strip[:, left : left + strip.shape[0]]
    else:
        clip = open_clip(path)
        shorter, longer = sorted((clip.width, clip.height))
        if shorter > 2 * size:
            clip = open_clip(path, max_side=math.ceil(2 * size * longer / shorter))
        yield from clip.frames()


def read_folder(path: Path, size: int) -> Iterator[np.ndarray]:
    """The frames that can be read, as by `read_frames`; Unreadable when there is none."""
    readable, problem = 0, None
    for name in frame_files(path):
        try:
            frame = read_picture(path / name, 2 * size)
        except Unreadable as error:
            problem = error
            continue
        readable += 1
        yield frame
    if problem and not readable:
        raise problem
