"""The contact sheet of the puppets: who they are, what moves, and what the labels say."""

import numpy as np

from gan_models.images import grid
from trainers.puppets.drawing import draw
from trainers.puppets.movement import clip
from trainers.puppets.palette import colours
from trainers.puppets.parameters import (
    ACTION_UNITS,
    DOMAINS,
    Background,
    PuppetParameters,
    Style,
    random_parameters,
    transfer,
)

# Seeds of the large puppets: the domains take turns.
HEROES = (79, 109, 71, 34, 64, 78, 65, 76, 89, 21, 9, 39, 108, 90, 32, 113, 25, 91)
# One colour per label, for looking at label maps.
LABEL_COLOURS = colours(
    "e8ecf2 4a5c96 ce967a f4c4a0 e2a884 704a3c 2c243c ffffff 3a96be de8468 ce465c 6e182c "
    "faf6dc f0808c 46aa8c f0be3c"
).astype(np.uint8)


def neutral(domain: str) -> PuppetParameters:
    """A frontal, neutral puppet of a domain in colours that suit it."""
    look = {
        "human": (0.58, Style(tone=0.78, hair=0.45)),
        "cat": (0.45, Style(tone=0.62, hair=0.4, iris=0.5)),
        "robot": (0.1, Style(tone=0.52, hair=0.65, iris=0.0, accent=0.4)),
    }
    hue, style = look[domain]
    return PuppetParameters(domain, style=style, background=Background(hue=hue))


def contact_sheet() -> np.ndarray:
    """The sheet (724, 1186, 3) uint8 RGB.

    Large puppets; per domain the neutral face and its 17 action units; then a clip, the same motion
    drawn on another puppet, the clip's label maps, and the large puppets in the held-out style.
    """
    heroes = [random_parameters(seed) for seed in HEROES]
    # Nine pictures of 130 pixels are as wide as eighteen of 64, with gaps of 2.
    large = grid([draw(hero, 130).picture for hero in heroes], 9)
    rows = []
    for domain in DOMAINS:
        rest = neutral(domain)
        faces = [rest, *(rest.with_action_units({unit: 1.0}) for unit in ACTION_UNITS)]
        rows.append([draw(face, 64).picture for face in faces])
    frames = clip(seed=7, num_frames=18, domain="human", fps=5)
    other = random_parameters(12, "cat")
    drawings = [draw(frame, 64) for frame in frames]
    rows.append([drawing.picture for drawing in drawings])
    rows.append([draw(transfer(other, frame), 64).picture for frame in frames])
    rows.append([LABEL_COLOURS[drawing.label_map] for drawing in drawings])
    rows.append([draw(hero, 64, "held_out").picture for hero in heroes])
    small = grid([picture for row in rows for picture in row], 18)
    gap = np.full((2, large.shape[1], 3), 255, np.uint8)
    return np.concatenate([large, gap, small])
