"""Options and presets of GANimation's trainer, and its schedule as a function of images seen."""

from dataclasses import dataclass
from typing import Literal

from gan_models.errors import UserError
from trainers import run
from trainers.data.action_units import Crop, Targets
from trainers.puppets import is_puppets


@dataclass(frozen=True)
class Config(run.Options):
    """One training run; the defaults are the official code's. Sizes are in pixels."""

    data: str = "puppets"  # folder of pictures with a table of action units, or puppets[:count]
    size: int = 128  # side of the networks' pictures
    crop: Crop = "face"  # what the networks see of a picture: around its face, the middle, all
    margin: float = 0.0  # face: added on each side, as a share of the square with hair and neck
    holdout: float = 0.0  # share left out of training, without lists of names (0 to 0.5)
    mirror: bool = True  # also learn each picture's mirror image
    channels: int = 64  # of the generator's first layer; inside it has 4 times as many
    blocks: int = 6  # residual ones
    modulated: bool = False  # action units act on each of these, too (ours)
    critic_channels: int = 64  # of the critic's first layer, doubled by each of the next
    critic_layers: int = 6  # each halves the picture's size
    saturate: bool = False  # attention drawn towards 0 and 1
    loss: Literal["wgan_gp", "logistic", "hinge"] = "wgan_gp"  # the two others are ours
    penalty: Literal["separate", "combined"] = "separate"  # wgan_gp: a step of its own, or in one
    penalty_weight: float = 10.0  # wgan_gp: of the gradient penalty
    r1_weight: float = 0.0  # logistic, hinge: R1 gamma, on every --r1-every-th step (ours)
    r1_every: int = 8
    expression_weight: float = 160.0  # of the action units' mean squared error
    divide_by_batch: bool = False  # it is divided by the batch size, as officially, with 4000
    cycle_weight: float = 10.0  # of the way back to the picture; 0: it is not gone (ours)
    identity_weight: float = 0.0  # of changes where a picture's own units are the target (ours)
    reconstruction_weight: float = 0.0  # of the distance to the drawn truth; puppets only (ours)
    attention: Literal["official", "paper"] = "official"  # the mean, or the squares' mean root
    attention_weight: float = 0.1
    smoothness: Literal["official", "paper"] = "official"  # sums of differences, or of squares
    smoothness_weight: float = 1e-5
    target_noise: float = 0.1  # targets: another picture's units, each up to so much off
    clip_targets: bool = False  # targets stay in [0, 1]
    own_targets: float = 0.0  # share: a picture's own units with 0 to 3 drawn anew instead (ours)
    warm_up: int = 0  # first images, from which the critic alone learns action units (ours)
    init: Literal["official", "kaiming"] = "official"  # of the critic; kaiming: ours
    d_steps: int = 5  # of the critic for each of the generator
    critic_every: int = 1  # steps for each of the critic after the warm-up (ours)
    epochs: float = 20  # at the full learning rate
    decay_epochs: float = 10  # more of them, over which it falls
    total_images: int = 0  # in the whole training; 0: all of both
    batch_size: int = 25  # over all processes
    learning_rate: float = 1e-4  # of the generator
    critic_learning_rate: float = 1e-4
    ema_decay: float = 0.0  # of averaged networks, a step; 0: the trained ones are kept (official)
    sample_interval: int = 20_000  # images between sample sheets


PRESETS = {
    # Ours: learns drawn puppets on two CPU cores, from pairs: of a puppet, and the same with other
    # action units.
    "puppets": Config(
        size=64, channels=24, blocks=4, modulated=True, critic_channels=24, critic_layers=5,
        loss="logistic", r1_weight=0.2, expression_weight=40.0, cycle_weight=0.0,
        reconstruction_weight=100.0,
        target_noise=0.0, clip_targets=True, own_targets=0.5, warm_up=48_000, init="kaiming",
        d_steps=1, critic_every=4, batch_size=8, learning_rate=1e-3, critic_learning_rate=1e-3,
        ema_decay=0.998, epochs=24, decay_epochs=8,
    ),
    "official": Config(
        data="data/faces", expression_weight=4000.0, divide_by_batch=True,
    ),
    "paper": Config(
        data="data/faces", penalty="combined", attention="paper", smoothness="paper",
        smoothness_weight=1e-4,
    ),
}  # fmt: skip


def data_options(config):
    """Arguments of `open_action_units`."""
    same = ("size", "crop", "margin", "mirror", "seed", "num_workers", "holdout")
    truth = config.reconstruction_weight > 0
    targets = Targets(config.target_noise, config.clip_targets, config.own_targets, truth)
    chosen = {name: getattr(config, name) for name in same}
    return {"path": config.data, "targets": targets, **chosen}


def framing(config):
    """What the weights want to be shown of a picture, as `faces.frame` does it."""
    if config.crop == "face" and not is_puppets(config.data):
        return {"kind": "face", "margin": config.margin}
    return {"kind": "centre", "margin": 0.0}


def network_arguments(config):
    """The networks' constructor arguments by role, as the weights store them."""
    return {
        "generator": {
            "channels": config.channels, "blocks": config.blocks, "modulated": config.modulated,
        },
        "critic": {
            "image_size": config.size, "channels": config.critic_channels,
            "layers": config.critic_layers,
        },
    }  # fmt: skip


COUNTS = (
    "size", "channels", "critic_channels", "critic_layers", "r1_every", "d_steps", "critic_every",
    "batch_size",
)  # fmt: skip


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    run.check_numbers(config, COUNTS)
    step = max(4, 1 << config.critic_layers)
    if config.size % step:
        raise UserError(
            f"--size {config.size}: give a multiple of {step}, or fewer --critic-layers."
        )
    if config.batch_size % world_size:
        raise UserError(
            f"--batch-size {config.batch_size}: give a multiple of the {world_size} process(es)."
        )
    if config.loss == "wgan_gp" and config.r1_weight:
        raise UserError("--r1-weight goes with --loss logistic or hinge; wgan_gp has its penalty.")
    if config.own_targets > 1:
        raise UserError(f"--own-targets {config.own_targets}: give a share from 0 to 1.")
