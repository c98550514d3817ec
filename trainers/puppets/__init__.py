"""Puppets: drawn characters with exact labels, landmarks, action units and motion.

`random_parameters(seed)` says what a puppet is, `draw(parameters, size)` draws it; `transfer` and
`clip` give the truth for motion. This is the only data the project ships.
"""

from trainers.puppets.clips import clip
from trainers.puppets.drawing import LANDMARKS, STYLES, Drawing, draw
from trainers.puppets.parameters import (
    ACTION_UNITS,
    DOMAINS,
    Background,
    Identity,
    Pose,
    PuppetParameters,
    Style,
    random_parameters,
    transfer,
)
from trainers.puppets.regions import action_unit_region
from trainers.puppets.scene import LABELS
from trainers.puppets.sheet import contact_sheet

__all__ = [
    "ACTION_UNITS",
    "DOMAINS",
    "LABELS",
    "LANDMARKS",
    "STYLES",
    "Background",
    "Drawing",
    "Identity",
    "Pose",
    "PuppetParameters",
    "Style",
    "action_unit_region",
    "clip",
    "contact_sheet",
    "draw",
    "random_parameters",
    "transfer",
]
