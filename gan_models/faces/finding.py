"""Where the faces of a picture are, and the 68 landmarks of one.

face_alignment's networks are used where their weight files are already on disk, in the
`checkpoints` folder of torch.hub, where face_alignment itself keeps them; nothing is ever
downloaded here. Without them the cascade that ships inside scikit-image finds frontal faces. It
sees faces in grass too, so its single windows are votes, from four views of the picture: as it is,
mirrored, and both with evened contrast. A face collects dozens of them, grass a few.
"""

from __future__ import annotations

import logging
import math
import pickle
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

from gan_models.errors import UserError

log = logging.getLogger(__name__)

DETECTION_SIDE = 640  # larger pictures are shrunk to this for detection, as in the official code
SMALLEST = 24  # pixels; the cascade's window

# Of the cascade, chosen on 59 pictures (portraits, paintings, animals, groups).
SCALE_STEP = 1.1  # from one window size to the next
SHIFT_STEP = 1.5  # of the window over the picture
SMALLEST_SHARE = 0.08  # of the picture's shorter side
MIN_VOTES = 9  # of all views together
MIN_VIEWS = 3  # that see the face
MIN_SHARE = 0.12  # of the best face's votes
SAME_PLACE = 0.25  # of the window's side
SAME_SIZE = 1.4
MAX_OVERLAP = 0.3  # of the smaller of two faces

SFD = "s3fd-619a316812.pth"
FAN = "2DFAN4-11f355bf06.pth.tar"
UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError)

_one_at_a_time = Lock()  # scikit-image's cascade keeps its integral images in itself


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the full picture, fractions allowed; may reach outside it.

    left = 0 is the outer edge of the first column, right = width that of the last.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self):
        sides = (self.width, self.height)
        if not all(0 < side < math.inf for side in sides):  # NaN fails too
            raise UserError(
                "a box has four finite numbers, from left to right and from top to bottom, unlike "
                f"{astuple(self)}."
            )

    @classmethod
    def around(cls, x: float, y: float, side: float) -> Box:
        """The square of that side with its centre at (x, y)."""
        return cls(x - side / 2, y - side / 2, x + side / 2, y + side / 2)

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def side(self) -> float:
        """The longer of width and height."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)"""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def scaled(self, factor: float) -> Box:
        """The same box in a picture that is `factor` times as large."""
        return Box(*(factor * edge for edge in astuple(self)))

    def joined(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def find_faces(picture: np.ndarray, *, quick: bool = False) -> list[Box]:
    """The faces of a (H, W, 3) uint8 picture, largest first; [] if there is none.

    From forehead to chin; tall boxes with face_alignment, squares with the cascade.
    quick: for many frames in a row; the cascade then looks at half as many views and not for faces
    below an eighth of the shorter side.
    """
    if picture.size == 0:
        return []
    import cv2

    height, width = picture.shape[:2]
    factor = min(1.0, DETECTION_SIDE / max(height, width))
    small = np.ascontiguousarray(picture)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    detector = _network(SFD)
    found = _by_network(detector, small) if detector else _by_cascade(small, quick)
    return sorted((box.scaled(1 / factor) for box in found), key=lambda box: -box.side)


def find_landmarks(picture: np.ndarray) -> np.ndarray | None:
    """(68, 2) float32, x and y in pixels of the picture, of its largest face.

    None without a face, and where face_alignment's 2DFAN4 weights are not on disk.
    """
    aligner = _network(FAN)
    found = find_faces(picture, quick=True) if aligner else []
    if not found:
        return None
    corners = np.array([*astuple(found[0]), 1.0])
    points = aligner.get_landmarks_from_image(picture, detected_faces=[corners])
    return np.asarray(points[0], np.float32) if points else None


# --- face_alignment ---------------------------------------------------------------------------


def _network(name: str):
    """The network of that weight file on the processor, or None where there is none to be used."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return _loaded(str(path)) if path.is_file() else None


@cache
def _loaded(path: str):
    """The network, or None (said once) if its file is damaged."""
    try:
        if path.endswith(SFD):
            from face_alignment.detection.sfd.sfd_detector import SFDDetector

            return SFDDetector("cpu", path_to_detector=path)
        from face_alignment import FaceAlignment, LandmarksType

        # "folder" is the detector without weights: the boxes always come from find_faces
        options = {"device": "cpu", "face_detector": "folder", "compile": False}
        return FaceAlignment(LandmarksType.TWO_D, **options)
    except ImportError as error:
        log.warning("face_alignment cannot be used (%s): pip install face-alignment.", error)
    except UNREADABLE as error:
        log.warning("%s is damaged (%s): delete it, and download it again.", path, error)
    return None


def _by_network(detector, picture: np.ndarray) -> list[Box]:
    boxes = []
    for row in detector.detect_from_image(picture):
        with suppress(UserError):  # some of its boxes are inside out
            boxes.append(Box(*map(float, row[:4])))
    return boxes


# --- the cascade ------------------------------------------------------------------------------


@cache
def _cascade():
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _by_cascade(picture: np.ndarray, quick: bool) -> list[Box]:
    import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)  # (H, W) uint8
    even = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)
    views = [(grey, False), (even, True), (grey, True), (even, False)]  # True: mirrored
    views = views[:2] if quick else views
    share = 1 / 8 if quick else SMALLEST_SHARE
    smallest = max(SMALLEST, int(share * min(grey.shape)))
    windows = []
    for number, (view, mirrored) in enumerate(views):
        for left, top, side in _windows(view[:, ::-1] if mirrored else view, smallest):
            if mirrored:
                left = grey.shape[1] - left - side
            windows.append((left + side / 2, top + side / 2, side, number))
    scale = len(views) / 4
    min_votes, min_views = scale * MIN_VOTES, math.ceil(scale * MIN_VIEWS)
    return _elected(np.array(windows, float).reshape(-1, 4), min_votes, min_views)


def _windows(view: np.ndarray, smallest: int) -> list[tuple[int, int, int]]:
    """(left, top, side) of every window that the cascade lets pass, none joined with another."""
    largest = min(view.shape)
    if largest < smallest:
        return []
    with _one_at_a_time:
        passed = _cascade().detect_multi_scale(
            np.ascontiguousarray(view, np.float32) / 255,
            scale_factor=SCALE_STEP,
            step_ratio=SHIFT_STEP,
            min_size=(smallest, smallest),
            max_size=(largest, largest),
            min_neighbor_number=0,
            intersection_score_threshold=1.1,  # a share never reaches it
        )
    return [(window["c"], window["r"], window["width"]) for window in passed]


def _elected(windows: np.ndarray, min_votes: float, min_views: int) -> list[Box]:
    """The faces for which enough of the windows, (N, 4) as x, y, side, view, stand together."""
    x, y, side, view = windows.T
    reach = SAME_PLACE * np.minimum(side[:, None], side)
    near = (abs(x[:, None] - x) < reach) & (abs(y[:, None] - y) < reach)
    near &= abs(np.log(side[:, None] / side)) < math.log(SAME_SIZE)
    left = np.ones(len(windows), bool)
    groups = []  # mean box, number of windows, of views
    while left.any():
        members = near[(near & left).sum(1).argmax()] & left
        mean = Box.around(*(float(of[members].mean()) for of in (x, y, side)))
        groups.append((mean, int(members.sum()), len(set(view[members]))))
        left &= ~members
    min_votes = max([min_votes, *(MIN_SHARE * votes for _, votes, _ in groups)])
    # An eye gets nearly as many votes as the face around it: size counts too.
    groups.sort(key=lambda group: -group[1] * group[0].side ** 0.5)
    boxes: list[Box] = []
    for box, votes, views in groups:
        enough = votes >= min_votes and views >= min_views
        if enough and all(_overlap(box, other) <= MAX_OVERLAP for other in boxes):
            boxes.append(box)
    return boxes


def _overlap(one: Box, other: Box) -> float:
    """The shared area as a share of the smaller box."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(one.width * one.height, other.width * other.height)
