"""Small films for the tests, made by ffmpeg; their frames can be told by their grey."""

import subprocess

import imageio_ffmpeg
import numpy as np

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LEVEL = 8  # frame i of `counting` is a grey of 16 + LEVEL * i


def run(folder, *arguments):
    """ffmpeg in `folder`; every source in these tests is bounded."""
    command = [FFMPEG, "-v", "error", "-nostdin", "-y", *(str(part) for part in arguments)]
    subprocess.run(command, cwd=folder, check=True, timeout=60)


def counting(frames=25, rate=25, height=24, width=32):
    """The options of a film whose frames can be told by their grey."""
    grey = f"geq=lum='16+{LEVEL}*N':cb=128:cr=128,format=yuv420p"
    size = f"color=black:s={width}x{height}:r={rate}:d={float(frames / rate)}"
    return ["-f", "lavfi", "-i", f"{size},{grey}"]


def levels(clip, **_):
    """Which frame of `counting` each frame shows."""
    middle = [frame[10, 10].mean() for frame in clip.frames()]
    stored = np.array(middle) * 219 / 255 + 16  # back to video levels
    return ((stored - 16) / LEVEL).round().astype(int).tolist()
