"""The judge's options, training pictures, loss and training loop, in that order."""

import copy
import math
import zipfile
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from gan_models.errors import Unreadable, UserError
from gan_models.judge import IDENTITY, SIZE, STYLE, Network, Readings
from trainers import optim, run, schedules
from trainers.capture import Captured
from trainers.data import Stream
from trainers.puppets import DOMAINS, LANDMARKS, Identity, draw, drawn_set, random_parameters

LOSS_WEIGHTS = {
    "labels": 1.0, "landmarks": 0.2, "action_units": 3.0, "domain": 0.3, "style": 8.0,
    "identity": 1.5,
}  # fmt: skip
# Each landmark's partner in the mirror: left and right exchanged in its name.
MIRRORED = [
    LANDMARKS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right"))
    for name in LANDMARKS
]


@dataclass(frozen=True)
class Config(run.Options):
    """One training run; lengths are in images seen. Each drawn puppet counts twice: as it is and
    in the mirror.
    """

    widths: tuple[int, ...] = (24, 48, 72, 96)  # channels at 32, 16, 8 and 4 pixels
    features: int = 32  # channels on the way back up to 32 pixels
    hidden: int = 96  # width of the layer before the numbers that describe a whole picture
    total_images: int = 90_000
    batch_size: int = 32  # even: puppets and their mirror images
    learning_rate: float = 3e-3  # at its highest, after a short warm-up; then a cosine down to 0
    ema_decay: float = 0.998  # of the averaged network, a step


PRESETS = {"puppets": Config(precision="bfloat16", report_interval=1_000, save_interval=10_000)}


def check(config, world_size):
    """UserError, before anything is made, for options that can't train."""
    run.check_numbers(config, ("widths", "features", "hidden", "total_images"))
    if config.batch_size < 4 or config.batch_size % 2:
        raise UserError(f"--batch-size {config.batch_size}: take an even number of 4 or more.")
    if len(config.widths) != 4:
        raise UserError("--widths takes 4 numbers.")
    if world_size > 1:
        raise UserError("the judge trains in one process: start it without torchrun.")


def draw_truth(seeds, style="training"):
    """The puppets of these seeds at 64 pixels: pictures (N, 64, 64, 3) uint8 and their Readings."""
    puppets = [random_parameters(seed) for seed in seeds]
    drawings = [draw(puppet, SIZE, style) for puppet in puppets]
    return np.stack([drawing.picture for drawing in drawings]), Readings(
        labels=np.stack([drawing.label_map for drawing in drawings]),
        landmarks=np.stack([drawing.landmarks for drawing in drawings]),
        action_units=np.array([puppet.action_units for puppet in puppets], np.float32),
        domain=np.array([DOMAINS.index(puppet.domain) for puppet in puppets]),
        style=np.array([[getattr(p.style, name) for name in STYLE] for p in puppets], np.float32),
        identity=np.array(
            [[getattr(p.identity, name) for name in IDENTITY] for p in puppets], np.float32
        ),
    )


class TruthFiles:
    """The drawn puppets `names` below `root` with their truth, as a stream's source."""

    def __init__(self, root, names):
        self.root, self.names, self.length = root, names, len(names)
        known = [field.name for field in fields(Identity)]
        self.identity = [known.index(name) for name in IDENTITY]

    def read(self, index, random):
        """images (3, 64, 64) uint8, and the arrays of `Readings` of one picture."""
        try:
            with np.load(self.root / self.names[index]) as file:
                truth = dict(file)
        except (ValueError, zipfile.BadZipFile) as error:
            raise Unreadable(f"{self.names[index]} is damaged: {error}.") from error
        picture, labels = truth.pop("picture"), truth.pop("label_map")
        truth["identity"] = truth["identity"][self.identity]
        return {"images": picture.transpose(2, 0, 1), "labels": labels, **truth}


def open_puppets(config):
    """The run's puppets in the order of their numbers: each once, for half a batch's pictures are
    the mirror images of the others.
    """
    steps = math.ceil(config.total_images / config.batch_size)
    data = f"puppets:{steps * config.batch_size // 2}"
    files = TruthFiles(*drawn_set("judge", data, 0, size=SIZE, seed=config.seed))
    return Stream(files, place=data, noun="puppets", num_workers=config.num_workers, shuffle=False)


def with_mirror_images(batch):
    """The puppets of a batch of `open_puppets` and their mirror images: pictures (n, 3, 64, 64)
    uint8, and their truth.
    """
    mirrored = {**batch, "images": batch["images"].flip(3), "labels": batch["labels"].flip(2)}
    mirrored["landmarks"] = batch["landmarks"][:, MIRRORED]
    mirrored["landmarks"][..., 0] = SIZE - mirrored["landmarks"][..., 0]
    truth = {name: torch.cat([value, mirrored[name]]) for name, value in batch.items()}
    return truth.pop("images"), truth


def draws(config, images_seen):
    """The random numbers of one step: which pictures keep their colours, and what becomes of them.

    A random half is recoloured, blurred and made noisy: a judge must read generated pictures and
    other palettes too, and only pictures that kept their colours can teach the style.
    """
    source, n = run.step_generator(config, images_seen), config.batch_size

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=source)

    return {
        "kept": torch.rand(n, generator=source) < 0.5,
        "mixing": uniform(0, 1, 3, 3),
        "mixed": uniform(0, 1, 1, 1),
        "contrast": uniform(0.6, 1.3, 3, 1, 1),
        "brightness": uniform(-0.25, 0.25, 3, 1, 1),
        "blur": uniform(-0.8, 1, 1, 1, 1).clamp(min=0),
        "noise": torch.randn(n, 3, SIZE, SIZE, generator=source),
        "noisy": uniform(-0.08, 0.12, 1, 1, 1).clamp(min=0),
    }


def recolour(pictures, drawn):
    """Pictures (n, 3, H, W) in [-1, 1], those that are not kept with mixed colours, another
    contrast, blur and noise.
    """
    mixing = drawn["mixing"] ** 2
    mixing = mixing / mixing.sum(dim=2, keepdim=True)
    same = torch.eye(3, device=pictures.device).expand_as(mixing)
    mixed = torch.einsum("nij,njhw->nihw", torch.lerp(same, mixing, drawn["mixed"]), pictures)
    mixed = mixed * drawn["contrast"] + drawn["brightness"]
    blurred = F.avg_pool2d(F.pad(mixed, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mixed = torch.lerp(mixed, blurred, drawn["blur"])
    mixed = (mixed + drawn["noise"] * drawn["noisy"]).clamp(-1, 1)
    return torch.where(drawn["kept"][:, None, None, None], pictures, mixed)


def judge_loss(outputs, truth, kept):
    """(loss, parts): the weighted sum of one loss per reading, and each of them unweighted.

    outputs of `Network`; truth as tensors by the names of `Readings`; kept (n,) bool: which
    pictures kept their colours. landmarks is in pixels; style and identity are mean squares.
    """
    style = (outputs["style"] - truth["style"]).square().mean(dim=1)  # (n,)
    parts = {
        "labels": F.cross_entropy(outputs["labels"], truth["labels"].long()),
        "landmarks": (outputs["landmarks"] - truth["landmarks"]).abs().mean(),
        "action_units": F.binary_cross_entropy_with_logits(
            outputs["action_units"], truth["action_units"]
        ),
        "domain": F.cross_entropy(outputs["domain"], truth["domain"]),
        "style": (style * kept).sum() / kept.sum().clamp(min=1),
        "identity": (outputs["identity"] - truth["identity"]).square().mean(),
    }
    return sum(LOSS_WEIGHTS[name] * part for name, part in parts.items()), parts


def learning_rate(config, images_seen):
    """A linear rise over the first 2 % of the images, times a cosine that ends at 0."""
    progress = min(images_seen / config.total_images, 1.0)
    rise = min(1.0, (progress + 1e-3) / 0.02)
    return config.learning_rate * rise * math.cos(math.pi / 2 * progress) ** 2


@dataclass
class Parts:
    """All that the loop trains."""

    network: Network
    averaged: Network
    optimizer: optim.Adam


def build(config, device):
    torch.manual_seed(config.seed)
    network = Network(**network_arguments(config)).to(device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    return Parts(network, averaged, optim.Adam(network, (0.9, 0.99)))


def network_arguments(config):
    return {"widths": list(config.widths), "features": config.features, "hidden": config.hidden}


def describe(config, parts, images_seen):
    """What the weights are, for `Training`: the averaged network in float16."""
    title = "The judge: reads a puppet's picture, to score the systems and to make label maps"
    return title, {
        "networks": {"judge": parts.averaged},
        "arguments": {"judge": network_arguments(config)},
        "config": {
            "size": SIZE,
            "value_range": [-1, 1],
            "framing": {"kind": "centre", "margin": 0.0},
        },
        "half": True,
    }


def train(begun):
    """Train into the run's folder until total_images, --minutes or Ctrl-C."""
    config, processes, device = begun.config, begun.processes, begun.processes.device
    parts = build(config, device)
    network = parts.network
    about = partial(describe, config, parts)
    training = run.Training(begun, parts, None, config.total_images, about)
    if training.finished:
        return
    puppets = training.data = open_puppets(config)  # a finished judge draws none

    def step(pictures, truth, drawn):
        """One update: losses by name, and whether it was left out; pictures (n, 3, 64, 64) uint8"""
        pictures = recolour(pictures.float() * (2 / 255) - 1, drawn)
        with optim.autocast(config, device):
            outputs = network(pictures.to(memory_format=torch.channels_last))
        loss, losses = judge_loss(outputs, truth, drawn["kept"])
        bad = optim.update([network], [parts.optimizer], loss, longest=5.0)
        return {name: part.detach() for name, part in losses.items()}, bad

    step = Captured(step, config.capture and device.type == "cuda")
    for batch in training.batches(puppets, config.batch_size // 2):
        seen = training.images_seen
        pictures, truth = with_mirror_images(batch)
        drawn = {name: processes.share(value) for name, value in draws(config, seen).items()}
        parts.optimizer.set_rate(learning_rate(config, seen))
        losses, bad = step(pictures, truth, drawn)
        optim.average(parts.averaged, network, schedules.ema_decay(config, seen))
        training.step(config.batch_size, losses, bad)
