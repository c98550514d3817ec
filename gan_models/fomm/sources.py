"""What the pipeline is given: the source, prepared once and remembered, and the driving, opened."""

import itertools
import os
from collections import deque
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gan_models import faces, images, video
from gan_models.errors import UserError
from gan_models.fomm.motion import ENDING, Motion

LOOKS, LOOK_STEP = 8, 5  # frames of a clip in which a face is looked for, and frames between them


@dataclass(frozen=True, eq=False)
class Source:
    """A source ready to be moved; nothing of it depends on the driving."""

    crop: np.ndarray  # (size, size, 3) uint8
    encoded: Any  # networks.Encoded of the crop, on the pipeline's device
    keypoints: Any  # networks.Keypoints of the crop, on the pipeline's device
    motion: Motion  # the same keypoints, one frame
    large: np.ndarray | None = None  # (S, S, 3) uint8, the crop at full size; None: moved as it is


class Driving:
    """What moves the source, opened: a clip, a picture, frames, or a motion.

    name: for messages. fps: Fraction. count: frames that are expected, None where nobody knows.
    single: True for one picture, whose motion cannot be relative to anything. motion, clip: the
    Motion or video.Clip if it is one, else None.
    """

    def __init__(self, given, max_fps: float = 60):
        """
        Args:
            given: A path of a clip, a picture or a saved motion; a video.Clip, a Motion, a picture
                (H, W, 3), or an iterable of frames.
            max_fps: Faster files are thinned out to at most this.

        Raises:
            UserError: A file that is missing or none of these.
        """
        self.name, self.motion, self.clip, self._once = "the driving", None, None, None
        self.fps, self.count = Fraction(25), None  # the rate of what has none, as arrays
        if isinstance(given, str | os.PathLike):
            motion_file = Path(given).suffix.lower() == ENDING
            self.name = str(given)
            given = Motion.load(given) if motion_file else video.open_clip(given, max_fps=max_fps)
        if isinstance(given, Motion):
            self.motion, self.fps, self.count = given, given.fps, len(given)
        elif isinstance(given, video.Clip):
            self.name, self.clip = str(given.path), given
            self.fps, self.count = given.fps, given.frame_count
        elif isinstance(given, np.ndarray) and given.ndim < 4:
            self._once, self.count = iter([images.read_picture(given)]), 1
        else:
            self._once = iter(given)
        self.single = self.count == 1

    def frames(self) -> Iterator[np.ndarray]:
        """The whole frames from the first; closing the iterator ends what reads them."""
        shape = None
        with closing(self.clip.frames()) if self.clip else nullcontext(self._once) as frames:
            for number, frame in enumerate(frames):
                is_array = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
                if not is_array or frame.shape[2:] != (3,):
                    raise UserError(
                        f"Frame {number} of {self.name} is no picture: use arrays (height, width, "
                        "3) of uint8."
                    )
                shape = shape or frame.shape
                if frame.shape != shape:
                    raise UserError(
                        f"Frame {number} of {self.name} is {frame.shape[1]} x {frame.shape[0]} "
                        f"pixels, the first {shape[1]} x {shape[0]}: bring all to one size."
                    )
                yield frame
        if shape is None:
            raise UserError(f"{self.name} has no frames: give another clip.")

    def crops(self, box: faces.Box, size: int) -> Iterator[np.ndarray]:
        """`box` of each frame, (size, size, 3); of a clip, ffmpeg crops and scales it."""
        if self.clip:
            return self.clip.cropped(box, size).frames()
        return (faces.crop(frame, box, size) for frame in self.frames())

    def frame(self, number: int) -> np.ndarray:
        """Frame `number`, or the last one where the clip turns out to be shorter."""
        with closing(self.frames()) as frames:
            return deque(itertools.islice(frames, number + 1), maxlen=1)[0]

    def looks(self) -> Iterator[np.ndarray]:
        """A few of the first frames to find a face in; the frames still come from the first."""
        if not self.clip:
            yield self._first()
            return
        with closing(self.frames()) as frames:
            yield from itertools.islice(frames, 0, LOOKS * LOOK_STEP, LOOK_STEP)

    def sides(self) -> tuple[int, int]:
        """(height, width) of the frames, which still come from the first."""
        return (self.clip.height, self.clip.width) if self.clip else self._first().shape[:2]

    def _first(self) -> np.ndarray:
        frames = self.frames()
        first = next(frames)
        self._once = itertools.chain([first], self._once)
        return first
