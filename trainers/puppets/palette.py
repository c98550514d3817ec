"""Colours as float arrays (3,) of RGB in 0..255, matched to one another by hue."""

import colorsys
from dataclasses import dataclass

import numpy as np

from trainers.puppets.parameters import PuppetParameters

SHADOW = np.array([58.0, 28.0, 72.0])
GLOW = np.array([255.0, 246.0, 226.0])
WHITE = np.array([255.0, 255.0, 255.0])
INK = np.array([34.0, 24.0, 40.0])


def colours(text: str) -> np.ndarray:
    """Colours in hexadecimal, "rrggbb rrggbb ...", as rows (n, 3) of a float array."""
    return np.array([list(bytes.fromhex(colour)) for colour in text.split()], dtype=float)


SKINS = colours("58362c 784c38 9a6446 be8660 dea880 f4caa8 ffdeca")
HAIRS = colours("24202a 422a24 6c422a 9e3e26 ce7834 e2b868 eedaa8 c4c4ce")
IRISES = colours("5c361e 845628 647c34 348a60 3678aa 60708c")
COATS = colours("4a4654 888694 966a4e e2924e f4d8ac f6f0ea")
CAT_IRISES = colours("e8b228 bac83c 5cbe60 36b8be 4696e2")


@dataclass(frozen=True)
class Palette:
    """The colours of one puppet."""

    skin: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    iris: np.ndarray
    eye: np.ndarray
    lip: np.ndarray
    blush: np.ndarray
    nose: np.ndarray
    teeth: np.ndarray
    mouth: np.ndarray
    tongue: np.ndarray
    lash: np.ndarray
    cloth: np.ndarray


def mix(a: np.ndarray, b: np.ndarray, amount: float) -> np.ndarray:
    return a + (b - a) * amount


def darker(colour: np.ndarray, amount: float = 0.18) -> np.ndarray:
    """Towards a violet shadow, which keeps shaded skin alive where grey would kill it."""
    return mix(colour, SHADOW, amount)


def lighter(colour: np.ndarray, amount: float = 0.2) -> np.ndarray:
    return mix(colour, GLOW, amount)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value)) * 255


def ramp(anchors: np.ndarray, position: float) -> np.ndarray:
    """A colour at `position` in [0, 1] along a row of anchor colours."""
    place = position * (len(anchors) - 1)
    index = min(int(place), len(anchors) - 2)
    return mix(anchors[index], anchors[index + 1], place - index)


def brow_colour(hair: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Darker than the hair, and always clearly darker than the skin it moves on."""
    brow = darker(mix(hair, INK, 0.5), 0.1)
    brightest = max(skin.mean() - 55.0, 22.0)
    return brow * min(1.0, brightest / brow.mean())


def make_palette(parameters: PuppetParameters) -> Palette:
    """The colours that follow from domain, style and cloth."""
    style, identity = parameters.style, parameters.identity
    cloth = hsv(
        identity.cloth_hue, 0.55 - 0.1 * identity.cloth_value, 0.66 + 0.16 * identity.cloth_value
    )
    shared = dict(
        teeth=np.array([252.0, 250.0, 244.0]),
        mouth=np.array([92.0, 20.0, 38.0]),
        tongue=np.array([232.0, 96.0, 104.0]),
        cloth=cloth,
    )
    if parameters.domain == "human":
        skin, hair = ramp(SKINS, style.tone), ramp(HAIRS, style.hair)
        rose = mix(np.array([214.0, 62.0, 84.0]), np.array([196.0, 84.0, 70.0]), style.accent)
        return Palette(
            skin=skin,
            hair=hair,
            brow=brow_colour(hair, skin),
            eye=WHITE * 0.99,
            iris=ramp(IRISES, style.iris),
            lip=mix(skin, rose, 0.72),
            lash=INK,
            blush=mix(skin, np.array([240.0, 84.0, 92.0]), 0.17 + 0.1 * style.accent),
            nose=mix(skin, np.array([196.0, 74.0, 66.0]), 0.3),
            **shared,
        )
    if parameters.domain == "cat":
        skin = ramp(COATS, style.tone)
        marks = darker(mix(skin, ramp(HAIRS, 0.55 * style.hair), 0.5), 0.1)
        nose = mix(np.array([236.0, 112.0, 128.0]), np.array([176.0, 84.0, 92.0]), style.accent)
        return Palette(
            skin=skin,
            hair=marks,
            brow=brow_colour(marks, skin),
            eye=WHITE * 0.99,
            iris=ramp(CAT_IRISES, style.iris),
            lip=mix(darker(skin, 0.5), nose, 0.45),
            lash=INK,
            blush=mix(skin, np.array([240.0, 110.0, 120.0]), 0.3),
            nose=nose,
            **shared,
        )
    skin = hsv(style.tone, 0.12 + 0.36 * style.accent, 0.92 - 0.12 * style.pattern)
    trim = hsv(style.tone + 0.3 + 0.4 * style.hair, 0.5, 0.7)
    lamp = hsv(0.08 + 0.8 * style.iris, 0.75, 1.0)
    metal = darker(mix(skin, np.array([86.0, 92.0, 118.0]), 0.62), 0.12)
    shared.update(mouth=np.array([26.0, 30.0, 54.0]), teeth=mix(lamp, WHITE, 0.72))
    return Palette(
        skin=skin,
        hair=trim,
        brow=mix(metal, INK, 0.55),
        eye=mix(np.array([34.0, 36.0, 66.0]), lamp, 0.2),
        iris=lamp,
        lip=darker(metal, 0.22),
        blush=mix(trim, WHITE, 0.35),
        nose=metal,
        lash=mix(metal, INK, 0.6),
        **shared,
    )
