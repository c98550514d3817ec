"""What weights see of a picture, in tabs whose weights see faces; and which pictures they know."""

import functools
from pathlib import Path

import numpy as np

from gan_models import faces, images, video
from gan_models.errors import Unreadable, UserError
from tabs.kit import crop as crops
from tabs.kit import look, offers, systems
from tabs.kit import texts as words


class FaceSystem(systems.System):
    """Weights that see the face in a picture, or the middle of what this project draws."""

    sees_faces = True

    def frame(self, weights: str | None, picture: np.ndarray, drawn=False, **how) -> faces.Framing:
        """The crop that weights take of a picture. Those of puppets take the middle of what is
        `drawn`, as in training, and the face of anything else; those that are not here look for
        faces.

        how: click, quick as for `faces.frame`.
        """
        framing = self.framing(weights, drawn)
        return faces.frame(picture, framing["kind"], margin=framing["margin"], **how)

    def framing(self, weights: str | None, drawn: bool) -> dict:
        """{"kind", "margin"} as for `faces.frame`."""
        if weights and not self.is_here(weights):
            return {"kind": "face", "margin": 0.0}
        framing = self.config(weights)["framing"]
        return framing if drawn or not self.knows_puppets(weights) else framing | {"kind": "face"}

    def looks_for_faces(self, weights: str | None) -> bool:
        return self.config(weights)["framing"]["kind"] == "face" or self.knows_puppets(weights)

    def knows_puppets(self, weights: str | None) -> bool:
        """Whether weights were trained on nothing but what this project draws."""
        return "puppet" in self.config(weights)["data"].lower()

    def unknown(self, weights: str | None, *paths: str | None) -> list[str]:
        """Those of the pictures and clips that weights of puppets do not know."""
        try:
            puppets = self.knows_puppets(weights)
        except UserError:
            return []
        return [path for path in paths if puppets and path and not is_puppet(path)]

    def for_photographs(self) -> tuple[str, look.Remedy | None]:
        """(a sentence, the button) that lead to weights for photographs, here or to be got."""
        if button := self.remedy(lambda name: not self.knows_puppets(name)):
            return "", button
        offered = [name for _, name in self.menu() if not self.is_here(name)]
        if not offered:
            return words.NO_OTHERS, None
        label = words.READ_ABOUT.format(name=offered[0].removeprefix(offers.PREFIX))
        return words.CAN_BE_FETCHED, look.Remedy(label, offered[0], to=".about")

    def clicked(self, weights, path: str, picture: np.ndarray, crop: dict, event) -> dict:
        """The crop after a click (x, y of Gradio's `event`) in the picture of the file `path`: at
        the face there, or around that place.
        """
        x, y = float(event.x), float(event.y)
        found = self.frame(weights, picture, is_puppet(path), click=(x, y))
        box = found.box
        if not any(face.holds(x, y) for face in found.faces):  # keep the size, go there
            side = (crops.chosen(crop, path, picture.shape[:2]) or box).side
            box = faces.Box.around(x, y, side)
        # Only what `crops.shown` made: a dict of the visitor's own could pass for an update.
        kept = {key: crop.get(key) for key in ("of", "picture", "width", "height", "faces")}
        return kept | {"box": crops.corners(box)}


def said(found: faces.Framing, picture: np.ndarray, what: str) -> str:
    """What was done to `picture`, called `what`; "" where that is the square in its middle."""
    whole = found.box == faces.frame(picture, "centre").box
    return found.notice or ("" if whole else words.FACE_FOUND.format(what=what))


@functools.lru_cache(64)
def is_puppet(path: str) -> bool:
    """Whether the label inside the file says that this project drew it."""
    try:
        is_clip = Path(path).suffix.lower() in (".mp4", ".gif")
        label = video.clip_info(path).label if is_clip else images.read_settings(path)
    except Unreadable:
        return False
    return bool(label) and "puppet" in str(label.get("weights"))
