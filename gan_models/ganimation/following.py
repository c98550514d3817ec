"""The faces of a film: each is followed from frame to frame, and its square moves smoothly."""

import math

from gan_models import faces
from gan_models.faces.framing import face_square
from gan_models.ganimation.pipeline import on_pixels

NEAR = 0.5  # of a square's side, from its centre to that of the same face a frame later
SHARE = 0.5  # of what is new in a frame: faces are found a few pixels beside where they are
PATIENCE = 12  # frames without any followed face, after which all are looked for anew


class Follower:
    """Says which squares of each frame are edited.

    `without` counts the frames in which no face was found.
    """

    def __init__(self, pipeline, click=None, all_faces=False, whole=False):
        """As for `GANimationPipeline.squares`; `click` counts where a face is looked for anew."""
        self.pipeline, self.click, self.all_faces = pipeline, click, all_faces
        self.fixed = whole or pipeline.framing["kind"] == "centre"
        self.squares, self.missed, self.without = [], 0, 0

    def look(self, frame):
        """The squares of the next frame (H, W, 3); none before a first face is found."""
        if self.fixed:
            return self.pipeline.squares(frame, whole=True)[0]
        height, width = frame.shape[:2]
        found = faces.find_faces(frame, quick=bool(self.squares))
        found = [
            face_square(face, width, height, self.pipeline.framing["margin"]) for face in found
        ]
        before = [self._same(square, found) for square in self.squares]
        self.without += not found
        self.missed = 0 if any(before) else self.missed + 1
        if self.squares and self.missed <= PATIENCE:
            pairs = zip(self.squares, before, strict=True)
            self.squares = [mixed(old, new) if new else old for old, new in pairs]
        else:
            self.squares, self.missed = self._chosen(found), 0
        return [on_pixels(square) for square in self.squares]

    def _chosen(self, found):
        if self.click:
            found = sorted(found, key=lambda square: math.dist(square.centre, self.click))
        return found if self.all_faces else found[:1]

    def _same(self, square, found):
        """The nearest of the found squares, if it is near enough."""
        nearest = min(found, key=lambda x: math.dist(x.centre, square.centre), default=None)
        near = nearest and math.dist(nearest.centre, square.centre) < NEAR * square.side
        return nearest if near else None


def mixed(old: faces.Box, new: faces.Box) -> faces.Box:
    """The square a share of the way from the old one to the new one."""
    places = zip((*old.centre, old.side), (*new.centre, new.side), strict=True)
    return faces.Box.around(*(a + SHARE * (b - a) for a, b in places))
