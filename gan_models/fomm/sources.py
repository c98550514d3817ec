"""What the pipeline is given: the source, prepared once and remembered, and the driving, opened."""

import hashlib
import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gan_models import images, video
from gan_models.errors import UserError
from gan_models.fomm.motion import ENDING, Motion

MOST_SOURCES = 8  # about 8 MB each for the vox weights in float32
LOOKS, LOOK_STEP = 8, 5  # frames of a clip in which a face is looked for, and frames between them
PLAIN_RATE = Fraction(25)  # frames per second of what has no rate: arrays and pictures


@dataclass(frozen=True, eq=False)
class Source:
    """A source ready to be moved; nothing of it depends on the driving."""

    picture: np.ndarray  # (H, W, 3) uint8, whole
    framing: Any  # faces.Framing: the crop that was taken
    crop: np.ndarray  # (size, size, 3) uint8
    encoded: Any  # networks.Encoded of the crop, on the pipeline's device
    keypoints: Any  # networks.Keypoints of the crop, on the pipeline's device
    motion: Motion  # the same keypoints, one frame


class Cache:
    """The last values made, by the content they were made from. Threads may share it."""

    def __init__(self, most: int = MOST_SOURCES):
        self.most = most
        self.values = OrderedDict()
        self.lock = threading.Lock()

    def get(self, picture: np.ndarray, make: Callable[[np.ndarray], Any]) -> Any:
        """`make(picture)`, or what it gave for a picture with the same pixels.

        `make` runs outside the lock: two threads may both make a value, and neither waits.
        """
        picture = np.ascontiguousarray(picture)
        key = picture.shape, hashlib.blake2b(picture.data, digest_size=16).digest()
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
                return self.values[key]
        value = make(picture)
        with self.lock:
            self.values[key] = value
            self.values.move_to_end(key)
            while len(self.values) > self.most:
                self.values.popitem(last=False)
        return value


class Driving:
    """What moves the source, opened: a clip, a picture, frames, or a motion.

    fps: Fraction. motion: the Motion if it is one, else None. single: True for one picture, whose
    motion cannot be relative to anything. landmarks: see below. name: for messages.
    """

    def __init__(self, given, landmarks=None):
        """
        Args:
            given: A path (clip, picture, or motion file), a video.Clip, a Motion, a picture
                (H, W, 3) uint8, or frames: (T, H, W, 3) uint8 or any iterable of pictures.
            landmarks: Of a Motion's frames, where they are known: what `FOMMPipeline.motion` put
                into its list.

        Raises:
            UserError: A file that is missing or none of these, or another kind of thing.
        """
        self.name, self.motion, self.clip, self.frames_once = "the driving", None, None, None
        self.landmarks = landmarks
        if isinstance(given, str | os.PathLike):
            self.name = str(given)
            motion_file = Path(given).suffix.lower() == ENDING
            given = Motion.load(given) if motion_file else video.open_clip(given)
        if isinstance(given, Motion):
            self.motion, self.fps, self.single = given, given.fps, len(given) == 1
        elif isinstance(given, np.ndarray) and given.ndim < 4:
            picture = images.read_picture(given)
            self.frames_once, self.fps, self.single = iter([picture]), PLAIN_RATE, True
        elif callable(getattr(given, "frames", None)):
            self.name = str(given.path)
            self.clip, self.fps, self.single = given, given.fps, given.frame_count == 1
        elif isinstance(given, Iterable) and not isinstance(given, bytes | dict):
            self.frames_once, self.fps, self.single = iter(given), PLAIN_RATE, False
        else:
            raise UserError(
                f"A {type(given).__name__} drives nothing: give a clip, a picture, frames, or a "
                "motion."
            )

    def frames(self) -> Iterator[np.ndarray]:
        """The frames from the first, checked; closing the iterator ends what reads them."""
        frames = self.clip.frames() if self.clip else self.frames_once
        shape = None
        try:
            for number, frame in enumerate(frames):
                frame = checked_frame(frame, number, self.name)
                shape = shape or frame.shape
                if frame.shape != shape:
                    raise UserError(
                        f"Frame {number} of {self.name} is {frame.shape[1]} x {frame.shape[0]} "
                        f"pixels, the first {shape[1]} x {shape[0]}: bring all to one size."
                    )
                yield frame
        finally:
            if self.clip and hasattr(frames, "close"):
                frames.close()
        if shape is None:
            raise UserError(f"{self.name} has no frames: give another clip.")

    def looks(self) -> Iterator[np.ndarray]:
        """A few of the first frames to find a face in; the frames still come from the first."""
        if self.clip:
            with closing(self.frames()) as frames:
                yield from itertools.islice(frames, 0, LOOKS * LOOK_STEP, LOOK_STEP)
        else:
            yield self._first()

    def sides(self) -> tuple[int, int]:
        """(height, width) of the frames, which still come from the first."""
        if self.clip:
            return self.clip.height, self.clip.width
        return self._first().shape[:2]

    def _first(self):
        frames = iter(self.frames_once or ())
        first = next(frames, None)
        if first is None:
            raise UserError(f"{self.name} has no frames: give another clip.")
        self.frames_once = itertools.chain([first], frames)
        return checked_frame(first, 0, self.name)


def checked_frame(frame, number, name):
    """The frame; UserError unless it is a picture (H, W, 3) of uint8."""
    is_array = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
    if not is_array or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise UserError(
            f"Frame {number} of {name} is no picture: use arrays (height, width, 3) of uint8."
        )
    return frame
