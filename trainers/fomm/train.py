"""FOMM's training loop; the losses are in objective.py."""

import copy
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from gan_models import images
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import Generator, ImagePyramid, KeypointDetector
from gan_models.fomm.pipeline import FOMMPipeline
from trainers import data, distributed, optim
from trainers.capture import Captured
from trainers.fomm import config as options
from trainers.fomm.objective import RandomTransform, discriminator_loss, generator_loss
from trainers.run import Training, step_generator
from trainers.state import start_from

SHEET_ROWS = 8
SHEET_COLUMNS = ("keypoints", "driving_keypoints", "deformed", "occlusion", "prediction")


@dataclass
class Parts:
    """All that the loop trains; the averaged networks are None where the run does not average."""

    detector: KeypointDetector
    generator: Generator
    discriminator: Discriminator
    detector_ema: KeypointDetector | None
    generator_ema: Generator | None
    optimizer_detector: optim.Adam
    optimizer_generator: optim.Adam
    optimizer_discriminator: optim.Adam

    @property
    def for_use(self):
        """The detector and generator that weights and sheets take."""
        return self.detector_ema or self.detector, self.generator_ema or self.generator


def build(config, device, init=""):
    """Fresh networks and optimisers, the same on every process.

    init: weights to start from, see `trainers.state.start_from`.
    """
    torch.manual_seed(config.seed)
    made_by = {"detector": KeypointDetector, "generator": Generator, "discriminator": Discriminator}
    arguments = options.network_arguments(config)
    networks = {name: constructor(**arguments[name]) for name, constructor in made_by.items()}
    if init:
        start_from(init, "fomm", networks, "--init")
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last)
        distributed.synchronise_norms(network)
    distributed.broadcast(*networks.values())
    averaged = {
        f"{name}_ema": copy.deepcopy(networks[name]) if config.ema_decay else None
        for name in ("detector", "generator")
    }
    adam = {f"optimizer_{name}": optim.Adam(net, (0.5, 0.999)) for name, net in networks.items()}
    return Parts(**networks, **averaged, **adam)


def describe(config, parts, images_seen):
    """What the weights are, for `Training`."""
    arguments, networks = options.network_arguments(config), ("detector", "generator")
    return "First Order Motion Model (keypoint detector and generator)", {
        "networks": dict(zip(networks, parts.for_use, strict=True)),
        "arguments": {name: arguments[name] for name in networks},
        "config": {
            "size": config.size,
            "value_range": [0, 1],
            "framing": {"kind": config.framing, "margin": 0.0},
        },
    }


def draw_sheet(run, parts, clips, images_seen):
    """Rows of source and driving frame with keypoints, the source moved only, occlusion map and
    prediction, drawn by the pipeline the app uses.
    """
    size = run.config.size
    about = {"size": size, "name": run.folder.name}
    pipeline = FOMMPipeline(*parts.for_use, about, device=run.processes.device)
    batch, rows = clips.first(SHEET_ROWS), []
    whole = (0, 0, *batch["source"].shape[2:])  # cropped already
    for source, driving in zip(batch["source"], batch["driving"], strict=True):
        source, driving = (frame.permute(1, 2, 0).numpy() for frame in (source, driving))
        shown = pipeline.explain(source, driving, box=whole, driving_box=whole, size=max(size, 128))
        rows += [shown[name] for name in SHEET_COLUMNS]
    return "pairs", images.grid(rows, len(SHEET_COLUMNS)), {}


def draws(config, images_seen, processes):
    """theta and control of the step's random transforms, see `RandomTransform`."""
    how = config.batch_size, config.sigma_affine, config.sigma_tps, config.points_tps
    drawn = RandomTransform.draw(*how, generator=step_generator(config, images_seen))
    control = None if drawn.control is None else processes.share(drawn.control)
    return processes.share(drawn.theta), control


def train(run, clips, vgg):
    """Train into the run's folder until the last epoch, --minutes or Ctrl-C.

    Differs from the official code: rates follow every step, not every epoch; the discriminator's
    gradients of the generator's step are never computed.
    """
    config, processes, device = run.config, run.processes, run.processes.device
    parts = build(config, device, init="" if run.saved else config.init)
    detector, generator, discriminator = parts.detector, parts.generator, parts.discriminator
    total = options.total_images(config, clips.length)
    about, sheet = partial(describe, config, parts), partial(draw_sheet, run, parts, clips)
    training = Training(run, parts, clips, total, about, sheet, noun="pair")
    if training.finished:
        return
    networks = detector, generator, discriminator
    pyramid = ImagePyramid(config.scales).to(device)

    def step(frames, theta, control, weight):
        """Both updates: losses by name, and whether one was left out; frames: source, driving and
        where there are some the leaders' two, (N, 3, H, W) uint8.
        """
        frames, large = [frame.float() / 255 for frame in frames], None
        if config.full_size:
            large, how = frames[:2], {"size": config.size, "mode": "bicubic", "antialias": True}
            frames = [F.interpolate(frame, **how).clamp(0, 1) for frame in frames]
        source, driving, *leaders = frames
        discriminator.requires_grad_(False)
        with optim.autocast(config, device):
            transform = RandomTransform(theta, control)
            loss, parts_g, prediction, keypoints = generator_loss(
                config, *networks, vgg, pyramid, source, driving, transform, weight,
                leaders or None, large,
            )  # fmt: skip
        both = [parts.optimizer_generator, parts.optimizer_detector]
        bad = optim.update([generator, detector], both, loss)
        discriminator.requires_grad_(True)

        parts_d = {}
        if weight:
            with optim.autocast(config, device):
                loss, parts_d = discriminator_loss(
                    discriminator, pyramid, driving, prediction, keypoints, weight
                )
            bad = bad | optim.update([discriminator], [parts.optimizer_discriminator], loss)
        return optim.named(D=parts_d, G=parts_g), bad

    step = Captured(step, config.capture and device.type == "cuda")
    for batch in training.batches(clips, config.batch_size):
        seen = training.images_seen
        factor = options.learning_rate_factor(config, seen, clips.length)
        rate = config.learning_rate * factor
        parts.optimizer_generator.set_rate(rate)
        parts.optimizer_discriminator.set_rate(rate)
        parts.optimizer_detector.set_rate(config.detector_learning_rate * factor)
        weight = options.adversarial_weight(config, seen, clips.length)
        drawn = draws(config, seen, processes)
        frames = [batch[name] for name in data.FRAME_NAMES if name in batch]
        losses, bad = step(frames, *drawn, weight)
        if config.ema_decay:
            decay = options.ema_decay(config, seen)
            optim.average(parts.detector_ema, detector, decay)
            optim.average(parts.generator_ema, generator, decay)
        training.step(config.batch_size, losses, bad, learning_rate=rate)
