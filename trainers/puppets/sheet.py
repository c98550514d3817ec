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


def contact_sheet(size: int = 96, gap: int = 2) -> np.ndarray:
    """A sheet (H, W, 3) uint8 RGB of pictures of `size` pixels, 18 a row.

    Three rows of random puppets; per domain the neutral face and its 17 action units; then a clip,
    the same motion drawn on another puppet, the clip's label maps, and the held-out style.
    """
    columns = 1 + len(ACTION_UNITS)
    rows = [
        [draw(random_parameters(row * columns + k), size).picture for k in range(columns)]
        for row in range(3)
    ]
    for domain in DOMAINS:
        rest = neutral(domain)
        faces = [rest, *(rest.with_action_units({unit: 1.0}) for unit in ACTION_UNITS)]
        rows.append([draw(face, size).picture for face in faces])
    frames = clip(seed=7, num_frames=columns, domain="human", fps=5)
    other = random_parameters(12, "cat")
    drawings = [draw(frame, size) for frame in frames]
    rows.append([drawing.picture for drawing in drawings])
    rows.append([draw(transfer(other, frame), size).picture for frame in frames])
    rows.append([LABEL_COLOURS[drawing.label_map] for drawing in drawings])
    rows.append([draw(random_parameters(k), size, "held_out").picture for k in range(columns)])
    return grid([picture for row in rows for picture in row], columns, gap)
