"""The 17 facial action units that GANimation moves, and the expressions that have names.

Names and muscles are those of the Facial Action Coding System (Ekman, Friesen and Hager, 2002).
An intensity here is from 0 (at rest) to 1 (as strong as can be): FACS's letters A to E are 0.2 to
1, and OpenFace's numbers five times as large.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gan_models.errors import UserError


@dataclass(frozen=True)
class Unit:
    """An action unit; region is "brow", "eye", "nose" or "mouth"."""

    code: int
    name: str
    muscles: str
    region: str


UNITS = (  # in OpenFace's order, which is that of the networks
    Unit(1, "Inner brow raiser", "frontalis, pars medialis", "brow"),
    Unit(2, "Outer brow raiser", "frontalis, pars lateralis", "brow"),
    Unit(4, "Brow lowerer", "corrugator supercilii, depressor supercilii", "brow"),
    Unit(5, "Upper lid raiser", "levator palpebrae superioris", "eye"),
    Unit(6, "Cheek raiser", "orbicularis oculi, pars orbitalis", "eye"),
    Unit(7, "Lid tightener", "orbicularis oculi, pars palpebralis", "eye"),
    Unit(9, "Nose wrinkler", "levator labii superioris alaeque nasi", "nose"),
    Unit(10, "Upper lip raiser", "levator labii superioris", "mouth"),
    Unit(12, "Lip corner puller", "zygomaticus major", "mouth"),
    Unit(14, "Dimpler", "buccinator", "mouth"),
    Unit(15, "Lip corner depressor", "depressor anguli oris", "mouth"),
    Unit(17, "Chin raiser", "mentalis", "mouth"),
    Unit(20, "Lip stretcher", "risorius, platysma", "mouth"),
    Unit(23, "Lip tightener", "orbicularis oris", "mouth"),
    Unit(25, "Lips part", "depressor labii inferioris, or orbicularis oris relaxed", "mouth"),
    Unit(26, "Jaw drop", "masseter relaxed", "mouth"),
    Unit(45, "Blink", "levator palpebrae superioris relaxed, orbicularis oculi", "eye"),
)
CODES = tuple(unit.code for unit in UNITS)

# After the tables of FACS and of Du, Tao and Martinez (PNAS 2014), as far as the 17 units go: 16
# and 24 are not among them, and contempt is one-sided. What is left out is at rest.
EMOTIONS = {
    "happiness": {6: 0.6, 12: 0.8, 25: 0.4},
    "sadness": {1: 0.7, 4: 0.5, 15: 0.7, 17: 0.3},
    "surprise": {1: 0.8, 2: 0.8, 5: 0.6, 25: 0.6, 26: 0.7},
    "fear": {1: 0.7, 2: 0.4, 4: 0.5, 5: 0.7, 7: 0.3, 20: 0.7, 25: 0.5, 26: 0.3},
    "anger": {4: 0.8, 5: 0.4, 7: 0.6, 17: 0.3, 23: 0.7},
    "disgust": {4: 0.3, 9: 0.8, 10: 0.6, 17: 0.5},
    "contempt": {12: 0.3, 14: 0.5},
    "neutral": {},
}


def vector(units: dict[int, float]) -> np.ndarray:
    """(17,) float32 of intensities by code; what is left out is 0."""
    return np.array([units.get(code, 0.0) for code in CODES], np.float32)


def emotion(name: str, intensity: float = 1.0) -> np.ndarray:
    """The action units (17,) float32 of a named expression; intensity from 0 to 1 scales them."""
    if name not in EMOTIONS:
        raise UserError(f"There is no emotion {name!r}: choose {', '.join(EMOTIONS)}.")
    if not 0 <= intensity <= 1:  # NaN fails too
        raise UserError(f"The intensity of an emotion is from 0 to 1, not {intensity}.")
    return intensity * vector(EMOTIONS[name])


def checked(units: dict[int, float]) -> dict[int, float]:
    """The same; UserError for a code that is not among the 17, and an intensity beyond 0 to 1."""
    for code, value in units.items():
        if code not in CODES:
            raise UserError(f"There is no action unit {code} here: choose {said(CODES)}.")
        if not 0 <= value <= 1:  # NaN fails too
            raise UserError(f"Action unit {code} goes from 0 to 1, not to {value:g}.")
    return units


def parse(texts: Iterable[str]) -> dict[int, float]:
    """["12=0.6", "AU06=0.4"] -> {12: 0.6, 6: 0.4}; UserError for anything else."""
    units = {}
    for text in texts:
        code, is_one, value = text.partition("=")
        match = re.fullmatch(r"(?:au)?\s*0*(\d{1,3})", code.strip(), re.IGNORECASE | re.ASCII)
        try:
            number = float(value)
        except ValueError:
            number = None
        if not (match and is_one) or number is None:
            raise UserError(f"{text!r} is no action unit and intensity: write 12=0.6, for one.")
        units[int(match[1])] = number
    return checked(units)


def said(codes: Iterable[int]) -> str:
    """ "1, 2, 4"; for sentences."""
    return ", ".join(map(str, codes))
