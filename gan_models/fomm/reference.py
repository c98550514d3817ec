"""The reference frame: the driving frame whose pose is the source's."""

import itertools
import math

import numpy as np

from gan_models import faces
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion, pose_distance

LIMIT = 150  # frames; what begins later is not waited for
BLANK, FAINT = 8, 24  # of 255, the spread of a frame's levels: nothing, and perhaps fading in
PASSED_OVER = (
    "The clip begins with nothing to measure motion from: it is measured from frame {number} on."
)
AHEAD, RISE = 5, 1.15  # a fade is over where the spread grows no more than so in so many frames


class Best:
    """The search for the driving frame whose pose is nearest to the source's.

    As in the official code by 68 face landmarks, where a landmark finder is there and finds them
    in the source (a frame without a face is passed over); else by the keypoints of these weights,
    which know more than faces.
    """

    def __init__(self, source, kind):
        self.points = source.motion.value[0]
        self.landmarks = faces.find_landmarks(source.crop) if kind == "face" else None
        self.distances = []  # by landmarks, of each frame looked at

    def look(self, crops):
        for crop in crops if self.landmarks is not None else []:
            found = faces.find_landmarks(crop)
            distance = np.inf if found is None else pose_distance(self.landmarks, found)
            self.distances.append(distance)

    def index(self, motion) -> int:
        """The nearest frame's number, the earliest of equals."""
        if not np.isfinite(self.distances).any():
            self.distances = [pose_distance(self.points, points) for points in motion.value]
        return int(np.argmin(self.distances))


class First:
    """The search for the first frame that shows what motion can be measured from.

    A film may begin black, white, or with a fade; weights that know faces (`kind`) want one to be
    seen. It is frame 0, and known at once, of nearly every film.
    """

    def __init__(self, kind):
        self.kind = kind
        self.spreads = []  # of each frame looked at
        self.face = None  # the first of them that shows a face

    def look(self, crops):
        for crop in crops[: LIMIT - len(self.spreads)]:
            self.spreads.append(float(crop.std()))
            wanted = self.kind == "face" and self.face is None and self.spreads[-1] >= BLANK
            if wanted and faces.find_faces(crop, quick=True):
                self.face = len(self.spreads) - 1

    @property
    def found(self) -> int | None:
        """Its number; None as long as more frames have to be seen."""
        start = self.face if self.kind == "face" else 0
        seen = self.spreads
        for number in range(len(seen) if start is None else start, len(seen)):
            later = seen[number + AHEAD :][:1]
            steady = later and later[0] <= RISE * seen[number]
            if seen[number] >= BLANK and (steady or (number == 0 and seen[0] >= FAINT)):
                return number
        return None

    @property
    def likeliest(self) -> int:
        """Where none was found: the first frame that shows half as much as any."""
        return next(n for n, one in enumerate(self.spreads) if one >= max(self.spreads) / 2)

    @property
    def index(self) -> int:
        return self.likeliest if self.found is None else self.found


def split_reference(rows, reference, search):
    """(the reference frame's keypoints, the same rows again); UserError if there is no such row.

    search: a `Best` or `First` that was shown the frames of the rows; None: there are no frames.

    Official runs with a best frame go forwards and backwards from it; with it as the reference of
    all frames that is one pass, for frames do not depend on each other.
    """
    if reference == "best":
        held = list(rows)
        index = search.index(Motion.from_rows(held))
    elif search:
        held = []
        for row in rows:
            held.append(row)
            found = LIMIT if search.found is None else search.found + 1
            if len(held) >= found:
                break
        index = search.index
    else:
        index = 0 if reference == "first" else reference
        held = list(itertools.islice(rows, index + 1))
        check_reference(index, len(held))
    return Motion.from_rows([held[index]]), itertools.chain(held, rows)


def check_reference(reference, count=math.inf):
    """UserError unless it is "first", "best" or the number of one of `count` frames."""
    if reference in ("first", "best"):
        return
    if isinstance(reference, bool) or not isinstance(reference, int | np.integer) or reference < 0:
        raise UserError(
            f'The reference frame is "first", "best", or its number from 0, not {reference!r}.'
        )
    if reference >= count:
        raise UserError(
            f"The reference frame is {reference}, and the driving has {count} frames: choose one "
            f"from 0 to {count - 1}."
        )
