"""Draws what the tab "Expressions" ships: faces to change, faces to take an expression from, and a
sheet of what each action unit moves. None of these puppets is in a training set.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_models import images
from gan_models.ganimation.action_units import UNITS
from trainers.puppets import FIRST_SCORE_SEED, Drawing, Pose, draw, random_parameters
from trainers.puppets.drawing import LANDMARKS

SIZE = 512  # pixels
# (domain, seed above FIRST_SCORE_SEED, action units), in the order of the tab's names.
FACES = (
    ("human", 31, {}), ("human", 56, {}), ("human", 29, {6: 0.4, 12: 0.5}),
    ("cat", 27, {}), ("cat", 17, {1: 0.3, 2: 0.3}), ("robot", 38, {}),
)  # fmt: skip
MIRRORED = (
    ("human", 18, {6: 0.8, 12: 1.0, 25: 0.6}), ("human", 36, {1: 1.0, 2: 1.0, 5: 0.7, 26: 0.9}),
    ("human", 20, {4: 1.0, 7: 0.6, 23: 0.8}), ("human", 4, {1: 0.9, 4: 0.5, 15: 1.0, 17: 0.5}),
    ("cat", 50, {5: 1.0, 2: 0.6}), ("robot", 25, {45: 1.0}),
)  # fmt: skip
ICON_OF = ("human", 47)  # a face on which every unit is seen
ICON = 96  # pixels
# Of each region: landmarks in its middle, and its side as a share of the distance of the pupils.
REGIONS = {
    "brow": (("left brow middle", "right brow middle", "left pupil", "right pupil"), 1.9),
    "eye": (("left pupil", "right pupil"), 1.9),
    "nose": (("nose", "left pupil", "right pupil"), 1.5),
    "mouth": (("mouth left", "mouth right", "lower lip bottom"), 1.5),
}


def drawn(domain: str, seed: int, action_units: dict[int, float]) -> Drawing:
    """A face that looks at the visitor."""
    puppet = random_parameters(FIRST_SCORE_SEED + seed, domain)
    puppet = replace(puppet, pose=Pose(), action_units=(0.0,) * len(UNITS))
    return draw(puppet.with_action_units(action_units), SIZE)


def write_faces(folder: Path) -> None:
    for stem, faces in (("face", FACES), ("mirror", MIRRORED)):
        for number, (domain, seed, units) in enumerate(faces, 1):
            settings = {"domain": domain, "seed": FIRST_SCORE_SEED + seed, "action_units": units}
            picture = drawn(domain, seed, units).picture
            file = folder / f"{stem}-{number}.jpg"
            images.save_picture(file, picture, weights="puppets", settings=settings)


def write_icons(folder: Path) -> None:
    """A row for each unit: its region at rest, and at the unit's most."""
    rest = drawn(*ICON_OF, {})
    points = dict(zip(LANDMARKS, rest.landmarks, strict=True))
    apart = np.linalg.norm(points["right pupil"] - points["left pupil"])
    rows = []
    for unit in UNITS:
        names, share = REGIONS[unit.region]
        x, y = np.mean([points[name] for name in names], axis=0)
        half = share * apart / 2
        window = np.s_[round(y - half) : round(y + half), round(x - half) : round(x + half)]
        both = (rest, drawn(*ICON_OF, {unit.code: 1.0}))
        rows.append(np.hstack([images.resize(one.picture[window], ICON) for one in both]))
    sheet = np.vstack(rows)
    images.save_picture(folder / "units.jpg", sheet, weights="puppets", settings={})
