"""Score shipped or trained weights: `python -m trainers.evaluate SYSTEM WEIGHTS DATA [options]`.

Prints one line of JSON on stdout; whatever else there is to say goes to stderr. SYSTEM is progan or
fomm. DATA is a folder of what the system trains on (with --holdout only what training left out),
`puppets` (drawn from seeds that no training uses) or `puppets:held_out` (the second drawing style).

progan: the sliced Wasserstein distance depends on the count, so it comes with two marks to read it
by: the floor, which other real pictures score, and what real pictures score that were halved and
enlarged. fomm: every error stands beside that of the source unchanged and of the mean picture; see
trainers/fomm/scores.py.
"""

import contextlib
import functools
import json
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
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.names import find_weights
from gan_models.progan.pipeline import ProGANPipeline
from gan_models.video import write_clip
from gan_models.weights import read_config
from trainers import metrics
from trainers.data import open_clips, open_pictures
from trainers.fomm import scores as motion_scores
from trainers.puppets import FIRST_SCORE_SEED, draw, random_parameters

Metric = Literal["swd", "ms_ssim", "fid", "kid"]
Motion = Literal["reconstruction", "transfer", "expression", "consistency", "judge", "akd", "aed"]
CLIP_METRICS = ("reconstruction", "consistency", "akd", "aed")  # those that need no drawn truth
PUPPET_STYLES = {"puppets": "training", "puppets:held_out": "held_out"}


def progan(
    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WEIGHTS")],
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")],
    count: int = 1024,
    seed: int = 0,
    names: Annotated[tuple[Metric, ...], tyro.conf.arg(name="metrics")] = ("swd", "ms_ssim"),
    resize: Literal["crop", "stretch"] = "crop",
    holdout: float = 0.0,
    device: str = "auto",
) -> dict:
    """Score a ProGAN generator against real pictures.

    Args:
        weights: Folder, shipped name, run folder or Hub name of the weights.
        data: Real pictures that training did not see: a folder, puppets, or puppets:held_out.
        count: Pictures on each side; scores of different counts cannot be compared.
        seed: Of latents, choice of pictures, and the distance's patches and directions.
        names: What to compute; fid and kid need torch-fidelity and its Inception weights.
        resize: How a folder's pictures become square; take what training took.
        holdout: The share given to training with the same option: only pictures left out are taken.
        device: auto, cpu, cuda or cuda:N, for the generator.
    """
    check(count, seed, names)
    folder = find_weights(weights)
    pipeline = ProGANPipeline.from_weights(folder, device=device)
    config = read_config(folder)
    size = config.get("size", pipeline.size)  # smaller than the network's while it grows
    real, other = real_pictures(data, count, size, seed=seed, resize=resize, holdout=holdout)
    fake = generated_pictures(pipeline, count, size, seed)
    return {
        "system": "progan",
        "weights": config.get("name") or weights,
        "images_seen": config.get("images_seen"),
        "data": data,
        "count": count,
        "size": size,
        "seed": seed,
        **scores(real, other, fake, names, seed),
    }


def check(count, seed, names):
    """Refuse what could only fail after minutes of work."""
    if count < 2:
        raise UserError(f"--count is {count}, but a score takes 2 pictures or more.")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}; take a whole number from 0 to {2**32 - 1}.")
    if "fid" in names or "kid" in names:
        metrics.inception_file()


def real_pictures(data, count, size, *, seed=0, resize="crop", holdout=0.0):
    """Two sets (count, size, size, 3) uint8 of real pictures, or one and None if there are fewer.

    Puppets are the same ones whatever the seed. Raises UserError when there are fewer than `count`.
    """
    if data in PUPPET_STYLES:
        pictures = drawn_puppets(2 * count, size, PUPPET_STYLES[data])
        return pictures[:count], pictures[count:]
    if data.partition(":")[0] == "puppets":
        choices = " or ".join(PUPPET_STYLES)
        raise UserError(f"{data} cannot be scored against: give {choices}; --count says how many.")
    part = "held_out" if holdout else "train"
    opened = open_pictures(data, size=size, resize=resize, seed=seed, holdout=holdout, part=part)
    if opened.length is None:
        raise UserError(f"{data} holds .tar shards; scoring takes a folder of pictures.")
    if opened.length < count:
        raise UserError(
            f"{data} has {opened.length:,} pictures to score against, fewer than --count "
            f"{count:,}: give more pictures or a smaller --count."
        )
    wanted = 2 * count if opened.length >= 2 * count else count
    if wanted == count:
        print(
            f"{data} has fewer than {2 * count:,} pictures: no floor is computed.", file=sys.stderr
        )
    images = opened.first(wanted)["images"]
    if opened.skipped:
        print(
            f"{opened.skipped:,} unreadable files in {data} were replaced by others.",
            file=sys.stderr,
        )
    pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
    return pictures[:count], pictures[count:] if wanted > count else None


def drawn_puppets(count, size, style):
    """Puppets (count, size, size, 3) uint8 of seeds that training never draws."""
    seeds = tqdm(range(FIRST_SCORE_SEED, FIRST_SCORE_SEED + count), "puppets", disable=None)
    return np.stack([draw(random_parameters(number), size, style).picture for number in seeds])


def generated_pictures(pipeline, count, size, seed):
    """Samples (count, size, size, 3) uint8, their classes (if any) drawn evenly."""
    latents = pipeline.latents(seed, count)
    labels = None
    if pipeline.classes:
        labels = np.random.default_rng(seed).integers(len(pipeline.classes), size=count)
    frames = pipeline.frames(latents, label=labels, resolution=size)
    return np.stack(list(tqdm(frames, "samples", total=count, disable=None)))


def scores(real, other, fake, names, seed):
    """The metrics called `names` of sets (N, S, S, 3) uint8, as fields of the JSON line."""
    result = {}
    if "swd" in names:
        reference = metrics.SWDReference(real, seed)
        result["swd"] = reference.distance(fake)
        if other is not None:
            result["swd_floor"] = reference.distance(other)
            result["swd_to_floor"] = result["swd"]["mean"] / result["swd_floor"]["mean"]
        result["swd_half_resolution"] = {
            mode: reference.distance(half_resolution(real if other is None else other, mode))
            for mode in ("nearest", "bilinear")
        }
    if "ms_ssim" in names:
        result["ms_ssim"] = metrics.ms_ssim(fake)
        result["ms_ssim_real"] = metrics.ms_ssim(real)
    if "fid" in names or "kid" in names:
        features = metrics.inception_features(real), metrics.inception_features(fake)
        if "fid" in names:
            result["fid"] = metrics.fid(*features)
        if "kid" in names:
            result["kid"] = metrics.kid(*features, seed)
    return rounded(result)


def half_resolution(pictures, mode):
    """Pictures (N, S, S, 3) uint8 averaged over 2x2 pixels and enlarged again.

    Doubled pixels ("nearest") keep some fine edges and score well below a "bilinear" enlargement.
    """
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float()
    halved = F.avg_pool2d(images, 2).round()  # (N, 3, S / 2, S / 2)
    enlarged = F.interpolate(halved, scale_factor=2, mode=mode)
    return enlarged.round().byte().permute(0, 2, 3, 1).numpy()


def fomm(
    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WEIGHTS")],
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")],
    count: int = 24,
    frames: int = 0,
    names: Annotated[tuple[Motion, ...], tyro.conf.arg(name="metrics")] = (),
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
        holdout: The share given to training with the same option: only clips left out are taken.
        embedder: For aed: a TorchScript file that turns faces (N, 3, S, S) in [0, 1] into identity
            vectors (N, D).
        animations: A folder to write DRIVING-SOURCE.mp4 into: first frames of clips moved by other
            clips of DATA, relative, as in the official code's animate mode.
        pairs: For animations: a CSV with columns source and driving; else random pairs.
        device: auto, cpu, cuda or cuda:N.
    """
    names = check_motion(data, count, frames, names)
    if pairs and not animations or animations and data in PUPPET_STYLES:
        raise UserError("--animations takes a folder of clips; --pairs goes with it.")
    gauges = motion_gauges(names, embedder)
    folder = find_weights(weights)
    pipeline = FOMMPipeline.from_weights(folder, device=device)
    config = read_config(folder)
    mover = motion_scores.Piped(pipeline)
    if data in PUPPET_STYLES:
        how = {"style": PUPPET_STYLES[data], "frames": frames or motion_scores.FRAMES}
        result = motion_scores.puppets(
            mover, pipeline.size, count, **how, metrics=names, gauges=gauges, progress=say
        )
    else:
        clips = RealClips(data, count, frames or 250, pipeline.size, holdout)
        count, result = len(clips), clip_scores(mover, clips, names, gauges)
        if animations:
            animate_pairs(pipeline, clips, pairs or None, count, Path(animations))
    return {
        "system": "fomm",
        "weights": config.get("name") or weights,
        "images_seen": config.get("images_seen"),
        "data": data,
        "count": count,
        "size": pipeline.size,
        **rounded(result),
    }


def check_motion(data, count, frames, names):
    """The metrics to compute; refuses what could only fail after minutes of work."""
    if count < 2:
        raise UserError(f"--count is {count}, but a score takes 2 clips or more.")
    if frames < 0 or frames == 1:
        raise UserError(f"--frames is {frames}: motion takes 2 frames or more.")
    if data in PUPPET_STYLES:
        return names or motion_scores.PUPPET_METRICS
    if data.partition(":")[0] == "puppets":
        choices = " or ".join(PUPPET_STYLES)
        raise UserError(f"{data} cannot be scored against: give {choices}; --count says how many.")
    for name in names:
        if name not in CLIP_METRICS:
            raise UserError(
                f"{name} needs the drawn truth: score against {' or '.join(PUPPET_STYLES)}, or "
                f"leave it out of --metrics."
            )
    return names or CLIP_METRICS[:2]


def motion_gauges(names, embedder):
    """What measures reconstructed faces further, or a UserError that says what is missing."""
    gauges = []
    if "akd" in names:
        gauges.append(motion_scores.LandmarkGauge(landmark_finder()))
    if "aed" in names:
        gauges.append(motion_scores.IdentityGauge(identity_network(embedder)))
    return gauges


def landmark_finder():
    """What finds 68 face landmarks; UserError where its weights are not on disk."""
    from gan_models.faces import finding

    file = Path(torch.hub.get_dir(), "checkpoints", finding.FAN)
    if not file.is_file():
        raise UserError(
            f"AKD needs face_alignment's landmark weights: put {file.name} into {file.parent}, or "
            "leave akd out of --metrics."
        )
    return finding.find_landmarks


def identity_network(path):
    """The TorchScript module at `path`; UserError where there is none."""
    if not path:
        raise UserError(
            "AED compares identities, and no network for that comes with this project: give a "
            "TorchScript file as --embedder, or leave aed out of --metrics."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is frozen, not gone
            return torch.jit.load(path, map_location="cpu").eval()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} is not a TorchScript file that can be read: save the network with "
            "torch.jit.save and give that file as --embedder."
        ) from error


def say(name):
    print(f"{name} ...", file=sys.stderr)


class RealClips:
    """Up to `count` filmed clips, read again whenever they are gone through; unreadable ones and
    single pictures left out.
    """

    def __init__(self, data, count, frames, size, holdout):
        folder = Path(data).expanduser()
        has_test = (folder / "train").is_dir() and (folder / "test").is_dir()
        part = "held_out" if holdout or has_test else "train"
        self.opened = open_clips(data, size=size, holdout=holdout, part=part)
        self.frames, self.data = frames, data
        # Spread over the whole list, which is in the order of names.
        places = np.linspace(0, self.opened.length - 1, min(count, self.opened.length))
        self.indices = []
        for index in places.round().astype(int):
            try:
                if len(self.opened.clip(int(index), 2)) > 1:
                    self.indices.append(int(index))
            except Unreadable as error:
                print(error, file=sys.stderr)
        if not self.indices:
            raise UserError(f"{data} holds no clip of 2 frames or more to score.")

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        for index in tqdm(self.indices, "clips", disable=None):
            yield self.opened.clip(index, self.frames)


def clip_scores(mover, clips, names, gauges):
    """Scores of filmed clips, as those of puppets are named."""
    result = {}
    if gauges or "reconstruction" in names:
        result["reconstruction"] = motion_scores.reconstruction(mover, clips, gauges)
    if "consistency" in names:
        first = np.stack([clips.opened.clip(index, 1)[0] for index in clips.indices])
        result["consistency"] = motion_scores.consistency(mover, first)
    return result


def animate_pairs(pipeline, clips, pairs, count, folder):
    """Write an animation for each of up to `count` pairs of clips into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = clips.opened
    for driving, source in tqdm(opened.pairs(pairs, count), "animations", disable=None):
        moving, still = (Path(opened.names[index]).stem for index in (driving, source))
        try:
            frames = opened.clip(driving, clips.frames)
            whole = (0, 0, pipeline.size, pipeline.size)  # their squares are crops already
            still_picture = opened.clip(source, 1)[0]
            moved = pipeline.animate(still_picture, frames, box=whole, driving_box=whole)
            about = {"driving": moving, "source": still}
            path = folder / f"{moving}-{still}.mp4"
            write_clip(path, moved, 25, weights=pipeline.name, settings=about)
        except Unreadable as error:
            print(error, file=sys.stderr)


def rounded(value):
    """Floats to five digits, which is more than a repetition with other seeds agrees in."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if value is None:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None  # JSON has no nan


def quietly(command):
    """The command with all its prints sent to stderr: stdout is for the JSON line."""

    @functools.wraps(command)
    def run(*args, **options):
        with contextlib.redirect_stdout(sys.stderr):
            return command(*args, **options)

    return run


def main(args: list[str] | None = None) -> None:
    """Run the command line and print the JSON line."""
    try:
        result = tyro.extras.subcommand_cli_from_dict(
            {"progan": quietly(progan), "fomm": quietly(fomm)}, args=args, description=__doc__
        )
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    print(json.dumps(result))


if __name__ == "__main__":
    main()
