"""Scores of a ProGAN generator against real pictures.

The sliced Wasserstein distance depends on the count, so it comes with two marks to read it by: the
floor, which other real pictures score, and what real pictures score that were halved and enlarged.
"""

from typing import Annotated, Literal

import numpy as np
import torch.nn.functional as F
import tyro
from tqdm import tqdm

from gan_models.errors import UserError
from gan_models.images import to_pictures, to_tensor
from gan_models.names import find_weights
from gan_models.progan.pipeline import ProGANPipeline
from gan_models.weights import read_config
from trainers import metrics
from trainers.data import open_data
from trainers.puppets import FIRST_SCORE_SEED, draw, random_parameters

Metric = Literal["swd", "ms_ssim", "fid", "kid"]


def score(
    weights: metrics.Weights,
    data: metrics.Data,
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
    metrics.check_count(count, "pictures")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}; take a whole number from 0 to {2**32 - 1}.")
    if "fid" in names or "kid" in names:
        metrics.inception_file()
    folder = find_weights(weights)
    config = read_config(folder, "progan")
    pipeline = ProGANPipeline.from_weights(folder, device=device)
    size = pipeline.size  # smaller than the network's while it grows
    real, other = real_pictures(data, count, size, seed=seed, resize=resize, holdout=holdout)
    fake = generated_pictures(pipeline, count, size, seed)
    about = {"data": data, "count": count, "size": size, "seed": seed}
    return metrics.described("progan", config, about) | scores(real, other, fake, names, seed)


def real_pictures(data, count, size, *, seed=0, resize="crop", holdout=0.0):
    """Two sets (count, size, size, 3) uint8 of real pictures, or one and None if there are fewer.

    Puppets are the same ones whatever the seed. Raises UserError when there are fewer than `count`.
    """
    if style := metrics.puppet_style(data):
        pictures = drawn_puppets(2 * count, size, style)
        return pictures[:count], pictures[count:]
    part = "held_out" if holdout else "train"
    opened = open_data(data, size=size, resize=resize, seed=seed, holdout=holdout, part=part)
    if opened.length is None:
        raise UserError(f"{data} holds .tar shards; scoring takes a folder of pictures.")
    if opened.length < count:
        raise UserError(
            f"{data} has {opened.length:,} pictures to score against, fewer than --count "
            f"{count:,}: give more pictures or a smaller --count."
        )
    floor = opened.length >= 2 * count
    if not floor:
        print(f"{data} has fewer than {2 * count:,} pictures: no floor is computed.")
    images = opened.first(2 * count if floor else count)["images"]
    if opened.skipped:
        print(f"{opened.skipped:,} unreadable files in {data} were replaced by others.")
    pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
    return pictures[:count], pictures[count:] if floor else None


def drawn_puppets(count, size, style):
    """Puppets (count, size, size, 3) uint8 of seeds that training never draws."""
    seeds = tqdm(range(FIRST_SCORE_SEED, FIRST_SCORE_SEED + count), "puppets", disable=None)
    return np.stack([draw(random_parameters(number), size, style).picture for number in seeds])


def generated_pictures(pipeline, count, size, seed):
    """Samples (count, size, size, 3) uint8, their classes (if any) drawn evenly."""
    labels = None
    if pipeline.classes:
        labels = np.random.default_rng(seed).integers(len(pipeline.classes), size=count)
    frames = pipeline.frames(pipeline.latents(seed, count), label=labels, resolution=size)
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
    return result


def half_resolution(pictures, mode):
    """Pictures (N, S, S, 3) uint8 averaged over 2x2 pixels and enlarged again.

    Doubled pixels ("nearest") keep some fine edges and score well below a "bilinear" enlargement.
    """
    halved = F.avg_pool2d(to_tensor(pictures, (0, 255)), 2).round()  # (N, 3, S / 2, S / 2)
    return to_pictures(F.interpolate(halved, scale_factor=2, mode=mode), (0, 255))
