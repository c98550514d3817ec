"""A puppet as a list of coloured, labelled shapes in face coordinates, back to front.

Face coordinates: x to the right and y down, in half head widths, (0, 0) in the middle of the head.
A shape's depth is a number (towards the viewer), or None for a point on the face's ellipsoid.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from trainers.puppets.geometry import ACROSS
from trainers.puppets.palette import Palette, make_palette
from trainers.puppets.parameters import ACTION_UNITS, PuppetParameters

LABELS = tuple(
    (
        "background cloth neck skin ear hair brow eye iris nose lips mouth teeth tongue "
        "glasses extra"
    ).split()
)


@dataclass
class Shape:
    """One filled polygon: points (n, 2), depth, RGB colour, label index, and what carries it."""

    points: np.ndarray
    depth: float | None
    colour: np.ndarray
    label: int
    on_body: bool


@dataclass
class Scene:
    """What the parts of a puppet share while they are drawn: measures, colours, shapes so far."""

    parameters: PuppetParameters
    shapes: list[Shape] = field(default_factory=list)

    def add(
        self,
        label: str,
        colour: np.ndarray,
        points: np.ndarray,
        depth: float | None = None,
        on_body: bool = False,
    ) -> None:
        self.shapes.append(Shape(points, depth, colour, LABELS.index(label), on_body))

    @cached_property
    def palette(self) -> Palette:
        return make_palette(self.parameters)

    @cached_property
    def units(self) -> dict[int, float]:
        """Intensity by action unit number."""
        return dict(zip(ACTION_UNITS, self.parameters.action_units, strict=True))

    @cached_property
    def measures(self) -> "Measures":
        return measure(self.parameters)

    @cached_property
    def eyes(self) -> dict[int, "Eye"]:
        """Eye curves by side: -1 left in the picture, 1 right."""
        return {side: eye_curves(self, side) for side in (-1, 1)}

    @cached_property
    def mouth(self) -> "Mouth":
        return mouth_curves(self)


@dataclass(frozen=True)
class Measures:
    """Where the parts of this face sit at rest, in face coordinates."""

    head_width: float
    head_height: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_roundness: float
    iris: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float


def measure(parameters: PuppetParameters) -> Measures:
    """The measures that follow from domain and identity."""
    identity = parameters.identity
    cat, robot = parameters.domain == "cat", parameters.domain == "robot"
    size = 1 + 0.09 * identity.eye_size
    width = 1 + 0.06 * identity.head_width
    eye_y = -0.10 + 0.04 * identity.eye_height
    fullness = 1 + 0.22 * identity.lip_fullness
    return Measures(
        head_width=width,
        head_height=1 + 0.05 * identity.head_height,
        eye_x=(0.48 if cat else 0.44) * width + 0.03 * identity.eye_spacing,
        eye_y=eye_y,
        eye_width=(0.3 if cat else 0.29) * size,
        eye_height=(0.25 if cat else 0.25 if robot else 0.215) * size,
        eye_tilt=0.035 * identity.eye_tilt + (0.05 if cat else 0.0),
        eye_roundness=0.5 if robot else 0.6 if cat else 0.68,
        iris=(0.2 if cat else 0.17) * size,
        brow_y=eye_y - (0.42 if cat else 0.43 if robot else 0.38) - 0.03 * identity.brow_height,
        brow_thickness=(0.042 if cat else 0.052) * (1 + 0.3 * identity.brow_thickness),
        brow_arch=0.07 + 0.04 * identity.brow_arch,
        nose_y=(0.30 if cat else 0.32) + 0.03 * identity.nose_length,
        nose_width=(0.15 if cat else 0.17) * (1 + 0.2 * identity.nose_width),
        mouth_y=(0.66 if cat else 0.68) + 0.03 * identity.mouth_height,
        mouth_width=(0.36 if cat else 0.40 if robot else 0.37) * (1 + 0.1 * identity.mouth_width),
        upper_lip=(0.065 if cat else 0.06 if robot else 0.085) * fullness,
        lower_lip=(0.075 if cat else 0.07 if robot else 0.115) * fullness,
    )


@dataclass(frozen=True)
class Eye:
    """One eye's curves from its left to its right corner: lids as they are and as they rest."""

    x: float
    upper: np.ndarray
    lower: np.ndarray
    rest_upper: np.ndarray
    rest_lower: np.ndarray


def eye_curves(scene: Scene, side: int) -> Eye:
    """The lids of the eye on `side` (-1 left in the picture, 1 right) under 5, 6, 7 and 45."""
    m, unit = scene.measures, scene.units
    profile = (1 - ACROSS**2) ** m.eye_roundness
    x = side * m.eye_x + m.eye_width * ACROSS
    base = m.eye_y - m.eye_tilt * ACROSS * side
    rest_upper, rest_lower = base - m.eye_height * profile, base + 0.78 * m.eye_height * profile
    upper = rest_upper - (0.16 * unit[5]) * profile
    lower = rest_lower - m.eye_height * profile * min(0.75 * unit[7] + 0.62 * unit[6], 0.95)
    closing = min(unit[45] + 0.48 * unit[7], 1.0)
    upper = upper + (lower - upper) * closing
    return Eye(
        side * m.eye_x, *(np.stack([x, y], axis=1) for y in (upper, lower, rest_upper, rest_lower))
    )


@dataclass(frozen=True)
class Mouth:
    """Four curves from the left to the right corner: lip edges outside and inside."""

    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    gap: float


def mouth_curves(scene: Scene) -> Mouth:
    """The mouth under the action units of the lower face."""
    m, unit, t = scene.measures, scene.units, ACROSS
    width = m.mouth_width * (
        1 + 0.3 * unit[12] + 0.5 * unit[20] - 0.44 * unit[23] - 0.12 * unit[26]
    )
    corner = -0.23 * unit[12] + 0.23 * unit[15] + 0.05 * unit[20] - 0.05 * unit[14]
    gap = 0.13 * unit[25] + 0.36 * unit[26]
    bow = (1 - t**2) ** 0.55
    line = m.mouth_y + corner * np.abs(t) ** 1.6 - 0.02 * np.abs(t) ** 2
    line = line - 0.12 * unit[17] * (1 - t**2)
    if scene.parameters.domain == "cat":
        line = line - 0.045 * np.exp(-((t / 0.2) ** 2))
    upper_inner = line - 0.2 * gap * bow - 0.13 * unit[10] * (1 - t**2) ** 0.4
    lower_inner = line + 0.8 * gap * bow
    thin = (1 - 0.6 * unit[23]) * (1 - 0.35 * unit[20])
    cupid = 1 - 0.25 * np.exp(-((t / 0.24) ** 2))
    upper = m.upper_lip * thin * (1 + 0.3 * unit[10]) * (1 - t**2) ** 0.75 * cupid
    lower = m.lower_lip * thin * (1 + 0.7 * unit[17]) * (1 - t**2) ** 0.6
    x = width * t
    return Mouth(
        *(
            np.stack([x, y], axis=1)
            for y in (upper_inner - upper, upper_inner, lower_inner, lower_inner + lower)
        ),
        gap=gap + 0.13 * unit[10],
    )


def pupil_centre(scene: Scene, side: int) -> np.ndarray:
    """Where the eye on `side` looks, before the lids cut it, (2,)."""
    m, pose = scene.measures, scene.parameters.pose
    return np.array([side * m.eye_x + 0.1 * pose.gaze_x, m.eye_y + 0.01 + 0.07 * pose.gaze_y])


def brow_curve(scene: Scene, side: int) -> np.ndarray:
    """Four control points (4, 2) of the brow on `side`, from its inner to its outer end."""
    m, unit = scene.measures, scene.units
    pinch = 0.07 * unit[4]
    x = np.array([0.17 - pinch, 0.34 - pinch, 0.56, 0.76]) + (m.eye_x - 0.44)
    y = m.brow_y + m.brow_arch * np.array([0.25, -0.4, -0.6, 0.7])
    y = y - unit[1] * np.array([0.27, 0.17, 0.02, 0.0])
    y = y - unit[2] * np.array([0.0, 0.06, 0.22, 0.30])
    y = y + unit[4] * np.array([0.21, 0.16, 0.07, 0.0])
    return np.stack([side * x, y], axis=1)
