"""Writing frames to .mp4 or .gif with a label, one at a time, and asking what a clip holds.

Memory does not grow with the length of a clip: frames are streamed to ffmpeg.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from gan_models.errors import Unreadable, UserError, unwritten
from gan_models.images import (
    a_file,
    check_writable,
    label_text,
    parse_label,
    written_whole,
)
from gan_models.video import ffmpeg, probing
from gan_models.video.reading import Clip, Sound

# GIF counts in hundredths of a second, and browsers slow down anything shorter than two of them.
FASTEST = {".mp4": 120, ".gif": 50}
ENCODERS = {".mp4": {"libx264", "aac"}, ".gif": {"gif"}}
LARGE = 8_000_000  # pixels of a frame above which x264 has to be sparing of memory
# A palette per frame: one for the whole clip would make ffmpeg hold every frame in memory.
PALETTES = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
FIRST_TWO = "pan=stereo|c0=c0|c1=c1"  # of channels that nobody knows how to mix
# The colours are converted and marked as BT.709: players guess differently at unmarked ones.
COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,"
    "format=yuv420p,setparams=color_primaries=bt709:color_trc=bt709"
)


@dataclass(frozen=True)
class ClipInfo:
    """What a clip holds. Sizes are as it is shown, in pixels; fps is the nearest constant rate."""

    frames: int
    seconds: float
    width: int
    height: int
    fps: float
    padded: tuple[int, int] = (0, 0)  # columns, rows that write_clip added at the right and bottom
    label: dict | None = None  # {"note": "made by a model", "weights": name, "settings": {...}}
    notices: tuple[str, ...] = field(default=(), compare=False)  # sentences, from write_clip


def write_clip(
    path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float | Fraction, **options
) -> ClipInfo:
    """Write frames as `clip_writer` does, whose options these are. What `frames` raises removes
    what was written so far.
    """
    with clip_writer(path, fps, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.info


@contextmanager
def clip_writer(
    path: str | os.PathLike,
    fps: float | Fraction,
    *,
    weights: str | None,
    settings: dict,
    audio: str | os.PathLike | Clip | None = None,
) -> Iterator[ClipWriter]:
    """Write frames, (H, W, 3) uint8 of one size, to .mp4 (H.264, any browser) or looping .gif.

    H.264 stores even sizes only: an odd edge is repeated once, which ClipInfo.padded says.
    audio: a `Clip`, whose sound goes into the .mp4 in step with its frames, or a file with sound,
    which begins with the first frame. It is cut or followed by silence to the clip's length; the
    first track is taken. A clip without sound, sound that cannot be decoded, and sound for a .gif
    are left out, the latter two with one of ClipInfo.notices; so is all but the first two channels
    of what AAC does not take as it is.
    weights, settings: the label (`images.label_text`), which is the file's comment; `clip_info`
    gives it back. None for weights: no label, for what was filmed.
    The file appears whole or not at all: whatever is raised in the block removes it.
    Raises UserError for anything wrong with the options, at once, the frames or the disk.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in FASTEST:
        raise UserError(f"{path} must end in .mp4 or .gif.")
    if not 1 <= fps <= FASTEST[ending]:  # NaN fails too
        raise UserError(f"a {ending} clip has 1 to {FASTEST[ending]} frames per second, not {fps}.")
    sound, notices = _checked_sound(ending, audio)
    label = "" if weights is None else label_text(weights, settings)
    rate = Fraction(fps).limit_denominator(1001)
    check_writable(path)
    _check_encoder(ending)
    try:
        with written_whole(path) as part, ExitStack() as running:
            writer = ClipWriter(path, part, rate, label, sound, running)
            yield writer
            writer.finish(notices)
    except OSError as error:
        raise unwritten(path, error) from error


def _check_encoder(ending: str) -> None:
    """UserError where another ffmpeg than imageio-ffmpeg's is used, and it cannot write these."""
    if not ENCODERS[ending] <= ffmpeg.listed("-encoders"):
        raise UserError(
            f"{ffmpeg.executable()} cannot write {ending} ({', '.join(ENCODERS[ending])}): install "
            "imageio-ffmpeg anew, and leave IMAGEIO_FFMPEG_EXE unset."
        )


class ClipWriter:
    """Takes the frames of one clip. `info` is there when the block of `clip_writer` has ended."""

    info: ClipInfo

    def __init__(self, path, part, rate, label, sound, running: ExitStack):
        self.path, self.part, self.rate, self.label, self.sound = path, part, rate, label, sound
        self._mp4 = path.suffix.lower() == ".mp4"
        self._running, self._ffmpeg, self._shape, self._count = running, None, None, 0

    def write(self, frame: np.ndarray) -> None:
        self._shape = self._shape or np.shape(frame)
        like_first = np.shape(frame) == self._shape and self._shape[2:] == (3,)
        if not like_first or frame.dtype != np.uint8 or frame.size == 0:
            raise UserError(
                f"frame {self._count} of {self.path} is no (height, width, 3) of uint8 as large as "
                f"the first: {np.shape(frame)}, {self._shape}."
            )
        if self._ffmpeg is None:
            self._begin(*self._shape[:2])
        right, bottom = self._padded
        if right or bottom:
            frame = np.pad(frame, ((0, bottom), (0, right), (0, 0)), mode="edge")
        try:
            self._ffmpeg.send(np.ascontiguousarray(frame))
        except OSError as error:  # ffmpeg has ended, and its last words say why
            self._ffmpeg.finish()
            raise self._refusal() from error
        self._count += 1

    def _begin(self, height: int, width: int) -> None:
        self._padded = right, bottom = (width % 2, height % 2) if self._mp4 else (0, 0)
        self._size = (width + right, height + bottom)
        size = "x".join(map(str, self._size))
        options = ["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(self.rate)]
        options += ["-i", "-"]
        if self._mp4:
            options += _mp4_options(self.sound, self.label, height * width)
        else:
            options += ["-filter_complex", PALETTES, "-loop", "0"]
        process = ffmpeg.Process([*options, f"file:{self.part}"], stdin=subprocess.PIPE)
        self._ffmpeg = self._running.enter_context(process)

    def finish(self, notices: tuple[str, ...]) -> None:
        if not self._ffmpeg:
            raise UserError(f"{self.path} was not written: there is not a single frame.")
        if self._ffmpeg.finish() != 0:
            raise self._refusal()
        if self.label and not self._mp4:
            _comment_gif(self.part, self.label)
        about = (self._count, float(self._count / self.rate), *self._size, float(self.rate))
        self.info = ClipInfo(*about, self._padded, parse_label(self.label), notices)

    def _refusal(self) -> UserError:
        words = self._ffmpeg.words().strip()
        # The first line names the cause; the others tell what came of it.
        cause = re.sub(r"^(\[[^]]*\] ?)+", "", words.partition("\n")[0]) or "ffmpeg was ended"
        # On a full disk ffmpeg's own words are not kept, either, where they lie on the same one.
        full = shutil.disk_usage(self.part.parent).free < 2**16
        if full or os.strerror(errno.ENOSPC) in words:
            return unwritten(self.path, OSError(errno.ENOSPC, ""))
        return unwritten(self.path, OSError(cause.rstrip(".")))


def _checked_sound(ending: str, audio) -> tuple[Sound | None, tuple[str, ...]]:
    """(what to put beside the frames, notices)."""
    if audio is None or (isinstance(audio, Clip) and not audio.has_sound):
        return None, ()
    if ending == ".gif":
        return None, ("A .gif holds no sound: it was left out.",)
    sound = audio.sound if isinstance(audio, Clip) else _sound_of(audio)
    if _is_heard(sound):  # else ffmpeg would find out when the frames are drawn
        return sound, ()
    if _is_heard(sound := replace(sound, mix=FIRST_TWO)):
        return sound, (f"Of the sound of {sound.path} the first two channels are kept.",)
    return None, (f"No sound of {sound.path} can be played: it was left out.",)


def _sound_of(path: str | os.PathLike) -> Sound:
    path = a_file(path)
    with suppress(Unreadable), probing.opened(path) as container:
        tracks = container.streams.audio
        if tracks and tracks[0].codec_context:
            return Sound(path, (container.start_time or 0) * probing.MICROSECOND)
    raise Unreadable(f"{path} holds no sound that can be read.")


def _is_heard(sound: Sound) -> bool:
    """Whether there is any of it that can be decoded and coded again.

    PyAV must not decode it nor ask for its channels: of those without names it breaks the memory.
    """
    with probing.opened(sound.path) as container, suppress(av.FFmpegError):
        track = container.streams.audio[0]
        track.codec_context.open()
        if sound.seek is not None:
            container.seek(int(sound.seek / track.time_base), stream=track)
        at = (packet.pts for packet in container.demux(track) if packet.pts is not None)
        if not any(pts * track.time_base > sound.start - 1 for pts in at):
            return False
        if track.codec_context.name in ("aac", "mp3"):
            return True
        arguments = [*_heard(sound), "-map", "0:a:0", "-frames:a", "1", "-c:a", "aac"]
        arguments += ["-af", sound.mix] if sound.mix else []
        with ffmpeg.Process([*arguments, "-f", "null", "-"]) as trial:
            return trial.finish() == 0
    return False


def _mp4_options(sound: Sound | None, label: str, pixels: int) -> list[str]:
    """What comes after the frames: the sound beside them, and how both are stored."""
    # Each thread, and each frame that is looked ahead to, holds whole frames: at 24 megapixels,
    # 4.5 GB as x264 is set by itself, and less than half of that so.
    sparing = ["-threads", "2", "-rc-lookahead", "5", "-bf", "0", "-refs", "1"]
    coder = ["-c:v", "libx264", "-crf", "18", *(sparing if pixels > LARGE else []), "-vf", COLOURS]
    coder += ["-map_metadata", "-1", "-metadata", f"comment={label}", "-movflags", "+faststart"]
    if sound is None:
        return coder
    together = ["-map", "0:v:0", "-map", "1:a:0", "-shortest", "-c:a", "aac"]
    return [*_heard(sound), *together, "-af", _in_step(sound), *coder]


def _heard(sound: Sound) -> list[str]:
    """The sound as an input; what is broken in the middle becomes silence."""
    return ["-max_error_rate", "1", *ffmpeg.source(sound.path, sound.seek)]


def _in_step(sound: Sound) -> str:
    """Filters: from the sound's `start` on, with silence for what is missing before it, within it
    and at its end, as long as the frames that are expected; ended with them where fewer come."""
    zero = f"({sound.start.numerator}/{sound.start.denominator})"
    steps = f"asetpts=PTS-{zero}/TB,atrim=start=0,aresample=async=1:min_hard_comp=0.01:first_pts=0"
    steps = f"{sound.mix},{steps}" if sound.mix else steps
    end = "" if sound.seconds is None else f",atrim=end={float(sound.seconds):.6f}"
    return f"{steps},apad=packet_size=256{end}"


def _comment_gif(part: Path, label: str) -> None:
    """Put the label into a finished GIF as a comment before the first frame (ffmpeg does not)."""
    text = label.encode("ascii")
    blocks = [text[start : start + 255] for start in range(0, len(text), 255)]
    comment = b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"
    with written_whole(part) as commented:
        with open(part, "rb") as plain, open(commented, "wb") as target:
            start = plain.read(13)  # signature and screen; its bits say whether a palette follows
            if start[10] & 0x80:
                start += plain.read(3 * 2 ** ((start[10] & 7) + 1))
            target.write(start + comment)
            shutil.copyfileobj(plain, target)


def clip_info(path: str | os.PathLike) -> ClipInfo:
    """What the clip at `path` holds, with the label that `write_clip` stored (None if it has none).

    Any file may be asked about: nothing is opened that it points to, and no frame is decoded but
    the first. Raises Unreadable for a missing or damaged file.
    """
    path = Path(path)
    found = probing.probe(path)
    comment = found.comment
    if path.suffix.lower() == ".gif":
        with suppress(Exception), Image.open(path, formats=["GIF"]) as image:  # may be misnamed
            comment = image.info.get("comment", b"").decode("ascii", "replace")
    about = (found.frames, float(found.seconds), found.width, found.height, float(found.rate))
    return ClipInfo(*about, label=parse_label(comment))
