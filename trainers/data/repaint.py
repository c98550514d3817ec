"""Repaints a pair's frames as another hand might have: other colours, inked lines, a patterned
backdrop. All frames get the same draws, so the motion between them stays what it was.
"""

import cv2
import numpy as np

FLAT = 6  # steps of 255 between neighbouring pixels, at most, within a plain backdrop


def repaint(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n, S, S, 3) uint8 -> the same, in one random palette, line and backdrop."""
    tones, matrix = palette(random)
    ink, strength = random.uniform(0, 90, 3), max(0.0, random.uniform(-0.7, 1.0))
    blots = pattern(frames.shape[1], random)
    painted = []
    for frame in np.ascontiguousarray(frames):
        picture = np.stack([tones[c][frame[..., c]] for c in range(3)], axis=2)
        picture = cv2.transform(picture, matrix)
        picture += strength * edges(frame)[..., None] * (ink - picture)
        picture += backdrop(frame)[..., None] * blots
        painted.append(picture.clip(0, 255).round().astype(np.uint8))
    return np.stack(painted)


def palette(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A tone curve for each channel (3, 256) float32, then a matrix (3, 3) that turns the colour
    circle by any angle and fades colours.
    """
    level = np.arange(256, dtype=np.float32) / 255
    low, high = random.uniform(0, 0.25, (3, 1)), random.uniform(0.75, 1, (3, 1))
    gamma = np.exp(random.normal(0, 0.35, (3, 1)))
    tones = 255 * (low + (high - low) * level**gamma)
    angle, fade = random.uniform(-np.pi, np.pi), random.uniform(0.3, 1.2)
    axis = np.full(3, 3**-0.5)
    grey = np.outer(axis, axis)
    across = np.cross(np.eye(3), axis)
    matrix = grey + fade * (np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * across)
    return tones.astype(np.float32), matrix


def edges(frame: np.ndarray) -> np.ndarray:
    """How much of an edge each pixel is, (S, S) float32 in [0, 1]."""
    kernel = np.ones((2, 2), np.uint8)
    change = cv2.dilate(frame, kernel) - cv2.erode(frame, kernel)
    return (change.max(axis=2).astype(np.float32) / 64).clip(0, 1)


def pattern(size: int, random: np.random.Generator) -> np.ndarray:
    """Blots of random size and sharpness in one random colour: (size, size, 3), signed."""
    cells = int(random.integers(3, 17))
    noise = random.normal(0, 1, (cells, cells)).astype(np.float32)
    noise = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    blots = np.tanh(noise * random.uniform(1, 8))
    return blots[..., None] * random.normal(0, 30, 3)


def backdrop(frame: np.ndarray) -> np.ndarray:
    """The plain ground behind the figure, (S, S) float32 in [0, 1]: what can be reached from the
    upper corners and sides without a step in colour.
    """
    size = len(frame)
    mask = np.zeros((size + 2, size + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY
    for x, y in ((0, 0), (size - 1, 0), (0, size // 2), (size - 1, size // 2)):
        if not mask[y + 1, x + 1]:
            cv2.floodFill(frame, mask, (x, y), 0, (FLAT,) * 3, (FLAT,) * 3, flags)
    return cv2.blur(mask[1:-1, 1:-1].astype(np.float32), (3, 3))
