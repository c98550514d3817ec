"""Draws a puppet: picture, label map and landmarks from the same polygons.

The whole scene is built in face coordinates, projected at once, and filled four times as large
with a fourth channel for the label; area reduction then makes the antialiased picture and the
middle sample of each block the exact label map.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from trainers.puppets import body, face, held_out
from trainers.puppets.palette import WHITE, hsv, mix
from trainers.puppets.parameters import PuppetParameters
from trainers.puppets.scene import Scene, brow_curve, pupil_centre

VERSION = 1  # of the drawing: raise it with tests/puppets_reference.npz, and sets are drawn anew
STYLES = ("training", "held_out")
SIZES = (32, 512)

# Half a head width in picture widths, and where the middle of the head sits.
HEAD_SCALE = 0.285
HEAD_CENTRE = (0.5, 0.483)
FACE_DEPTH = 0.55
FRACTION_BITS = 4

LANDMARKS = tuple(
    (
        "left eye outer, left eye inner, left eye top, left eye bottom, left pupil, "
        "right eye outer, right eye inner, right eye top, right eye bottom, right pupil, "
        "left brow outer, left brow middle, left brow inner, right brow inner, "
        "right brow middle, right brow outer, nose, nose left, nose right, mouth left, "
        "mouth right, upper lip top, upper lip bottom, lower lip top, lower lip bottom, "
        "chin, jaw left, jaw right, ear left, ear right, crown"
    ).split(", ")
)


@dataclass(frozen=True)
class Drawing:
    """picture (H, W, 3) uint8 RGB; label_map (H, W) uint8, an index into LABELS per pixel;
    landmarks (len(LANDMARKS), 2) float32, (x, y) in pixels with (0, 0) the top left corner."""

    picture: np.ndarray
    label_map: np.ndarray
    landmarks: np.ndarray


def build_scene(parameters: PuppetParameters) -> Scene:
    """All shapes of a puppet, back to front."""
    scene = Scene(parameters)
    body.add_back_hair(scene)
    body.add_body(scene)
    body.add_ears(scene)
    body.add_head(scene)
    face.add_cheeks(scene)
    body.add_freckles(scene)
    if parameters.domain == "cat":
        face.add_muzzle(scene)
    face.add_mouth(scene)
    face.add_mouth_creases(scene)
    face.add_nose(scene)
    for side in (-1, 1):
        face.add_eye(scene, side)
    face.add_forehead_creases(scene)
    if parameters.identity.glasses and parameters.domain != "robot":
        face.add_glasses(scene)
    for side in (-1, 1):
        face.add_brow(scene, side)
    body.add_front_hair(scene)
    body.add_extras(scene)
    return scene


def project(scene: Scene, points: np.ndarray, depth: np.ndarray, on_body: np.ndarray) -> np.ndarray:
    """Face coordinates (n, 2) to picture coordinates (n, 2) in [0, 1]; NaN depth is on the face."""
    pose, m = scene.parameters.pose, scene.measures
    x, y = points[:, 0], points[:, 1]
    inside = 1 - (x / m.head_width) ** 2 - (y / (1.28 * m.head_height)) ** 2
    surface = FACE_DEPTH * np.sqrt(np.maximum(inside, 0))
    z = np.where(np.isnan(depth), surface, depth)
    follow = np.where(on_body, 0.25, 1.0)
    yaw, pitch, roll = pose.yaw * follow, pose.pitch * follow, pose.roll * follow
    turned = x * np.cos(yaw) + z * np.sin(yaw)
    ahead = z * np.cos(yaw) - x * np.sin(yaw)
    nodded = y * np.cos(pitch) + ahead * np.sin(pitch)
    scale = HEAD_SCALE * pose.scale
    return np.stack(
        [
            HEAD_CENTRE[0] + pose.shift_x + scale * (turned * np.cos(roll) - nodded * np.sin(roll)),
            HEAD_CENTRE[1] + pose.shift_y + scale * (turned * np.sin(roll) + nodded * np.cos(roll)),
        ],
        axis=1,
    )


def landmark_points(scene: Scene) -> np.ndarray:
    """The named points in face coordinates, (len(LANDMARKS), 3) with depth (NaN: on the face)."""
    m = scene.measures
    on_face, points = np.nan, []
    for side in (-1, 1):
        eye = scene.eyes[side]
        corners = (eye.upper[0], eye.upper[-1])
        middle = len(eye.upper) // 2
        pupil = pupil_centre(scene, side)
        pupil[1] = np.clip(pupil[1], eye.upper[middle, 1], eye.lower[middle, 1])
        outer, inner = corners if side < 0 else corners[::-1]
        points += [outer, inner, eye.upper[middle], eye.lower[middle], pupil]
    left, right = brow_curve(scene, -1), brow_curve(scene, 1)
    points += [left[3], left[2], left[0], right[0], right[2], right[3]]
    points += [(0, m.nose_y), (-m.nose_width, m.nose_y + 0.03), (m.nose_width, m.nose_y + 0.03)]
    mouth = scene.mouth
    middle = len(mouth.upper_outer) // 2
    points += [mouth.upper_inner[0], mouth.upper_inner[-1]]
    points += [
        curve[middle]
        for curve in (mouth.upper_outer, mouth.upper_inner, mouth.lower_inner, mouth.lower_outer)
    ]
    points = [(x, y, on_face) for x, y in points]
    outline = body.head_outline(scene)
    count = len(outline)
    jaw, chin = outline[count * 5 // 14], outline[count // 2]
    points += [(*chin, 0.0), (-jaw[0], jaw[1], 0.0), (*jaw, 0.0)]
    ear = (0.62, -1.2) if scene.parameters.domain == "cat" else (1.02, 0.04)
    points += [(-ear[0] * m.head_width, ear[1], -0.05), (ear[0] * m.head_width, ear[1], -0.05)]
    points += [(*outline[0], 0.0)]
    return np.array(points)


def place(scene: Scene) -> tuple[list[np.ndarray], np.ndarray]:
    """Picture coordinates in [0, 1] of every shape's polygon and of the landmarks, in one go."""
    marks = landmark_points(scene)
    counts = np.array([len(shape.points) for shape in scene.shapes])
    depths = np.array([np.nan if s.depth is None else s.depth for s in scene.shapes])
    bodies = np.array([shape.on_body for shape in scene.shapes])
    placed = project(
        scene,
        np.concatenate([shape.points for shape in scene.shapes] + [marks[:, :2]]),
        np.concatenate([np.repeat(depths, counts), marks[:, 2]]),
        np.concatenate([np.repeat(bodies, counts), np.zeros(len(marks), bool)]),
    )
    ends = np.cumsum(counts)
    polygons = [placed[end - count : end] for count, end in zip(counts, ends, strict=True)]
    return polygons, placed[ends[-1] :]


def to_fixed(points: np.ndarray, size: int) -> np.ndarray:
    """Picture coordinates to OpenCV's fixed-point pixels (pixel centres are whole numbers)."""
    return np.rint((points * size - 0.5) * 2**FRACTION_BITS).astype(np.int32)


def paint_background(parameters: PuppetParameters, size: int) -> np.ndarray:
    """A soft gradient (size, size, 4) uint8: one direction, brighter behind the head."""
    background = parameters.background
    grid = (np.arange(16) + 0.5) / 16 - 0.5
    along = np.cos(background.angle) * grid[None, :] + np.sin(background.angle) * grid[:, None]
    glow = np.exp(-5 * (grid[None, :] ** 2 + (grid[:, None] + 0.05) ** 2))
    place = np.clip(0.35 + 0.75 * along + 0.4 * (glow - 0.5), 0, 1)[:, :, None]
    base = hsv(background.hue, background.saturation, background.value)
    dark = hsv(background.hue + 0.03, min(1, background.saturation + 0.12), background.value - 0.12)
    light = mix(hsv(background.hue - 0.03, background.saturation, background.value), WHITE, 0.3)
    colours = np.where(place < 0.5, mix(dark, base, 2 * place), mix(base, light, 2 * place - 1))
    canvas = np.zeros((16, 16, 4), np.uint8)
    canvas[:, :, :3] = colours.round()
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_LINEAR)


def nearest_size(size: int) -> int:
    """The size that is drawn where pictures of `size` pixels are wanted."""
    return min(max(size, SIZES[0]), SIZES[1])


def draw(parameters: PuppetParameters, size: int = 128, style: str = "training") -> Drawing:
    """Draws a puppet at size x size pixels (32 to 512).

    style "training" is the look every trainer sees; "held_out" is another palette, line and
    background over the same label map and landmarks, for scoring only. Deterministic.
    Raises ValueError for a size or a style that does not exist.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size is {size}; choose {SIZES[0]} to {SIZES[1]} pixels.")
    if style not in STYLES:
        raise ValueError(f"style is {style!r}; choose one of {', '.join(STYLES)}.")
    scene = build_scene(parameters)
    polygons, landmarks = place(scene)
    oversampling = 4 if size <= 128 else 2
    large = size * oversampling
    fixed = [to_fixed(polygon, large) for polygon in polygons]
    canvas = paint_background(parameters, large)
    for shape, points in zip(scene.shapes, fixed, strict=True):
        colour = (*shape.colour.tolist(), shape.label)
        cv2.fillPoly(canvas, [points], colour, cv2.LINE_8, FRACTION_BITS)
    middle = oversampling // 2
    label_map = canvas[middle::oversampling, middle::oversampling, 3].copy()
    if style == "held_out":
        canvas = held_out.paint(scene, fixed, large, FRACTION_BITS)
    picture = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return Drawing(
        np.ascontiguousarray(picture[:, :, :3]), label_map, (landmarks * size).astype(np.float32)
    )
