"""Scores of motion transfer, each beside what it costs to do nothing.

    mover = Piped(pipeline)                     # what does the moving
    moves = puppet_set(24, 64)                  # sources, driving clips and the drawn truth
    reconstruction(mover, moves.driving)        # each clip from its own first frame
    movement(moves, moved(mover, moves))        # another's motion, beside the drawn truth
    expression(mover, 24, 64)                   # the same with the head held still
    consistency(mover, pictures)                # do keypoints stick to the picture?

Pictures are (..., S, S, 3) uint8 and L1 is the mean absolute difference on [0, 1]. `skill` is
1 - ours / unchanged: 0 for showing the source unchanged, 1 for the truth itself.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from gan_models.errors import UserError
from gan_models.fomm.networks import coordinate_grid, inverse
from gan_models.images import resize, to_pictures, to_tensor
from trainers.fomm.puppet_moves import (
    EXPRESSIONS,
    FRAMES,
    Moves,
    expression_set,
    group_set,
    puppet_set,
)
from trainers.puppets import ACTION_UNITS

PUPPET_METRICS = ("reconstruction", "transfer", "expression", "consistency", "judge")
LEGIBLE = 0.6  # correlation from which on the judge's reading of an action unit means something

# ---------------------------------------------------------------- what does the moving


class Piped:
    """Moves pictures of a pipeline's size by the pipeline that the demo uses (FOMMPipeline)."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.detect = pipeline.detect
        self.whole = (0, 0, pipeline.size, pipeline.size)  # cropped already

    def reconstruct(self, frames) -> np.ndarray:
        return np.stack(list(self.pipeline.reconstruct(list(frames))))

    def animate(self, source, driving) -> np.ndarray:
        """As `Networks.animate`: relative motion, scale adapted."""
        frames = self.pipeline.animate(
            source, list(driving), box=self.whole, driving_box=self.whole, adapt_scale=True
        )
        return np.stack(list(frames))


# ---------------------------------------------------------------- scores


def l1(a, b) -> np.ndarray:
    """Mean absolute difference on [0, 1] of each pixel: (..., S, S, 3) uint8 -> (..., S, S)."""
    difference = np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16))
    return difference.mean(axis=-1, dtype=np.float32) / 255


def skill(ours: float, unchanged: float) -> float:
    """1 - ours / unchanged; nan where nothing moves."""
    return 1 - ours / unchanged if unchanged > 0 else math.nan


class Tally:
    """Adds up errors, and those of the two marks to read them by, one clip at a time."""

    def __init__(self):
        self.sums = {"l1": 0.0, "unchanged": 0.0, "mean_picture": 0.0}
        self.pixels = 0

    def add(self, ours, truth, source, mean, region=None):
        """ours, truth (T, S, S, 3), source (S, S, 3), mean (S, S, 3), region (T, S, S) or None."""
        counted = np.ones(truth.shape[:3], bool) if region is None else region
        for name, pictures in zip(self.sums, (ours, source[None], mean[None]), strict=True):
            self.sums[name] += float(l1(pictures, truth)[counted].sum(dtype=np.float64))
        self.pixels += int(counted.sum())

    def result(self) -> dict:
        means = {name: total / max(1, self.pixels) for name, total in self.sums.items()}
        return means | {"skill": skill(means["l1"], means["unchanged"])}


def mean_picture(clips) -> np.ndarray:
    """The mean (S, S, 3) uint8 of all frames but the first of clips (T, S, S, 3) each."""
    total, count = 0.0, 0
    for frames in clips:
        total = total + np.asarray(frames[1:]).sum(axis=0, dtype=np.float64)
        count += len(frames) - 1
    return (total / max(1, count)).round().astype(np.uint8)


def reconstruction(mover, clips, gauges=()) -> dict:
    """Every clip (T, S, S, 3) from its first frame; the other frames count.

    Args:
        clips: Gone through twice, one clip in memory at a time.
        gauges: More to measure on the same pictures: `LandmarkGauge`, `IdentityGauge`.

    Returns l1, that of the source unchanged, that of the mean of all scored frames, and skill.
    """
    mean, tally = mean_picture(clips), Tally()
    for frames in clips:
        ours, truth, source = mover.reconstruct(frames)[1:], frames[1:], frames[0]
        tally.add(ours, truth, source, mean)
        for gauge in gauges:
            gauge.add(ours, truth, source)
    result = tally.result()
    for gauge in gauges:
        result |= gauge.result()
    return result


def moved(mover, moves: Moves) -> np.ndarray:
    """What comes out for every source and frame: (C, T, S, S, 3) uint8."""
    pairs = zip(moves.truth, moves.driving, strict=True)
    return np.stack([mover.animate(truth[0], driving) for truth, driving in pairs])


def movement(moves: Moves, ours) -> dict:
    """`ours`, as `moved` returns it, beside the drawn truth; as `reconstruction`, and by parts."""
    mean = mean_picture(moves.truth)
    tallies = {name: Tally() for name in ("", *(moves.parts or {}))}
    for index, (result, truth) in enumerate(zip(ours, moves.truth, strict=True)):
        region = None if moves.region is None else moves.region[index, 1:]
        for name, tally in tallies.items():
            if not name or moves.parts[name][index]:
                tally.add(result[1:], truth[1:], truth[0], mean, region)
    result = tallies.pop("").result()
    return result | {name: tally.result() for name, tally in tallies.items()}


def followed(moves: Moves, ours) -> float:
    """How much of the change comes across: 0 = nothing moves, 1 = as far as in the truth.

    The slope of our change since frame 0 over the true change, inside the region. Unlike skill it
    does not ask how well what stands still is painted.
    """
    counted = moves.region[:, 1:, ..., None]
    true = (moves.truth[:, 1:].astype(np.float32) - moves.truth[:, :1]) * counted
    mine = (ours[:, 1:].astype(np.float32) - ours[:, :1]) * counted
    size = float((true**2).sum())
    return float((true * mine).sum()) / size if size else math.nan


def expression(mover, count, size, style="training", frames=FRAMES, groups=EXPRESSIONS) -> dict:
    """Does the face move too, or only the head? Errors where anything changes, head still.

    Returns `movement` and `followed` of whole expressions and gaze as in the clips, and under
    "groups" those of single steps of brows, lids, gaze, mouth opening and mouth corners.
    """

    def scored(moves):
        ours = moved(mover, moves)
        return movement(moves, ours) | {"followed": followed(moves, ours)}

    result = scored(expression_set(count, size, style, frames))
    apart = {group: scored(group_set(group, count, size, style)) for group in groups}
    return result | {"groups": apart}


# ---------------------------------------------------------------- what others read in it


def judged(moves: Moves, ours) -> dict:
    """What the shipped judge reads in `ours`, in the drawn truth (its ceiling) and in the source.

    action_units: correlation with the true intensities, mean of the units that it reads in the
    truth with at least LEGIBLE (nan if none, as in few pictures); units: ours for each; landmarks:
    mean distance from the true ones, in pixels at 64 px.
    """
    from trainers.judge import SIZE, judge
    from trainers.judge.score import correlation

    pictures = {
        "ours": ours[:, 1:],
        "drawn": moves.truth[:, 1:],
        "unchanged": np.broadcast_to(moves.truth[:, :1], moves.truth[:, 1:].shape),
    }
    true = moves.action_units[:, 1:].reshape(-1, len(ACTION_UNITS))
    marks = moves.landmarks[:, 1:].reshape(-1, *moves.landmarks.shape[2:])
    marks = marks * (SIZE / moves.truth.shape[2])
    units, landmarks = {}, {}
    for name, frames in pictures.items():
        flat = frames.reshape(-1, *frames.shape[2:])
        if flat.shape[1] != SIZE:
            flat = np.stack([resize(picture, SIZE) for picture in flat])
        read = judge(flat)
        pairs = zip(read.action_units.T, true.T, strict=True)
        units[name] = np.array([correlation(seen, there) for seen, there in pairs])
        landmarks[name] = float(np.linalg.norm(read.landmarks - marks, axis=2).mean())
    legible = units["drawn"] >= LEGIBLE
    return {
        "action_units": {
            name: float(values[legible].mean()) if legible.any() else math.nan
            for name, values in units.items()
        },
        "units": {
            str(unit): float(value)
            for unit, value, use in zip(ACTION_UNITS, units["ours"], legible, strict=True)
            if use
        },
        "landmarks": landmarks,
    }


class LandmarkGauge:
    """AKD and MKR: the mean distance of 68 face landmarks found in ours and in the truth, in
    pixels, and the share of the truth's faces that are found in the truth only.

    find: picture (S, S, 3) uint8 -> (68, 2) or None.
    """

    def __init__(self, find):
        self.find = find
        self.distances, self.unmoved, self.missed, self.faces = [], [], 0, 0

    def add(self, ours, truth, source):
        start = self.find(source)
        for mine, true in zip(ours, truth, strict=True):
            wanted = self.find(true)
            if wanted is None:
                continue
            self.faces += 1
            if start is not None:
                self.unmoved.append(np.linalg.norm(start - wanted, axis=1).mean())
            seen = self.find(mine)
            if seen is None:
                self.missed += 1
            else:
                self.distances.append(np.linalg.norm(seen - wanted, axis=1).mean())

    def result(self):
        if not self.faces:
            raise UserError(
                "AKD: no face was found in any frame of the clips: score faces, or leave akd out "
                "of --metrics."
            )
        return {
            "akd": float(np.mean(self.distances)) if self.distances else None,
            "akd_unchanged": float(np.mean(self.unmoved)) if self.unmoved else None,
            "mkr": self.missed / self.faces,
        }


class IdentityGauge:
    """AED: the mean Euclidean distance between an identity network's vectors of ours and truth.

    embed: images (N, 3, S, S) float in [0, 1] -> (N, D) tensor.
    """

    def __init__(self, embed):
        self.embed, self.distances, self.unmoved = embed, [], []

    @torch.inference_mode()
    def add(self, ours, truth, source):
        wanted = self.vectors(truth)
        for pictures, distances in ((ours, self.distances), (source[None], self.unmoved)):
            difference = self.vectors(pictures) - wanted
            distances += difference.norm(dim=1).tolist()

    def vectors(self, pictures):
        batches = np.array_split(pictures, math.ceil(len(pictures) / 16))
        try:
            return torch.cat([self.embed(to_tensor(batch, (0, 1))) for batch in batches]).flatten(1)
        except (RuntimeError, TypeError, IndexError) as error:
            size = pictures.shape[1]
            raise UserError(
                f"AED: the identity network does not turn images (16, 3, {size}, {size}) into "
                "vectors (16, D): give one that resizes and normalises what it is given."
            ) from error

    def result(self):
        return {
            "aed": float(np.mean(self.distances)),
            "aed_unchanged": float(np.mean(self.unmoved)),
        }


# ---------------------------------------------------------------- keypoints


def random_transforms(count, seed=0):
    """Affine maps (count, 2, 3): up to 20 degrees, 15 % larger or smaller, shifted by 0.15."""
    random = np.random.default_rng(seed)
    angle, scale = random.uniform(-0.35, 0.35, count), np.exp(random.uniform(-0.14, 0.14, count))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    x, y = random.uniform(-0.15, 0.15, (2, count))
    rows = [np.stack([cos, -sin, x], axis=1), np.stack([sin, cos, y], axis=1)]
    return torch.from_numpy(np.stack(rows, axis=1)).float()


def consistency(mover, pictures, seed=0) -> dict:
    """Do keypoints stick to what they mark when pictures (N, S, S, 3) are turned and shifted?

    The warped picture shows T(z) at z, so its points under T should be the picture's own. Returns
    mean distances in [-1, 1] coordinates and in pixels beside those of points that never move
    (constant), the Jacobians' mean deviation likewise, and spread: the mean distance between two
    keypoints of one picture, which is small where they bunch.
    """
    size = pictures.shape[1]
    affine = random_transforms(len(pictures), seed)
    linear, shift = affine[:, :, :2], affine[:, :, 2].unsqueeze(1)
    grid = coordinate_grid(size, size, affine).view(1, -1, 2)
    places = (grid @ linear.mT + shift).view(-1, size, size, 2)
    images = to_tensor(pictures, (0, 1))
    warped = F.grid_sample(images, places, padding_mode="reflection", align_corners=True)
    here, there = mover.detect(pictures), mover.detect(to_pictures(warped, (0, 1)))
    own, seen = torch.from_numpy(here.value), torch.from_numpy(there.value)

    def distance(points):
        return float((points @ linear.mT + shift - own).norm(dim=2).mean())

    result = {"distance": distance(seen), "constant": distance(own)}
    result["pixels"] = result["distance"] * (size - 1) / 2
    result["skill"] = skill(result["distance"], result["constant"])
    if here.jacobian is not None:
        mine, others = torch.from_numpy(here.jacobian), torch.from_numpy(there.jacobian)
        change, still = inverse(mine) @ linear.unsqueeze(1), torch.eye(2)
        result["jacobian"] = float((still - change @ others).abs().mean())
        result["jacobian_constant"] = float((still - change @ mine).abs().mean())
    count = own.shape[1]
    apart = torch.cdist(own, own).sum(dim=(1, 2)) / max(1, count * (count - 1))
    return result | {"spread": float(apart.mean())}


# ---------------------------------------------------------------- all at once


def puppets(
    mover,
    size: int,
    count: int = 24,
    style: str = "training",
    frames: int = FRAMES,
    metrics=PUPPET_METRICS,
    gauges=(),
    progress: Callable[[str], None] = lambda name: None,
) -> dict:
    """The chosen PUPPET_METRICS on puppets of one style, as nested plain numbers.

    progress is told the name of each when it begins.
    """
    result, moves = {}, puppet_set(count, size, style, frames)
    ours = functools.cache(lambda: moved(mover, moves))
    compute = {
        "reconstruction": lambda: reconstruction(mover, moves.driving, gauges),
        "transfer": lambda: movement(moves, ours()),
        "expression": lambda: expression(mover, count, size, style, frames),
        "consistency": lambda: consistency(mover, moves.truth[:, :4].reshape(-1, size, size, 3)),
        "judge": lambda: judged(moves, ours()),
    }
    for name in PUPPET_METRICS:
        if name in metrics or (name == "reconstruction" and gauges):
            progress(name)
            result[name] = compute[name]()
    return result
