"""Cuts the faces of a long video into clips for training or driving, as square .mp4 with sound.

Differs from the official code: `crop-video.py` only prints ffmpeg commands; one missed detection
does not end a clip, the crop stays square at the picture's border (the official one is clipped and
stretched), the frame that ends a track belongs to the clip, and each clip has its own name. With
`official` the boxes, times and tracks are as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan_models import faces
from gan_models.errors import UserError
from gan_models.faces import Box
from gan_models.faces.finding import DETECTION_SIDE
from gan_models.faces.framing import FACE_TO_CROP, UPWARDS
from gan_models.video import open_clip, write_clip

INCREASE = (FACE_TO_CROP - 1) / 2  # so that a still face is framed as in a picture
TOLERANCE = 15  # frames; half a second
IOU_WITH_INITIAL = 0.25


@dataclass(frozen=True)
class Track:
    """One face over time: its first box, the box around all of them, first and last frame."""

    first: Box
    union: Box
    start: int
    end: int


@dataclass(frozen=True)
class FaceClip:
    """A clip that was cut. start, seconds: where in the video; box: in pixels of its frames."""

    path: Path
    start: float
    seconds: float
    frames: int
    box: Box


# --- following faces --------------------------------------------------------------------------


def iou(one: Box, other: Box) -> float:
    """The shared area as a share of the joint area, both ends of a box counted as its pixels."""
    width = min(one.right, other.right) - max(one.left, other.left) + 1
    height = min(one.bottom, other.bottom) - max(one.top, other.top) + 1
    shared = max(0.0, width) * max(0.0, height)
    areas = ((box.width + 1) * (box.height + 1) for box in (one, other))
    return shared / (sum(areas) - shared)


def track_faces(
    found: Iterable[tuple[int, Sequence[Box]]],
    *,
    iou_with_initial: float = IOU_WITH_INITIAL,
    tolerance: int = 0,
) -> Iterator[Track]:
    """The faces that stay near the place where they were first seen, each as soon as it ends.

    Args:
        found: (number of the frame, the boxes in it), frames in order; some may be left out.
        iou_with_initial: A box continues the track whose first box it shares most with, if that
            is more than this; otherwise it starts a track.
        tolerance: Frames that a face may be missing before its track ends (0: none, as in the
            official code). Counted in frames of the video, also where some were left out.
    """
    tracks: list[Track] = []
    for number, boxes in found:
        lasting = [
            track
            for track in tracks
            if number - track.end <= tolerance
            or any(iou(track.first, box) > iou_with_initial for box in boxes)
        ]
        yield from (track for track in tracks if track not in lasting)
        tracks = lasting
        for box in boxes:
            shares = [iou(track.first, box) for track in tracks]
            if max(shares, default=0.0) > iou_with_initial:
                best = int(np.argmax(shares))
                union = tracks[best].union.joined(box)
                tracks[best] = replace(tracks[best], union=union, end=number)
            else:
                tracks.append(Track(box, box, number, number))
    yield from tracks


def official_box(union: Box, width: int, height: int, increase: float) -> Box:
    """The crop of the official code: grown to a square, cut to whole pixels and to the picture.

    Not square near the picture's border.
    """
    wide, high = (
        max(increase, ((1 + 2 * increase) * other - own) / (2 * own)) * own
        for own, other in ((union.width, union.height), (union.height, union.width))
    )
    return Box(
        max(0, int(union.left - wide)),
        max(0, int(union.top - high)),
        min(width, int(union.right + wide)),
        min(height, int(union.bottom + high)),
    )


def square_box(track: Track, width: int, height: int, increase: float) -> Box:
    """The crop of ours: a square around all of a track's boxes, inside the picture where it fits.

    A little higher than its middle, as in `faces.frame`, so that hair is seen.
    """
    x, y = track.union.centre
    side = (1 + 2 * increase) * track.union.side
    side = min(side, max(min(width, height), track.union.side))
    return faces.fit_inside(Box.around(x, y - UPWARDS * track.first.side, side), width, height)


# --- cutting ----------------------------------------------------------------------------------


def crop_clips(
    inp: Path,
    out: Path = Path("faces"),
    image_shape: tuple[int, int] = (256, 256),
    increase: float | None = None,
    iou_with_initial: float = IOU_WITH_INITIAL,
    min_frames: int = 150,
    tolerance: int | None = None,
    every: int = 1,
    official: bool = False,
) -> Iterator[FaceClip]:
    """Cut every face that stays long enough out of a video, with its sound; each as it is done.

    The clips are `<name of the video>#001.mp4` and so on, in the order in which the tracks end;
    files of these names are replaced. By the name up to "#" training knows clips of one video. The
    video is read as a stream. Raises UserError at once for what cannot be used.

    Args:
        inp: The video: any clip that can be read.
        out: The folder that the clips go to.
        image_shape: Width and height of the clips in pixels.
        increase: How far the crop reaches beyond the faces on each side, as a share of them; else
            0.4, as pictures are cropped (with official 0.1).
        iou_with_initial: A track ends when the face shares no more than this with its first box.
        min_frames: Only tracks whose last frame is more than this after their first are cut.
        tolerance: Frames that a face may be missing; else 15 (with official 0). With every at least
            twice that, unless it is 0.
        every: Look for faces in every n-th frame only, for speed.
        official: Boxes, times and tracks as in the official crop-video.py.
    """
    if increase is None:
        increase = 0.1 if official else INCREASE
    if tolerance is None:
        tolerance = 0 if official else TOLERANCE
    for sentence, holds in {
        f"image_shape is two sizes from 16 pixels, not {image_shape}": min(image_shape) >= 16,
        f"increase is from 0 to 10, not {increase}": 0 <= increase <= 10,
        f"iou_with_initial is from 0 to 1, not {iou_with_initial}": 0 <= iou_with_initial < 1,
        f"min_frames is 0 or more, not {min_frames}": min_frames >= 0,
        f"tolerance is 0 or more frames, not {tolerance}": tolerance >= 0,
        f"every is 1 or more frames, not {every}": every >= 1,
    }.items():
        if not holds:
            raise UserError(f"{sentence}.")
    clip = open_clip(inp)
    if clip.frame_count == 1:
        raise UserError(f"{inp} is a single picture: give a video to cut clips from.")
    small = open_clip(inp, max_side=DETECTION_SIDE)
    tolerance = max(tolerance, 2 * every) if tolerance else 0  # two looks without a face
    found = _found(small, clip.width / small.width, every)
    tracks = track_faces(found, iou_with_initial=iou_with_initial, tolerance=tolerance)
    return _cut(clip, tracks, Path(out), image_shape, increase, min_frames, official)


def _found(small, scale, every) -> Iterator[tuple[int, list[Box]]]:
    """(number of the frame, faces in pixels of the full video) of every n-th frame."""
    bar = tqdm(total=small.frame_count, unit="frame", desc=small.path.name, disable=None)
    with closing(small.frames()) as frames, bar:
        for number, frame in enumerate(frames):
            if number % every == 0:
                found = faces.find_faces(frame, quick=True)
                yield number, [box.scaled(scale) for box in found]
            bar.update()


def _cut(clip, tracks, folder, image_shape, increase, min_frames, official) -> Iterator[FaceClip]:
    (width, height), count = image_shape, 0
    with closing(tracks):
        for track in tracks:
            if track.end - track.start <= min_frames:
                continue
            count += 1
            path = folder / f"{clip.path.stem}#{count:03d}.mp4"
            if official:
                box = official_box(track.union, clip.width, clip.height, increase)
            else:
                box = square_box(track, clip.width, clip.height, increase)
            frames = track.end - track.start + (not official)
            start, seconds = float(track.start / clip.fps), float(frames / clip.fps)
            part = open_clip(clip.path, start=start, seconds=seconds).cropped(box, (height, width))
            # Without the label "made by a model": it was filmed
            info = write_clip(path, part.frames(), part.fps, weights=None, settings={}, audio=part)
            yield FaceClip(path, start, info.seconds, info.frames, box)
