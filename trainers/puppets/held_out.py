"""The second drawing style, which no training ever sees: an angular, inked print in few colours.

Same scene, so same label map and landmarks; only line, palette and background differ. It tells
whether something learned the face or only the first style's paint.
"""

import cv2
import numpy as np

from trainers.puppets.palette import hsv, mix
from trainers.puppets.scene import LABELS, Scene

OUTLINE = (28.0, 22.0, 46.0, 0.0)
DEEP, MIDDLE, PALE = np.array([(46, 36, 92), (206, 104, 92), (252, 236, 196)], dtype=float)
HEAVY = tuple(LABELS.index(name) for name in ("cloth", "neck", "skin", "ear", "hair"))


def paint(scene: Scene, fixed: list[np.ndarray], size: int, fraction_bits: int) -> np.ndarray:
    """The scene's polygons (fixed-point pixels) in this style: (size, size, 4) uint8."""
    canvas = paint_pattern(scene, size)
    thin = max(1, size // 160)
    for shape, points in zip(scene.shapes, fixed, strict=True):
        points = squarer(points)
        colour = (*print_colour(shape.colour).tolist(), 0)
        cv2.fillPoly(canvas, [points], colour, cv2.LINE_8, fraction_bits)
        large = np.ptp(points, axis=0).min() > 0.25 * size * 2**fraction_bits
        thickness = 2 * thin if large and shape.label in HEAVY else thin
        cv2.polylines(canvas, [points], True, OUTLINE, thickness, cv2.LINE_8, fraction_bits)
    return canvas


def squarer(points: np.ndarray) -> np.ndarray:
    """Fewer corners: a smooth outline becomes its control polygon, an ellipse an octagon."""
    if len(points) < 24:
        return points
    return np.ascontiguousarray(points[:: 6 if len(points) >= 60 else 3])


def print_colour(colour: np.ndarray) -> np.ndarray:
    """A colour as printed with three inks, deep violet, coral and cream, half way to its own."""
    brightness = float(colour.mean()) / 255
    if brightness < 0.5:
        ink = mix(DEEP, MIDDLE, 2 * brightness)
    else:
        ink = mix(MIDDLE, PALE, 2 * brightness - 1)
    return mix(ink, colour, 0.4)


def paint_pattern(scene: Scene, size: int) -> np.ndarray:
    """Stripes or dots in two tones of the background's opposite hue: (size, size, 4) uint8."""
    background = scene.parameters.background
    paper = hsv(background.hue + 0.5, 0.28, 0.95)
    ink = hsv(background.hue + 0.45, 0.5, 0.74)
    canvas = np.zeros((size, size, 4), np.uint8)
    canvas[:, :, :3] = paper.round()
    colour = (*ink.tolist(), 0)
    step = size // 8
    if background.angle < np.pi:
        for start in range(-size, size, 2 * step):
            band = np.array(
                [(start, 0), (start + step, 0), (start + step + size, size), (start + size, size)]
            )
            cv2.fillPoly(canvas, [band], colour)
    else:
        for row in range(9):
            for column in range(9):
                centre = (column * step + (row % 2) * step // 2, row * step)
                cv2.circle(canvas, centre, step // 4, colour, -1)
    return canvas
