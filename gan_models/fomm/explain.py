"""Pictures of how a driving frame moves a source: keypoints, deformation, occlusion."""

import colorsys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from gan_models import images

LEAST_SIZE = 256  # pixels of the pictures; smaller crops are enlarged
GRID = 12  # cells of the grid in each direction
OVERSAMPLING = 3  # discs are drawn this much larger and reduced, for smooth rims
INK = np.array([20, 60, 160])  # of the grid


def explaining_pictures(source, crop, driving, output, value_range, size=None):
    """The dict of `FOMMPipeline.explain`.

    Args:
        source: The prepared Source.
        crop: The driving frame's crop (S, S, 3) uint8.
        driving: Its Motion, one frame.
        output: The generator's Output for it, one picture.
        value_range: Of the output's images.
        size: Pixels of the pictures; None: at least LEAST_SIZE.
    """
    size = max(LEAST_SIZE, len(crop)) if size is None else size

    def shown(image):
        return images.resize(images.to_pictures(image, value_range)[0], size)

    deformed = shown(output.deformed)
    return {
        "keypoints": draw_keypoints(images.resize(source.crop, size), source.motion.value[0]),
        "driving_keypoints": draw_keypoints(images.resize(crop, size), driving.value[0]),
        "deformation": draw_grid(deformed, output.deformation.float().cpu()),
        "occlusion": draw_occlusion(output.occlusion_map, size),
        "deformed": deformed,
        "prediction": shown(output.prediction),
    }


def draw_keypoints(picture, points):
    """A copy of the picture (S, S, 3) with a disc at each of points (K, 2) in [-1, 1].

    The same number has the same colour in every picture. Points beyond the border are left out.
    """
    size = len(picture) * OVERSAMPLING
    canvas = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    radius, rim = size / 60, max(size / 240, 1)
    for number, (x, y) in enumerate((np.asarray(points, np.float64) + 1) / 2 * (size - 1)):
        place = [x - radius, y - radius, x + radius, y + radius]
        outer = [place[0] - rim, place[1] - rim, place[2] + rim, place[3] + rim]
        draw.ellipse(outer, fill=(255, 255, 255))
        draw.ellipse(place, fill=keypoint_colour(number, len(points)))
    return images.resize(np.array(canvas), len(picture))


def keypoint_colour(number, count):
    """(red, green, blue), 0 to 255: `count` hues around the circle."""
    colour = colorsys.hsv_to_rgb(number / count, 0.9, 0.95)
    return tuple(round(255 * part) for part in colour)


def draw_grid(picture, deformation):
    """A straight grid on the source as the deformation (1, h, w, 2) bends it, over a paler picture
    (S, S, 3). Where cells are small the source is squeezed, where they are large it is stretched.
    """
    size = len(picture)
    places = F.interpolate(
        deformation.permute(0, 3, 1, 2), size=(size, size), mode="bilinear", align_corners=True
    )
    ink = np.zeros((size, size))
    for place in ((places[0] + 1) / 2 * GRID).numpy():  # x, then y: lines at whole numbers
        down, across = np.gradient(place)
        per_pixel = np.hypot(down, across) + 1e-6
        distance = np.abs(place - np.round(place)) / per_pixel  # to the nearest line, in pixels
        inside = (place > -0.5) & (place < GRID + 0.5)
        ink = np.maximum(ink, np.clip(size / 512 + 0.5 - distance, 0, 1) * inside)
    pale = 255 - (255 - picture.astype(np.float64)) * 0.6
    drawn = pale + ink[..., None] * 0.85 * (INK - pale)
    return drawn.round().astype(np.uint8)


def draw_occlusion(occlusion_map, size):
    """The map (1, 1, h, w) in [0, 1] as a grey picture (size, size, 3); all white for None."""
    if occlusion_map is None:
        occlusion_map = torch.ones(1, 1, 2, 2)
    grey = F.interpolate(
        occlusion_map.float().cpu(), size=(size, size), mode="bilinear", align_corners=False
    )
    return images.to_pictures(grey.expand(-1, 3, -1, -1), (0, 1))[0]
