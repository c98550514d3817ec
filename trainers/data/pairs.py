"""Pairs of frames of one clip: which two, and how both are changed alike."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from trainers.data.repaint import repaint


@dataclass(frozen=True)
class Augmentation:
    """How a pair is changed; all its frames get the same numbers, drawn once per pair.

    time_flip: half of the pairs run backwards. mirror: half of the other pairs (of all pairs when
    there is no time flip) are mirrored. resize_range: (lowest, highest) factor, then a random crop
    of the size asked for. jitter: brightness, contrast, saturation (factors from 1 - x to 1 + x)
    and hue (shift of up to x of the colour circle). repaint: the part of the pairs that comes in
    other colours, lines and backdrop, 0 to 1; see `repaint`.
    """

    time_flip: bool = True
    mirror: bool = True
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    resize_range: tuple[float, float] | None = None
    repaint: float = 0.0


def draw_times(num_frames: int, random: np.random.Generator) -> list[int]:
    """Two different frame numbers, the earlier one first; (0, 0) for a clip of one frame.

    Differs from the official code, which draws with replacement and so trains on pairs of one and
    the same frame.
    """
    if num_frames == 1:
        return [0, 0]
    first, second = int(random.integers(num_frames)), int(random.integers(num_frames - 1))
    second += second >= first
    return [min(first, second), max(first, second)]


def augment(
    frames: np.ndarray, augmentation: Augmentation, random: np.random.Generator
) -> np.ndarray:
    """(n, S, S, 3) uint8, frames of a pair -> the same, changed as `augmentation` says."""
    if augmentation.time_flip and random.integers(2):
        frames = frames[::-1]
    elif augmentation.mirror and random.integers(2):
        frames = frames[:, :, ::-1]
    if augmentation.resize_range:
        frames = resize_and_crop(frames, augmentation.resize_range, random)
    if any(augmentation.jitter):
        frames = jitter(frames, augmentation.jitter, random)
    if augmentation.repaint and random.random() < augmentation.repaint:
        frames = repaint(frames, random)
    return frames


def resize_and_crop(frames: np.ndarray, factors: tuple[float, float], random) -> np.ndarray:
    """Scale by a random factor, pad with the edge up to the old size, cut the old size out."""
    size = frames.shape[1]
    scaled = max(1, int(size * random.uniform(*factors)))
    interpolation = cv2.INTER_AREA if scaled < size else cv2.INTER_NEAREST
    frames = np.stack(
        [
            cv2.resize(np.ascontiguousarray(frame), (scaled, scaled), interpolation=interpolation)
            for frame in frames
        ]
    )
    missing = max(0, size - scaled)
    before, after = missing // 2, missing - missing // 2
    frames = np.pad(frames, ((0, 0), (before, after), (before, after), (0, 0)), mode="edge")
    top, left = random.integers(frames.shape[1] - size + 1, size=2)
    return frames[:, top : top + size, left : left + size]


def jitter(frames: np.ndarray, amounts, random: np.random.Generator) -> np.ndarray:
    """Change the colours of all frames by the same factors, in the same random order."""
    *spreads, hue_spread = amounts
    factors = [float(random.uniform(max(0.0, 1 - x), 1 + x)) for x in spreads]
    shift = float(random.uniform(-hue_spread, hue_spread))
    order = random.permutation(4)
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for step in order:
        if not amounts[step]:
            continue
        if step == 3:
            pictures = [shift_hue(picture, shift) for picture in pictures]
        else:
            pictures = [enhancers[step](picture).enhance(factors[step]) for picture in pictures]
    return np.stack([np.asarray(picture) for picture in pictures])


def shift_hue(picture: Image.Image, shift: float) -> Image.Image:
    """Turn the colour circle by `shift`, -0.5 to 0.5 of it."""
    planes = cv2.cvtColor(np.array(picture), cv2.COLOR_RGB2HSV_FULL)  # hue 0 to 255
    planes[..., 0] += np.uint8(round(shift * 256) % 256)  # wraps around, as 8 bits do
    return Image.fromarray(cv2.cvtColor(planes, cv2.COLOR_HSV2RGB_FULL))
