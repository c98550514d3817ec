"""Puppets: drawn characters with exact labels, landmarks, action units and motion.

`random_parameters(seed)` says what a puppet is, `draw(parameters, size)` draws it; `transfer` and
`clip` give the truth for motion. This is the only data the project ships.
"""

from trainers.puppets.drawing import LANDMARKS, STYLES, Drawing, draw
from trainers.puppets.movement import clip
from trainers.puppets.parameters import (
    ACTION_UNITS,
    DOMAINS,
    FIRST_SCORE_SEED,
    Background,
    Identity,
    Pose,
    PuppetParameters,
    Style,
    puppet_seed,
    random_parameters,
    transfer,
)
from trainers.puppets.scene import LABELS
from trainers.puppets.sets import drawn_set, is_puppets
from trainers.puppets.sheet import contact_sheet

__all__ = [
    "ACTION_UNITS",
    "DOMAINS",
    "FIRST_SCORE_SEED",
    "LABELS",
    "LANDMARKS",
    "STYLES",
    "Background",
    "Drawing",
    "Identity",
    "Pose",
    "PuppetParameters",
    "Style",
    "clip",
    "contact_sheet",
    "draw",
    "drawn_set",
    "is_puppets",
    "puppet_seed",
    "random_parameters",
    "transfer",
]
