"""The judge: one small network that reads a puppet back from its picture, for scoring the systems.

It reads the label map, the landmarks, 17 action units, the domain, the style and a few identity
numbers, so that a translated or animated puppet can be compared with what it should be, without a
pretrained network. It is trained on puppets drawn on the fly and ships in assets/weights.

    python -m trainers.judge --out runs/judge                train; the same command resumes
    python -m trainers.judge --score                         errors of the shipped judge, as JSON
    python -m trainers.judge --score --weights runs/judge    errors of another
"""

import copy
import functools
import json
import math
import os
import sys
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from gan_models import images, weights
from trainers import distributed, run, state
from trainers.data.sources import FIRST_SCORE_SEED
from trainers.puppets import (
    ACTION_UNITS,
    DOMAINS,
    LABELS,
    LANDMARKS,
    STYLES,
    Style,
    draw,
    random_parameters,
)

SIZE = 64  # pixels of every picture the judge reads
STYLE = tuple(field.name for field in fields(Style))
IDENTITY = (
    "head_width", "head_height", "jaw", "eye_spacing", "eye_size", "nose_width", "mouth_width",
    "lip_fullness", "ear_size", "shoulders", "hair_volume", "cloth_value", "glasses",
)  # fmt: skip
LOSS_WEIGHTS = {
    "labels": 1.0, "landmarks": 0.2, "action_units": 3.0, "domain": 0.3, "style": 1.0,
    "identity": 0.5,
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
    total_images: int = 100_000
    batch_size: int = 32  # even: puppets and their mirror images
    learning_rate: float = 3e-3  # at its highest, after a short warm-up; then a cosine down to 0
    ema_decay: float = 0.998  # of the averaged network, a step
    precision: Literal["float32", "bfloat16"] = "bfloat16"  # of the convolutions
    report_interval: int = 1_000  # images between lines of the log
    save_interval: int = 10_000  # images between states and weights


PRESETS = {"puppets": Config()}


def check(config):
    """Refuse options that could only fail later. Raises ValueError, a sentence."""
    if config.batch_size < 4 or config.batch_size % 2:
        raise ValueError(f"--batch-size {config.batch_size}: take an even number of 4 or more.")
    if len(config.widths) != 4 or min(*config.widths, config.features, config.hidden) < 1:
        raise ValueError("--widths takes 4 numbers; these, --features and --hidden are 1 or more.")
    if not 0 <= config.seed < 2**20:
        raise ValueError(f"--seed {config.seed}: take a whole number from 0 to {2**20 - 1}.")
    if config.total_images < 1:
        raise ValueError(f"--total-images {config.total_images}: give 1 or more.")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("the judge is small and trains in one process: start it without torchrun.")


def block(channels, width, stride=1):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


class Network(nn.Module):
    """Down to 4 pixels and back up to 32, then one head per reading.

    Args:
        widths: Channels at 32, 16, 8 and 4 pixels.
        features: Channels on the way back.
        hidden: Width of the layer before the global readings.
    """

    def __init__(self, widths=(24, 48, 72, 96), features=32, hidden=96):
        super().__init__()
        inputs = (12, *widths[:3])
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b, 1 if a == 12 else 2), block(b, b))
            for a, b in zip(inputs, widths, strict=True)
        )
        self.across = nn.ModuleList(nn.Conv2d(width, features, 1) for width in widths)
        self.up = nn.ModuleList(block(features, features) for _ in widths[:3])
        self.maps = nn.Conv2d(features, 4 * len(LABELS) + len(LANDMARKS), 1)
        self.local = nn.Conv2d(features, 16, 1)
        self.whole = nn.Conv2d(widths[3], 16, 1)
        self.sizes = {
            "action_units": len(ACTION_UNITS), "domain": len(DOMAINS), "style": len(STYLE),
            "identity": len(IDENTITY),
        }  # fmt: skip
        described = len(LANDMARKS) * (16 + 2) + 16 * 16
        self.describe = nn.Sequential(
            nn.Linear(described, hidden), nn.ReLU(), nn.Linear(hidden, sum(self.sizes.values()))
        )

    def forward(self, pictures):
        """pictures (N, 3, 64, 64) in [-1, 1] -> dict of: labels (N, 16, 64, 64), action_units
        (N, 17) and domain (N, 3) as logits; landmarks (N, 31, 2) in pixels; style (N, 5) and
        identity (N, 13) as they are.
        """
        x, levels = F.pixel_unshuffle(pictures, 2), []  # (N, 12, 32, 32)
        for down in self.down:
            x = down(x)
            levels.append(x)
        bottom = self.whole(x)  # (N, 16, 4, 4)
        x = self.across[3](x)
        for up, across, level in zip(self.up[::-1], self.across[2::-1], levels[2::-1], strict=True):
            x = up(F.interpolate(x, scale_factor=2) + across(level))  # ... (N, features, 32, 32)
        labels, heat = self.maps(x).float().split([4 * len(LABELS), len(LANDMARKS)], dim=1)
        landmarks = centres(heat)  # (N, 31, 2)

        # What the picture looks like at each landmark; their places learn from their own loss only.
        places = landmarks.detach() / (SIZE / 2) - 1
        near = F.grid_sample(self.local(x).float(), places[:, :, None], align_corners=False)
        seen = [near.flatten(1), places.flatten(1), bottom.float().flatten(1)]
        numbers = self.describe(torch.cat(seen, dim=1)).float()
        named = zip(self.sizes, numbers.split(list(self.sizes.values()), dim=1), strict=True)
        return {"labels": F.pixel_shuffle(labels, 2), "landmarks": landmarks, **dict(named)}


def centres(heat):
    """Each heat map's centre of mass under softmax, in pixels: (N, K, h, w) -> (N, K, 2)."""
    side = heat.shape[-1]
    share = heat.flatten(2).softmax(dim=2).unflatten(2, (side, side))
    line = (torch.arange(side, device=heat.device) + 0.5) * (SIZE / side)
    return torch.stack([(share.sum(dim=2) * line).sum(2), (share.sum(dim=3) * line).sum(2)], dim=2)


@dataclass(frozen=True)
class Readings:
    """What the judge reads in N pictures, as numpy arrays."""

    labels: np.ndarray  # (N, 64, 64) uint8, an index into LABELS per pixel
    landmarks: np.ndarray  # (N, 31, 2) float32, (x, y) in pixels, (0, 0) the top left corner
    action_units: np.ndarray  # (N, 17) float32 in [0, 1], in the order of ACTION_UNITS
    domain: np.ndarray  # (N,) int64, an index into DOMAINS
    style: np.ndarray  # (N, 5) float32 in [0, 1], in the order of STYLE
    identity: np.ndarray  # (N, 13) float32, about [-1, 1], in the order of IDENTITY


def judge(pictures, weights_name="judge-puppets", device="cpu", batch_size=64):
    """Read pictures (N, 64, 64, 3) uint8 RGB with the shipped judge, or another; see `Readings`.

    weights_name: a weights folder, a run, or a shipped name. Raises ValueError for pictures of
    another shape and WeightsError for weights that are not there.
    """
    return read(load_judge(str(weights_name), device), pictures, batch_size)


@functools.lru_cache(maxsize=4)
def load_judge(weights_name="judge-puppets", device="cpu"):
    """The network of a judge's weights folder. Raises WeightsError."""
    loaded = weights.load_weights(weights.find_weights(weights_name), "judge", ["judge"])
    network = weights.build_network(Network, loaded, "judge")
    return network.to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def read(network, pictures, batch_size=64):
    """`Readings` of pictures (N, 64, 64, 3) uint8; the network must be in eval mode."""
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != (SIZE, SIZE, 3) or not len(pictures):
        raise ValueError(
            f"the judge reads pictures ({SIZE}, {SIZE}, 3) of uint8, not {pictures.shape} of "
            f"{pictures.dtype}: bring them to {SIZE} pixels with gan_models.images.resize."
        )
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(pictures), batch_size):
        out = network(images.to_tensor(pictures[start : start + batch_size]).to(device))
        parts.append(
            (out["labels"].argmax(1).byte(), out["landmarks"], out["action_units"].sigmoid(),
             out["domain"].argmax(1), out["style"].clamp(0, 1), out["identity"])
        )  # fmt: skip
    return Readings(*(torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)))


def draw_truth(seeds, style="training"):
    """The puppets of these seeds at 64 pixels: pictures (N, 64, 64, 3) uint8 and their Readings."""
    puppets = [random_parameters(int(seed)) for seed in seeds]
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


def training_batch(config, images_seen):
    """The pictures of one step in [-1, 1], their truth, and which of them kept their colours.

    Puppets of the numbers (seed, place in the run) and their mirror images. A random half is
    recoloured, blurred and made noisy: a judge must read generated pictures and other palettes too,
    and only pictures that kept their colours can teach the style.
    """
    first, count = images_seen // 2, config.batch_size // 2
    seeds = [
        np.random.default_rng((config.seed, place)).integers(FIRST_SCORE_SEED)
        for place in range(first, first + count)
    ]
    pictures, truth = draw_truth(seeds)
    truth = {name: torch.from_numpy(value) for name, value in vars(truth).items()}
    mirrored = {**truth, "labels": truth["labels"].flip(2)}
    mirrored["landmarks"] = truth["landmarks"][:, MIRRORED] * torch.tensor([-1.0, 1.0])
    mirrored["landmarks"][..., 0] += SIZE
    truth = {name: torch.cat([value, mirrored[name]]) for name, value in truth.items()}
    pictures = images.to_tensor(pictures)
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

    outputs of `Network`; truth as tensors by the names of `Readings`; kept (n,) bool. The parts
    `landmarks` (pixels), `style` and `identity` are mean absolute errors.
    """
    style = (outputs["style"] - truth["style"]).abs().mean(dim=1)
    parts = {
        "labels": F.cross_entropy(outputs["labels"], truth["labels"].long()),
        "landmarks": (outputs["landmarks"] - truth["landmarks"]).abs().mean(),
        "action_units": F.binary_cross_entropy_with_logits(
            outputs["action_units"], truth["action_units"]
        ),
        "domain": F.cross_entropy(outputs["domain"], truth["domain"]),
        "style": (style * kept).sum() / kept.sum().clamp(min=1),
        "identity": (outputs["identity"] - truth["identity"]).abs().mean(),
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

    while not stop:
        seen = counters["images_seen"]
        pictures, truth, kept = training_batch(config, seen)
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
| data | puppets in the training style, drawn on the fly |
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


def errors(readings, truth):
    """How far readings (`Readings`) lie from the truth, as a dict of plain numbers.

    Landmarks in pixels; action units, style and identity as mean absolute error, and as correlation
    per number; intersection over union is averaged over the labels that occur.
    """
    overlaps = []
    for label in range(len(LABELS)):
        read_there, is_there = readings.labels == label, truth.labels == label
        if is_there.any():
            overlaps.append((read_there & is_there).sum() / (read_there | is_there).sum())
    distance = np.linalg.norm(readings.landmarks - truth.landmarks, axis=2)
    result = {
        "label_accuracy": (readings.labels == truth.labels).mean(),
        "label_iou": np.mean(overlaps),
        "landmark_error": distance.mean(),
        "domain_accuracy": (readings.domain == truth.domain).mean(),
    }
    for name, names in (("action_units", ACTION_UNITS), ("style", STYLE), ("identity", IDENTITY)):
        there, found = getattr(truth, name), getattr(readings, name)
        result[f"{name}_error"] = np.abs(found - there).mean()
        result[f"{name}_correlation"] = {
            str(key): correlation(found[:, i], there[:, i]) for i, key in enumerate(names)
        }
    return rounded(result)


def correlation(a, b):
    """Pearson's correlation of two rows of numbers; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return (a * b).sum() / size if size > 1e-12 else 0.0


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return float(f"{value:.4g}")


def guess(truth, count):
    """The best `count` equal readings for all: each pixel's commonest label, each number's mean."""
    votes = np.stack([(truth.labels == label).sum(axis=0) for label in range(len(LABELS))])
    constant = {
        "labels": votes.argmax(axis=0).astype(np.uint8),
        "domain": np.bincount(truth.domain).argmax(),
        **{
            name: np.median(getattr(truth, name), axis=0)
            for name in ("landmarks", "action_units", "style", "identity")
        },
    }
    return Readings(**{name: np.stack([value] * count) for name, value in constant.items()})


def score(weights: str = "judge-puppets", count: int = 1024, device: str = "cpu") -> dict:
    """A judge's errors on puppets that no training sees, in both drawing styles.

    Args:
        weights: Folder, shipped name or run folder of the judge's weights.
        count: How many puppets.
        device: cpu, cuda or cuda:N.
    """
    if count < 2:
        raise ValueError(f"--count is {count}, but a score takes 2 puppets or more.")
    network = load_judge(weights, device)
    result = {"system": "judge", "weights": weights, "count": count}
    for style in STYLES:
        seeds = range(FIRST_SCORE_SEED, FIRST_SCORE_SEED + count)
        pictures, truth = draw_truth(tqdm(seeds, style, disable=None), style)
        result[style] = errors(read(network, pictures), truth)
    result["guess"] = errors(guess(truth, count), truth)  # what a blind judge would score at best
    return result


def main(argv=None):
    import tyro

    argv = list(sys.argv[1:] if argv is None else argv)
    command = " ".join(["python -m trainers.judge", *argv])
    try:
        if "--score" in argv:
            argv.remove("--score")
            print(json.dumps(tyro.cli(score, args=argv)))
            return
        preset, config = run.parse(PRESETS, "puppets", __doc__, argv)
        check(config)
        processes = distributed.start(config.device)
        folder = run.open_folder(config, "judge", preset)
        print(f"{folder}: {config}", file=sys.stderr)
        train(config, folder, processes, command)
    except ValueError as error:  # RunError, StateError, WeightsError and the like: sentences
        raise SystemExit(f"trainers.judge: {error}") from error


if __name__ == "__main__":
    main()
