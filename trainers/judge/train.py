"""The judge's options, training pictures, loss and training loop, in that order."""

import copy
import math
import os
import sys
import zipfile
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from gan_models import weights
from gan_models.errors import Unreadable, UserError
from trainers import run, state
from trainers.data import Stream
from trainers.judge.reading import IDENTITY, SIZE, STYLE, Network, Readings
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
class Config:
    """One training run; lengths are in images seen. Each drawn puppet counts twice: as it is and
    in the mirror.
    """

    out: str = ""  # run folder; default runs/judge-puppets
    minutes: float = 0  # end cleanly after this much wall-clock time; 0: when total_images are seen
    fresh: bool = False  # move an earlier run in the same folder aside instead of resuming it
    seed: int = 0  # of the initial network, the puppets and every draw
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    widths: tuple[int, ...] = (24, 48, 72, 96)  # channels at 32, 16, 8 and 4 pixels
    features: int = 32  # channels on the way back up to 32 pixels
    hidden: int = 96  # width of the layer before the numbers that describe a whole picture
    total_images: int = 90_000
    batch_size: int = 32  # even: puppets and their mirror images
    learning_rate: float = 3e-3  # at its highest, after a short warm-up; then a cosine down to 0
    ema_decay: float = 0.998  # of the averaged network, a step
    precision: Literal["float32", "bfloat16"] = "bfloat16"  # of the convolutions
    report_interval: int = 1_000  # images between lines of the log
    save_interval: int = 10_000  # images between states and weights


PRESETS = {"puppets": Config()}


def check(config):
    """Refuse options that could only fail later. Raises UserError."""
    run.check_numbers(config, ("widths", "features", "hidden", "total_images"))
    if config.batch_size < 4 or config.batch_size % 2:
        raise UserError(f"--batch-size {config.batch_size}: take an even number of 4 or more.")
    if len(config.widths) != 4:
        raise UserError("--widths takes 4 numbers.")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
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
    return Stream(files, place=data, noun="puppets", shuffle=False)


def training_batch(config, images_seen, batch):
    """The pictures of one step in [-1, 1], their truth, and which of them kept their colours.

    The puppets of a batch of `open_puppets` and their mirror images. A random half is
    recoloured, blurred and made noisy: a judge must read generated pictures and other palettes too,
    and only pictures that kept their colours can teach the style.
    """
    truth = dict(batch)
    pictures = truth.pop("images").float() * (2 / 255) - 1
    mirrored = {**truth, "labels": truth["labels"].flip(2)}
    mirrored["landmarks"] = truth["landmarks"][:, MIRRORED] * torch.tensor([-1.0, 1.0])
    mirrored["landmarks"][..., 0] += SIZE
    truth = {name: torch.cat([value, mirrored[name]]) for name, value in truth.items()}
    pictures = torch.cat([pictures, pictures.flip(3)])  # (n, 3, 64, 64)

    source = torch.Generator().manual_seed((config.seed << 40) + images_seen)
    kept = torch.rand(len(pictures), generator=source) < 0.5
    changed = torch.where(kept[:, None, None, None], pictures, recolour(pictures, source))
    return changed.to(memory_format=torch.channels_last), truth, kept


def recolour(pictures, source):
    """Pictures (n, 3, H, W) in [-1, 1] with mixed colours, another contrast, blur and noise."""

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(len(pictures), *shape, generator=source)

    mixing = uniform(0, 1, 3, 3) ** 2
    mixing = mixing / mixing.sum(dim=2, keepdim=True)
    mixing = torch.lerp(torch.eye(3).expand_as(mixing), mixing, uniform(0, 1, 1, 1))
    mixed = torch.einsum("nij,njhw->nihw", mixing, pictures)
    mixed = mixed * uniform(0.6, 1.3, 3, 1, 1) + uniform(-0.25, 0.25, 3, 1, 1)
    blurred = F.avg_pool2d(F.pad(mixed, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mixed = torch.lerp(mixed, blurred, uniform(-0.8, 1, 1, 1, 1).clamp(min=0))
    noise = torch.randn(pictures.shape, generator=source)
    return (mixed + noise * uniform(-0.08, 0.12, 1, 1, 1).clamp(min=0)).clamp(-1, 1)


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
    return (
        config.learning_rate
        * min(1.0, (progress + 1e-3) / 0.02)
        * math.cos(math.pi / 2 * progress) ** 2
    )


def train(config, folder, processes, command=""):
    """Train into `folder` until total_images, --minutes or Ctrl-C; resumes the state there."""
    budget = run.Budget(config.minutes)
    torch.manual_seed(config.seed)
    arguments = {
        "widths": list(config.widths), "features": config.features, "hidden": config.hidden,
    }  # fmt: skip
    network = Network(**arguments).to(processes.device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0, betas=(0.9, 0.99))
    parts = {"network": network, "averaged": averaged, "optimizer": optimizer}
    counters = {"images_seen": 0, "seconds": 0.0}
    if saved := state.load_state(folder / "state.pt", processes.device):
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        counters = saved["counters"]
    log = run.Log(folder, counters["images_seen"])
    seconds_before = counters["seconds"]
    bar = tqdm(total=config.total_images, initial=counters["images_seen"], unit="img", disable=None)
    stop = counters["images_seen"] >= config.total_images
    if stop:
        print(f"{folder} is finished: all {config.total_images} images are seen.", file=sys.stderr)

    position = {"images_seen": counters["images_seen"] // 2}
    batches = None if stop else open_puppets(config).batches(position, config.batch_size // 2)
    while not stop:
        seen = counters["images_seen"]
        pictures, truth, kept = training_batch(config, seen, next(batches)[0])
        truth = {name: value.to(processes.device) for name, value in truth.items()}

        bfloat16 = config.precision == "bfloat16"
        with torch.autocast(processes.device.type, torch.bfloat16, enabled=bfloat16):
            outputs = network(pictures.to(processes.device))
        loss, losses = judge_loss(outputs, truth, kept.to(processes.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, seen)
        optimizer.step()
        # At first an average over about all steps so far, so that a short run is not its beginning.
        steps = seen // config.batch_size + 1
        state.average(averaged, network, min(config.ema_decay, steps / (steps + 10)))

        counters["images_seen"] = seen + config.batch_size
        counters["seconds"] = seconds_before + budget.elapsed
        stop = counters["images_seen"] >= config.total_images or budget.over
        bar.update(config.batch_size)
        if run.due(config.report_interval, seen, counters["images_seen"]) or stop:
            scalars = {name: part.item() for name, part in losses.items()}
            log.write(counters["images_seen"], {**scalars, "seconds": counters["seconds"]})
            bar.set_postfix_str(
                f"landmarks {scalars['landmarks']:.2f} px, units {scalars['action_units']:.3f}"
            )
        if run.due(config.save_interval, seen, counters["images_seen"]) or stop:
            save(folder, parts, arguments, counters, command)
    bar.close()
    log.close()


def save(folder, parts, arguments, counters, command):
    """The full state for resuming, and the averaged network in float16 with its card for use."""
    states = {name: part.state_dict() for name, part in parts.items()}
    state.save_state(folder / "state.pt", {**states, "counters": counters})
    card = f"""# {folder.name}

The judge: reads label map, landmarks, action units, domain, style and identity numbers of a puppet
from its picture of {SIZE} x {SIZE} pixels. It scores the systems and is no part of the demo.

| | |
|---|---|
| command | `{command}` |
| data | puppets in the training style |
| images seen | {counters["images_seen"]:,} |
| training time | {counters["seconds"] / 60:.0f} minutes |
| licence | Apache-2.0 |
"""
    weights.save_weights(
        folder / "weights",
        system="judge",
        networks={"judge": parts["averaged"]},
        arguments={"judge": arguments},
        config={
            "name": folder.name,
            "size": SIZE,
            "value_range": [-1, 1],
            "framing": {"kind": "centre", "margin": 0.0},
            "data": "puppets",
            "licence": "Apache-2.0",
            "images_seen": counters["images_seen"],
        },
        card=card,
        half=True,
    )
