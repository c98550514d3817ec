"""ffmpeg: starting the binary that imageio-ffmpeg brings, watching it, and always ending it.

It is started here and not through imageio_ffmpeg's own functions, because those drop its exit
status, guess a clip's rate and length, and hold back what it says about damage.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache

import imageio_ffmpeg
import numpy as np

from gan_models.errors import UserError

PATIENCE = 60.0  # seconds without a single byte after which ffmpeg is taken to hang

# Only formats that hold their own pictures and sound. ffmpeg would also follow playlists (HLS,
# DASH, concat): a stranger's "clip" could then read other files of this machine.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,"
    "mxf,h264,hevc,m4v,ivf,obu,nut,dv,rm,yuv4mpegpipe,webp_anim,webp_pipe,"
    "wav,w64,mp3,aac,flac,aiff,caf,amr,ac3,eac3,au,wv,ape,tta,dts,truehd"
)
# Endings of their films, by which folders are searched; a single file is known by its content.
FILM_ENDINGS = frozenset(
    ".mp4 .m4v .mov .qt .mkv .mk3d .webm .avi .divx .gif .mpg .mpeg .mpe .mpv .m1v .m2v .vob .vro "
    ".mod .tod .ts .mts .m2ts .m2t .mpegts .trp .tp .wmv .asf .flv .f4v .ogv .ogg .ogm .3gp .3gpp "
    ".3g2 .3gp2 .mj2 .mjp2 .mxf .dv .dif .rm .rmvb .nut .ivf .y4m .obu .h264 .264 .h265 .265 "
    ".hevc".split()
)


def executable() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()


def source(path: str | os.PathLike, seek: float | None) -> list[str]:
    """The options that open `path` as an input, and nothing else that it may point to, with its own
    times, from `seek` seconds of them on.
    """
    options = ["-copyts", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]
    if seek is not None:
        options += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{seek:.6f}"]
    return [*options, "-i", f"file:{path}"]


@cache
def listed(what: str) -> frozenset[str]:
    """The names that this ffmpeg lists under -decoders, -encoders or -filters; UserError where it
    does not run at all.
    """
    try:
        done = subprocess.run([executable(), "-hide_banner", what], capture_output=True, text=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"There is no ffmpeg ({error}): install imageio-ffmpeg anew.") from error
    return frozenset(re.findall(r"^ \S+ +(\S+)", done.stdout, re.MULTILINE))


class Process:
    """A running ffmpeg whose output or input is a pipe; leaving the `with` block ends it.

    It is also ended when its output is waited for and does not come for PATIENCE seconds.
    """

    def __init__(self, arguments: list[str], **pipe):
        """pipe: stdout or stdin = subprocess.PIPE."""
        self._words = tempfile.TemporaryFile()  # a pipe that nobody reads could block ffmpeg
        command = [executable(), "-hide_banner", "-nostats", "-v", "error", *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **{**quiet, **pipe}, stderr=self._words)
        self._waiting_since = math.inf
        self._ended = threading.Event()

    def __enter__(self) -> Process:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not taken any more
                if pipe:
                    pipe.close()
        self._words.close()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            if time.monotonic() - self._waiting_since > PATIENCE:
                self._process.kill()

    def fill(self, picture: np.ndarray) -> bool:
        """Read one contiguous array of uint8; False where the output ends before it is full."""
        rest = memoryview(picture).cast("B")
        self._waiting_since = time.monotonic()
        count = self._process.stdout.readinto(rest)  # buffered: as much as there is room for
        self._waiting_since = math.inf
        return count == len(rest)

    def send(self, picture: np.ndarray) -> None:
        """Write one contiguous array. Raises BrokenPipeError where ffmpeg has ended."""
        self._process.stdin.write(picture.data)

    def finish(self) -> int:
        """The exit status, once there is nothing left to read or to send."""
        if self._process.stdin:  # it may have much to do yet
            with suppress(OSError):
                self._process.stdin.close()
        else:
            self._waiting_since = time.monotonic()
        return self._process.wait()

    def words(self) -> str:
        """What ffmpeg has said (the last 10,000 bytes)."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - 10_000))
        return self._words.read().decode(errors="replace")
