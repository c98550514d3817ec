"""Clips: writing frames one at a time to .mp4 or .gif with a label, and asking what a clip holds.

Frames are streamed to ffmpeg (the binary that imageio-ffmpeg brings), so memory does not grow with
the length of a clip. ffmpeg is started here and not through `imageio_ffmpeg.write_frames`, because
that function drops ffmpeg's exit status: a clip cut off by a full disk would pass for a good one.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from gan_models.errors import Unreadable
from gan_models.images import label_text, parse_label, written_whole
from gan_models.video import ffmpeg, probing
from gan_models.video.reading import Clip, Sound, sound_of

# GIF counts in hundredths of a second, and browsers slow down anything shorter than two of them.
FASTEST = {".mp4": 120, ".gif": 50}
SOUND_LIMIT = 30.0  # seconds for finding out whether a sound can be played
LARGE = 8_000_000  # pixels of a frame above which x264 has to be sparing of memory


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


# --- writing ----------------------------------------------------------------------------------


def write_clip(
    path: str | os.PathLike,
    frames: Iterable[np.ndarray],
    fps: float | Fraction,
    *,
    weights: str,
    settings: dict,
    audio: str | os.PathLike | Clip | None = None,
) -> ClipInfo:
    """Write frames, (H, W, 3) uint8 of one size, to .mp4 (H.264, any browser) or looping .gif.

    H.264 stores even sizes only: an odd edge is repeated once, which ClipInfo.padded says.
    audio: a `Clip`, whose sound goes into the .mp4 in step with its frames, or a file with sound,
    which begins with the first frame. It is cut or followed by silence to the clip's length; the
    first track is taken. A clip without sound, sound that cannot be decoded, and a clip's sound for
    a .gif are left out, the latter two with one of ClipInfo.notices.
    The label (`images.label_text`) is the file's comment; `clip_info` gives it back.
    The file appears whole or not at all: whatever is raised here or by `frames` (GeneratorExit too)
    removes what was written so far.
    Raises Unreadable for anything wrong with the options, the frames or the disk.
    """
    path = Path(path)
    kind = path.suffix.lower()
    rate = _checked_rate(path, kind, fps)
    sound, notices = _checked_sound(path, kind, audio)
    try:
        label = label_text(weights, settings)
    except ValueError as error:
        raise Unreadable(f"{path} cannot be written: {error}") from error
    pictures = _checked_frames(path, frames)
    first = next(pictures)
    height, width = first.shape[:2]
    padded = (width % 2, height % 2) if kind == ".mp4" else (0, 0)
    width, height = width + padded[0], height + padded[1]
    options = _mp4_options(label, width * height) if kind == ".mp4" else _gif_options()
    count = 0
    try:
        with written_whole(path) as part:
            with _encoder(path, part, width, height, rate, options) as send:
                for picture in itertools.chain([first], pictures):
                    send(_padded(picture, padded))
                    count += 1
            if kind == ".gif":
                _comment_gif(part, label)
            elif sound:
                _add_sound(path, part, sound, float(count / rate), label)
    except OSError as error:
        raise Unreadable(f"{path} could not be written: {error.strerror or error}.") from error
    seconds = float(count / rate)
    return ClipInfo(count, seconds, width, height, float(rate), padded, parse_label(label), notices)


def _checked_rate(path: Path, kind: str, fps: float | Fraction) -> Fraction:
    if kind not in FASTEST:
        raise Unreadable(f"{path} must end in .mp4 or .gif.")
    if not 1 <= fps <= FASTEST[kind]:  # NaN fails too
        raise Unreadable(f"a {kind} clip has 1 to {FASTEST[kind]} frames per second, not {fps}.")
    return Fraction(fps).limit_denominator(1001)


def _checked_sound(
    path: Path, kind: str, audio: str | os.PathLike | Clip | None
) -> tuple[Sound | None, tuple[str, ...]]:
    """(what to put beside the frames, notices)."""
    if isinstance(audio, Clip):
        if not audio.has_sound:
            return None, ()
        if kind == ".gif":
            return None, ("A .gif holds no sound: it was left out.",)
        sound = audio.sound
    elif audio is None:
        return None, ()
    elif kind == ".gif":
        raise Unreadable(f"{path} cannot hold sound: write an .mp4, or leave the sound out.")
    else:
        sound = sound_of(audio)
    if not _has_samples(sound):
        return None, (f"No sound of {sound.path} can be played: it was left out.",)
    return sound, ()


def _has_samples(sound: Sound) -> bool:
    """Whether any sample comes out; ffmpeg would otherwise find out when the frames are drawn."""
    arguments = ["-v", "quiet", *_sound_input(sound), "-map", "0:a:0", "-af", _in_step(sound)]
    with ffmpeg.Output([*arguments, "-f", "u8", "pipe:1"], limit=SOUND_LIMIT) as output:
        return output.fill(np.empty(1, np.uint8)) or output.late[0]


def _sound_input(sound: Sound) -> list[str]:
    options = ["-copyts", "-max_error_rate", "1"]  # what is broken in the middle becomes silence
    if sound.seek is not None:
        options += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{sound.seek:.6f}"]
    return [*options, *ffmpeg.source(sound.path)]


def _in_step(sound: Sound) -> str:
    """Filters that put a sound's `start` at 0 and fill what is missing, before it or within it."""
    zero = f"({sound.start.numerator}/{sound.start.denominator})"
    end = "" if sound.seconds is None else f":end={float(sound.seconds):.6f}"
    filled = "aresample=async=1:min_hard_comp=0.01:first_pts=0"
    return f"asetpts=PTS-{zero}/TB,atrim=start=0{end},{filled}"


def _checked_frames(path: Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same frames; Unreadable at one that is no picture or of another size, or if none is."""
    shape = None
    for index, frame in enumerate(frames):
        is_array = isinstance(frame, np.ndarray) and frame.dtype == np.uint8
        if not is_array or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise Unreadable(f"frame {index} of {path} is no (height, width, 3) array of uint8.")
        shape = shape or frame.shape
        if frame.shape != shape:
            raise Unreadable(
                f"frame {index} of {path} is {frame.shape[1]} x {frame.shape[0]} pixels, the first "
                f"{shape[1]} x {shape[0]}: bring all frames to one size."
            )
        yield frame
    if shape is None:
        raise Unreadable(f"{path} was not written: there is not a single frame.")


def _padded(picture: np.ndarray, padded: tuple[int, int]) -> np.ndarray:
    right, bottom = padded
    if right or bottom:
        picture = np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)


def _mp4_options(label: str, pixels: int) -> list[str]:
    # The colours are converted and marked as BT.709: players guess differently at unmarked ones.
    colours = (
        "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,"
        "format=yuv420p,setparams=color_primaries=bt709:color_trc=bt709"
    )
    # Each thread, and each frame that is looked ahead to, holds whole frames: at 24 megapixels,
    # 4.5 GB as x264 is set by itself, and less than half of that so.
    sparing = ["-threads", "2", "-rc-lookahead", "5", "-bf", "0", "-refs", "1"]
    coder = ["-c:v", "libx264", "-crf", "18", *(sparing if pixels > LARGE else [])]
    return [*coder, "-vf", colours, *_mp4_end(label)]


def _mp4_end(label: str) -> list[str]:
    return ["-map_metadata", "-1", "-metadata", f"comment={label}", "-movflags", "+faststart"]


def _add_sound(path: Path, part: Path, sound: Sound, seconds: float, label: str) -> None:
    """Put a sound into a finished .mp4, as long as its frames are shown.

    Only now is it known how long that is; ffmpeg's own way of ending both together (-shortest)
    leaves up to a second of sound over.
    """
    filters = f"{_in_step(sound)},apad=packet_size=256,atrim=end={seconds:.6f}"
    with written_whole(part) as both:
        done = ffmpeg.ask(
            *("-v", "error", "-y", "-i", f"file:{part}", *_sound_input(sound)),
            *("-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", "-c:a", "aac", "-af", filters),
            *(*_mp4_end(label), f"file:{both}"),
        )
        if done.returncode != 0:
            raise _refusal(path, done.stderr)


def _gif_options() -> list[str]:
    # A palette per frame: one for the whole clip would make ffmpeg hold every frame in memory.
    palettes = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
    return ["-filter_complex", palettes, "-loop", "0"]


@contextmanager
def _encoder(
    path: Path, part: Path, width: int, height: int, rate: Fraction, options: list[str]
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that sends one frame to ffmpeg, which writes `part`; any error ends ffmpeg."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate)]
    sending = ["-v", "error", "-y", *source, "-i", "-"]
    command = [ffmpeg.executable(), *sending, *options, f"file:{part}"]
    with tempfile.TemporaryFile() as words:  # a pipe that nobody reads could block ffmpeg
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words
        )

        def send(picture: np.ndarray) -> None:
            try:
                process.stdin.write(picture.data)
            except OSError as error:  # ffmpeg has ended, and its last words say why
                process.wait()
                raise _refusal(path, _all_of(words)) from error

        try:
            yield send
            with suppress(OSError):
                process.stdin.close()
            if process.wait() != 0:
                raise _refusal(path, _all_of(words))
        finally:
            process.kill()
            process.wait()
            with suppress(OSError):
                process.stdin.close()


def _refusal(path: Path, words: str) -> Unreadable:
    return Unreadable(f"{path} could not be written: {ffmpeg.last_words(words)}.")


def _all_of(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read().decode(errors="replace")


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


# --- asking -----------------------------------------------------------------------------------


def clip_info(path: str | os.PathLike) -> ClipInfo:
    """What the clip at `path` holds, with the label that `write_clip` stored (None if it has none).

    Any file may be asked about: nothing is opened that it points to, and no frame is decoded but
    the first. Raises Unreadable for a missing or damaged file.
    """
    path = Path(path)
    found = probing.probe(path)
    label = parse_label(_comment(path))
    size = (found.width, found.height)
    return ClipInfo(found.frames, float(found.seconds), *size, float(found.rate), label=label)


def _comment(path: Path) -> str | None:
    if path.suffix.lower() == ".gif":
        try:
            with Image.open(path, formats=["GIF"]) as image:
                return image.info.get("comment", b"").decode("ascii", "replace")
        except Exception:  # noqa: BLE001 - Pillow raises nearly anything; a film may be named so
            return None
    text = ffmpeg.ask(*ffmpeg.source(path), "-f", "ffmetadata", "-").stdout
    found = re.search(r"^comment=(.*)$", text, re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None  # ffmetadata escapes = ; # and \
