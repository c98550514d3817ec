"""Curves as small point arrays: smooth outlines, strokes, ellipses. Units are half head widths.

All functions return float arrays (points, 2) of (x, y) with y pointing down.
"""

from functools import cache

import numpy as np

CIRCLE = np.stack([f(np.arange(24) * (2 * np.pi / 24)) for f in (np.cos, np.sin)], axis=1)

# A parameter that runs from one corner of an eye or a mouth to the other.
ACROSS = np.linspace(-1, 1, 19)


def points(text: str) -> np.ndarray:
    """The points "x,y x,y ...", as an SVG file writes them."""
    return np.array(text.replace(",", " ").split(), dtype=float).reshape(-1, 2)


@cache
def spline_matrix(count: int, samples: int, closed: bool) -> np.ndarray:
    """(points, count) weights of a uniform Catmull-Rom spline through `count` control points."""
    segments = count if closed else count - 1
    t = np.arange(samples) / samples
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3],
        axis=1,
    )
    matrix = np.zeros((segments * samples + (not closed), count))
    for segment in range(segments):
        for offset in range(4):
            index = segment + offset - 1
            index = index % count if closed else min(max(index, 0), count - 1)
            matrix[segment * samples : (segment + 1) * samples, index] += weights[:, offset]
    if not closed:
        matrix[-1, -1] = 1
    return matrix


def smooth(control, samples: int = 6) -> np.ndarray:
    """A closed smooth outline through the control points."""
    return spline_matrix(len(control), samples, True) @ np.asarray(control, dtype=float)


def arc(control, samples: int = 4) -> np.ndarray:
    """An open smooth curve through the control points."""
    return spline_matrix(len(control), samples, False) @ np.asarray(control, dtype=float)


def mirrored(half) -> np.ndarray:
    """Control points of a symmetric outline from its right half, top middle to bottom middle."""
    half = np.asarray(half, dtype=float)
    return np.concatenate([half, half[-2:0:-1] * (-1, 1)])


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    return CIRCLE * (radius_x, radius_y) + (x, y)


def ring(x: float, y: float, radius_x: float, radius_y: float, thickness: float) -> np.ndarray:
    """An elliptic band as one polygon with a seam (filled even-odd)."""
    closed = np.concatenate([CIRCLE, CIRCLE[:1]])
    inner = closed[::-1] * (radius_x - thickness, radius_y - thickness)
    return np.concatenate([closed * (radius_x, radius_y), inner]) + (x, y)


def stroke(line, widths) -> np.ndarray:
    """A line with a half width at each point (or one for all), as an outline."""
    line = np.asarray(line, dtype=float)
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True)) + 1e-9
    across = along[:, ::-1] * (-1, 1) * np.asarray(widths, dtype=float).reshape(-1, 1)
    return np.concatenate([line + across, (line - across)[::-1]])


def taper(count: int, start: float, middle: float, end: float) -> np.ndarray:
    """Half widths of a stroke that swells in the middle."""
    return taper_matrix(count) @ np.array((start, middle, end))


@cache
def taper_matrix(count: int) -> np.ndarray:
    along = np.linspace(0, 1, count)
    return np.stack([np.interp(along, (0, 0.45, 1), row) for row in np.eye(3)], axis=1)


def between(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The area between two curves that share their direction."""
    return np.concatenate([upper, lower[::-1]])


def clamp_between(points: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Pushes points into the area between two curves whose x grows; how lids cut an iris."""
    x = np.clip(points[:, 0], upper[0, 0], upper[-1, 0])
    top = np.interp(x, upper[:, 0], upper[:, 1])
    bottom = np.interp(x, lower[:, 0], lower[:, 1])
    return np.stack([x, np.minimum(np.maximum(points[:, 1], top), bottom)], axis=1)
