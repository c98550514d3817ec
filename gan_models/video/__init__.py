"""Clips: reading any file as frames at one constant rate, writing frames to .mp4 or .gif.

    reading.py     `open_clip`: a file becomes a `Clip`, whose frames are streamed, cropped, scaled
    writing.py     `write_clip`, `clip_writer`: a labelled file with sound; `clip_info`
    probing.py     what a film holds: when each frame is shown, its size, its colours (PyAV)
    animations.py  pictures, still or animated, in place of films
    ffmpeg.py      starting, watching and ending ffmpeg

A clip of ten minutes takes no more memory than one of ten seconds.
"""

from gan_models.video.ffmpeg import FILM_ENDINGS
from gan_models.video.reading import Clip, open_clip
from gan_models.video.writing import FASTEST, ClipInfo, clip_info, clip_writer, write_clip

__all__ = ["FASTEST", "FILM_ENDINGS", "Clip", "ClipInfo"]
__all__ += ["clip_info", "clip_writer", "open_clip", "write_clip"]
