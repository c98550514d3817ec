"""Reading: any clip as frames at one constant rate, upright, with square pixels, as a stream.

A clip is its film track from the first frame shown to the end of the last one; `Sound` says which
stretch of the sound belongs to it. A frame of the constant rate shows what the clip shows at that
time; there are round(seconds * rate) of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from gan_models import images
from gan_models.errors import Unreadable
from gan_models.video import ffmpeg, pictures, probing

PICTURE_RATE = Fraction(25)
HDR = ("smpte2084", "arib-std-b67")
SEEK_FROM = 15.0  # seconds; a later start is looked up in the file instead of decoded up to
SEEK_BEFORE = 10.0  # seconds decoded ahead of the start: some files' indices are coarse or wrong


@dataclass(frozen=True)
class Sound:
    """A stretch of a file's first sound track that belongs to a clip."""

    path: Path
    start: Fraction  # seconds as the file counts them (ffmpeg's -copyts) at the clip's first frame
    seconds: Fraction | None = None  # how much of it, None: all
    seek: float | None = None  # where ffmpeg may begin to read


@dataclass(frozen=True)
class Clip:
    """A clip that `open_clip` has looked through; nothing of it is held.

    fps: constant; `frame_count` frames of it last `seconds`. width, height: pixels of each frame,
    upright and square. notices: short sentences about what was changed or is damaged; reading the
    frames may add to them. sound: what `write_clip(audio=clip)` takes.
    """

    path: Path
    fps: Fraction
    width: int
    height: int
    frame_count: int
    sound: Sound | None
    notices: list[str]
    _play: Callable[[Clip], Iterator[np.ndarray]] = field(repr=False)

    @property
    def seconds(self) -> float:
        return float(self.frame_count / self.fps)

    @property
    def has_sound(self) -> bool:
        return self.sound is not None

    def frames(self) -> Iterator[np.ndarray]:
        """(height, width, 3) uint8 RGB, one after the other, `frame_count` of them.

        A damaged clip ends at its last good frame, which `notices` then says. May be called again.
        Closing the iterator, or dropping it, ends ffmpeg.
        """
        return self._play(self)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)


def open_clip(
    path: str | os.PathLike,
    *,
    max_fps: float | Fraction = 60,
    max_side: int | None = None,
    start: float = 0.0,
    seconds: float | None = None,
) -> Clip:
    """A film, an animated picture or a picture (one frame) as a stream of frames.

    max_fps: a faster clip is thinned out evenly to at most this. max_side: a larger clip is scaled
    down until neither side is longer, in pixels. start, seconds: the part to read; start moves to
    the nearest frame. Transparency is shown over white, high dynamic range as far as a screen goes.
    Raises Unreadable (a sentence) for anything that is no clip, before a frame is read.
    """
    path = Path(path)
    part = _checked(max_fps, max_side, start, seconds)
    kind = pictures.kind(path) if path.is_file() else None
    if kind == "picture":
        return _still(path, part.max_fps, max_side)
    return _animation(path, part) if kind == "animation" else _film(path, part)


@dataclass(frozen=True)
class Part:
    """The options of `open_clip`."""

    max_fps: Fraction
    max_side: int | None
    start: Fraction
    seconds: Fraction | None


def _checked(max_fps, max_side, start, seconds) -> Part:
    if not 1 <= max_fps <= 1000:  # NaN fails too
        raise Unreadable(f"max_fps is 1 or more frames per second, not {max_fps}.")
    if max_side is not None and not max_side >= 1:
        raise Unreadable(f"max_side is 1 or more pixels, not {max_side}.")
    if not 0 <= start < math.inf:
        raise Unreadable(f"start is 0 or more seconds, not {start}.")
    if seconds is not None and not 0 < seconds < math.inf:
        raise Unreadable(f"seconds is more than 0, not {seconds}.")
    length = None if seconds is None else Fraction(seconds)
    return Part(Fraction(max_fps), max_side, Fraction(start), length)


def sound_of(path: str | os.PathLike) -> Sound:
    """The sound of a file: with a film, as its `Clip` has it, else from its first sample on.

    Raises Unreadable where there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise Unreadable(f"the sound file {path} does not exist.")
    try:
        start = probing.sound_start(path)
        sound = Sound(path, start) if start is not None else open_clip(path).sound
    except Unreadable as error:
        raise Unreadable(f"{path} holds no sound that can be read.") from error
    if sound is None:
        raise Unreadable(f"{path} holds no sound that can be read.")
    return sound


# --- films ------------------------------------------------------------------------------------


def _film(path: Path, part: Part) -> Clip:
    found = probing.probe(path)
    if found.still:
        return _show(path, found, part, PICTURE_RATE, Fraction(0), 1, [])
    fps, notices = _rate(found.rate, found.varying, part.max_fps)
    start, count = _stretch(path, found.seconds, fps, part)
    if found.cut_off:
        notices.append(f"{path} is cut off: its end is missing.")
    if found.unknown_sound:
        notices.append(f"The sound of {path} is in a code that cannot be read: it is left out.")
    if found.transfer in HDR and not _tone_mapping():
        notices.append("The clip's high dynamic range could not be converted: colours look pale.")
    return _show(path, found, part, fps, start, count, notices)


def _show(
    path: Path,
    found: probing.Found,
    part: Part,
    fps: Fraction,
    start: Fraction,
    count: int,
    notices: list[str],
) -> Clip:
    zero = found.first + start
    seek = float(zero) - SEEK_BEFORE if start > SEEK_FROM else None
    sound = Sound(path, zero, count / fps, seek) if found.has_sound else None
    width, height = _fitted(found.width, found.height, part.max_side)

    def play(clip: Clip) -> Iterator[np.ndarray]:
        return _decode(clip, found, zero, seek)

    return Clip(path, fps, width, height, count, sound, notices, play)


def _stretch(path: Path, whole: Fraction, fps: Fraction, part: Part) -> tuple[Fraction, int]:
    """(start in seconds, on a frame so that picture and sound agree; number of frames)."""
    if part.start >= whole:
        raise Unreadable(
            f"{path} is {float(whole):.2f} seconds long: it has nothing at {float(part.start)}."
        )
    last = max(0, _rounded(whole * fps) - 1)
    start = min(last, _rounded(part.start * fps)) / fps
    length = whole - start
    length = length if part.seconds is None else min(length, part.seconds)
    return start, max(1, _rounded(length * fps))


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _rate(own: Fraction, varying: bool, max_fps: Fraction) -> tuple[Fraction, list[str]]:
    """(the clip's constant rate, notices): every second or third frame of one that is too fast."""
    rate = own = own if own >= 1 else Fraction(10)  # a slide show; the writer needs 1 or more
    if rate > max_fps:
        rate = max(Fraction(1), (rate / math.ceil(rate / max_fps)).limit_denominator(1001))
    if varying:
        return rate, [f"The clip's varying frame rate became {_said(rate)} frames per second."]
    if rate != own:
        return rate, [f"The clip's {_said(own)} frames per second became {_said(rate)}."]
    return rate, []


def _said(rate: Fraction) -> str:
    return f"{float(rate):.4g}"


def _ends_early(path: Path, good: float) -> str:
    return f"{path} is damaged: it ends at its last good frame, after {good:.2f} seconds."


def _fitted(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


@cache
def _tone_mapping() -> bool:
    return {"zscale", "tonemap"} <= probing.listed("-filters")


def _filters(clip: Clip, found: probing.Found, zero: Fraction) -> str:
    size = f"{clip.width}:{clip.height}"
    steps = ["bwdif=deint=interlaced"] if found.interlaced else []
    steps += [
        f"setpts=round(PTS-({zero.numerator}/{zero.denominator})/TB)",
        f"fps=fps={clip.fps}:start_time=0:round=near",
    ]
    if found.transfer in HDR and _tone_mapping():
        steps += [  # scaled first: what follows computes in floating point
            f"zscale={size}:tin={found.transfer}:min=2020_ncl:pin=2020:t=linear:npl=100",
            "format=gbrpf32le,zscale=p=709,tonemap=mobius:desat=0,zscale=t=709:m=gbr:r=full",
            "format=gbrp",
        ]
    else:
        steps.append(f"scale={size}:flags=bicubic+accurate_rnd+full_chroma_int")
    if _has_alpha(found.pixels):  # over white: 1 - alpha (1 - colour)
        steps.append("format=gbrap,negate,premultiply=inplace=1,negate")
    return ",".join([*steps, "format=rgb24"])


def _has_alpha(pixels: str) -> bool:
    return pixels.startswith(("yuva", "gbrap", "ya", "rgba", "bgra", "argb", "abgr", "pal8"))


def _decode(
    clip: Clip, found: probing.Found, zero: Fraction, seek: float | None
) -> Iterator[np.ndarray]:
    chosen = ["-c:v", found.decoder] if found.decoder else []
    if found.width * found.height > 8_000_000:  # each thread holds frames of its own
        chosen += ["-threads", "2"]
    if seek is not None:
        chosen += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{seek:.6f}"]
    arguments = [
        *("-v", "error", "-copyts", "-max_pixels", str(images.MAX_PIXELS), "-reinit_filter", "0"),
        *(*chosen, *ffmpeg.source(clip.path), "-map", "0:V:0"),
        *("-vf", _filters(clip, found, zero), "-fps_mode", "passthrough"),
        *("-frames:v", str(clip.frame_count), "-f", "rawvideo", "pipe:1"),
    ]
    sent, last = 0, None
    with ffmpeg.Output(arguments) as output:
        while sent < clip.frame_count:
            picture = np.empty((clip.height, clip.width, 3), np.uint8)
            if not output.fill(picture):
                break
            last = picture.copy() if sent + 1 < clip.frame_count else None
            yield picture
            sent += 1
        words = output.words(most=10_000) if output.finish() or sent else ""
    if "rror" in words or "nvalid" in words or "orrupt" in words:
        clip._note(f"{clip.path} is damaged in places: some of its frames may look wrong.")
    missing = clip.frame_count - sent
    if missing and last is None:
        raise Unreadable(f"{clip.path} holds no frame that can be shown: it may be damaged.")
    if missing <= math.ceil(found.last * clip.fps) + 1:  # the last frame is shown for its time
        for _ in range(missing):
            yield last.copy()
    else:
        clip._note(_ends_early(clip.path, float(sent / clip.fps)))


# --- pictures ---------------------------------------------------------------------------------


def _still(path: Path, max_fps: Fraction, max_side: int | None) -> Clip:
    picture = images.read_picture(path)
    width, height = _fitted(picture.shape[1], picture.shape[0], max_side)
    picture = images.resize(picture, (height, width))

    def play(clip: Clip) -> Iterator[np.ndarray]:
        yield picture.copy()

    return Clip(path, min(PICTURE_RATE, max_fps), width, height, 1, None, [], play)


def _animation(path: Path, part: Part) -> Clip:
    found = pictures.scan(path)
    rate, varying = probing.constant_rate(found.times, Fraction(1, 1000), PICTURE_RATE)
    fps, notices = _rate(rate, varying, part.max_fps)
    start, count = _stretch(path, Fraction(found.end, 1000), fps, part)
    width, height = _fitted(found.width, found.height, part.max_side)
    if not found.whole:
        notices.append(_ends_early(path, found.end / 1000))
    slots = np.floor((found.times / 1000 - float(start)) * float(fps) + 0.5).astype(np.int64)

    def play(clip: Clip) -> Iterator[np.ndarray]:
        return pictures.play(path, slots, count, (height, width))

    return Clip(path, fps, width, height, count, None, notices, play)
