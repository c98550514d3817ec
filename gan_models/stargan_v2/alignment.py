"""Faces turned, scaled and moved to where a set of faces has them, such as CelebA-HQ.

The landmark network finds 98 places of a face; turned like the mean face, scaled so that eyes and
mouth lie as far from its middle, and moved onto it. What then lies outside the photograph is its
mirror image, blurred outwards.
"""

from __future__ import annotations

import numpy as np

from gan_models import faces, images
from gan_models.stargan_v2.landmarks import SIZE

EYES = (*range(60, 68), 96), (*range(68, 76), 97)  # landmarks of the left and of the right one
MOUTH = 76, 82  # its ends
SCALED_BY = 96, 97, *MOUTH  # the pupils and the ends of the mouth
BLUR = 0.01  # of the picture's height


def align(network, picture: np.ndarray, mean: np.ndarray, size: int) -> tuple[np.ndarray, str]:
    """The largest face of a picture (H, W, 3) uint8 where the mean face is: ((size, size, 3) uint8,
    a sentence to show or "").

    network: a `landmarks.FAN`; mean: (98, 2) as (x, y) in pixels of a square of 256. Differs from
    the official code, which squeezes the whole picture into a square and takes the face for framed:
    here the face is found, and its real surroundings are used as far as there are any.
    """
    height, width = picture.shape[:2]
    framing = faces.frame(picture, "face")
    box, scale = framing.box, size / framing.box.side
    x, y = box.centre
    found = landmarks_of(network, faces.crop(picture, box, SIZE)) * (box.side / SIZE)
    wide = faces.Box.around(x, y, 2 * box.side)
    around = faces.Box(
        max(0, wide.left), max(0, wide.top), min(width, wide.right), min(height, wide.bottom)
    )
    shape = round(scale * around.height), round(scale * around.width)
    part = faces.crop(picture, around, shape)
    found = (found + (box.left - around.left, box.top - around.top)) * scale
    made = aligned(part, found, mean * (size / SIZE), size)
    return np.rint(made).clip(0, 255).astype(np.uint8), framing.notice


def landmarks_of(network, crop: np.ndarray) -> np.ndarray:
    """(98, 2) as (x, y) in pixels of a face's crop (256, 256, 3) uint8."""
    device = next(network.parameters()).device
    return network.landmarks(images.to_tensor(crop).to(device))[0].cpu().numpy()


def aligned(picture: np.ndarray, landmarks, mean, size: int) -> np.ndarray:
    """(size, size, 3), 0 to 255 and a little beyond, of a picture (H, W, 3) uint8.

    landmarks: (98, 2) as (x, y) in its pixels; mean: in pixels of the result.
    """
    import cv2

    height, width = picture.shape[:2]
    moved = matrix(landmarks + (width // 2, height // 2), mean)
    inside = {"dsize": (size, size), "flags": cv2.INTER_LANCZOS4}
    return cv2.warpPerspective(padded(picture), moved, **inside)


def padded(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8, on each side its mirror image of half its length, which fades
    into a blur of all of it -> (2 H, 2 W, 3) float; an odd length is doubled less one.
    """
    import cv2
    from scipy.ndimage import gaussian_filter

    height, width = picture.shape[:2]
    edges = (height // 2,) * 2, (width // 2,) * 2
    mirrored = np.pad(picture, (*edges, (0, 0)), mode="reflect")
    tall, broad = mirrored.shape[:2]
    sigma = int(BLUR * height)
    blurred = cv2.resize(mirrored, (width, height)).astype(float)
    blurred = gaussian_filter(blurred, (sigma, sigma, 0), mode="nearest")
    blurred = cv2.resize(blurred, (broad, tall))
    down, across = (
        np.minimum(np.arange(count), np.arange(count)[::-1]) / (tall // 4)
        for count in (tall, broad)
    )
    share = np.minimum(down[:, None], across).clip(0, 1)[:, :, None] ** 4
    return mirrored * share + blurred * (1 - share)


def matrix(landmarks: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(3, 3): the similarity that takes landmarks (98, 2) to the mean face, as (x, y, 1)."""
    turn = upright(mean) / upright(landmarks)
    off, middle = landmarks.mean(0), mean.mean(0)
    lengths = [
        np.linalg.norm(points - points.mean(0), axis=1)[list(SCALED_BY)]
        for points in (landmarks, mean)
    ]
    turn *= (lengths[1] / lengths[0]).mean()
    made = np.array([[turn.real, -turn.imag, 0], [turn.imag, turn.real, 0], [0, 0, 1]])
    made[:2, 2] = middle - made[:2, :2] @ off
    return made


def upright(landmarks: np.ndarray) -> complex:
    """The way to the right in a face, as a complex number of length 1: from eye to eye, and across
    the line from the mouth to the eyes.
    """
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    left, right = (points[list(eye)].mean() for eye in EYES)
    mouth = points[list(MOUTH)].mean()
    right_way = (right - left) + 1j * ((left + right) / 2 - mouth)
    return right_way / abs(right_way)
