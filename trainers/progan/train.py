"""ProGAN's loss functions and training loop, in that order."""

import copy
import math
import sys

import torch
import torch.nn.functional as F
from tqdm import tqdm

from gan_models.progan.networks import Discriminator, Generator, downsample, upsample
from trainers import data, distributed, losses, run, state
from trainers.progan.artefacts import generator_arguments, save, save_sheet
from trainers.progan.config import ema_decay, schedule


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
        # As in the official code: its networks take every level enlarged to the final size.
        shrink = phase.resolution / config.resolution
        parts["gradient_penalty"] = losses.gradient_penalty(
            critic, real, fake, mix, config.penalty_target, shrink
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
    """Fresh networks and optimisers, the same on every process: all that the loop trains."""
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


def open_pictures(config):
    """The training pictures; UserError where there are none."""
    return data.open_pictures(
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


def train(config, folder, pictures, processes, command=""):
    """Train into `folder` until total_images, --minutes or Ctrl-C; resumes the state in there.

    Differs from the official code: learning rate, batch size and fade follow every step, not every
    fourth; the optimisers' state is part of what resumes.
    """
    budget = run.Budget(config.minutes)
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
        disable=not processes.is_main,
        mininterval=0.5 if sys.stderr.isatty() else 60,  # a log file needs no moving bar
    )
    seconds_before = counters["seconds"]
    if counters["images_seen"] >= config.total_images:
        print(f"{folder} is finished: all {config.total_images} images are seen.", file=sys.stderr)
        return

    def batch_size_at(images_seen):
        return schedule(config, images_seen).batch_size

    batches = pictures.batches(
        position, batch_size_at, processes.rank, processes.world_size, processes.device
    )
    for batch, position_after in batches:
        seen = counters["images_seen"]
        phase = schedule(config, seen)
        if phase.index != counters["phase"] and config.reset_optimizers:
            optimizer_g, optimizer_d = adam(generator), adam(discriminator)
            parts.update(optimizer_g=optimizer_g, optimizer_d=optimizer_d)
        counters["phase"] = phase.index

        real = fade_reals(batch["images"], phase.resolution, phase.alpha)
        labels = batch["labels"]
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
        state.average(generator_ema, generator, ema_decay(config, seen, phase.batch_size))

        discriminator.requires_grad_(False)
        with autocast(config, processes.device):
            loss_g, parts_g = generator_loss(config, generator, discriminator, *for_g, phase)
        finite = step(generator, optimizer_g, loss_g, phase.learning_rate) and finite
        discriminator.requires_grad_(True)

        position = position_after
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
        keep = run.due(config.snapshot_interval, seen, counters["images_seen"])
        if processes.is_main and (
            run.due(config.save_interval, seen, counters["images_seen"]) or keep or stop
        ):
            save(config, folder, parts, counters, position, pictures, command, keep)
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
