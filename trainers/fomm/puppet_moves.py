"""The fixed puppets that motion transfer is scored on, of seeds that no training draws."""

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np

from gan_models.images import resize
from trainers import puppets
from trainers.puppets.drawing import nearest_size

FRAMES = 12  # of a puppet clip, one second apart: large movements, other expressions
FIRST_SOURCE = 1_000_000  # puppets from this number on lend the identity, those before the motion
MARGIN = 1  # pixels around what changes where errors count too

# One step each from a neutral face that looks ahead: action units, or "gaze" as (x, y).
EXPRESSIONS = {
    "brows": ({1: 1, 2: 1}, {4: 1}),
    "lids": ({45: 1}, {5: 1}, {7: 1}),
    "gaze": ({"gaze": (-0.8, 0)}, {"gaze": (0.8, 0)}, {"gaze": (0, -0.8)}, {"gaze": (0, 0.8)}),
    "mouth_opening": ({25: 1}, {26: 1}, {25: 1, 26: 1}),
    "mouth_corners": ({12: 1}, {15: 1}, {20: 1}),
}


@dataclass(frozen=True)
class Moves:
    """C sources, the clips that drive them, and what should come out; frame 0 is the start.

    truth[:, 0] are the sources, in the pose of driving[:, 0]; parts name clips to report apart.
    """

    driving: np.ndarray  # (C, T, S, S, 3) uint8
    truth: np.ndarray  # (C, T, S, S, 3) uint8
    region: np.ndarray | None = None  # (C, T, S, S) bool, where errors count; everywhere if None
    parts: dict[str, np.ndarray] | None = None  # name -> (C,) bool
    action_units: np.ndarray | None = None  # (C, T, 17), of the truth
    landmarks: np.ndarray | None = None  # (C, T, 31, 2) in pixels, of the truth


def drawn(parameters, size, style):
    """`Drawing.picture` and `.landmarks` at any size; the drawing is made for 32 to 512 px."""
    drawing = puppets.draw(parameters, nearest_size(size), style)
    picture = drawing.picture
    scale = size / len(picture)
    return (picture if scale == 1 else resize(picture, size)), drawing.landmarks * scale


def made(pairs, size, style, parts=None, still=False):
    """Moves of (clip, source) pairs; still: errors count only where anything ever changes."""
    clips = [[puppets.transfer(source, moment) for moment in moving] for moving, source in pairs]
    both = [[drawn(p, size, style) for p in frames] for frames in clips]
    truth = np.array([[picture for picture, _ in frames] for frames in both])
    return Moves(
        driving=np.array([[drawn(p, size, style)[0] for p in moving] for moving, _ in pairs]),
        truth=truth,
        region=changing(truth) if still else None,
        parts=parts,
        action_units=np.array([[p.action_units for p in frames] for frames in clips]),
        landmarks=np.array([[points for _, points in frames] for frames in both]),
    )


def actors(count, frames, fps=1.0):
    """(driving clip, parameters of the source's identity) of each of `count` pairs.

    Every second source is of its driving clip's domain, the others are of any. A larger count only
    adds pairs.
    """
    pairs = []
    for index in range(count):
        moving = puppets.clip(puppets.puppet_seed(0, index, training=False), frames, fps=fps)
        domain = moving[0].domain if index % 2 == 0 else None
        seed = puppets.FIRST_SCORE_SEED + FIRST_SOURCE + index
        pairs.append((moving, puppets.random_parameters(seed, domain)))
    return pairs


@functools.lru_cache(maxsize=16)
def puppet_set(
    count: int, size: int, style: str = "training", frames: int = FRAMES, fps: float = 1.0
) -> Moves:
    """Unseen characters (seeds that no training draws) under the motion of other unseen ones.

    `driving` are whole clips, which also serve for reconstruction; parts: same_domain, any_domain.
    """
    even = np.arange(count) % 2 == 0
    parts = {"same_domain": even, "any_domain": ~even}
    return made(actors(count, frames, fps), size, style, parts)


@functools.lru_cache(maxsize=16)
def expression_set(count: int, size: int, style: str = "training", frames: int = FRAMES) -> Moves:
    """As `puppet_set`, but the head stays as in the first frame: face and gaze move alone."""
    pairs = []
    for moving, source in actors(count, frames):
        still = moving[0].pose
        poses = [replace(still, gaze_x=m.pose.gaze_x, gaze_y=m.pose.gaze_y) for m in moving]
        clip = [replace(m, pose=pose) for m, pose in zip(moving, poses, strict=True)]
        pairs.append((clip, source))
    return made(pairs, size, style, still=True)


@functools.lru_cache(maxsize=16)
def group_set(group: str, count: int, size: int, style: str = "training") -> Moves:
    """From a neutral face to each step of EXPRESSIONS[group] alone, the head held still."""
    pairs = []
    for (start, *_), source in actors(count, 1):
        ahead = replace(start.pose, gaze_x=0.0, gaze_y=0.0)
        neutral = replace(start, pose=ahead, action_units=(0.0,) * len(puppets.ACTION_UNITS))
        steps = [stepped(neutral, step) for step in EXPRESSIONS[group]]
        pairs.append(([neutral, *steps], source))
    return made(pairs, size, style, still=True)


def stepped(neutral, step):
    units = {unit: value for unit, value in step.items() if unit != "gaze"}
    x, y = step.get("gaze", (0.0, 0.0))
    return replace(neutral.with_action_units(units), pose=replace(neutral.pose, gaze_x=x, gaze_y=y))


def changing(truth):
    """Where clips (C, T, S, S, 3) ever differ from their first frame: (C, T, S, S) bool."""
    changed = (truth != truth[:, :1]).any(axis=(1, 4))  # (C, S, S)
    side = 2 * MARGIN + 1
    grown = [cv2.dilate(mask.astype(np.uint8), np.ones((side, side))) for mask in changed]
    return np.repeat(np.array(grown, bool)[:, None], truth.shape[1], axis=1)
