"""What tabs do with what they made: show it large, name it, hand it over."""

import base64
import io
import json
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from gan_models import images
from tabs.kit import jobs

DISPLAY = 512  # pixels that smaller pictures are enlarged to


def stored_example(folder: Path, weights: str | None) -> dict:
    """What example.json in `folder` says of a tab's example, if `weights` made it; else {}."""
    path = folder / "example.json"
    example = json.loads(path.read_text()) if path.is_file() else {}
    return example if example and example["weights"] == weights else {}


def enlarge(picture: np.ndarray, size: int, sharp: bool = False) -> np.ndarray:
    """The shorter side at least `size` pixels: each pixel a square if `sharp`, else smooth."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    if shorter >= size:
        return picture
    if sharp:
        times = -(-size // shorter)
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    return images.resize(picture, (round(height * size / shorter), round(width * size / shorter)))


def file_stem(name: str) -> str:
    """The name of some weights as part of a file name."""
    return re.sub(r"[^\w-]+", "-", name)


def lines(record: dict) -> str:
    """The settings of a result as text to copy."""
    return "\n".join(f"{key}: {value}" for key, value in record.items())


def data_url(picture: np.ndarray, size: int | None = None, **jpeg) -> str:
    """A picture inside the page's own HTML (a JPEG of at most `size` pixels); no file is made.

    jpeg: Pillow's options.
    """
    image = Image.fromarray(picture)
    if size and max(image.size) != size:
        scale = size / max(image.size)
        smaller = tuple(max(1, round(edge * scale)) for edge in image.size)
        image = image.resize(smaller, Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 85} | jpeg)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def large_url(picture: np.ndarray) -> str:
    """As `data_url`, for the largest picture on the page: red edges stay sharp."""
    return data_url(picture, quality=92, subsampling=0)


@contextmanager
def picture_file(request, file_name: str, picture: np.ndarray, weights: str, settings: dict):
    """A labelled picture as a file that a handler yields to the page: its path as text."""
    with jobs.handed_over(request, file_name) as path:
        images.save_picture(path, picture, weights=weights, settings=settings)
        yield str(path)
