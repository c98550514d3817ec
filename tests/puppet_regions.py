"""The region of the face that each action unit may change."""

import cv2
import numpy as np

from trainers.puppets.drawing import FRACTION_BITS, project, to_fixed
from trainers.puppets.geometry import ellipse
from trainers.puppets.parameters import ACTION_UNITS, PuppetParameters
from trainers.puppets.scene import Scene

BROW_UNITS = (1, 2, 4)
EYE_UNITS = (5, 7, 45)


def action_unit_region(parameters: PuppetParameters, unit: int, size: int) -> np.ndarray:
    """Where action unit `unit` may change the picture at all: (size, size) bool.

    The region holds for every intensity and whatever the other units do: a pixel outside it is the
    same, bit for bit, with the unit at 0 and at 1. Raises ValueError for an unknown unit.
    """
    if unit not in ACTION_UNITS:
        raise ValueError(f"{unit} is not an action unit; choose one of {ACTION_UNITS}.")
    scene = Scene(parameters)
    mask = np.zeros((size, size), np.uint8)
    for area in unit_areas(scene, unit):
        placed = project(scene, area, np.full(len(area), np.nan), np.zeros(len(area), bool))
        # A turned face folds over at its rim, so the hull of the area's inside, not of its border.
        hull = cv2.convexHull(to_fixed(placed, size))
        cv2.fillPoly(mask, [hull], 1, cv2.LINE_8, FRACTION_BITS)
    # Area reduction lets a shape touch every pixel it crosses: one pixel of margin.
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(bool)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Points (n, 2) all over a rectangle."""
    steps = np.linspace(0, 1, 9)
    x, y = np.meshgrid(left + (right - left) * steps, top + (bottom - top) * steps)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def unit_areas(scene: Scene, unit: int) -> list[np.ndarray]:
    """Point sets (n, 2) in face coordinates; the union of their hulls is the region of `unit`."""
    m = scene.measures
    if unit in BROW_UNITS:
        reach = m.eye_x + 0.42
        return [box(-reach, m.brow_y - 0.42, reach, m.brow_y + 0.34)]
    eyes = [
        ellipse(side * m.eye_x, m.eye_y - 0.03, m.eye_width + 0.16, m.eye_height + 0.24)
        for side in (-1, 1)
    ]
    if unit in EYE_UNITS:
        return eyes
    if unit == 6:
        lines = [
            box(min(a, b), m.eye_y - 0.06, max(a, b), m.eye_y + 0.24)
            for a, b in (
                (s * (m.eye_x + m.eye_width - 0.02), s * (m.eye_x + m.eye_width + 0.24))
                for s in (-1, 1)
            )
        ]
        cheeks = [ellipse(side * 0.62 * m.head_width, 0.31, 0.3, 0.24) for side in (-1, 1)]
        return eyes + lines + cheeks
    if unit == 9:
        return [box(-0.5, m.eye_y - 0.24, 0.5, m.nose_y + 0.32)]
    top = m.mouth_y - 0.57
    if unit == 26:
        edge, inner = 1.35 * m.head_width, 0.72 * m.head_width
        return [
            box(-inner, top, inner, 1.75),
            box(-edge, -0.2, -inner, 1.75),
            box(inner, -0.2, edge, 1.75),
        ]
    return [box(-0.92, top, 0.92, m.mouth_y + 0.84)]
