"""Options and presets of ProGAN's trainer, and its schedule as a function of images seen."""

import math
from dataclasses import dataclass
from typing import Literal

from gan_models.errors import UserError
from gan_models.progan.networks import channel_widths
from trainers import run


@dataclass(frozen=True)
class Config(run.Options):
    """One training run. Sizes are in pixels, lengths in images seen; tuples hold one value per
    level 4, 8, 16, ...
    """

    data: str = "puppets"  # folder of pictures or of .tar shards, or puppets[:count]
    resolution: int = 64  # size of the finished pictures, a power of two
    resize: Literal["crop", "stretch"] = "crop"  # centre square, or squeeze the whole picture
    mirror: bool = True  # also learn each picture's mirror image
    holdout: float = 0.0  # part of the pictures left out of training, for scoring (0 to 0.5)
    labels: bool = False  # learn the class folders as labels (AC-GAN)
    start_from: str = ""  # weights to start from: folder, shipped name, Hub name, run folder
    waiting_images: int = 0  # at first only the discriminator learns: for --start-from without one
    latent_size: int = 512
    channels: tuple[int, ...] = channel_widths(64)  # widths of both networks per level
    loss: Literal["wgan_gp", "lsgan", "logistic"] = "wgan_gp"
    penalty_weight: float = 10.0  # wgan_gp: of the gradient penalty
    penalty_target: float = 1.0  # wgan_gp: gradient norm aimed at (CIFAR-10 preset: 750)
    drift_weight: float = 0.001  # wgan_gp: of the mean squared score of reals
    class_weight: float = 1.0  # of the classification losses, with labels
    r1_weight: float = 0.0  # gamma of the R1 penalty at full resolution, scaled with the pixels
    r1_every: int = 16  # steps between R1 penalties (lazy regularisation)
    stddev_group: int = 4  # samples a group of the minibatch deviation; 0: without that layer
    start_resolution: int = 4
    stable_images: tuple[int, ...] = (600_000,) * 5  # images at each level before the next fades in
    fade_images: tuple[int, ...] = (600_000,) * 5  # images while the level after this one fades in
    total_images: int = 12_000_000
    batch_sizes: tuple[int, ...] = (128, 128, 128, 64, 32)  # images a step, over all processes
    learning_rates: tuple[float, ...] = (1e-3,) * 5
    generator_rate: float = 1.0  # the generator's learning rate, relative to the discriminator's
    decay_images: int = 0  # over the last this many images the learning rate falls to 0; 0: never
    ema_decay: float = 0.999  # of the averaged generator, a step
    ema_rampup: float = 0.0  # average over at most about this share of the images seen; 0: no limit
    reset_optimizers: bool = True  # forget Adam's averages when the networks change shape
    sample_interval: int = 20_000  # images between sample sheets


BATCH_SIZES = {  # of the official config.py, by number of GPUs
    1: (128, 128, 128, 64, 32, 16, 8, 4, 4),
    2: (256, 256, 128, 64, 32, 16, 8, 8, 8),
    4: (512, 256, 128, 64, 32, 16, 16, 16, 16),
    8: (512, 256, 128, 64, 32, 32, 32, 32, 32),
}
LAST_RATES = {
    1: (1.5e-3,),
    2: (1.5e-3, 2e-3),
    4: (1.5e-3, 2e-3, 3e-3),
    8: (1.5e-3, 2e-3, 3e-3, 3e-3),
}


def published(batch_sizes, last_rates=(), first=600_000, total=12_000_000, **fields):
    """A preset of the official config.py; the last levels' learning rates are above 1e-3."""
    levels = len(batch_sizes)
    resolution = 2 << levels
    given = {
        "data": "pictures", "resolution": resolution, "channels": channel_widths(resolution),
        "batch_sizes": batch_sizes,
        "learning_rates": (1e-3,) * (levels - len(last_rates)) + last_rates,
        "stable_images": (first,) * levels, "fade_images": (first,) * levels,
        "total_images": total, "report_interval": 10_000, "sample_interval": 200_000,
        "save_interval": 200_000,
    }  # fmt: skip
    return Config(**given | fields)


PRESETS = {
    # Ours: learns drawn puppets on two CPU cores.
    "puppets": Config(
        latent_size=128, channels=(128, 96, 64, 32, 16), loss="logistic", r1_weight=3.0,
        start_resolution=8, stable_images=(0, 25_000, 30_000, 40_000, 0),
        fade_images=(0, 10_000, 12_000, 16_000, 0), total_images=320_000, decay_images=40_000,
        batch_sizes=(32, 32, 32, 16, 16), learning_rates=(2e-3,) * 5, ema_rampup=0.05,
        precision="bfloat16",
    ),
    # The paper's: CelebA-HQ at 1024 pixels (table 1 h; config.py's preset-v1-1gpu).
    "paper": published(
        (16, 16, 16, 16, 16, 16, 14, 6, 3), first=800_000, total=19_000_000, stddev_group=16
    ),
    "v2-1gpu": published(BATCH_SIZES[1], LAST_RATES[1]),
    "v2-2gpus": published(BATCH_SIZES[2], LAST_RATES[2]),
    "v2-4gpus": published(BATCH_SIZES[4], LAST_RATES[4]),
    "v2-8gpus": published(BATCH_SIZES[8], LAST_RATES[8]),
    # Section 6.3 and appendix B of the paper.
    "cifar-10": published(
        (16,) * 4, latent_size=128, channels=channel_widths(32, 4096, 128), penalty_target=750.0,
        mirror=False,
    ),
}  # fmt: skip


def picture_options(config):
    """Arguments of `open_data`."""
    same = ("resize", "mirror", "seed", "num_workers", "labels", "holdout")
    chosen = {name: getattr(config, name) for name in same}
    return {"path": config.data, "size": config.resolution, **chosen}


@dataclass(frozen=True)
class Phase:
    """Where the growing stands: `index` counts stable and fading phases; alpha 1 shows the newest
    level only.
    """

    index: int
    resolution: int
    alpha: float
    batch_size: int
    learning_rate: float


def schedule(config, images_seen):
    """The Phase at `images_seen` (paper, section 2; official TrainingSchedule): stabilise, then
    fade to the next.

    While a level fades in, its batch size and learning rate already apply.
    """
    level, last = int(math.log2(config.start_resolution)) - 2, len(config.channels) - 1
    index, alpha, left = 0, 1.0, images_seen
    while level < last:
        stable, fade = config.stable_images[level], config.fade_images[level]
        if stable and left <= stable:  # a fade begins after its first image, as officially
            break
        left -= stable
        level, index = level + 1, index + 1
        if left < fade:
            alpha = left / fade
            break
        left -= fade
        index += 1
    learning_rate = config.learning_rates[level]
    if config.decay_images:
        left = config.total_images - images_seen
        learning_rate *= min(left / config.decay_images, 1.0)
    return Phase(index, 4 << level, alpha, config.batch_sizes[level], learning_rate)


def ema_decay(config, images_seen, batch_size):
    """The averaged generator's decay for one step; the ramp forgets the untrained start early."""
    if not config.ema_rampup:
        return config.ema_decay
    half_life = config.ema_rampup * (images_seen + batch_size)  # in images
    return min(config.ema_decay, 0.5 ** (batch_size / half_life))


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    counts = ("latent_size", "channels", "r1_every", "batch_sizes", "total_images")
    run.check_numbers(config, counts)
    levels = int(math.log2(max(config.resolution, 4))) - 1
    if not 4 <= config.resolution <= 1024 or 4 << (levels - 1) != config.resolution:
        raise UserError(f"--resolution {config.resolution}: give a power of two from 4 to 1024.")
    if config.start_resolution not in [4 << level for level in range(levels)]:
        raise UserError(
            f"--start-resolution {config.start_resolution}: give 4, 8, ... up to --resolution."
        )
    for name in ("channels", "stable_images", "fade_images", "batch_sizes", "learning_rates"):
        if len(getattr(config, name)) != levels:
            raise UserError(
                f"{run.flag(name)} needs {levels} values, one for each of 4, 8, ... "
                f"up to {config.resolution} pixels; it has {len(getattr(config, name))}."
            )
    uneven = [size for size in config.batch_sizes if size % world_size]
    if uneven:
        raise UserError(
            f"--batch-sizes {uneven[0]}: each must be a multiple of the {world_size} process(es)."
        )
    if config.loss != "logistic" and config.r1_weight:
        raise UserError("--r1-weight goes with --loss logistic; wgan_gp has its own penalty.")
