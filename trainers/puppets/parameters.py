"""What a puppet is: frozen parameters, one random distribution of them, and smooth clips.

Everything here is numbers; `drawing.py` turns them into a picture. Every random choice comes from a
numpy Generator made from the seed, so the same seed is the same puppet on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

DOMAINS = ("human", "cat", "robot")

# The 17 facial action units of OpenFace, in its order; intensities here are in [0, 1].
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)

FIRST_SCORE_SEED = 1_000_000_000  # puppets of this seed or a higher one are never trained on

HAIRCUTS = ("crop", "bob", "long", "curls", "bun", "quiff")
COLLARS = ("round", "deep", "turtleneck", "hood")


@dataclass(frozen=True)
class Identity:
    """Who it is: shape numbers in [-1, 1] (0 is average) and a few choices; kept by `transfer`."""

    head_width: float = 0.0
    head_height: float = 0.0
    jaw: float = 0.0
    chin: float = 0.0
    eye_spacing: float = 0.0
    eye_size: float = 0.0
    eye_height: float = 0.0
    eye_tilt: float = 0.0
    brow_height: float = 0.0
    brow_thickness: float = 0.0
    brow_arch: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    mouth_width: float = 0.0
    mouth_height: float = 0.0
    lip_fullness: float = 0.0
    ear_size: float = 0.0
    shoulders: float = 0.0
    hair_volume: float = 0.0
    parting: float = 0.4
    haircut: int = 0
    collar: int = 0
    glasses: bool = False
    cloth_hue: float = 0.08
    cloth_value: float = 0.0


@dataclass(frozen=True)
class Style:
    """The look inside a domain, each in [0, 1] and continuous.

    tone: skin, coat or paint; hair: hair, markings or cap; iris: eyes or lamps; accent: lips and
    cheeks, nose, or panel; pattern: freckles, stripes or rivets, from none to many.
    """

    tone: float = 0.7
    hair: float = 0.5
    iris: float = 0.3
    accent: float = 0.5
    pattern: float = 0.3


@dataclass(frozen=True)
class Pose:
    """Where the head points: angles in radians, shift in picture widths, gaze in [-1, 1].

    Positive yaw looks to the right of the picture, positive pitch down, positive roll clockwise.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0


@dataclass(frozen=True)
class Background:
    """A soft gradient: hue, saturation and value in [0, 1], direction in radians."""

    hue: float = 0.58
    saturation: float = 0.35
    value: float = 0.85
    angle: float = 0.8


@dataclass(frozen=True)
class PuppetParameters:
    """One drawn character; the defaults are a frontal, neutral face.

    `action_units` holds 17 intensities in [0, 1] in the order of `ACTION_UNITS`. `light` in [-1, 1]
    is the side the light comes from (-1 left, 1 right) and its strength.
    """

    domain: str = "human"
    identity: Identity = Identity()
    style: Style = Style()
    pose: Pose = Pose()
    action_units: tuple[float, ...] = (0.0,) * len(ACTION_UNITS)
    light: float = -0.7
    background: Background = Background()

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise ValueError(f"domain is {self.domain!r}; choose one of {', '.join(DOMAINS)}.")
        if len(self.action_units) != len(ACTION_UNITS):
            raise ValueError(
                f"action_units has {len(self.action_units)} numbers; give {len(ACTION_UNITS)}, "
                "in the order of ACTION_UNITS."
            )
        if not all(0 <= intensity <= 1 for intensity in self.action_units):
            raise ValueError("action_units holds a number outside [0, 1].")

    def with_action_units(self, intensities: Mapping[int, float]) -> "PuppetParameters":
        """The same puppet with some action units set: `p.with_action_units({12: 1, 6: 0.5})`."""
        units = dict(zip(ACTION_UNITS, self.action_units, strict=True))
        for unit, intensity in intensities.items():
            if unit not in units:
                raise ValueError(f"{unit} is not an action unit; choose one of {ACTION_UNITS}.")
            units[unit] = float(intensity)
        return replace(self, action_units=tuple(units.values()))


def transfer(identity_of: PuppetParameters, motion_of: PuppetParameters) -> PuppetParameters:
    """The truth for motion transfer: the first puppet with pose and action units of the second."""
    return replace(identity_of, pose=motion_of.pose, action_units=motion_of.action_units)


# Expressions people recognise, as {action unit: intensity}; random faces mix one with noise.
EXPRESSIONS = (
    {},
    {12: 0.3},
    {12: 0.9, 25: 0.4},
    {6: 0.7, 12: 0.9, 25: 0.6},
    {12: 0.6},
    {6: 1.0, 12: 1.0, 25: 0.8, 26: 0.7},
    {1: 0.9, 4: 0.5, 15: 0.9, 17: 0.4},
    {4: 1.0, 5: 0.5, 7: 0.6, 23: 0.9},
    {1: 0.9, 2: 0.9, 5: 0.9, 25: 0.6, 26: 0.9},
    {4: 0.4, 9: 1.0, 10: 0.7, 17: 0.3},
    {1: 0.8, 2: 0.4, 4: 0.5, 5: 0.8, 20: 0.9, 25: 0.6},
    {12: 0.4, 14: 1.0},
    {7: 0.7, 14: 0.5, 15: 0.4, 17: 0.8},
    {25: 0.7, 26: 0.5},
)


def random_action_units(random: np.random.Generator) -> tuple[float, ...]:
    """17 intensities in [0, 1]: a recognisable expression, a sparse mix, or half of each."""
    values = np.zeros(len(ACTION_UNITS))
    kind = random.random()
    if kind < 0.7:
        expression = EXPRESSIONS[random.integers(len(EXPRESSIONS))]
        strength = random.uniform(0.5, 1.1)
        for unit, intensity in expression.items():
            values[ACTION_UNITS.index(unit)] = intensity * strength
    if kind > 0.4:
        active = random.random(len(ACTION_UNITS)) < 0.14
        values = np.where(active, random.random(len(ACTION_UNITS)), values)
    values[-1] = random.choice([0.0, 0.35, 1.0], p=[0.85, 0.07, 0.08])
    return tuple(float(v) for v in np.clip(values, 0, 1).round(4))


# Numbers of an Identity that have a distribution of their own.
CHOSEN = ("parting", "cloth_hue", "cloth_value")


def random_identity(random: np.random.Generator, background_hue: float) -> Identity:
    """A random `Identity`; the cloth's hue is chosen to go with the background's."""
    shape_fields = [
        field.name
        for field in fields(Identity)
        if isinstance(field.default, float) and field.name not in CHOSEN
    ]
    shape = {name: float(np.clip(random.normal(0, 0.5), -1, 1)) for name in shape_fields}
    return Identity(
        **shape,
        parting=float(random.choice([-1, 1]) * random.uniform(0.2, 0.7)),
        haircut=int(random.integers(len(HAIRCUTS))),
        collar=int(random.integers(len(COLLARS))),
        glasses=bool(random.random() < 0.14),
        cloth_hue=float((background_hue + random.uniform(0.35, 0.65)) % 1),
        cloth_value=float(random.uniform(-1, 1)),
    )


def puppet_seed(seed: int, index: int, training: bool = True) -> int:
    """The number that puppet `index` of a set is drawn from.

    Training: made of (seed, index), below FIRST_SCORE_SEED. Otherwise FIRST_SCORE_SEED + index,
    whatever the seed, so that nothing scored was ever trained on.
    """
    if not training:
        return FIRST_SCORE_SEED + index
    return int(np.random.default_rng((seed, index)).integers(FIRST_SCORE_SEED))


def random_parameters(seed: int, domain: str | None = None) -> PuppetParameters:
    """The puppet of this seed; `domain` fixes the domain and leaves every other draw as it is.

    This is the one distribution behind all five layouts.
    """
    random = np.random.default_rng(seed)
    drawn_domain = DOMAINS[random.integers(len(DOMAINS))]
    background = Background(
        hue=float(random.random()),
        saturation=float(random.uniform(0.2, 0.48)),
        value=float(random.uniform(0.72, 0.93)),
        angle=float(random.uniform(0, 2 * np.pi)),
    )

    def around_zero(spread: float, limit: float) -> float:
        return float(np.clip(random.normal(0, spread), -limit, limit))

    pose = Pose(
        yaw=around_zero(0.2, 0.42),
        pitch=around_zero(0.1, 0.22),
        roll=around_zero(0.09, 0.22),
        shift_x=around_zero(0.015, 0.035),
        shift_y=around_zero(0.01, 0.02),
        scale=1 + around_zero(0.03, 0.06),
        gaze_x=around_zero(0.45, 1),
        gaze_y=around_zero(0.35, 1),
    )
    return PuppetParameters(
        domain=domain or drawn_domain,
        identity=random_identity(random, background.hue),
        style=Style(*(float(v) for v in random.random(5))),
        pose=pose,
        action_units=random_action_units(random),
        light=float(random.choice([-1, 1]) * random.uniform(0.4, 1)),
        background=background,
    )
