"""ffmpeg: starting the binary that imageio-ffmpeg brings, watching it, and always ending it.

It is started here and not through imageio_ffmpeg's own functions, because those drop its exit
status, guess a clip's rate and length, and hold back what it says about damage.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from contextlib import suppress

import imageio_ffmpeg
import numpy as np

PATIENCE = 60.0  # seconds without a single byte after which ffmpeg is taken to hang

# Only formats that hold their own pictures and sound. ffmpeg would also follow playlists (HLS,
# DASH, concat): a stranger's "clip" could then read other files of this machine.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,"
    "mxf,h264,hevc,m4v,ivf,obu,nut,dv,rm,yuv4mpegpipe,webp_anim,webp_pipe,"
    "wav,w64,mp3,aac,flac,aiff,caf,amr,ac3,eac3,au,wv,ape,tta,dts,truehd"
)


def executable() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()


def source(path: str | os.PathLike) -> list[str]:
    """The options that open `path` as an input, and nothing else that it may point to."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}"]


def ask(*arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess:
    """Run ffmpeg to its end; its words are text. Raises subprocess.TimeoutExpired."""
    command = [executable(), "-hide_banner", "-nostdin", *arguments]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
    )


def last_words(text: str) -> str:
    """The last line ffmpeg said, without the name of its part and the full stop."""
    lines = text.strip().splitlines() or ["ffmpeg was ended"]
    return re.sub(r"^(\[.*?\] )+", "", lines[-1]).rstrip(".")


class Output:
    """A running ffmpeg whose standard output is read here; leaving the `with` block ends it.

    `limit`: seconds after which it is ended whatever it does (`late` is then true); it is also
    ended when it is waited for and says nothing for PATIENCE seconds.
    """

    def __init__(self, arguments: list[str], limit: float | None = None):
        self._words = tempfile.TemporaryFile()  # a pipe that nobody reads could block ffmpeg
        self._ended = threading.Event()
        self._waiting_since = [None]
        self.late = [False]
        command = [executable(), "-hide_banner", "-nostdin", "-nostats", *arguments]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._words
            )
        except BaseException:
            self._words.close()
            raise
        end = None if limit is None else time.monotonic() + limit
        watched = (self.process, self._ended, self._waiting_since, self.late, end)
        threading.Thread(target=_watch, args=watched, daemon=True).start()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._words.close()

    def lines(self):
        """Each line of the output, bytes."""
        self._waiting_since[0] = time.monotonic()
        for line in self.process.stdout:
            self._waiting_since[0] = time.monotonic()
            yield line

    def fill(self, picture: np.ndarray) -> bool:
        """Read one contiguous array of uint8; False where the output ends before it is full."""
        rest = memoryview(picture).cast("B")
        self._waiting_since[0] = time.monotonic()
        count = self.process.stdout.readinto(rest)  # buffered: as much as there is room for
        self._waiting_since[0] = None
        return count == len(rest)

    def finish(self) -> int:
        """The exit status, once the output has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=PATIENCE)
        self.process.kill()
        return self.process.wait()

    def words(self, most: int | None = None) -> str:
        """What ffmpeg has said so far (the last `most` bytes)."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(0 if most is None else max(0, size - most))
        return self._words.read().decode(errors="replace")


def _watch(process, ended: threading.Event, waiting_since: list, late: list, end: float | None):
    while not ended.wait(0.5):
        now, since = time.monotonic(), waiting_since[0]
        if (since is not None and now - since > PATIENCE) or (end is not None and now > end):
            late[0] = True
            process.kill()
            return
