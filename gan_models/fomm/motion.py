"""Motion: the keypoints of a clip, how a source takes them over, and a file that holds them.

    motion = Motion.load("nod.safetensors")  # keypoints and rate, no picture
    moved = transfer(source, motion, motion[0])  # what the generator is asked to draw

Everything here is arithmetic on a few numbers for each frame; no network and no picture.
"""

import itertools
import math
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from gan_models.errors import UserError, unwritten
from gan_models.images import written_whole

FORMAT, VERSION = "fomm-motion", "1"
ENDING = ".safetensors"
MOST_NUMBERS = 2**28  # in a tensor of a file: 7.8 days of 10 jacobians at 10 frames per second
MOST_FPS = 120
FLAT = 1e-6  # a hull of less area ([-1, 1] is 4) is a line or a point but for rounding
MOST_SMOOTHING = 30.0  # frames
REACH = 3  # standard deviations that the smoothing window reaches to either side


@dataclass(frozen=True, eq=False)
class Motion:
    """The keypoints of T frames.

    value: (T, K, 2) float32, as (x, y) in [-1, 1] of the crop that was looked at.
    jacobian: (T, K, 2, 2) float32, the local affine maps; None for weights that estimate none.
    fps: Frames per second.
    weights: The name of the weights whose detector saw them: others mean other points.

    Anything that becomes such arrays may be given. UserError for other shapes, inf or nan.
    `motion[3]` and `motion[2:5]` are motions too, of one frame and of three.
    """

    value: np.ndarray
    jacobian: np.ndarray | None = None
    fps: Fraction = Fraction(25)
    weights: str = ""

    def __post_init__(self):
        value = np.asarray(self.value, np.float32)
        if value.ndim != 3 or value.shape[2] != 2 or 0 in value.shape:
            raise UserError(f"Keypoints are (frames, K, 2) numbers, not {value.shape}.")
        jacobian = None if self.jacobian is None else np.asarray(self.jacobian, np.float32)
        if jacobian is not None and jacobian.shape != (*value.shape, 2):
            raise UserError(
                f"Jacobians of keypoints {value.shape} are {(*value.shape, 2)} numbers, "
                f"not {jacobian.shape}."
            )
        if not 0 < self.fps <= MOST_FPS:  # NaN fails too
            raise UserError(f"A motion has up to {MOST_FPS} frames per second, not {self.fps}.")
        fps = Fraction(self.fps).limit_denominator(10**6)
        vars(self).update(value=value, jacobian=jacobian, fps=fps)  # past the class's own guard
        if not np.isfinite(self.rows).all():
            raise UserError("The keypoints hold inf or nan: take the motion again.")

    def __len__(self):
        return len(self.value)

    def __getitem__(self, frames) -> "Motion":
        if isinstance(frames, int | np.integer):
            frames = [range(len(self))[frames]]
        jacobian = None if self.jacobian is None else self.jacobian[frames]
        return Motion(self.value[frames], jacobian, self.fps, self.weights)

    @property
    def num_keypoints(self) -> int:
        return self.value.shape[1]

    @property
    def rows(self) -> np.ndarray:
        """(T, K, 6), or (T, K, 2) without jacobians: all numbers of a frame in one row."""
        if self.jacobian is None:
            return self.value
        flat = self.jacobian.reshape(*self.value.shape[:2], 4)
        return np.concatenate([self.value, flat], axis=2)

    @classmethod
    def from_rows(cls, rows, fps=Fraction(25), weights="") -> "Motion":
        """The motion whose `rows` these are; any sequence of rows (K, 6) or (K, 2)."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 3 or rows.shape[2] not in (2, 6):
            raise UserError(f"Rows of motion are (frames, K, 2 or 6) numbers, not {rows.shape}.")
        flat = rows[..., 2:]
        jacobian = flat.reshape(*rows.shape[:2], 2, 2) if rows.shape[2] == 6 else None
        return cls(rows[..., :2], jacobian, fps, weights)

    # ------------------------------------------------------------ files

    def save(self, path: str | os.PathLike) -> None:
        """Write keypoints and rate to a .safetensors file; it appears whole or not at all.
        UserError for another ending or a disk that refuses.
        """
        path = Path(path)
        if path.suffix.lower() != ENDING:
            raise UserError(f"{path} must end in {ENDING}.")
        tensors = {"value": np.ascontiguousarray(self.value)}
        if self.jacobian is not None:
            tensors["jacobian"] = np.ascontiguousarray(self.jacobian)
        rate = f"{self.fps.numerator}/{self.fps.denominator}"
        about = {"format": FORMAT, "version": VERSION, "fps": rate, "weights": self.weights}
        try:
            with written_whole(path) as part:
                # safetensors' save_file would close it to others
                part.write_bytes(safetensors.numpy.save(tensors, about))
        except OSError as error:
            raise unwritten(path, error) from error

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Motion":
        """Read what `save` wrote. Raises UserError for anything missing, damaged or foreign."""
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path} does not exist, or is not a file.")
        try:
            with safetensors.safe_open(path, framework="np") as file:
                fps, weights = _checked_header(path, file)
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (safetensors.SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is damaged or not a motion file ({error}): save the motion again."
            ) from error
        try:
            return cls(**tensors, fps=fps, weights=weights)
        except UserError as error:
            raise UserError(f"{path} is not a motion that can be used. {error}") from error


def _checked_header(path: Path, file) -> tuple[Fraction, str]:
    """(rate, weights) of an opened motion file; UserError before a number of it is read."""
    about = file.metadata() or {}
    if about.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a motion file: give one that --save-motion wrote, or a clip."
        )
    if about.get("version") != VERSION:
        raise UserError(
            f"{path} has motion format {about.get('version', 'unknown')!s:.20}, and this program "
            f"reads {VERSION}: update the program."
        )
    rate = re.fullmatch(r"(\d{1,9})/(\d{1,9})", about.get("fps", ""))
    fps = Fraction(int(rate[1]), int(rate[2])) if rate and int(rate[2]) else Fraction(0)
    names = sorted(file.keys())
    if names not in (["value"], ["jacobian", "value"]):
        raise UserError(f"{path} holds other things than keypoints: save the motion again.")
    for name in names:
        part = file.get_slice(name)
        if part.get_dtype() != "F32" or math.prod(part.get_shape()) > MOST_NUMBERS:
            raise UserError(f"{path}: its {name} is not of this format: save the motion again.")
    return fps, about.get("weights", "")[:200]


# ---------------------------------------------------------------- transfer


def transfer(
    source: Motion,
    driving: Motion,
    initial: Motion,
    *,
    relative: bool = True,
    adapt_scale: bool = True,
    strength: float = 1.0,
    relative_jacobian: bool = True,
) -> Motion:
    """The keypoints that the source takes when it follows `driving`, frame by frame.

    With s the source's keypoint, d the driving one and d0 that of the reference frame, J their
    jacobians, and a the strength:

        relative    value s + a scale (d - d0)      jacobian (J_d J_d0^-1)^a J_s
        absolute    value s + a (d - s)             jacobian (J_d J_s^-1)^a J_s

    scale is 1, or with `adapt_scale` `movement_scale`. For the power see `grown`; a strength of 1
    is the official code's formula, 0 leaves the source in its pose.

    Args:
        source, initial: The source's and the reference frame's keypoints: one frame.
        driving: Any number of frames.
        relative: Move the source as the driving moves away from the reference frame; else put it
            where the driving is.
        adapt_scale: With `relative`: for a source that is larger or smaller than the driving.
        strength: From 0 to 2.
        relative_jacobian: With `relative`: False takes the driving's jacobians as they are.

    UserError for different keypoints, or a strength outside 0 to 2.
    """
    check_strength(strength)
    for other in (driving, initial):
        check_keypoints(other, source.num_keypoints, source.jacobian is not None)
    three = (source[0], driving, initial[0])
    s, d, d0 = (motion.value.astype(np.float64) for motion in three)
    if relative:
        scale = movement_scale(s[0], d0[0]) if adapt_scale else 1.0
        value = s + strength * scale * (d - d0)
    else:
        value = d if strength == 1 else s + strength * (d - s)
    jacobian = None
    if source.jacobian is not None:
        s, d, d0 = (motion.jacobian.astype(np.float64) for motion in three)
        if relative and relative_jacobian:
            jacobian = grown(d @ inverse(d0), strength) @ s
        else:
            jacobian = d if strength == 1 else grown(d @ inverse(s), strength) @ s
    return Motion(value, jacobian, driving.fps, driving.weights)


def grown(change, strength):
    """Maps `change` (..., 2, 2) taken `strength` of the way from the identity (0) to itself (1),
    and beyond 1 as much again: to `change` applied twice at 2.

    A straight line beyond 1 would pass through singular maps where a change halves a length, and
    the generator inverts what comes out.
    """
    if strength == 1:
        return change
    step = np.eye(2) + (strength if strength < 1 else strength - 1) * (change - np.eye(2))
    return step if strength < 1 else change @ step


def inverse(maps):
    """Inverses of (..., 2, 2); the pseudo-inverse where one has none."""
    try:
        return np.linalg.inv(maps)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(maps)


def movement_scale(source, initial) -> float:
    """How much larger the source's points (K, 2) lie than the driving's: sqrt of the hull areas.

    Differs from the official code: where points lie on a line, or are fewer than three (it ends
    with an error there), it is the ratio of their distances from the centre; 1 where all coincide.
    """
    areas = hull_area(source), hull_area(initial)
    if min(areas) > FLAT:
        return math.sqrt(areas[0] / areas[1])
    spreads = spread(source), spread(initial)
    return spreads[0] / spreads[1] if min(spreads) > math.sqrt(FLAT) else 1.0


def hull_area(points) -> float:
    """The area of the convex hull of points (K, 2); 0 for points on a line and for fewer than 3."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(ConvexHull(points).volume)  # in two dimensions qhull's volume is the area
    except QhullError:
        return 0.0


def spread(points) -> float:
    """The root mean square distance of points (K, 2) from their centre."""
    points = np.asarray(points, np.float64)
    return float(np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean()))


def pose_distance(points, others) -> float:
    """How different two sets of points (K, 2) lie, their places and sizes aside.

    As in the official search for the best frame: centred, divided by the root of the hull's area,
    then the sum of squared differences.
    """
    return float(np.square(_normalised(points) - _normalised(others)).sum())


def _normalised(points):
    points = np.asarray(points, np.float64)
    area = hull_area(points)
    size = math.sqrt(area) if area > FLAT else spread(points)
    return (points - points.mean(axis=0)) / (size or 1.0)


# ---------------------------------------------------------------- smoothing


def smoothed(rows: Iterable[np.ndarray], sigma: float) -> Iterator[np.ndarray]:
    """The rows (of any one shape) as a moving Gaussian average: bounded memory, bounded delay.

    sigma: Standard deviation in frames; a row waits for the REACH sigma that follow it. Near the
    ends the window holds what there is. With 0 the very same rows come out, at once.
    """
    if sigma == 0:
        yield from rows
        return
    reach = math.ceil(REACH * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    beyond = [None] * reach
    padded = itertools.chain(beyond, rows, beyond)
    window = deque(itertools.islice(padded, 2 * reach), maxlen=2 * reach + 1)
    for row in padded:
        window.append(row)
        inside = [row is not None for row in window]
        weights, held = kernel[inside], np.stack(list(itertools.compress(window, inside)))
        yield np.tensordot(weights / weights.sum(), held, axes=1).astype(held.dtype)


# ---------------------------------------------------------------- checks


def check_strength(strength):
    if not 0 <= strength <= 2:  # NaN fails too
        raise UserError(f"The strength of motion goes from 0 to 2, not to {strength}.")


def check_smoothing(smoothing):
    if not 0 <= smoothing <= MOST_SMOOTHING:
        raise UserError(
            f"The smoothing is a number of frames from 0 to {MOST_SMOOTHING:g}, not {smoothing}."
        )


def check_keypoints(motion: Motion, num_keypoints: int, has_jacobians: bool):
    """UserError unless the motion has as many keypoints, with jacobians or without."""
    if motion.num_keypoints != num_keypoints:
        raise UserError(
            f"The motion has {motion.num_keypoints} keypoints, and these weights have "
            f"{num_keypoints}: take the motion with the same weights."
        )
    if (motion.jacobian is not None) != has_jacobians:
        has, wants = ("no", "have") if has_jacobians else ("its", "have no")
        raise UserError(
            f"The motion has {has} jacobians, and these weights {wants} them: take the motion "
            "with the same weights."
        )
