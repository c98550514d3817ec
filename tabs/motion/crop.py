"""The picture with its crop drawn on it, to be moved by the visitor.

The value travels as {"picture": data URL, "width", "height": of the full picture, "box": [left,
top, right, bottom] in its pixels, "faces": boxes to click}; only the box comes back changed.
"""

import math
from pathlib import Path

import gradio as gr
import numpy as np

from gan_models import images
from gan_models.errors import UserError
from gan_models.faces import Box
from tabs.kit import look, results
from tabs.motion import texts

SHOWN = 480  # pixels of the longer side
SMALLEST = 8  # pixels of the full picture


def crop_box(value: dict | None = None, words: str = texts.CROP, heading="", **options) -> gr.HTML:
    """A picture with a movable square; `input` when it was moved, `select` for a click.

    words: for screen readers. heading: a line over the picture.
    """
    files = look.widget(Path(__file__), "crop")
    return gr.HTML(value, **files, words=words, heading=heading, **options)


def shown(picture: np.ndarray, box: Box, faces: list[Box] = ()) -> dict:
    """The value that shows `picture` (H, W, 3) uint8 with `box` on it and several faces marked."""
    height, width = picture.shape[:2]
    scale = min(1, SHOWN / max(height, width))
    small = images.resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
    return {
        "picture": results.data_url(small),
        "width": width,
        "height": height,
        "box": corners(box),
        "faces": [corners(face) for face in faces] if len(faces) > 1 else [],
    }


def corners(box: Box) -> list[float]:
    return [round(float(edge), 2) for edge in (box.left, box.top, box.right, box.bottom)]


def chosen(value: dict | None, sides: tuple[int, int]) -> Box | None:
    """The box that came back from the page; None where there is none.

    Raises UserError for what is no square around a place in a picture of `sides` (height, width).
    """
    if not value or not isinstance(value, dict) or "box" not in value:
        return None
    height, width = sides
    try:
        left, top, right, bottom = (float(edge) for edge in value["box"])
    except (TypeError, ValueError) as error:
        raise UserError(texts.BAD_CROP) from error
    side = right - left
    sound = all(map(math.isfinite, (left, top, right, bottom))) and abs(bottom - top - side) < 1
    inside = 0 <= (left + right) / 2 <= width and 0 <= (top + bottom) / 2 <= height
    if not (sound and inside and SMALLEST <= side <= 2 * max(width, height)):
        raise UserError(texts.BAD_CROP)
    return Box(left, top, left + side, top + side)
