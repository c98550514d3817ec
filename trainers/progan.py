"""Train ProGAN: `python -m trainers.progan [preset] [options]`.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR
2018. Config and presets, schedule, losses, `train`, `main`, in that order.
"""

import copy
import math
import sys
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from gan_models.progan.pipeline import ProGANPipeline
from tqdm import tqdm

from gan_models import images, weights
from gan_models.progan.networks import (
    Discriminator,
    Generator,
    channel_widths,
    downsample,
    upsample,
)
from trainers import data, distributed, losses, run, state


@dataclass(frozen=True)
class Config:
    """One training run. Sizes are in pixels, lengths in images seen; tuples hold one value per
    level 4, 8, 16, ...
    """

    data: str = (
        "puppets"  # folder of pictures, folder of .tar shards or of .tfrecords, or puppets[:count]
    )
    out: str = ""  # run folder; default runs/progan-<preset>
    minutes: float = 0  # end cleanly after this much wall-clock time; 0: when total_images are seen
    fresh: bool = False  # move an earlier run in the same folder aside instead of resuming it
    seed: int = 0  # of the initial networks, the order of the pictures and every draw
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    num_workers: int = 0  # processes that decode pictures; 0: in the training process
    resolution: int = 64  # size of the finished pictures, a power of two
    resize: Literal["crop", "stretch"] = "crop"  # centre square, or squeeze the whole picture
    mirror: bool = True  # also learn each picture's mirror image
    holdout: float = 0.0  # part of the pictures left out of training, for scoring (0 to 0.5)
    labels: bool = False  # learn the class folders as labels (AC-GAN)
    latent_size: int = 512
    channels: tuple[int, ...] = channel_widths(64)  # widths of both networks per level
    loss: Literal["wgan_gp", "lsgan", "logistic"] = "wgan_gp"
    penalty_weight: float = 10.0  # wgan_gp: of the gradient penalty
    penalty_target: float = 1.0  # wgan_gp: gradient norm aimed at (CIFAR-10 preset: 750)
    drift_weight: float = 0.001  # wgan_gp: of the mean squared score of reals
    class_weight: float = 1.0  # of the classification losses, with labels
    r1_weight: float = (
        0.0  # gamma of the R1 penalty at full resolution, scaled with the number of pixels
    )
    r1_every: int = 16  # steps between R1 penalties (lazy regularisation)
    stddev_group: int = (
        4  # samples a group of the minibatch standard deviation; 0: without that layer
    )
    start_resolution: int = 4
    stable_images: tuple[int, ...] = (600_000,) * 5  # images at each level before the next fades in
    fade_images: tuple[int, ...] = (600_000,) * 5  # images while the level after this one fades in
    total_images: int = 12_000_000
    batch_sizes: tuple[int, ...] = (128, 128, 128, 64, 32)  # images a step, over all processes
    learning_rates: tuple[float, ...] = (1e-3,) * 5
    ema_decay: float = 0.999  # of the averaged generator, a step
    reset_optimizers: bool = True  # forget Adam's averages when the networks change shape
    precision: Literal["float32", "bfloat16"] = (
        "float32"  # of the convolutions; penalties stay float32
    )
    report_interval: int = 2_000  # images between lines of the log
    sample_interval: int = 20_000  # images between sample sheets
    save_interval: int = 20_000  # images between states and weights


def published(gpus, resolution=1024, first=600_000, total=12_000_000, **fields):
    """A preset of the official config.py: batch sizes and learning rates by number of GPUs."""
    levels = int(math.log2(resolution)) - 1
    batch_sizes = {
        1: (128, 128, 128, 64, 32, 16, 8, 4, 4),
        2: (256, 256, 128, 64, 32, 16, 8, 8, 8),
        4: (512, 256, 128, 64, 32, 16, 16, 16, 16),
        8: (512, 256, 128, 64, 32, 32, 32, 32, 32),
    }[gpus]
    learning_rates = {
        1: (1e-3,) * 8 + (1.5e-3,),
        2: (1e-3,) * 7 + (1.5e-3, 2e-3),
        4: (1e-3,) * 6 + (1.5e-3, 2e-3, 3e-3),
        8: (1e-3,) * 5 + (1.5e-3, 2e-3, 3e-3, 3e-3),
    }[gpus]
    given = {
        "data": "pictures",
        "resolution": resolution,
        "channels": channel_widths(resolution),
        "batch_sizes": batch_sizes[:levels],
        "learning_rates": learning_rates[:levels],
        "stable_images": (first,) * levels,
        "fade_images": (first,) * levels,
        "total_images": total,
        "report_interval": 10_000,
        "sample_interval": 200_000,
        "save_interval": 200_000,
    }
    return Config(**{**given, **fields})


PRESETS = {
    # Ours: learns drawn puppets on two CPU cores.
    "puppets": Config(
        latent_size=128,
        channels=(128, 96, 64, 48, 24),
        loss="logistic",
        r1_weight=0.3,
        start_resolution=8,
        stable_images=(0, 40_000, 60_000, 80_000, 0),
        fade_images=(0, 15_000, 20_000, 25_000, 0),
        total_images=1_000_000,
        batch_sizes=(64, 64, 32, 16, 16),
        learning_rates=(2e-3,) * 5,
        precision="bfloat16",
    ),
    # The paper's: CelebA-HQ at 1024 pixels (table 1 h; config.py's preset-v1-1gpu).
    "paper": published(
        1,
        first=800_000,
        total=19_000_000,
        batch_sizes=(16, 16, 16, 16, 16, 16, 14, 6, 3),
        learning_rates=(1e-3,) * 9,
        stddev_group=16,
    ),
    "v2-1gpu": published(1),
    "v2-2gpus": published(2),
    "v2-4gpus": published(4),
    "v2-8gpus": published(8),
    # Section 6.3 and appendix B of the paper.
    "cifar-10": published(
        1,
        32,
        latent_size=128,
        channels=channel_widths(32, 4096, 128),
        penalty_target=750.0,
        batch_sizes=(16,) * 4,
        learning_rates=(1e-3,) * 4,
        mirror=False,
        labels=False,
    ),
}


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
        if left < stable:
            break
        left -= stable
        level, index = level + 1, index + 1
        if left < fade:
            alpha = left / fade
            break
        left -= fade
        index += 1
    return Phase(index, 4 << level, alpha, config.batch_sizes[level], config.learning_rates[level])


def check(config, world_size):
    """RunError, before anything is made, for options that can't train."""
    levels = int(math.log2(config.resolution)) - 1
    if config.resolution < 4 or 4 << (levels - 1) != config.resolution:
        raise run.RunError(f"--resolution {config.resolution}: give a power of two from 4 to 1024.")
    if config.start_resolution not in [4 << level for level in range(levels)]:
        raise run.RunError(
            f"--start-resolution {config.start_resolution}: give 4, 8, ... up to --resolution."
        )
    for name in ("channels", "stable_images", "fade_images", "batch_sizes", "learning_rates"):
        if len(getattr(config, name)) != levels:
            raise run.RunError(
                f"--{name.replace('_', '-')} needs {levels} values, one for each of 4, 8, ... up to "
                f"{config.resolution} pixels; it has {len(getattr(config, name))}."
            )
    uneven = [size for size in config.batch_sizes if size < 1 or size % world_size]
    if uneven:
        raise run.RunError(
            f"--batch-sizes {uneven[0]}: each must be a multiple of the {world_size} process(es)."
        )
    if config.loss != "logistic" and config.r1_weight:
        raise run.RunError("--r1-weight goes with --loss logistic; wgan_gp has its own penalty.")


def draws(config, images_seen, batch_size, num_classes, processes):
    """The random numbers of one step: drawn for the global batch from (seed, images seen), sliced
    by rank.

    Returns latents and one-hot labels for the discriminator's step, the penalty's mixing weights
    (n, 1, 1, 1), and latents and labels for the generator's step.
    """
    source = torch.Generator().manual_seed((config.seed << 40) + images_seen)

    def mine(tensor):
        return tensor[processes.rank :: processes.world_size].to(processes.device)

    def some_labels():
        classes = torch.randint(max(num_classes, 1), (batch_size,), generator=source)
        return mine(F.one_hot(classes, num_classes).float()) if num_classes else None

    def some_latents():
        return mine(torch.randn(batch_size, config.latent_size, generator=source))

    return (
        (some_latents(), some_labels()),
        mine(torch.rand(batch_size, 1, 1, 1, generator=source)),
        (some_latents(), some_labels()),
    )


def fade_reals(pictures, resolution, alpha):
    """Pictures (n, C, S, S) uint8 to reals (n, C, resolution, resolution) in [-1, 1], faded as the
    fakes are.

    The blend of a picture with its half-resolution self is the official `process_reals`.
    """
    real = pictures.float() / 127.5 - 1
    if pictures.shape[-1] > resolution:
        real = F.avg_pool2d(real, pictures.shape[-1] // resolution)
    if alpha < 1:
        real = torch.lerp(upsample(downsample(real)), real, alpha)
    return real


def discriminator_loss(
    config, generator, discriminator, real, labels, latents, fake_labels, mix, phase, penalise
):
    """(loss, parts) of the discriminator's step.

    real (n, C, r, r) in [-1, 1]; labels one-hot (n, classes) or None; mix (n, 1, 1, 1) in [0, 1];
    penalise: whether this step has its share of the lazy R1 penalty. Paper, appendix A.1; AC-GAN:
    appendix A and B.
    """

    def critic(pictures):  # in float32 even under autocast: a penalty differentiates it twice
        with torch.autocast(pictures.device.type, enabled=False):
            return discriminator(pictures.float(), alpha=phase.alpha)[0]

    with torch.no_grad():
        fake = generator(latents, fake_labels, phase.resolution, phase.alpha).float()
    real_scores, real_logits = discriminator(real, alpha=phase.alpha)
    fake_scores, fake_logits = discriminator(fake, alpha=phase.alpha)
    real_scores, fake_scores = real_scores.float(), fake_scores.float()
    parts = {"real": real_scores.mean(), "fake": fake_scores.mean()}
    if config.loss == "wgan_gp":
        parts["adversarial"] = losses.wasserstein_d(real_scores, fake_scores)
        parts["gradient_penalty"] = losses.gradient_penalty(
            critic, real, fake, mix, config.penalty_target
        )
        parts["drift"] = losses.drift(real_scores)
        loss = (
            parts["adversarial"]
            + config.penalty_weight * parts["gradient_penalty"]
            + config.drift_weight * parts["drift"]
        )
    elif config.loss == "lsgan":
        loss = parts["adversarial"] = losses.least_squares_d(real_scores, fake_scores)
    else:
        loss = parts["adversarial"] = losses.logistic_d(real_scores, fake_scores)
        if penalise and config.r1_weight:
            parts["r1"] = losses.r1_penalty(critic, real)
            gamma = config.r1_weight * (phase.resolution / config.resolution) ** 2
            loss = loss + gamma / 2 * config.r1_every * parts["r1"]
    if labels is not None:
        parts["class_real"] = F.cross_entropy(real_logits.float(), labels)
        parts["class_fake"] = F.cross_entropy(fake_logits.float(), fake_labels)
        loss = loss + config.class_weight * (parts["class_real"] + parts["class_fake"])
    return loss, parts


def generator_loss(config, generator, discriminator, latents, labels, phase):
    """(loss, parts) of the generator's step; the arguments are those of `discriminator_loss`."""
    fake = generator(latents, labels, phase.resolution, phase.alpha)
    scores, logits = discriminator(fake, alpha=phase.alpha)
    scores = scores.float()
    generator_side = {
        "wgan_gp": losses.wasserstein_g,
        "lsgan": losses.least_squares_g,
        "logistic": losses.logistic_g,
    }[config.loss]
    loss = generator_side(scores)
    parts = {"adversarial": loss}
    if labels is not None:
        parts["class"] = F.cross_entropy(logits.float(), labels)
        loss = loss + config.class_weight * parts["class"]
    return loss, parts


def build(config, num_classes, device):
    """Fresh networks and optimisers, the same on every process: a dict of everything the loop
    trains.
    """
    torch.manual_seed(config.seed)
    generator = Generator(**generator_arguments(config, num_classes))
    discriminator = Discriminator(
        config.resolution, config.channels, label_size=num_classes, stddev_group=config.stddev_group
    )
    networks = {"generator": generator, "discriminator": discriminator}
    for name, network in networks.items():
        networks[name] = network.to(device, memory_format=torch.channels_last)
    networks["generator_ema"] = copy.deepcopy(networks["generator"])
    distributed.broadcast(*networks.values())
    return {
        **networks,
        "optimizer_g": adam(networks["generator"]),
        "optimizer_d": adam(networks["discriminator"]),
    }


def adam(network):
    return torch.optim.Adam(network.parameters(), lr=0.0, betas=(0.0, 0.99), eps=1e-8)


def generator_arguments(config, num_classes):
    return {
        "resolution": config.resolution,
        "latent_size": config.latent_size,
        "channels": list(config.channels),
        "label_size": num_classes,
    }


def step(network, optimizer, loss, learning_rate):
    """Backward, average over the processes, update; returns whether the gradients were finite.

    As in the official code, an update with a gradient that is not finite is left out.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.average_gradients(network)
    norms = torch._foreach_norm([p.grad for p in network.parameters() if p.grad is not None])
    finite = bool(torch.isfinite(torch.stack(norms)).all())
    if finite:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
    return finite


def train(config, folder, processes, command=""):
    """Train into `folder` until total_images, --minutes or Ctrl-C; resumes the state that lies
    there.

    Differs from the official code: learning rate, batch size and fade follow every step, not every
    fourth; the optimisers' state is part of what resumes.
    """
    budget = run.Budget(config.minutes)
    pictures = data.open_data(
        config.data,
        size=config.resolution,
        resize=config.resize,
        mirror=config.mirror,
        seed=config.seed,
        num_workers=config.num_workers,
        labels=config.labels,
        holdout=config.holdout,
        part="train",
    )
    num_classes = pictures.num_classes if config.labels else 0
    parts = build(config, num_classes, processes.device)
    generator, discriminator, generator_ema = list(parts.values())[:3]
    optimizer_g, optimizer_d = parts["optimizer_g"], parts["optimizer_d"]
    counters = {"images_seen": 0, "steps": 0, "phase": 0, "left_out": 0, "seconds": 0.0}
    position = {"images_seen": 0}
    saved = state.load_state(folder / "state.pt", processes.device)
    if saved:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        counters, position = saved["counters"], saved["position"]
    log = run.Log(folder, counters["images_seen"], processes.is_main)
    bar = tqdm(
        total=config.total_images,
        initial=counters["images_seen"],
        unit="img",
        disable=None if processes.is_main else True,
    )
    seconds_before = counters["seconds"]
    if counters["images_seen"] >= config.total_images:
        print(f"{folder} is finished: all {config.total_images} images are seen.", file=sys.stderr)
        return

    def batch_size_at(images_seen):
        return schedule(config, images_seen).batch_size

    for batch in pictures.batches(position, batch_size_at, processes.rank, processes.world_size):
        seen = counters["images_seen"]
        phase = schedule(config, seen)
        if phase.index != counters["phase"] and config.reset_optimizers:
            optimizer_g, optimizer_d = adam(generator), adam(discriminator)
            parts.update(optimizer_g=optimizer_g, optimizer_d=optimizer_d)
        counters["phase"] = phase.index

        real = fade_reals(batch.images.to(processes.device), phase.resolution, phase.alpha)
        labels = batch.labels.to(processes.device)
        labels = F.one_hot(labels, num_classes).float() if num_classes else None
        for_d, mix, for_g = draws(config, seen, phase.batch_size, num_classes, processes)

        with autocast(config, processes.device):
            loss_d, parts_d = discriminator_loss(
                config,
                generator,
                discriminator,
                real,
                labels,
                *for_d,
                mix,
                phase,
                penalise=counters["steps"] % config.r1_every == 0,
            )
        finite = step(discriminator, optimizer_d, loss_d, phase.learning_rate)

        # As in the official code: the average takes the generator from before this step's update.
        state.average(generator_ema, generator, config.ema_decay)

        discriminator.requires_grad_(False)
        with autocast(config, processes.device):
            loss_g, parts_g = generator_loss(config, generator, discriminator, *for_g, phase)
        finite = step(generator, optimizer_g, loss_g, phase.learning_rate) and finite
        discriminator.requires_grad_(True)

        position = batch.position
        counters["images_seen"] = seen + phase.batch_size
        counters["steps"] += 1
        counters["left_out"] += not finite
        counters["seconds"] = seconds_before + budget.elapsed
        done = counters["images_seen"] >= config.total_images
        stop = done or distributed.agree(budget.over, processes.device)

        bar.update(phase.batch_size)
        if run.due(config.report_interval, seen, counters["images_seen"]) or stop:
            scalars = distributed.mean({
                **{f"D/{key}": value for key, value in parts_d.items()},
                **{f"G/{key}": value for key, value in parts_g.items()},
            })  # fmt: skip
            report(bar, log, counters, phase, scalars, pictures, budget)
        if processes.is_main and (
            run.due(config.sample_interval, seen, counters["images_seen"]) or stop
        ):
            save_sheet(
                config, folder, generator_ema, num_classes, counters, phase, processes.device
            )
        if processes.is_main and (
            run.due(config.save_interval, seen, counters["images_seen"]) or stop
        ):
            save(config, folder, parts, counters, position, pictures, command)
        if stop:
            break
    bar.close()
    log.close()


def autocast(config, device):
    """The convolutions' precision; pixel norms and losses follow torch's own table."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def report(bar, log, counters, phase, scalars, pictures, budget):
    """One line of the log, and what the progress bar shows beside its own rate and time left."""
    scalars = {
        **scalars,
        "resolution": phase.resolution,
        "alpha": phase.alpha,
        "batch_size": phase.batch_size,
        "learning_rate": phase.learning_rate,
        "left_out": counters["left_out"],
        "unreadable": pictures.skipped,
        "seconds": round(counters["seconds"], 3),
        "loader_rate": round(pictures.loader_rate, 1),
    }
    log.write(counters["images_seen"], scalars)
    bar.set_postfix_str(
        f"{phase.resolution} px, alpha {phase.alpha:.2f}, loader {pictures.loader_rate:.0f} img/s"
        + (f", {budget.left / 60:.0f} min left" if budget.left < math.inf else "")
    )


def finished_size(phase):
    """The largest resolution whose level is wholly faded in."""
    return phase.resolution if phase.alpha >= 1 else phase.resolution // 2


def description(config, num_classes, classes, counters, phase):
    """config.json's own part: what the weights are and what they were trained on."""
    return {
        "size": finished_size(phase),
        "value_range": [-1, 1],
        "framing": {"kind": "centre", "margin": 0.0},
        "classes": classes if num_classes else [],
        "data": config.data,
        "licence": "Apache-2.0"
        if config.data.startswith("puppets")
        else "that of the training pictures",
        "images_seen": counters["images_seen"],
    }


def save_sheet(config, folder, generator_ema, num_classes, counters, phase, device):
    """A grid of 8 x 8 samples at the present resolution, drawn by the pipeline the app uses."""
    about = description(config, num_classes, [str(i) for i in range(num_classes)], counters, phase)
    about = {**about, "name": folder.name, "size": phase.resolution}
    pipeline = ProGANPipeline(generator_ema, about, device=device)
    latents = pipeline.latents(config.seed, 64)
    sheet = images.grid(pipeline.sample(latents, resolution=phase.resolution, alpha=phase.alpha), 8)
    images.save_picture(
        folder / f"fakes-{counters['images_seen']:09d}.png",
        sheet,
        weights=folder.name,
        settings={
            "images_seen": counters["images_seen"],
            "resolution": phase.resolution,
            "alpha": phase.alpha,
        },
    )


def save(config, folder, parts, counters, position, pictures, command):
    """Both artefacts: the full state for resuming, and the averaged generator with its model card
    for use.
    """
    state.save_state(
        folder / "state.pt",
        {
            **{name: part.state_dict() for name, part in parts.items()},
            "counters": counters,
            "position": position,
        },
    )
    num_classes = pictures.num_classes if config.labels else 0
    phase = schedule(config, counters["images_seen"])
    about = description(config, num_classes, pictures.classes, counters, phase)
    weights.save_weights(
        folder / "weights",
        system="progan",
        networks={"generator": parts["generator_ema"]},
        arguments={"generator": generator_arguments(config, num_classes)},
        config={**about, "name": folder.name},
        card=model_card(folder.name, about, counters, command),
    )


def model_card(name, about, counters, command):
    """The README.md of a weights folder."""
    return f"""# {name}

ProGAN generator (averaged weights), {about["size"]} x {about["size"]} pixels, written by this
project's own trainer.

| | |
|---|---|
| command | `{command}` |
| data | {about["data"]} |
| images seen | {counters["images_seen"]:,} |
| training time | {counters["seconds"] / 60:.0f} minutes |
| licence | {about["licence"]} |
"""


def main(argv=None):
    preset, config = run.parse(PRESETS, "puppets", "Train ProGAN on a folder of pictures.", argv)
    command = "python -m trainers.progan " + " ".join(sys.argv[1:] if argv is None else argv)
    try:
        processes = distributed.start(config.device)
        check(config, processes.world_size)
        if processes.is_main:
            folder = run.open_folder(config, "progan", preset)
            print(f"{folder}: {config}", file=sys.stderr)
        else:
            folder = run.folder_of(config, "progan", preset)
        train(config, folder, processes, command.strip())
    except (
        run.RunError,
        data.DataError,
        state.StateError,
        weights.WeightsError,
        ValueError,
    ) as error:
        raise SystemExit(f"trainers.progan: {error}") from error
    finally:
        distributed.stop()


if __name__ == "__main__":
    main()
