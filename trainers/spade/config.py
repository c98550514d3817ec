"""Options and presets of SPADE's trainer, and its schedule as a function of images seen."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from gan_models.errors import UserError
from gan_models.spade.labels import LABELS, custom
from gan_models.spade.networks import UPSAMPLINGS
from trainers import run, schedules
from trainers.data.labelled import Framing, Layout, Mode


@dataclass(frozen=True)
class Config(run.Options):
    """One training run. Sizes are in pixels."""

    data: str = "puppets"  # folder in one of the layouts, or puppets[:count]
    layout: Layout = "puppets"  # how the files lie, and unless told otherwise their labels
    image_dir: str = "images"  # custom: folders below data
    label_dir: str = "labels"
    instance_dir: str = ""
    holdout: float = 0.0  # custom: part of the pictures left out of training (0 to 0.5)
    num_classes: int = 0  # labels are 0 to this - 1; 0: those of the layout
    class_names: tuple[str, ...] = ()  # what a painter reads; default: the layout's, or numbers
    dont_care: bool = False  # num_classes: one more class, for pixels without a label (255)
    edges: bool = False  # the networks also see the edges of instances
    preprocess: Mode = "resize_and_crop"  # how a picture becomes the networks' size
    load_size: int = 286  # the side that is brought to it before a crop
    crop_size: int = 256  # width of the networks' pictures
    aspect_ratio: float = 1.0  # their width / height
    mirror: bool = True  # also learn each picture's mirror image
    warp_maps: float = 0.0  # bending of the generator's maps, of half a picture (arXiv 2011.12636)
    generator: Literal["spade", "pix2pixhd"] = "spade"
    channels: int = 64  # of the last blocks; the first have 16 times as many
    upsampling: Literal["normal", "more", "most"] = "normal"  # 5, 6 or 7 doublings
    norm: Literal["batch", "instance"] = "batch"  # before gamma and beta; batch: of all processes
    kernel: int = 3  # of the convolutions to gamma and beta
    hidden: int = 128  # their channels
    spectral: bool = True  # spectral norm of the generator
    latent_size: int = 0  # of a style that an encoder finds (VAE); 0: no styles
    encoder_channels: int = 64
    encoder_norm: Literal["instance", "batch", "none"] = "instance"
    discriminator_channels: int = 64
    discriminator_scales: int = 2
    discriminator_layers: int = 4
    loss: Literal["hinge", "ls", "original", "w"] = "hinge"  # original: binary cross entropy
    feature_weight: float = 10.0  # of feature matching
    perceptual_weight: float = 10.0  # of VGG19's features
    vgg: str = ""  # file with VGG19's weights; default: torchvision's, downloaded once
    kl_weight: float = 0.05  # of the styles' distance from the normal distribution
    reconstruction_weight: float = 0.0  # of the mean difference, half of it by labels (ours)
    epochs: float = 50  # at the full learning rate
    decay_epochs: float = 0  # more of them, over which it falls
    total_images: int = 0  # in the whole training; 0: all of both
    batch_size: int = 1  # over all processes
    learning_rate: float = 2e-4
    two_rates: bool = True  # half of it for the generator, twice for the discriminator (TTUR)
    d_steps: int = 1  # of the discriminator for each of the generator
    start_from: str = ""  # weights to start from: folder, shipped name, Hub name, run folder
    init: Literal["normal", "xavier", "xavier_uniform", "kaiming", "orthogonal", "none"] = "xavier"
    init_gain: float = 0.02
    init_spectral: bool = False  # also where spectral norm is: the official code only on a CPU
    ema_decay: float = 0.0  # of averaged networks, a step; 0: the trained ones are kept (official)
    sample_interval: int = 20_000  # images between sample sheets


PRESETS = {
    # Ours: learns drawn puppets on two CPU cores, without VGG.
    "puppets": Config(
        preprocess="fixed", load_size=64, crop_size=64, channels=10, hidden=24, latent_size=64,
        encoder_channels=16, encoder_norm="batch", discriminator_channels=16,
        perceptual_weight=0.0, kl_weight=0.005,
        reconstruction_weight=20.0, epochs=5, decay_epochs=5, batch_size=8, learning_rate=8e-4,
        ema_decay=0.998,
    ),
    # The official code's, with the paper's epochs and batch sizes; days on eight GPUs.
    "ade20k": Config(
        data="data/ADEChallengeData2016", layout="ade20k", epochs=100, decay_epochs=100,
        batch_size=32,
    ),
    "coco": Config(
        data="data/coco_stuff", layout="coco", edges=True, epochs=100, batch_size=32,
    ),
    "cityscapes": Config(
        data="data/cityscapes", layout="cityscapes", edges=True, preprocess="fixed",
        load_size=512, crop_size=512, aspect_ratio=2.0, upsampling="more", epochs=100,
        decay_epochs=100, batch_size=16,
    ),
    "facades": Config(data="data/facades", layout="facades"),
    "custom": Config(data="data/custom", layout="custom", num_classes=13),
}  # fmt: skip


def labels_of(config):
    """The `Labels` that this run trains."""
    if not (config.num_classes or config.class_names):
        return dataclasses.replace(LABELS[config.layout], edges=config.edges)
    names = config.class_names or tuple(f"class {i}" for i in range(config.num_classes))
    if config.dont_care:
        names += ("unknown",)
    return custom(names, config.dont_care, config.edges)


def size_of(config):
    """(height, width) of the networks' pictures."""
    return round(config.crop_size / config.aspect_ratio), config.crop_size


def data_options(config):
    """Arguments of `open_labelled`."""
    labels = labels_of(config)
    framing = size_of(config), config.preprocess, config.load_size, config.crop_size
    same = ("layout", "mirror", "seed", "num_workers", "holdout")
    return {
        "path": config.data, "classes": labels.classes, "unknown": labels.unknown,
        "framing": Framing(*framing), "instances": config.edges,
        "companions": config.latent_size > 0,
        "folders": (config.image_dir, config.label_dir, config.instance_dir),
        **{name: getattr(config, name) for name in same},
    }  # fmt: skip


def network_arguments(config):
    """The networks' constructor arguments by role, as the weights store them."""
    labels, size = labels_of(config), list(size_of(config))
    arguments = {"generator": {"semantics": labels.semantics, "channels": config.channels}}
    if config.generator == "spade":
        same = ("upsampling", "latent_size", "norm", "kernel", "hidden", "spectral")
        arguments["generator"] |= {"size": size} | {name: getattr(config, name) for name in same}
    else:
        arguments["generator"] |= {"downsamples": 4, "blocks": 9}
    if config.latent_size:
        arguments["encoder"] = {
            "channels": config.encoder_channels, "latent_size": config.latent_size,
            "norm": config.encoder_norm,
            "size": min(256, 1 << (max(size).bit_length() - 1)),
        }  # fmt: skip
    arguments["discriminator"] = {
        "semantics": labels.semantics, "channels": config.discriminator_channels,
        "scales": config.discriminator_scales, "layers": config.discriminator_layers,
    }  # fmt: skip
    return arguments


def learning_rates(config, images_seen, num_pictures):
    """(the generator's and encoder's, the discriminator's)."""
    rate = config.learning_rate * schedules.learning_rate_factor(config, images_seen, num_pictures)
    return (rate / 2, rate * 2) if config.two_rates else (rate, rate)


def betas(config):
    """Adam's."""
    return (0.0, 0.9) if config.two_rates else (0.5, 0.999)


COUNTS = (
    "load_size", "crop_size", "channels", "hidden", "encoder_channels", "discriminator_channels",
    "discriminator_scales", "discriminator_layers", "batch_size", "d_steps",
)  # fmt: skip


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    run.check_numbers(config, COUNTS)
    if config.layout == "custom" and not (config.num_classes or config.class_names):
        raise UserError("--layout custom: say with --num-classes how many labels there are.")
    names = len(config.class_names)
    if config.num_classes and names and names != config.num_classes:
        raise UserError(
            f"--class-names: these are {names} names for --num-classes {config.num_classes}."
        )
    if config.dont_care and not (config.num_classes or names):
        raise UserError("--dont-care goes with --num-classes; the layout's classes have theirs.")
    if labels_of(config).classes > 255:
        raise UserError("--num-classes: label maps have 8 bits, so give 254 or fewer.")
    if config.aspect_ratio <= 0 or config.kernel % 2 == 0:
        raise UserError("--aspect-ratio must be above 0, and --kernel odd.")
    check_size(config)
    if config.batch_size % world_size:
        raise UserError(
            f"--batch-size {config.batch_size}: give a multiple of the {world_size} process(es)."
        )
    if config.generator == "pix2pixhd" and config.latent_size:
        raise UserError("--generator pix2pixhd knows no styles: leave --latent-size at 0.")


def check_size(config):
    height, width = size_of(config)
    step = 1 << UPSAMPLINGS[config.upsampling] if config.generator == "spade" else 32
    if height % step or width % step or not height:
        raise UserError(
            f"--crop-size {config.crop_size} makes pictures of {width} x {height}, and both must "
            f"be multiples of {step} (--upsampling {config.upsampling}, --aspect-ratio)."
        )
    if "crop" in config.preprocess and height != width:
        raise UserError(
            f"--preprocess {config.preprocess} cuts squares: with an --aspect-ratio other than 1 "
            "take fixed, or another mode without a crop."
        )
    if "crop" in config.preprocess and config.load_size < config.crop_size:
        if config.preprocess != "crop":
            raise UserError(
                f"--load-size {config.load_size}: give --crop-size {config.crop_size} or more."
            )
