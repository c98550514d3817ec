"""What is changed: the faces of a picture, cut out of it once, and what the networks make of them.

A slider moves ten times a second, so files are read and faces looked for once; the last few
pictures are remembered, small.
"""

import functools
import math

import numpy as np

from gan_models import faces, images
from gan_models.faces import Box
from gan_models.faces.framing import face_square
from gan_models.ganimation.pipeline import on_pixels
from tabs.kit import crop as crops
from tabs.kit import given, jobs
from tabs.kit.framing import is_puppet

KEPT = 8  # pictures, and faces of each


@functools.lru_cache(4 * KEPT)
def cut(path: str, box: Box, largest: int) -> np.ndarray:
    """A square of the picture, (S, S, 3), with at most `largest` pixels a side."""
    return faces.crop(images.read_picture(path), box, min(round(box.side), largest))


@functools.lru_cache(KEPT)
def found(path: str) -> list[Box]:
    return faces.find_faces(images.read_picture(path))


def squares(system, weights, path: str, crop: dict | None, all_faces: bool) -> list[Box]:
    """The squares that are changed: the crop, or one for each face. Raises UserError."""
    height, width = given.small(path, given.SHOWN)[2]
    if all_faces and (there := found(path)):
        margin = system.framing(weights, drawn=False)["margin"]
        boxes = [face_square(face, width, height, margin) for face in there]
    elif box := crops.chosen(crop, path, (height, width)):
        boxes = [box]
    else:
        boxes = [system.frame(weights, images.read_picture(path), is_puppet(path)).box]
    return [on_pixels(box) for box in boxes]


def whole(picture: np.ndarray) -> Box:
    return Box(0, 0, picture.shape[1], picture.shape[0])


@jobs.lease
def measure(system, weights, path: str, boxes: list[Box]) -> np.ndarray:
    """(n, 17): the action units of each square."""
    pipeline = system.open(weights)
    parts = [cut(path, box, given.SHOWN) for box in boxes]
    with jobs.device:
        return np.concatenate([pipeline.measure(part, [whole(part)]) for part in parts])


@jobs.lease
def edit(system, weights, path: str, boxes, action_units, view: str, full=False) -> np.ndarray:
    """(H, W, 3) uint8: the whole picture with these expressions, or what `view` says of the faces.

    action_units: (n, 17). full: at the size of the file, for a download.
    """
    pipeline = system.open(weights)
    with jobs.device:
        edits = [
            pipeline.edit(picture, squares, action_units[rows])
            for picture, squares, rows in parts(path, boxes, view, full)
        ]
    return tiled([part_of(edited, view) for edited in edits])


def before(path: str, boxes, view: str, full=False) -> np.ndarray:
    """The same, unchanged."""
    return tiled([picture for picture, *_ in parts(path, boxes, view, full)])


def parts(path: str, boxes: list[Box], view: str, full: bool) -> list[tuple]:
    """(picture, the squares in it, their rows among the boxes): the whole one, or each face."""
    if view == "picture":
        if full:
            return [(images.read_picture(path), boxes, slice(None))]
        return [(*fitted(path, boxes, given.SHOWN), slice(None))]
    picture = images.read_picture(path) if full else None
    made = [
        faces.crop(picture, box, round(box.side)) if full else cut(path, box, given.SHOWN)
        for box in boxes
    ]
    return [(part, [whole(part)], slice(row, row + 1)) for row, part in enumerate(made)]


def fitted(path: str, boxes: list[Box], largest: int) -> tuple[np.ndarray, list[Box]]:
    """(the picture with at most `largest` pixels a side, the boxes in it)."""
    picture, scale, _ = given.small(path, largest)
    return picture, [on_pixels(box.scaled(scale)) for box in boxes]


def part_of(edited, view: str) -> np.ndarray:
    if view == "attention":
        grey = np.rint(255 * edited.attention[0]).astype(np.uint8)
        return grey[:, :, None].repeat(3, axis=2)
    if view == "picture":
        return edited.picture
    return edited.crops[0] if view == "face" else edited.color[0]


def tiled(pictures: list[np.ndarray]) -> np.ndarray:
    """Several squares as one picture, as large as the largest; one as it is."""
    if len(pictures) == 1:
        return pictures[0]
    side = max(map(len, pictures))
    return images.grid(
        [images.resize(picture, side) for picture in pictures], math.ceil(len(pictures) ** 0.5)
    )
