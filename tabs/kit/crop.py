"""The picture with its crop drawn on it, to be moved by the visitor.

The value travels as {"picture": data URL, "of": which file it shows, "width", "height": of the full
picture, "box": [left, top, right, bottom] in its pixels, "faces": boxes to click}; only the box
comes back changed.
"""

from pathlib import Path

import gradio as gr
import numpy as np

from gan_models.errors import UserError
from gan_models.faces import Box
from tabs.kit import look, results
from tabs.kit import texts as words

SHOWN = 480  # pixels of the longer side
SMALLEST = 8  # pixels of the full picture


def crop_box(label: str, value: dict | None = None, heading="", **options) -> gr.HTML:
    """A movable square (`input`, `select` for a click); label: for screen readers."""
    files = look.widget(Path(__file__), "crop")
    # Written into the page itself: properties of ours are lost when the box is hidden and shown.
    page = files["html_template"].replace("WORDS", label).replace("HEADING", heading)
    return gr.HTML(value, **files | {"html_template": page}, **options)


def shown(path: str, picture: np.ndarray, box: Box, faces: list[Box] = ()) -> dict:
    """The value that shows `picture` (H, W, 3) uint8, of the file `path`, with `box` on it and
    several faces marked.
    """
    height, width = picture.shape[:2]
    return {
        "of": mark(path),
        "picture": results.data_url(picture, min(SHOWN, max(height, width))),
        "width": width,
        "height": height,
        "box": corners(box),
        "faces": [corners(face) for face in faces] if len(faces) > 1 else [],
    }


def corners(box: Box) -> list[float]:
    return [round(float(edge), 2) for edge in (box.left, box.top, box.right, box.bottom)]


def mark(path: str) -> str:
    """Tells a file from the one before it, wherever Gradio has put a copy."""
    file = Path(path)
    return f"{file.name}, {file.stat().st_size if file.exists() else 0} bytes"


def rounded(box: Box) -> Box:
    """A square as it comes back from the page, so that both are remembered as one."""
    return squared(Box(*corners(box)))


def squared(box: Box) -> Box:
    """As high as it is wide, to the last digit."""
    return Box(box.left, box.top, box.left + box.width, box.top + box.width)


def chosen(value: dict | None, path: str, sides: tuple[int, int]) -> Box | None:
    """The box on the file `path` that came back from the page; None where there is none, or where
    it is still that of the picture before.

    Raises UserError for what is no square around a place in a picture of `sides` (height, width).
    """
    if not isinstance(value, dict) or "box" not in value:
        return None
    if value.get("of") not in (None, mark(path)):
        return None
    height, width = sides
    try:
        box = Box(*map(float, value["box"]))
    except (TypeError, ValueError) as error:
        raise UserError(words.BAD_CROP) from error
    square = abs(box.width - box.height) < 1
    inside = Box(0, 0, width, height).holds(*box.centre)
    if not (square and inside and SMALLEST <= box.width <= 2 * max(width, height)):
        raise UserError(words.BAD_CROP)
    return squared(box)
