"""Reading: any clip as frames at one constant rate, upright, with square pixels, as a stream.

A clip is its film track from the first frame shown to the end of the last one; `Sound` says which
stretch of the sound belongs to it. A frame of the constant rate shows what the clip shows at that
time; there are round(seconds * rate) of them.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from gan_models import faces, images
from gan_models.errors import Unreadable
from gan_models.faces.framing import Box, Span, check_box
from gan_models.video import animations, ffmpeg, probing

SEEK_FROM = 15.0  # seconds; a later start is looked up in the file instead of decoded up to
SEEK_BEFORE = 10.0  # seconds decoded ahead of the start: some files' indices are coarse or wrong


@dataclass(frozen=True)
class Sound:
    """A stretch of a file's first sound track that belongs to a clip."""

    path: Path
    start: Fraction  # seconds as the file counts them (ffmpeg's -copyts) at the clip's first frame
    seconds: Fraction | None = None  # how much of it, None: all
    seek: float | None = None  # where ffmpeg may begin to read
    mix: str = ""  # of its channels, an ffmpeg filter before all others


@dataclass(frozen=True)
class Clip:
    """A clip that `open_clip` has looked through; nothing of it is held.

    fps: constant; `frame_count` frames of it last `seconds`. width, height: pixels of each frame,
    upright and square. notices: short sentences about what was changed or is damaged; reading the
    frames may add to them. sound: what `write_clip(audio=clip)` takes. crop: what is cut out.
    """

    path: Path
    fps: Fraction
    width: int
    height: int
    frame_count: int
    sound: Sound | None
    notices: list[str]
    found: probing.Found | animations.Animation = field(repr=False)
    start: Fraction = field(repr=False)  # seconds from the first frame of all
    crop: Box | None = None

    @property
    def seconds(self) -> float:
        return float(self.frame_count / self.fps)

    @property
    def has_sound(self) -> bool:
        return self.sound is not None

    def cropped(self, box: Box, size: int | tuple[int, int]) -> Clip:
        """The same clip, of which `box`, in pixels of the upright frame, is shown, `size` pixels
        large (or (height, width)). Beyond the frame its edge is repeated. Raises UserError as
        `faces.crop`.
        """
        check_box(box, self.found.width, self.found.height)
        height, width = (size, size) if isinstance(size, int) else size
        return replace(self, width=width, height=height, crop=box)

    def part(self, start: float | Fraction, seconds: float | Fraction) -> Clip:
        """The same clip from `start` on, as `open_clip` has it, without reading the file again."""
        part = _opened(self.path, self.found, self.fps, start=start, seconds=seconds)
        return replace(part, width=self.width, height=self.height, crop=self.crop)

    def frames(self) -> Iterator[np.ndarray]:
        """(height, width, 3) uint8 RGB, one after the other, `frame_count` of them.

        A damaged clip ends at its last good frame, which `notices` then says. May be called again.
        Closing the iterator, or dropping it, ends ffmpeg.
        """
        return _decode(self) if isinstance(self.found, probing.Found) else _play(self)

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
    the nearest frame.
    Transparency is shown over white, high dynamic range as far as a screen goes.
    Raises Unreadable (a sentence) for anything that is no clip, before a frame is read.
    """
    path = Path(path)
    found = animations.scan(path) if path.is_file() else None
    return _opened(path, found or probing.probe(path), max_fps, max_side, start, seconds)


def _opened(path, found, max_fps, max_side=None, start=0.0, seconds=None) -> Clip:
    """See `open_clip`; found: what the file holds."""
    if isinstance(found, probing.Found):
        rate, varying, first, whole = found.rate, found.varying, found.first, found.seconds
        notices = _noticed(path, found)
    else:
        times, first, whole = found.times, Fraction(0), Fraction(found.end, 1000)
        rate, varying = probing.constant_rate(times, Fraction(1, 1000), animations.RATE)
        notices = [] if found.whole else [_ends_early(path, whole)]
    fps, told = _thinned(rate, varying, Fraction(max_fps))
    begin, count = _stretch(path, whole, fps, Fraction(start), seconds)
    sound = None
    if isinstance(found, probing.Found) and found.sound:
        sound = Sound(path, first + begin, count / fps, _seek(found, begin))
    scale = min(1, (max_side or math.inf) / max(found.width, found.height))
    width, height = (max(1, round(scale * side)) for side in (found.width, found.height))
    return Clip(path, fps, width, height, count, sound, told + notices, found, begin)


# --- what is shown when -----------------------------------------------------------------------


def _stretch(path: Path, whole, fps, start: Fraction, seconds) -> tuple[Fraction, int]:
    """(start in seconds, on a frame so that picture and sound agree; number of frames)."""
    if start >= whole:
        raise Unreadable(
            f"{path} is {float(whole):.2f} seconds long: it has nothing at {float(start)}."
        )
    last = max(0, _rounded(whole * fps) - 1)
    start = min(last, _rounded(start * fps)) / fps
    length = whole - start if seconds is None else min(whole - start, Fraction(seconds))
    return start, max(1, _rounded(length * fps))


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _thinned(own: Fraction, varying: bool, max_fps: Fraction) -> tuple[Fraction, list[str]]:
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


def _ends_early(path: Path, good: Fraction) -> str:
    return f"{path} is damaged: it ends at its last good frame, after {float(good):.2f} seconds."


def _noticed(path: Path, found: probing.Found) -> list[str]:
    notices = []
    if found.cut_off:
        notices.append(f"{path} is cut off: its end is missing.")
    if found.sound is False:
        notices.append(f"The sound of {path} is in a code that cannot be read: it is left out.")
    if found.hdr and not _tone_mapping():
        notices.append("The clip's high dynamic range could not be converted: colours look pale.")
    return notices


# --- frames -----------------------------------------------------------------------------------


def _play(clip: Clip) -> Iterator[np.ndarray]:
    """The frames of a picture."""
    begins = (clip.found.times / 1000 - float(clip.start)) * float(clip.fps)
    slots = np.floor(begins + 0.5).astype(int).clip(0, clip.frame_count)
    counts = np.trim_zeros(np.diff(slots, append=clip.frame_count), "b")  # frames of each picture
    size = (clip.height, clip.width)
    for count, (picture, _) in zip(counts, animations.frames(clip.path), strict=False):
        if count and clip.crop:
            picture = faces.crop(picture, clip.crop, size)
        elif count:
            picture = images.resize(picture, size)
        for _ in range(count):
            yield picture.copy()


def _seek(found: probing.Found, start: Fraction) -> float | None:
    return float(found.first + start) - SEEK_BEFORE if start > SEEK_FROM else None


def _tone_mapping() -> bool:
    return {"zscale", "tonemap"} <= ffmpeg.listed("-filters")


def _decode(clip: Clip) -> Iterator[np.ndarray]:
    """The frames of a film."""
    found = clip.found
    filters, shape, beside = _filters(clip)
    options = ["-max_pixels", str(images.MAX_PIXELS), "-reinit_filter", "0"]
    if found.decoder and found.decoder in ffmpeg.listed("-decoders"):
        options += ["-c:v", found.decoder]
    if found.width * found.height > 8_000_000:  # each thread holds frames of its own
        options += ["-threads", "2"]
    options += ffmpeg.source(clip.path, _seek(found, clip.start))
    options += ["-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough"]
    options += ["-frames:v", str(clip.frame_count), "-f", "rawvideo", "pipe:1"]
    sent, last = 0, None
    with ffmpeg.Process(options, stdout=subprocess.PIPE) as output:
        while sent < clip.frame_count:
            picture = np.empty((*shape, 3), np.uint8)
            if not output.fill(picture):
                break
            picture = np.pad(picture, (*beside, (0, 0)), mode="edge") if clip.crop else picture
            last = picture.copy() if sent + 1 < clip.frame_count else None
            yield picture
            sent += 1
        words = output.words() if output.finish() or sent else ""
    words = words.replace(str(clip.path), "")  # its name says nothing about it
    if "rror" in words or "nvalid" in words or "orrupt" in words:
        clip._note(f"{clip.path} is damaged in places: some of its frames may look wrong.")
    missing = clip.frame_count - sent
    if missing and last is None:
        raise Unreadable(f"{clip.path} holds no frame that can be shown: it may be damaged.")
    if missing <= math.ceil(found.last * clip.fps) + 1:  # the last frame is shown for its time
        for _ in range(missing):
            yield last.copy()
    else:
        clip._note(_ends_early(clip.path, sent / clip.fps))


def _filters(clip: Clip) -> tuple[str, tuple[int, int], tuple]:
    """(ffmpeg's filters, (height, width) of what they give, rows and columns to add around it)."""
    found, zero = clip.found, clip.found.first + clip.start
    steps = ["bwdif=deint=interlaced"] if found.interlaced else []
    steps += [
        f"setpts=round(PTS-({zero.numerator}/{zero.denominator})/TB)",
        f"fps=fps={clip.fps}:start_time=0:round=near",
    ]
    shape, beside = (clip.height, clip.width), ()
    if clip.crop:
        across = Span.of(clip.crop.left, clip.crop.right, found.width, clip.width)
        down = Span.of(clip.crop.top, clip.crop.bottom, found.height, clip.height)
        shape, beside = (down.count, across.count), (down.beside, across.beside)
        left, top = across.pixels.start, down.pixels.start
        wide, high = across.pixels.stop - left, down.pixels.stop - top
        whole = f"scale={found.width}:{found.height}"  # of oblong pixels, and of frames that change
        steps += [whole, f"crop={wide}:{high}:{left}:{top}:exact=1"]
    size = f"{shape[1]}:{shape[0]}"
    if found.hdr and _tone_mapping():
        steps += [  # scaled first: what follows computes in floating point
            f"zscale={size}:tin={found.hdr}:min=2020_ncl:pin=2020:t=linear:npl=100",
            "format=gbrpf32le,zscale=p=709,tonemap=mobius:desat=0,zscale=t=709:m=gbr:r=full",
            "format=gbrp",
        ]
    else:
        kernel = "lanczos" if clip.crop else "bicubic"  # Lanczos: as `faces.crop`
        steps.append(f"scale={size}:flags={kernel}+accurate_rnd+full_chroma_int")
    if found.alpha:  # over white: 1 - alpha (1 - colour)
        steps.append("format=gbrap,negate,premultiply=inplace=1,negate")
    return ",".join([*steps, "format=rgb24"]), shape, beside
