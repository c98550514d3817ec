"""Options and presets of StarGAN v2's trainer, and its schedule as a function of images seen."""

from dataclasses import dataclass

from gan_models.errors import UserError
from gan_models.stargan_v2.networks import channels_of, halvings
from trainers import run


@dataclass(frozen=True)
class Config(run.Options):
    """One training run; the defaults are the official code's, for CelebA-HQ. Sizes in pixels."""

    data: str = "puppets"  # folder with a folder of pictures for each domain, or puppets[:count]
    holdout: float = 0.0  # share left out of training, where the folder has no val (0 to 0.5)
    size: int = 256  # side of the networks' pictures, a power of two
    mirror: bool = True  # also learn each picture's mirror image
    crop_probability: float = 0.5  # of a picture shown as a part of it, 80 to 100 % of its area
    face_crops: bool = False  # the weights look for a face in what they are given
    channels: int = 0  # of the first layer, doubled by each halving; 0: 2^14 / size
    most_channels: int = 512
    style_dim: int = 64  # numbers of a style code
    latent_dim: int = 16
    hidden: int = 512  # of the mapping network's layers
    w_hpf: float = 0.0  # above 0: a skip for edges, divided by this, where --landmarks says
    landmarks: str = ""  # w_hpf: the landmark network, a wing.ckpt or a checkpoint that holds one
    r1_weight: float = 1.0
    r1_every: int = 1  # steps between R1 penalties (lazy regularisation)
    style_weight: float = 1.0  # of the style code's reconstruction
    diversity_weight: float = 1.0  # of the difference of two styles' pictures, falling to 0
    diversity_images: int = 800_000  # over which it falls
    cycle_weight: float = 1.0  # of the way back to the source
    pair_weight: float = 0.0  # of puppets that get their colours back from another (ours)
    alternate: bool = False  # latents and references take turns, half the work a step (ours)
    autoencoding_images: int = 0  # at first, learnt from without an adversary (ours)
    total_images: int = 800_000  # in the whole training
    batch_size: int = 8  # over all processes
    learning_rate: float = 1e-4
    mapping_rate: float = 1e-6  # of the mapping network
    decay_images: int = 0  # over the last this many both rates fall to 0; 0: never (ours)
    weight_decay: float = 1e-4  # as an L2 penalty
    ema_decay: float = 0.999  # of the averaged networks, a step
    sample_interval: int = 20_000  # images between sample sheets


PRESETS = {
    # Ours: for drawn puppets on two CPU cores. Learning pictures back first is what lets so short
    # a training reach other domains.
    "puppets": Config(
        size=64, channels=16, most_channels=64, hidden=128, crop_probability=0.0, r1_every=8,
        style_weight=2.0, cycle_weight=3.0, pair_weight=10.0, alternate=True,
        autoencoding_images=16_000, diversity_images=64_000, total_images=64_000,
        learning_rate=6e-4, mapping_rate=4e-5, decay_images=16_000, ema_decay=0.995,
        sample_interval=4_000,
    ),
    # The official code's two.
    "celeba_hq": Config(data="data/celeba_hq", w_hpf=1.0, landmarks="wing.ckpt", face_crops=True),
    "afhq": Config(data="data/afhq", diversity_weight=2.0),
}  # fmt: skip


def data_options(config):
    """Arguments of `open_domains`."""
    same = ("size", "mirror", "crop_probability", "seed", "num_workers", "holdout")
    given = {name: getattr(config, name) for name in same}
    return {"path": config.data, "pairs": config.pair_weight > 0, **given}


def network_arguments(config, num_domains):
    """The networks' constructor arguments by role, as the weights store them."""
    trunk = {
        "image_size": config.size, "channels": config.channels or channels_of(config.size),
        "most": config.most_channels,
    }  # fmt: skip
    style = {"style_dim": config.style_dim}
    domains = {"num_domains": num_domains}
    latents = {"latent_dim": config.latent_dim, "hidden": config.hidden}
    return {
        "generator": trunk | style | {"w_hpf": config.w_hpf},
        "mapping_network": latents | style | domains,
        "style_encoder": trunk | style | domains,
        "discriminator": trunk | domains,
    }


def diversity_weight(config, images_seen):
    """Falls to 0 evenly. Differs from the official code: a resumed run goes on where it was."""
    if not config.diversity_images:
        return config.diversity_weight
    return config.diversity_weight * max(0.0, 1 - images_seen / config.diversity_images)


def learning_rates(config, images_seen):
    """(of all networks but the mapping network, of that)."""
    left = config.total_images - images_seen
    share = min(1.0, left / config.decay_images) if config.decay_images else 1.0
    return config.learning_rate * share, config.mapping_rate * share


COUNTS = (
    "size", "most_channels", "style_dim", "latent_dim", "hidden", "r1_every", "batch_size",
    "total_images",
)  # fmt: skip


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    run.check_numbers(config, COUNTS)
    halvings(config.size, 4)
    if not config.channels and config.size > 2**14:
        raise UserError(f"--size {config.size}: give --channels, too.")
    if config.crop_probability > 1:
        raise UserError(f"--crop-probability {config.crop_probability} is a share from 0 to 1.")
    if config.ema_decay >= 1:
        raise UserError(f"--ema-decay {config.ema_decay} keeps what is drawn: give less than 1.")
    if config.w_hpf and not config.landmarks:
        raise UserError("--w-hpf needs --landmarks: the official wing.ckpt, or a file that has it.")
    if config.batch_size % world_size:
        raise UserError(
            f"--batch-size {config.batch_size}: give a multiple of the {world_size} process(es)."
        )
