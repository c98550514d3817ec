"""ProGAN's loss functions and training loop, in that order."""

import copy
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from gan_models import images
from gan_models.progan.networks import Discriminator, Generator, blend, downsample, fades, upsample
from gan_models.progan.pipeline import ProGANPipeline
from trainers import distributed, losses, optim
from trainers.capture import Captured
from trainers.progan.config import ema_decay, schedule
from trainers.run import Training, step_generator
from trainers.state import start_from

# Each loss as (the discriminator's side, the generator's side).
SIDES = {
    "wgan_gp": (losses.wasserstein_d, losses.wasserstein_g),
    "lsgan": (losses.least_squares_d, losses.least_squares_g),
    "logistic": (losses.logistic_d, losses.logistic_g),
}


def draws(config, images_seen, batch_size, num_classes, processes):
    """This process's share of one step's random numbers: (latents, one-hot labels or None) for the
    discriminator, the penalty's mixing weights (n, 1, 1, 1), (latents, labels) for the generator.
    """
    source = step_generator(config, images_seen)

    def latents_and_labels():
        latents = torch.randn(batch_size, config.latent_size, generator=source)
        classes = torch.randint(max(num_classes, 1), (batch_size,), generator=source)
        labels = F.one_hot(classes, num_classes).float() if num_classes else None
        return processes.share(latents), None if labels is None else processes.share(labels)

    for_d = latents_and_labels()
    mix = processes.share(torch.rand(batch_size, 1, 1, 1, generator=source))
    return for_d, mix, latents_and_labels()


def fade_reals(pictures, resolution, alpha):
    """Pictures (n, C, S, S) uint8 to reals (n, C, resolution, resolution) in [-1, 1], faded as the
    fakes are.

    The blend of a picture with its half-resolution self is the official `process_reals`.
    """
    real = pictures.float() / 127.5 - 1
    if pictures.shape[-1] > resolution:
        real = F.avg_pool2d(real, pictures.shape[-1] // resolution)
    return blend(upsample(downsample(real)), real, alpha) if fades(alpha) else real


def discriminator_loss(
    config, generator, discriminator, real, labels, latents, fake_labels, mix,
    resolution, alpha, penalise,
):  # fmt: skip
    """(loss, parts) of the discriminator's step.

    real (n, C, r, r) in [-1, 1]; labels one-hot (n, classes) or None; mix (n, 1, 1, 1) in [0, 1];
    penalise: whether this step has its share of the lazy R1 penalty. Paper, appendix A.1; AC-GAN:
    appendix A and B.
    """

    def critic(pictures):  # in float32 even under autocast: a penalty differentiates it twice
        with torch.autocast(pictures.device.type, enabled=False):
            return discriminator(pictures.float(), alpha=alpha)[0]

    with torch.no_grad():
        fake = generator(latents, fake_labels, resolution, alpha).float()
    real_scores, real_logits = discriminator(real, alpha=alpha)
    fake_scores, fake_logits = discriminator(fake, alpha=alpha)
    real_scores, fake_scores = real_scores.float(), fake_scores.float()
    parts = {"real": real_scores.mean(), "fake": fake_scores.mean()}
    loss = parts["adversarial"] = SIDES[config.loss][0](real_scores, fake_scores)
    # As in the official code: its networks take every level enlarged to the final size.
    shrink = resolution / config.resolution
    if config.loss == "wgan_gp":
        parts["gradient_penalty"] = losses.gradient_penalty(
            critic, real, fake, mix, config.penalty_target, shrink
        )
        parts["drift"] = losses.drift(real_scores)
        loss = loss + config.penalty_weight * parts["gradient_penalty"]
        loss = loss + config.drift_weight * parts["drift"]
    elif penalise and config.r1_weight:
        parts["r1"] = losses.r1_penalty(critic, real)
        gamma = config.r1_weight * shrink**2
        loss = loss + gamma / 2 * config.r1_every * parts["r1"]
    if labels is not None:
        parts["class_real"] = F.cross_entropy(real_logits.float(), labels)
        parts["class_fake"] = F.cross_entropy(fake_logits.float(), fake_labels)
        loss = loss + config.class_weight * (parts["class_real"] + parts["class_fake"])
    return loss, parts


def generator_loss(config, generator, discriminator, latents, labels, resolution, alpha):
    """(loss, parts) of the generator's step; the arguments are those of `discriminator_loss`."""
    fake = generator(latents, labels, resolution, alpha)
    scores, logits = discriminator(fake, alpha=alpha)
    loss = SIDES[config.loss][1](scores.float())
    parts = {"adversarial": loss}
    if labels is not None:
        parts["class"] = F.cross_entropy(logits.float(), labels)
        loss = loss + config.class_weight * parts["class"]
    return loss, parts


@dataclass
class Parts:
    """All that the loop trains."""

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator
    optimizer_g: optim.Adam
    optimizer_d: optim.Adam


def generator_arguments(config, num_classes):
    return {
        "resolution": config.resolution,
        "latent_size": config.latent_size,
        "channels": list(config.channels),
        "label_size": num_classes,
    }


def build(config, num_classes, device, weights=""):
    """Fresh networks and optimisers, the same on every process.

    weights: to start from, see `trainers.state.start_from`.
    """
    torch.manual_seed(config.seed)
    generator = Generator(**generator_arguments(config, num_classes))
    discriminator = Discriminator(
        config.resolution, config.channels, label_size=num_classes, stddev_group=config.stddev_group
    )
    if weights:
        networks = {"generator": generator, "discriminator": discriminator}
        start_from(weights, "progan", networks, "--start-from")
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)
    distributed.broadcast(generator, discriminator)
    adam = optim.Adam(generator, (0.0, 0.99)), optim.Adam(discriminator, (0.0, 0.99))
    return Parts(generator, discriminator, copy.deepcopy(generator), *adam)


def describe(config, parts, classes, images_seen):
    """What the weights are, for `Training`; their size is the last that is wholly faded in."""
    phase = schedule(config, images_seen)
    return "ProGAN generator (averaged weights)", {
        "networks": {"generator": parts.generator_ema},
        "arguments": {"generator": generator_arguments(config, len(classes))},
        "config": {
            "size": phase.resolution if phase.alpha >= 1 else phase.resolution // 2,
            "first_size": config.start_resolution,
            "value_range": [-1, 1],
            "framing": {"kind": "centre", "margin": 0.0},
            "classes": classes,
        },
    }


def draw_sheet(run, parts, images_seen):
    """A grid of 8 x 8 samples at the present resolution, drawn by the pipeline the app uses."""
    phase = schedule(run.config, images_seen)
    about = {"name": run.folder.name, "size": phase.resolution}
    pipeline = ProGANPipeline(parts.generator_ema, about, device=run.processes.device)
    latents = pipeline.latents(run.config.seed, 64)
    shown = {"resolution": phase.resolution, "alpha": phase.alpha}
    return "fakes", images.grid(pipeline.sample(latents, **shown), 8), shown


def train(run, pictures):
    """Train into the run's folder until total_images, --minutes or Ctrl-C.

    Differs from the official code: learning rate, batch size and fade follow every step, not every
    fourth; the optimisers' state is part of what resumes.
    """
    config, processes, device = run.config, run.processes, run.processes.device
    num_classes = pictures.num_classes if config.labels else 0
    parts = build(config, num_classes, device, "" if run.saved else config.start_from)
    generator, discriminator = parts.generator, parts.discriminator
    about = partial(describe, config, parts, pictures.classes if config.labels else [])
    sheet = partial(draw_sheet, run, parts)
    training = Training(run, parts, pictures, config.total_images, about, sheet)
    if training.finished:
        return

    classes = torch.arange(num_classes, device=device)
    both = generator, discriminator

    def step(pictures, labels, for_d, mix, for_g, resolution, alpha, penalise):
        """Both updates: losses by name, and whether one was left out; pictures (n, C, S, S) uint8,
        alpha 1 or a tensor ().
        """
        real = fade_reals(pictures, resolution, alpha)
        labels = (labels[:, None] == classes).float() if num_classes else None
        with optim.autocast(config, device):
            drawn = real, labels, *for_d, mix
            loss, parts_d = discriminator_loss(config, *both, *drawn, resolution, alpha, penalise)
        bad = optim.update([discriminator], [parts.optimizer_d], loss)
        discriminator.requires_grad_(False)
        with optim.autocast(config, device):
            loss, parts_g = generator_loss(config, *both, *for_g, resolution, alpha)
        bad = bad | optim.update([generator], [parts.optimizer_g], loss)
        discriminator.requires_grad_(True)
        return optim.named(D=parts_d, G=parts_g), bad

    step = Captured(step, config.capture and device.type == "cuda")
    index = training.counters.setdefault("phase", 0)
    for batch in training.batches(pictures, lambda seen: schedule(config, seen).batch_size):
        seen, phase = training.images_seen, schedule(config, training.images_seen)
        if phase.index != index and config.reset_optimizers:
            parts.optimizer_g.forget()
            parts.optimizer_d.forget()
        index = training.counters["phase"] = phase.index
        moves = seen >= config.waiting_images
        parts.optimizer_g.set_rate(moves * config.generator_rate * phase.learning_rate)
        parts.optimizer_d.set_rate(phase.learning_rate)
        penalise = config.r1_weight > 0 and training.steps % config.r1_every == 0
        alpha = torch.full((), phase.alpha, device=device) if phase.alpha < 1 else 1.0
        # As in the official code: the average takes the generator from before this step's update.
        optim.average(parts.generator_ema, generator, ema_decay(config, seen, phase.batch_size))
        losses, bad = step(
            *(batch["images"], batch["labels"]),
            *draws(config, seen, phase.batch_size, num_classes, processes),
            *(phase.resolution, alpha, penalise),
        )
        shown = {key: value for key, value in vars(phase).items() if key != "index"}
        note = f"{phase.resolution} px, alpha {phase.alpha:.2f}"
        training.step(phase.batch_size, losses, bad, note, **shown)
