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
import sys
import warnings
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from tqdm import tqdm

from gan_models.errors import Unreadable, UserError
from gan_models.faces import finding
from gan_models.fomm.networks import coordinate_grid, inverse
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.images import to_pictures, to_tensor
from gan_models.judge import SIZE, judge
from gan_models.names import find_weights
from gan_models.video import write_clip
from gan_models.weights import read_config
from trainers import metrics
from trainers.data import open_clips
from trainers.fomm import full_size, puppet_moves
from trainers.fomm.puppet_moves import EXPRESSIONS, FRAMES, Moves
from trainers.judge.scores import correlation
from trainers.puppets import ACTION_UNITS
from trainers.puppets import drawing as puppets_drawn

Motion = Literal["reconstruction", "transfer", "expression", "consistency", "judge", "akd", "aed"]
CLIP_METRICS = ("reconstruction", "consistency", "akd", "aed")  # those that need no drawn truth
PUPPET_METRICS = ("reconstruction", "transfer", "expression", "consistency", "judge")
LEGIBLE = 0.6  # correlation from which on the judge's reading of an action unit means something


class Piped:
    """Moves pictures of a pipeline's size by the pipeline that the demo uses (FOMMPipeline)."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.detect = pipeline.detect

    def reconstruct(self, frames) -> np.ndarray:
        return np.stack(list(self.pipeline.reconstruct(list(frames))))

    def animate(self, source, driving, size=None) -> np.ndarray:
        """Relative motion, scale adapted; both are cropped already."""
        boxes = [(0, 0, side, side) for side in (len(source), len(driving[0]))]
        frames = self.pipeline.animate(
            source, list(driving), box=boxes[0], driving_box=boxes[1], size=size
        )
        return np.stack(list(frames))


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
        gauges: More to measure on the same pictures: `Gauge`.

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

    result = scored(puppet_moves.expression_set(count, size, style, frames))
    apart = {group: scored(puppet_moves.group_set(group, count, size, style)) for group in groups}
    return result | {"groups": apart}


def judged(moves: Moves, ours) -> dict:
    """What the shipped judge reads in `ours`, in the drawn truth (its ceiling) and in the source.

    action_units: correlation with the true intensities, mean of the units that it reads in the
    truth with at least LEGIBLE (nan if none, as in few pictures); units: ours for each; landmarks:
    mean distance from the true ones, in pixels at 64 px.
    """
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
        read = judge(frames.reshape(-1, *frames.shape[2:]))
        pairs = zip(read.action_units.T, true.T, strict=True)
        units[name] = np.array([correlation(seen, there) for seen, there in pairs])
        landmarks[name] = float(np.linalg.norm(read.landmarks - marks, axis=2).mean())
    legible = units["drawn"] >= LEGIBLE
    means = {
        name: float(values[legible].mean()) if legible.any() else math.nan
        for name, values in units.items()
    }
    apart = {
        str(ACTION_UNITS[index]): float(units["ours"][index]) for index in legible.nonzero()[0]
    }
    return {"action_units": means, "units": apart, "landmarks": landmarks}


class Gauge:
    """The mean distance of what is read in ours from what is read in the truth; mkr: the share of
    the truth's faces that are none in ours.

    AKD: 68 landmarks, in pixels. AED: an identity network's vectors. read: pictures (N, S, S, 3)
    uint8 -> for each an array, or None where there is no face.
    """

    def __init__(self, name, read):
        self.name, self.read = name, read
        self.distances, self.unmoved, self.missed = [], [], 0

    def add(self, ours, truth, source):
        (start,) = self.read(source[None])
        for seen, wanted in zip(self.read(ours), self.read(truth), strict=True):
            if wanted is None:
                continue
            self.missed += seen is None
            for found, distances in ((seen, self.distances), (start, self.unmoved)):
                if found is not None:
                    distances.append(np.linalg.norm(found - wanted, axis=-1).mean())

    def result(self):
        name, faces = self.name, len(self.distances) + self.missed
        if not faces:
            raise UserError(f"No face was found in the clips: leave {name} out of --metrics.")
        lists = {name: self.distances, f"{name}_unchanged": self.unmoved}
        result = {key: float(np.mean(values)) if values else None for key, values in lists.items()}
        return result | ({"mkr": self.missed / faces} if name == "akd" else {})


def landmark_gauge():
    """AKD with face_alignment's landmarks; UserError where their weights are not on disk."""
    file = Path(torch.hub.get_dir(), "checkpoints", finding.FAN)
    if not file.is_file():
        raise UserError(
            f"AKD needs face_alignment's landmark weights: put {file.name} into {file.parent}, or "
            "leave akd out of --metrics."
        )
    return Gauge("akd", lambda pictures: [finding.find_landmarks(picture) for picture in pictures])


def identity_gauge(embed):
    """AED with the network of a TorchScript file: images (N, 3, S, S) in [0, 1] -> (N, D)."""
    network = identity_network(embed)

    @torch.inference_mode()
    def read(pictures):
        batches = np.array_split(pictures, math.ceil(len(pictures) / 16))
        try:
            return torch.cat([network(to_tensor(b, (0, 1))) for b in batches]).flatten(1).numpy()
        except (RuntimeError, TypeError, IndexError) as error:
            size = pictures.shape[1]
            raise UserError(
                f"AED: {embed} does not turn images (16, 3, {size}, {size}) into vectors (16, D): "
                "give one that resizes and normalises."
            ) from error

    return Gauge("aed", read)


def identity_network(path):
    """The TorchScript module at `path`; UserError where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is frozen, not gone
            return torch.jit.load(path, map_location="cpu").eval()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"AED compares identities by a network that does not come with this project, and "
            f"{path or 'nothing'} is not a TorchScript file that can be read: save one with "
            "torch.jit.save and give it as --embedder, or leave aed out of --metrics."
        ) from error


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


def puppets(
    mover, size, count=24, style="training", frames=FRAMES, names=PUPPET_METRICS, gauges=()
) -> dict:
    """The chosen PUPPET_METRICS on puppets of one style, as nested plain numbers."""
    result, moves = {}, puppet_moves.puppet_set(count, size, style, frames)
    ours = functools.cache(lambda: moved(mover, moves))
    compute = {
        "reconstruction": lambda: reconstruction(mover, moves.driving, gauges),
        "transfer": lambda: movement(moves, ours()),
        "expression": lambda: expression(mover, count, size, style, frames),
        "consistency": lambda: consistency(mover, moves.truth[:, :4].reshape(-1, size, size, 3)),
        "judge": lambda: judged(moves, ours()),
    }
    for name in PUPPET_METRICS:
        if name in names or (name == "reconstruction" and gauges):
            print(f"{name} ...", file=sys.stderr)
            result[name] = compute[name]()
    return result


def score(
    weights: metrics.Weights,
    data: metrics.Data,
    count: int = 24,
    frames: int = 0,
    names: Annotated[tuple[Motion, ...], tyro.conf.arg(name="metrics")] = (),
    at: int = 0,
    holdout: float = 0.0,
    embedder: str = "",
    animations: str = "",
    pairs: str = "",
    device: str = "auto",
) -> dict:
    """Score motion transfer on puppets, or reconstruction on clips.

    Args:
        weights: Folder, shipped name, run folder or Hub name of the weights.
        data: Clips that training did not see: a folder, puppets, or puppets:held_out.
        count: Clips; of a folder with fewer, all of them.
        frames: Of each clip, from its first; 0: 12 of a puppet (one a second), 250 of a file.
        names: What to compute; by default what needs nothing more. transfer, expression and judge
            need puppets; akd (with mkr) the face landmarks of face_alignment, aed an --embedder.
        at: Also score frames of this many pixels against puppets drawn at that size, made at full
            size and enlarged: see trainers/fomm/full_size.py.
        holdout: The share given to training with the same option: only clips left out are taken.
        embedder: For aed: a TorchScript file that turns faces (N, 3, S, S) in [0, 1] into identity
            vectors (N, D).
        animations: A folder to write DRIVING-SOURCE.mp4 into: first frames of clips moved by other
            clips of DATA, relative, as in the official code's animate mode.
        pairs: For animations: a CSV with columns source and driving; else random pairs.
        device: auto, cpu, cuda or cuda:N.
    """
    style = metrics.puppet_style(data)
    names = check(count, frames, names, style)
    if pairs and not animations or animations and style:
        raise UserError("--animations takes a folder of clips; --pairs goes with it.")
    gauges = [landmark_gauge()] if "akd" in names else []
    gauges += [identity_gauge(embedder)] if "aed" in names else []
    folder = find_weights(weights)
    config = read_config(folder, "fomm")
    pipeline = FOMMPipeline.from_weights(folder, device=device)
    check_at(at, pipeline, style)
    mover = Piped(pipeline)
    if style:
        result = puppets(mover, pipeline.size, count, style, frames or FRAMES, names, gauges)
        if at:
            print(f"at {at} px ...", file=sys.stderr)
            result[f"at_{at}"] = full_size.scores(
                mover, pipeline.size, at, count, style, frames or FRAMES
            )
    else:
        clips = FilmedClips(data, count, frames or 250, pipeline.size, holdout)
        count, result = len(clips.indices), {}
        if gauges or "reconstruction" in names:
            result["reconstruction"] = reconstruction(mover, clips, gauges)
        if "consistency" in names:
            first = np.stack([clips.opened.clip(index, 1)[0] for index in clips.indices])
            result["consistency"] = consistency(mover, first)
        if animations:
            animate_pairs(pipeline, clips, pairs or None, count, Path(animations))
    about = {"data": data, "count": count, "size": pipeline.size}
    return metrics.described("fomm", config, about) | result


def check(count, frames, names, style):
    """The metrics to compute; UserError for what could only fail after minutes of work."""
    metrics.check_count(count, "clips")
    if frames < 0 or frames == 1:
        raise UserError(f"--frames is {frames}: motion takes 2 frames or more.")
    if style:
        return names or PUPPET_METRICS
    if drawn := [name for name in names if name not in CLIP_METRICS]:
        raise UserError(
            f"{drawn[0]} needs the drawn truth: score against {' or '.join(metrics.STYLES)}, or "
            "leave it out of --metrics."
        )
    return names or CLIP_METRICS[:2]


def check_at(at, pipeline, style):
    """UserError for a size at which there are no frames, or no truth."""
    if not at:
        return
    largest = puppets_drawn.SIZES[1]
    if not (style and pipeline.any_size and pipeline.size < at <= largest):
        raise UserError(
            f"--at {at}: give {pipeline.size + 1} to {largest}, puppets as data, and weights that "
            "blend, for others make frames of one size."
        )


class FilmedClips:
    """Up to `count` filmed clips, read again whenever they are gone through; unreadable ones and
    single pictures left out.
    """

    def __init__(self, data, count, frames, size, holdout):
        folder = Path(data).expanduser()
        has_test = (folder / "train").is_dir() and (folder / "test").is_dir()
        part = "held_out" if holdout or has_test else "train"
        self.opened, self.frames = open_clips(data, size=size, holdout=holdout, part=part), frames
        # Spread over the whole list, which is in the order of names.
        places = np.linspace(0, self.opened.length - 1, min(count, self.opened.length))
        self.indices = [int(i) for i in places.round() if self.moves(int(i))]
        if not self.indices:
            raise UserError(f"{data} holds no clip of 2 frames or more to score.")

    def moves(self, index):
        try:
            return len(self.opened.clip(index, 2)) > 1
        except Unreadable as error:
            print(error, file=sys.stderr)
            return False

    def __iter__(self):
        for index in tqdm(self.indices, "clips", disable=None):
            yield self.opened.clip(index, self.frames)


def animate_pairs(pipeline, clips, pairs, count, folder):
    """Write an animation for each of up to `count` pairs of clips into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = clips.opened
    for driving, source in tqdm(opened.pairs(pairs, count), "animations", disable=None):
        moving, still = (Path(opened.names[index]).stem for index in (driving, source))
        try:
            frames = opened.clip(driving, clips.frames)
            moved = pipeline.animate(opened.clip(source, 1)[0], frames)
            about = {"driving": moving, "source": still}
            path = folder / f"{moving}-{still}.mp4"
            write_clip(path, moved, 25, weights=pipeline.name, settings=about)
        except Unreadable as error:
            print(error, file=sys.stderr)
