"""The square that a network is shown of a picture: chosen by the weights' own framing, cut out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from gan_models.errors import UserError
from gan_models.faces.finding import Box, find_faces

# As in VoxCeleb's clips: a face takes 0.55 of the side and lies a little below the middle, so that
# hair and a bit of shoulders are seen.
FACE_TO_CROP = 1.8
UPWARDS = 0.1  # of the face's side
TIGHTEST = 1.35  # rather a crop this tight than one that reaches outside the picture
NEAR_CLICK = 1.0  # of a face's side, from its centre to a click beside it
MAX_BOX = 10  # times the picture's longer side
LARGE = 0.25  # of the picture's shorter side: such a face needs no second, longer look

NO_FACE = "No face was found, so the middle of the picture is used: draw a box to choose another."
NOT_THERE = "No face was found where you clicked, so a square around that place is used."


@dataclass(frozen=True)
class Framing:
    """The crop of a picture, the faces found in it (largest first), a sentence to show or ""."""

    box: Box
    faces: list[Box] = field(default_factory=list)
    notice: str = ""


def frame(
    picture: np.ndarray,
    kind: str,
    *,
    click: tuple[float, float] | None = None,
    margin: float = 0.0,
    quick: bool = False,
) -> Framing:
    """The square of a (H, W, 3) uint8 picture that weights of this framing want to see.

    Args:
        kind: "face": around the largest face, or the clicked one, with hair and a bit of shoulders;
            the middle square with a notice where none is found. "centre": the middle square.
        click: (x, y) in pixels of the picture. Ignored by "centre".
        margin: Added on each side of a face's square, as a share of that square.
        quick: One short look for faces, for one of several frames.

    The square stays inside the picture if a face leaves it room; otherwise it reaches outside.
    Raises UserError for another kind, or a margin that leaves nothing.
    """
    height, width = picture.shape[:2]
    middle = Box.around(width / 2, height / 2, min(width, height))
    if kind not in ("face", "centre"):
        raise UserError(f'framing.kind is "face" or "centre", not {kind!r}.')
    if not -0.4 <= margin <= 10:  # NaN fails too
        raise UserError(f"framing.margin is from -0.4 to 10, not {margin}.")
    if kind == "centre":
        return Framing(middle)
    for short in (True,) if quick else (True, False):
        faces = find_faces(picture, quick=short)
        chosen = _clicked(faces, *click) if click else next(iter(faces), None)
        if chosen and chosen.side >= LARGE * middle.side:
            break
    if chosen:
        return Framing(face_square(chosen, width, height, margin), faces)
    if click is None:
        return Framing(middle, [], NO_FACE)
    side = faces[0].side * FACE_TO_CROP if faces else middle.side / 2
    return Framing(fit_inside(Box.around(*click, side), width, height), faces, NOT_THERE)


def face_square(face: Box, width: int, height: int, margin: float = 0.0) -> Box:
    """The square of a face in a picture of that size, as `frame` says."""
    x, y = face.centre
    side = FACE_TO_CROP * (1 + 2 * margin) * face.side
    side = min(side, max(min(width, height), TIGHTEST * face.side))
    return fit_inside(Box.around(x, y - UPWARDS * face.side, side), width, height)


def _clicked(faces: list[Box], x: float, y: float) -> Box | None:
    """The face nearest to the click, among those that the click is on or close to."""

    def distance(face: Box) -> float:
        return math.dist(face.centre, (x, y))

    near = [face for face in faces if face.holds(x, y)]
    near = near or [face for face in faces if distance(face) <= NEAR_CLICK * face.side]
    return min(near, key=distance, default=None)


def fit_inside(box: Box, width: int, height: int) -> Box:
    """The square around `box`, moved into a picture of that size as far as it fits.

    A side that is longer than the picture stays, with as much outside on either end.
    """
    side = box.side
    x, y = box.centre
    x = min(max(x, side / 2), width - side / 2) if side <= width else width / 2
    y = min(max(y, side / 2), height - side / 2) if side <= height else height / 2
    return Box.around(x, y, side)


def crop(picture: np.ndarray, box: Box, size: int | tuple[int, int]) -> np.ndarray:
    """`box` of a (H, W, 3) uint8 picture as (size, size, 3) uint8, antialiased.

    size: in pixels, or a pair (height, width), to which the box is stretched. What lies outside
    the picture repeats its edge. Raises UserError for a box that is beside the picture, or more
    than MAX_BOX times as large.
    """
    down, across = (size, size) if isinstance(size, int) else size
    height, width = picture.shape[:2]
    check_box(box, width, height)
    columns = Span.of(box.left, box.right, width, across)
    rows = Span.of(box.top, box.bottom, height, down)
    piece = picture[rows.pixels, columns.pixels]
    piece = np.pad(piece, (rows.edges, columns.edges, (0, 0)), mode="edge")
    area = (columns.area[0], rows.area[0], columns.area[1], rows.area[1])
    shape = (columns.count, rows.count)
    if area != (0, 0, *shape) or piece.shape[1::-1] != shape:  # else pixel by pixel
        image = Image.fromarray(piece)
        piece = image.resize(shape, Image.Resampling.LANCZOS, area, reducing_gap=3.0)
    return np.pad(piece, (rows.beside, columns.beside, (0, 0)), mode="edge")  # (size, size, 3)


def check_box(box: Box, width: int, height: int) -> None:
    """UserError for a box that no crop of a picture of this size can be taken from."""
    if box.side > MAX_BOX * max(width, height):
        raise UserError(
            f"the box is {box.side:.0f} pixels large, the picture {width} x {height}: draw a "
            "smaller one."
        )
    if box.right <= 0 or box.bottom <= 0 or box.left >= width or box.top >= height:
        raise UserError(f"the box lies beside the {width} x {height} picture: draw it inside.")


@dataclass(frozen=True)
class Span:
    """One direction of a crop. Only what the picture shows is resampled, and its edge repeated
    afterwards, so that a large box around a small picture costs nothing."""

    count: int  # pixels of the crop that see the picture
    beside: tuple[int, int]  # pixels of the crop before and after them
    pixels: slice  # of the picture, that they see
    edges: tuple[int, int]  # pixels by which they look over the picture's edge
    area: tuple[float, float]  # what they see, from the beginning of those pixels and edges

    @classmethod
    def of(cls, low: float, high: float, limit: int, size: int) -> Span:
        step = (high - low) / size  # pixels of the picture per pixel of the crop
        first = max(0, math.floor(-low / step))
        end = min(size, math.ceil((limit - low) / step))
        start, stop = low + first * step, low + end * step
        # Rounding errors must not add a pixel
        outer = math.floor(round(start, 6)), math.ceil(round(stop, 6))
        inner = max(outer[0], 0), min(outer[1], limit)
        return cls(
            count=end - first,
            beside=(first, size - end),
            pixels=slice(*inner),
            edges=(inner[0] - outer[0], outer[1] - inner[1]),
            area=(max(start - outer[0], 0), min(stop, outer[1]) - outer[0]),
        )
