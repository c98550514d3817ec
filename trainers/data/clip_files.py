"""Finds the clips in a folder and reads their files.

A clip is a video file, a folder of frames, or a strip: one picture with all frames side by side,
each as wide as the strip is high. `fingerprint` and `find_twins` recognise clips that are copies
or mirror images of each other.
"""

import functools
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gan_models.errors import Unreadable
from gan_models.images import MAX_PIXELS, read_picture
from gan_models.video import Clip, open_clip
from trainers.data.sources import is_picture_name

VIDEO_SUFFIXES = frozenset("mp4 gif mov mkv avi webm m4v".split())
FINGERPRINT_SIZE = 16
# Root mean square difference over the contrast: mirrored copies saved as JPEG or cut from one video
# stay below 0.04, different clips of one person in one room start near 0.35.
TWIN_DISTANCE = 0.08


def natural(name: str) -> list:
    """A sorting key under which frame10 follows frame9."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def list_clips(root: Path) -> list[str]:
    """Names (relative, with /) of the clips in `root`, naturally sorted; hidden ones left out.

    Files are videos or strips; a folder that holds pictures is one clip, whatever else it holds;
    any other folder is searched in turn.
    """
    found = []
    for entry in visible(root):
        if entry.is_dir():
            if is_frame_folder(Path(entry.path)):
                found.append(entry.name)
            else:
                found += [f"{entry.name}/{name}" for name in list_clips(Path(entry.path))]
        elif is_video_name(entry.name) or is_picture_name(entry.name):
            found.append(entry.name)
    return sorted(found, key=natural)


def visible(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]


def is_video_name(name: str) -> bool:
    return name.rpartition(".")[2].lower() in VIDEO_SUFFIXES


def is_frame_folder(folder: Path) -> bool:
    return any(is_frame(entry) for entry in visible(folder))


def is_frame(entry: os.DirEntry) -> bool:
    """GIF is left to the videos: a folder of .gif files is a set of clips."""
    return is_picture_name(entry.name) and not is_video_name(entry.name)


def video_id(name: str) -> str:
    """The video that a clip was cut from: its file name up to "#", or without its ending."""
    last = name.rpartition("/")[2]
    identity, mark, _ = last.partition("#")
    return identity if mark else Path(last).stem


@functools.lru_cache(maxsize=1024)
def frame_files(folder: Path) -> tuple[str, ...]:
    """Names of the frames in a clip's folder, in the order of time."""
    names = [entry.name for entry in visible(folder) if is_frame(entry)]
    return tuple(sorted(names, key=natural))


def expected_frames(path: Path) -> int:
    """How many frames the clip has, as far as can be told without decoding it; at least 1."""
    if path.is_dir():
        return max(1, len(frame_files(path)))
    if is_video_name(path.name):
        return max(1, open_video(path).frame_count)
    width, height = strip_shape(path)
    return width // height


def read_frames(path: Path, size: int) -> Iterator[np.ndarray]:
    """The clip's frames as (H, W, 3) uint8 RGB, one after the other, for training at `size`.

    Videos of more than twice that come smaller, which ffmpeg does at half the time of the rest.
    Raises Unreadable (a sentence) for a file that cannot be used, at once or at the bad frame.
    """
    if path.is_dir():
        yield from read_folder(path)
    elif is_video_name(path.name):
        yield from read_video(path, size)
    else:
        _, height = strip_shape(path)
        strip = read_picture(path)
        for left in range(0, strip.shape[1], height):
            yield strip[:, left : left + height]


def read_folder(path: Path) -> Iterator[np.ndarray]:
    """The frames that can be read; Unreadable when there is none."""
    readable, problem = 0, None
    for name in frame_files(path):
        try:
            frame = read_picture(path / name)
        except Unreadable as error:
            problem = error
            continue
        readable += 1
        yield frame
    if problem and not readable:
        raise problem


def strip_shape(path: Path) -> tuple[int, int]:
    """(width, height) of a strip; Unreadable for a picture that is none."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise Unreadable(f"{path} is no picture that can be read: {error}.") from error
    if width * height > MAX_PIXELS:
        raise Unreadable(
            f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels: give the clip as a "
            "folder of frames."
        )
    if width % height or width == height:
        raise Unreadable(
            f"{path} is {width} x {height} pixels and no strip of square frames side by side: put "
            "the frames of each clip into a folder of their own, or give videos."
        )
    return width, height


def open_video(path: Path, max_side: int | None = None) -> Clip:
    return open_clip(path, max_side=max_side)


def read_video(path: Path, size: int) -> Iterator[np.ndarray]:
    clip = open_video(path)
    shorter, longer = sorted((clip.width, clip.height))
    if shorter > 2 * size:
        clip = open_video(path, max_side=math.ceil(2 * size * longer / shorter))
    yield from clip.frames()


# --- twins --------------------------------------------------------------------------------------


def fingerprint(frames: np.ndarray) -> np.ndarray:
    """(3, S, S, 3) first, middle and last frame -> (3, 16, 16, 3) float32."""
    side = (FINGERPRINT_SIZE, FINGERPRINT_SIZE)
    return np.stack(
        [cv2.resize(frame, side, interpolation=cv2.INTER_AREA) for frame in frames]
    ).astype(np.float32)


def find_twins(fingerprints: np.ndarray, num_frames: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of clips that show the same, plain or mirrored, from (N, 3, 16, 16, 3) fingerprints.

    Their numbers of frames may differ by one. Robust against compression and other sizes.
    """
    count = len(fingerprints)
    plain = fingerprints.reshape(count, -1)
    mirrored = fingerprints[:, :, :, ::-1].reshape(count, -1)
    contrast = np.maximum(plain.std(axis=1), 1.0)  # 1: flat clips are compared too
    power = (plain**2).mean(axis=1)
    twins = []
    for start in range(0, count, 256):
        rows = slice(start, start + 256)
        common = np.maximum(plain[rows] @ plain.T, plain[rows] @ mirrored.T) / plain.shape[1]
        allowed = (TWIN_DISTANCE * np.minimum(contrast[rows, None], contrast)) ** 2
        # The subtraction loses digits, so what it lets through is looked at again.
        close = power[rows, None] + power - 2 * common <= allowed + 1.0
        close &= np.abs(num_frames[rows, None] - num_frames) <= 1
        for row, other in zip(*np.nonzero(close), strict=True):
            first = start + row
            if first < other and is_twin(plain[first], plain[other], mirrored[other]):
                twins.append((int(first), int(other)))
    return twins


def is_twin(print_: np.ndarray, other: np.ndarray, mirrored: np.ndarray) -> bool:
    limit = (TWIN_DISTANCE * max(1.0, min(print_.std(), other.std()))) ** 2
    return min(((copy - print_) ** 2).mean() for copy in (other, mirrored)) <= limit


def group(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """For each of `count` things, the smallest number that `pairs` connect it with."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for first, second in pairs:
        first, second = sorted((root(first), root(second)))
        parent[second] = first
    return [root(item) for item in range(count)]
