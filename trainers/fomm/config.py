"""Options and presets of FOMM's trainer, and its schedules as functions of pairs seen."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gan_models.errors import UserError
from trainers import run


@dataclass(frozen=True)
class Config(run.Options):
    """One training run. An "image" is one pair of frames, source and driving, of the same clip."""

    data: str = "puppets"  # folder of clips (see the README), or puppets[:count]
    init: str = ""  # weights to start from: folder, shipped name, Hub name, run folder
    size: int = 256  # frames are squares of this many pixels
    framing: Literal["face", "centre"] = "centre"  # how the demo crops pictures for these weights
    holdout: float = 0.0  # part of a flat folder's clips left out, for scoring (0 to 0.5)
    id_sampling: bool = False  # one item for each name up to "#", not for each file
    time_flip: bool = True  # either frame of a pair may be the source
    mirror: bool = True  # also learn mirror images
    jitter: tuple[float, float, float, float] = (0.0,) * 4  # brightness, contrast, saturation, hue
    resize_range: tuple[float, float] | None = None  # random scale, then a random crop
    repaint: float = 0.0  # part of the pairs in random colours, lines and backdrop (ours)
    transfers: float = 0.0  # puppets: part of the pairs that another's motion leads (ours)
    num_keypoints: int = 10
    jacobian: Literal["full", "single", "none"] = "full"  # one map each, one for all, zero order
    scale_factor: float = 0.25  # size at which motion is estimated, as a part of the picture's
    detector_width: int = 32  # channels; they double with each level
    detector_max: int = 1024  # ... up to this many
    detector_blocks: int = 5  # levels of the hourglass
    pad: int = 0  # zeros around the features that heatmaps are read from
    head_size: int = 7  # kernel of the last convolutions of detector and dense motion
    anchors: float = 0.0  # width of each keypoint's own region, which spreads them out (ours)
    motion_width: int = 64  # the dense motion's channels, alike
    motion_max: int = 1024
    motion_blocks: int = 5
    generator_width: int = 64  # the generator's channels, alike
    generator_max: int = 512
    down_blocks: int = 2  # times that the generator halves the picture
    bottleneck_blocks: int = 6  # residual blocks at the smallest size
    pixel_path: bool = False  # border, warped_skips, blend, motion_features of the generator (ours)
    align_corners: bool = True  # how pictures are sampled; official weights were trained with True
    discriminator_width: int = 32  # half of its first layer's channels
    discriminator_max: int = 512
    discriminator_blocks: int = 4
    discriminator_scales: tuple[float, ...] = (1,)  # of the pyramid; a discriminator for each
    spectral_norm: bool = False  # of the discriminator's convolutions
    use_keypoints: bool = False  # the discriminator also sees the driving keypoints
    scales: tuple[float, ...] = (1, 0.5, 0.25, 0.125)  # of the picture losses' pyramid
    perceptual_weight: float = 10.0  # of each scale's and layer's VGG features
    vgg: str = ""  # file with VGG19's weights; default: torchvision's, downloaded once
    reconstruction_weight: float = 0.0  # mean absolute difference of pictures (ours)
    full_size: int = 0  # also compare frames of this many pixels, made as in the demo; 0: no (ours)
    full_size_weight: float = 40.0  # of that comparison, which counts edges twice
    adversarial_weight: float = 1.0  # least squares; 0: no discriminator, no feature matching
    adversarial_start: float = 0.0  # part of the training that goes by before it sets in (ours)
    feature_matching_weight: float = 10.0  # of the discriminator's feature maps
    equivariance_weight: float = 10.0  # of keypoints and Jacobians under the random transform
    sigma_affine: float = 0.05  # of the random transform
    sigma_tps: float = 0.005  # of its bending
    points_tps: int = 5  # control points of the bending, along a side
    total_images: int = 0  # pairs in the whole training; 0: epochs x repeats x clips
    epochs: float = 100  # an epoch shows each clip `repeats` times
    repeats: int = 75  # pairs drawn from a clip in an epoch
    milestones: tuple[float, ...] = (60, 90)  # epochs after which learning rates are divided by 10
    decay: float = 0.0  # last part of the training over which learning rates fall to 0 (ours)
    batch_size: int = 40  # over all processes
    learning_rate: float = 2e-4  # of generator and discriminator
    detector_learning_rate: float = 2e-4
    ema_decay: float = 0.0  # of averaged networks, a step; 0: the trained ones are kept (official)
    sample_interval: int = 20_000  # images between sample sheets


COUNTS = (
    "num_keypoints", "detector_width", "detector_max", "detector_blocks", "motion_width",
    "motion_max", "motion_blocks", "generator_width", "generator_max", "down_blocks",
    "bottleneck_blocks", "discriminator_width", "discriminator_max", "discriminator_blocks",
    "repeats", "batch_size",
)  # fmt: skip
ALL_TENTH = (0.1, 0.1, 0.1, 0.1)

# Ours: learns drawn puppets on two CPU cores, without VGG. Differs from the official code.
PUPPETS = Config(
    size=64, mirror=True, num_keypoints=15, scale_factor=0.5, detector_max=128,
    detector_blocks=3, pad=1, head_size=3, anchors=0.3, motion_width=32, motion_max=128,
    motion_blocks=3, generator_width=24, generator_max=64, down_blocks=1, bottleneck_blocks=3,
    pixel_path=True, discriminator_width=16, discriminator_max=128, discriminator_blocks=3,
    perceptual_weight=0.0, reconstruction_weight=40.0, adversarial_weight=0.2,
    adversarial_start=0.55, feature_matching_weight=2.0, total_images=80_000, milestones=(),
    decay=0.375, batch_size=8, learning_rate=1e-3, detector_learning_rate=1e-3,
    ema_decay=0.998, precision="bfloat16",
)  # fmt: skip

# Of the shipped weights: minutes on a GPU, and then PUPPETS_FINE.
PUPPETS_128 = dataclasses.replace(
    PUPPETS, data="puppets:5000", size=128, detector_blocks=4, motion_blocks=4,
    discriminator_blocks=4, adversarial_start=0.6, total_images=373_952, batch_size=64,
    learning_rate=1.5e-3, detector_learning_rate=1.5e-3,
)  # fmt: skip
PUPPETS_FINE = dataclasses.replace(
    PUPPETS_128, init="runs/fomm-puppets-128", data="puppets:1000", transfers=0.5, full_size=256,
    scales=(1,), reconstruction_weight=10.0, adversarial_weight=0.0, equivariance_weight=0.0,
    total_images=10_800, decay=0.47, batch_size=8, learning_rate=4e-4, detector_learning_rate=2e-4,
)  # fmt: skip

PRESETS = {
    "puppets": PUPPETS,
    "puppets-128": PUPPETS_128,
    "puppets-fine": PUPPETS_FINE,
    # The eight published configurations; days on several GPUs.
    "vox": Config(
        data="data/vox-png", id_sampling=True, framing="face", jitter=ALL_TENTH,
        spectral_norm=True, adversarial_weight=0.0,
    ),
    "vox-adv": Config(
        data="data/vox-png", id_sampling=True, framing="face", jitter=ALL_TENTH,
        use_keypoints=True, init="runs/fomm-vox", epochs=50, milestones=(), batch_size=36,
    ),
    "taichi": Config(
        data="data/taichi-png", id_sampling=True, jitter=ALL_TENTH, adversarial_weight=0.0,
        repeats=150, batch_size=30,
    ),
    "taichi-adv": Config(
        data="data/taichi-png", id_sampling=True, jitter=ALL_TENTH, use_keypoints=True,
        init="runs/fomm-taichi", epochs=50, repeats=150, milestones=(), batch_size=27,
        detector_learning_rate=0.0,
    ),
    "fashion": Config(
        data="data/fashion-png", jitter=(0.0, 0.0, 0.0, 0.1), repeats=50, batch_size=27,
    ),
    "nemo": Config(
        data="data/nemo-png", framing="face", spectral_norm=True, repeats=8, batch_size=36,
    ),
    "mgif": Config(
        data="data/moving-gif", jitter=(0.0, 0.0, 0.0, 0.5), resize_range=(0.9, 1.1),
        jacobian="single", spectral_norm=True, repeats=25, batch_size=36,
    ),
    "bair": Config(
        data="data/bair", jitter=ALL_TENTH, spectral_norm=True, epochs=20, repeats=1,
        milestones=(12, 18), batch_size=36,
    ),
}  # fmt: skip


def total_images(config, num_clips):
    """Pairs in the whole training."""
    return config.total_images or int(config.epochs * config.repeats * num_clips)


def learning_rate_factor(config, images_seen, num_clips):
    """What the learning rates are multiplied by: a tenth after each milestone; falling to 0 at the
    end.

    Counted from this run's first image: fine-tuning starts at the full rate. Differs from the
    official code, where vox-adv takes over vox's decayed rate on any torch from 1.4.
    """
    epoch = images_seen / (config.repeats * num_clips)
    factor = 0.1 ** sum(epoch >= milestone for milestone in config.milestones)
    if config.decay:
        left = 1 - images_seen / total_images(config, num_clips)
        factor *= min(left / config.decay, 1.0)
    return max(factor, 0.0)


def adversarial_weight(config, images_seen, num_clips):
    """The adversarial loss's weight now: 0 until it sets in."""
    start = config.adversarial_start * total_images(config, num_clips)
    return config.adversarial_weight if images_seen >= start else 0.0


def ema_decay(config, images_seen):
    """The averaged networks' decay for one step: young averages forget faster."""
    steps = images_seen / config.batch_size
    return min(config.ema_decay, (1 + steps) / (10 + steps))


def clip_options(config, folder):
    """Arguments of `open_clips`; films are decoded once, into FOLDER-clips."""
    same = ("seed", "num_workers", "id_sampling", "holdout", "transfers")
    changes = ("time_flip", "mirror", "jitter", "resize_range", "repaint")
    chosen = {name: getattr(config, name) for name in (*same, *changes)}
    chosen["size"] = config.full_size or config.size
    return {"path": config.data, "cache_folder": folder.with_name(f"{folder.name}-clips"), **chosen}


def network_arguments(config):
    """Constructor arguments of the networks, by name."""
    keypoints = {"num_keypoints": config.num_keypoints}
    motion = hourglass(config, "motion")
    detector = hourglass(config, "detector") | {
        "estimate_jacobian": config.jacobian != "none",
        "single_jacobian_map": config.jacobian == "single",
        "pad": config.pad,
        "anchors": config.anchors,
    }
    generator = {
        "block_expansion": config.generator_width,
        "max_features": config.generator_max,
        "num_down_blocks": config.down_blocks,
        "num_bottleneck_blocks": config.bottleneck_blocks,
        "dense_motion": motion,
        "align_corners": config.align_corners,
        **dict.fromkeys(("border", "warped_skips", "blend", "motion_features"), config.pixel_path),
    }
    discriminator = {
        "scales": list(config.discriminator_scales),
        "block_expansion": config.discriminator_width,
        "max_features": config.discriminator_max,
        "num_blocks": config.discriminator_blocks,
        "spectral_norm": config.spectral_norm,
        "use_keypoints": config.use_keypoints,
    }
    found = {"detector": detector, "generator": generator, "discriminator": discriminator}
    return {name: keypoints | arguments for name, arguments in found.items()}


def hourglass(config, role):
    return {
        "block_expansion": getattr(config, f"{role}_width"),
        "max_features": getattr(config, f"{role}_max"),
        "num_blocks": getattr(config, f"{role}_blocks"),
        "scale_factor": config.scale_factor,
        "head_size": config.head_size,
    }


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    run.check_numbers(config, COUNTS)
    for name in ("scale_factor", "scales", "discriminator_scales"):
        values = getattr(config, name)
        if not values or not all(1 / 32 <= v <= 1 for v in np.atleast_1d(values)):
            raise UserError(f"{run.flag(name)}: give numbers from 1/32 to 1, such as 0.25.")
    if config.head_size % 2 == 0:
        raise UserError(f"--head-size {config.head_size}: give an odd number.")
    if not max(config.ema_decay, config.adversarial_start) < 1 or config.decay > 1:
        raise UserError("--ema-decay, --adversarial-start and --decay are parts of 1.")
    if config.transfers > 1:
        raise UserError(f"--transfers {config.transfers:g} is a part of 1.")
    step = max(
        2**config.detector_blocks / config.scale_factor,
        2**config.motion_blocks / config.scale_factor,
        2**config.down_blocks,
    )
    if config.size < 1 or config.size % step:
        raise UserError(
            f"--size {config.size}: with these networks it must be a multiple of {step:.0f}."
        )
    if config.full_size % config.size or config.full_size and not config.pixel_path:
        raise UserError(
            f"--full-size {config.full_size}: give a multiple of --size, and --pixel-path."
        )
    if config.batch_size % world_size:
        raise UserError(
            f"--batch-size {config.batch_size} must be a multiple of the {world_size} process(es)."
        )
    if not config.total_images and not config.epochs:
        raise UserError("--epochs 0: give more, or --total-images.")
    check_losses(config)


def check_losses(config):
    """UserError unless something trains the generator's picture from the first step on."""
    pictures = config.perceptual_weight or config.reconstruction_weight
    pictures = pictures or (config.full_size and config.full_size_weight)
    if not pictures and (not config.adversarial_weight or config.adversarial_start):
        raise UserError(
            "No loss would train the generator's picture: set --perceptual-weight or "
            "--reconstruction-weight above 0, or --adversarial-weight with --adversarial-start 0."
        )
    if not config.adversarial_weight:
        return
    missing = set(config.discriminator_scales) - set(config.scales)
    if missing:
        raise UserError(
            f"--discriminator-scales {missing.pop()}: each must also be one of --scales."
        )
    side = min(config.discriminator_scales) * config.size
    for block in range(config.discriminator_blocks):
        side = side - 3 if block == config.discriminator_blocks - 1 else (side - 3) // 2
    if side < 1:
        raise UserError(
            f"--discriminator-blocks {config.discriminator_blocks} are too many for "
            f"{config.size} pixels at the smallest of --discriminator-scales."
        )
