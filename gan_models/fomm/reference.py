"""The reference frame: the driving frame whose pose is the source's."""

import itertools
import math

import numpy as np

from gan_models import faces
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion, pose_distance


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


def split_reference(rows, reference, best):
    """(the reference frame's keypoints, the same rows again); UserError if there is no such row.

    Official runs with a best frame go forwards and backwards from it; with it as the reference of
    all frames that is one pass, for frames do not depend on each other.
    """
    if reference == "best":
        held = list(rows)
        index = best.index(Motion.from_rows(held))
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
