"""GANimation's loss functions and training loop, in that order.

Letters in the shapes: those of gan_models/ganimation/networks.py.
"""

import copy
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from gan_models import images
from gan_models.ganimation.networks import LEAK, Critic, Generator, Residual, compose, saturated
from trainers import distributed, losses, optim, schedules
from trainers.capture import Captured
from trainers.ganimation import config as options
from trainers.puppets import ACTION_UNITS
from trainers.run import Training, step_generator

# Each loss as (the critic's side, the generator's side).
SIDES = {
    "wgan_gp": (losses.wasserstein_d, losses.wasserstein_g),
    "logistic": (losses.logistic_d, losses.logistic_g),
    "hinge": (losses.hinge_d, losses.hinge_g),
}
CHANGE = 0.1  # of the range from -1 to 1: less is no change
STILL = 0.1  # weight of pixels without one
SHEET_ROWS = 8


def generated(generator, pictures, action_units):
    """What `generator` itself computes, in less time: both heads in one convolution; and the planes
    of action units, which the first one sees as equal everywhere but at the border, are small.
    """
    first, *rest = generator.main
    side, pad = 2 * first.kernel_size[0] - 1, first.padding[0]
    of_picture, of_units = first.weight.split([3, action_units.shape[1]], dim=1)
    planes = action_units[:, :, None, None].to(pictures.dtype).expand(-1, -1, side, side)
    border = F.conv2d(planes, of_units, padding=pad)  # (N, C, side, side), equal in the middle
    for dim in (2, 3):
        ahead, middle, behind = border.split([side // 2, 1, side // 2], dim=dim)
        sizes = [-1] * 4
        sizes[dim] = pictures.shape[dim] - side + 1
        border = torch.cat([ahead, middle.expand(sizes), behind], dim=dim)
    x = F.conv2d(pictures, of_picture, padding=pad) + border  # (N, C, H, W)
    for layer in rest:
        x = layer(x, action_units) if isinstance(layer, Residual) else layer(x)
    heads = torch.cat([generator.color.weight, generator.attention.weight])
    color, attention = F.conv2d(x, heads, padding=generator.color.padding).split([3, 1], dim=1)
    return color.tanh(), attention.sigmoid()


def edit(config, generator, pictures, action_units):
    """Edited images (N, 3, H, W), color (N, 3, H, W) and attention (N, 1, H, W)."""
    color, attention = generated(generator, pictures, action_units)
    color, attention = color.float(), attention.float()
    if config.saturate:
        attention = saturated(attention)
    return compose(pictures, color, attention), color, attention


def expression(config, found, wanted):
    """Mean squared error of action units (N, A).

    As in the official code, if `divide_by_batch`: divided by the global batch size once more.
    """
    error = (found.float() - wanted).square().mean()
    return error / config.batch_size if config.divide_by_batch else error


def attention_size(config, attention):
    """How much of the pictures (N, 1, H, W) is kept: "official" the mean, "paper" the L2 norm of
    each mask, as a share of its greatest.
    """
    if config.attention == "official":
        return attention.mean()
    return attention.square().mean(dim=(1, 2, 3)).sqrt().mean()


def smoothness(config, attention):
    """Differences of neighbours in masks (N, 1, H, W), summed over pixels and the global batch:
    "official" as they are, "paper" squared.
    """
    size = torch.abs if config.smoothness == "official" else torch.square
    sums = size(attention.diff(dim=2)).sum() + size(attention.diff(dim=3)).sum()
    return sums * distributed.world_size()


def reconstruction(made, real, truths):
    """Mean distance of images to the truths (N, 3, H, W), mostly of what differs from the reals."""
    changes = (truths - real).abs().amax(dim=1, keepdim=True) > CHANGE
    return ((made - truths).abs() * (STILL + changes)).mean()


def critic_loss(config, critic, real, action_units, fake, penalise=False):
    """(loss, parts) of the critic's step.

    real, fake (N, 3, H, W) in [-1, 1], fake None: only action units are learnt; action_units (N, A)
    of the reals; penalise: whether this step has its share of the lazy R1 penalty.
    """
    real_scores, found = critic(real)
    if fake is None:
        parts = {"expression": expression(config, found, action_units)}
        return config.expression_weight * parts["expression"], parts
    fake_scores = critic(fake)[0].float()
    real_scores = real_scores.float()
    parts = {"real": real_scores.mean(), "fake": fake_scores.mean()}
    parts["expression"] = expression(config, found, action_units)
    loss = SIDES[config.loss][0](real_scores, fake_scores)
    loss = loss + config.expression_weight * parts["expression"]
    if penalise:
        parts["r1"] = losses.r1_penalty(exact(critic), real)
        loss = loss + config.r1_weight / 2 * config.r1_every * parts["r1"]
    return loss, parts


def exact(critic):
    """images -> scores (N, H', W') in float32 even under autocast: a penalty differentiates it
    twice. As in the official code: the gradient is that of the sum over all patches.
    """

    def scores(pictures):
        with torch.autocast(pictures.device.type, enabled=False):
            return critic(pictures.float())[0]

    return scores


def penalty_loss(config, critic, real, fake, mix):
    """(loss, parts) of WGAN-GP's penalty; mix (N, 1, 1, 1) in [0, 1], 1 = the real image."""
    parts = {"gradient_penalty": losses.gradient_penalty(exact(critic), fake, real, mix)}
    return config.penalty_weight * parts["gradient_penalty"], parts


def generator_loss(
    config, generator, critic, real, action_units, targets, fake, color, attention, truths=None
):
    """(loss, parts) of the generator's step; fake, color and attention are its edit of `real`
    towards `targets` (N, A), action_units (N, A) the reals' own; truths (N, 3, H, W) how the reals
    look with the targets.
    """
    scores, found = critic(fake)
    parts = {
        "adversarial": SIDES[config.loss][1](scores.float()),
        "expression": expression(config, found, targets),
    }
    weights = {"adversarial": 1.0, "expression": config.expression_weight}
    masks = [attention]
    if config.cycle_weight:
        back, _, attention_back = edit(config, generator, fake, action_units)
        masks.append(attention_back)
        parts["cycle"] = (back - real).abs().mean()
        weights["cycle"] = config.cycle_weight
    parts["attention"] = sum(attention_size(config, mask) for mask in masks)
    parts["smoothness"] = sum(smoothness(config, mask) for mask in masks)
    weights |= {"attention": config.attention_weight, "smoothness": config.smoothness_weight}
    if config.identity_weight:
        same = (targets == action_units).all(dim=1)
        parts["identity"] = ((fake - real).abs().mean(dim=(1, 2, 3)) * same).mean()
        weights["identity"] = config.identity_weight
    if config.reconstruction_weight:
        # Of the colour map, too: edits show little of it where attention is near 1, as at first.
        parts["reconstruction"] = reconstruction(fake, real, truths)
        parts["color"] = reconstruction(color, real, truths)
        weights |= dict.fromkeys(("reconstruction", "color"), config.reconstruction_weight)
    loss = sum(weights[name] * part for name, part in parts.items())
    return loss, parts | {"kept": attention.mean()}


def mixing(config, images_seen, processes):
    """This process's share of the penalty's mixing weights (n, 1, 1, 1) in a step."""
    source = step_generator(config, images_seen)
    return processes.share(torch.rand(config.batch_size, 1, 1, 1, generator=source))


@torch.no_grad()
def initialise(network, kind="official"):
    """As in the official code: convolutions N(0, 0.02), biases 0, norms as torch makes them.

    kaiming: layers with a leaky ReLU after them keep the size of what they are given.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if kind == "kaiming" and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, LEAK)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass
class Parts:
    """All that the loop trains; None: what the run does not have."""

    generator: Generator
    critic: Critic
    generator_ema: Generator | None
    critic_ema: Critic | None
    optimizer_generator: optim.Adam
    optimizer_critic: optim.Adam


def build(config, device):
    """Fresh networks and optimisers, the same on every process."""
    torch.manual_seed(config.seed)
    arguments = options.network_arguments(config)
    pair = Generator(**arguments["generator"]), Critic(**arguments["critic"])
    for network, kind in zip(pair, ("official", config.init), strict=True):
        initialise(network, kind)
        network.to(device, memory_format=torch.channels_last)
    distributed.broadcast(*pair)
    averaged = [copy.deepcopy(network) if config.ema_decay else None for network in pair]
    return Parts(*pair, *averaged, *adams(pair))


def adams(networks):
    return [optim.Adam(network, (0.5, 0.999)) for network in networks]


def for_use(parts):
    """The averaged networks, or where there are none those trained."""
    return {
        "generator": parts.generator_ema or parts.generator,
        "critic": parts.critic_ema or parts.critic,
    }


def describe(config, parts, images_seen):
    """What the weights are, for `Training`."""
    return "GANimation generator and critic", {
        "networks": for_use(parts),
        "arguments": options.network_arguments(config),
        "config": {
            "size": config.size,
            "value_range": [-1, 1],
            "framing": options.framing(config),
            "action_units": list(ACTION_UNITS),
            "saturate": config.saturate,
        },
    }


@torch.inference_mode()
def draw_sheet(run, parts, pictures, images_seen):
    """Rows of a picture, its edits towards the action units of four others, towards a smile, a
    blink and an open mouth, and the attention of the first."""
    batch, networks = pictures.first(SHEET_ROWS), for_use(parts)
    real = (batch["images"].float() * (2 / 255) - 1).to(run.processes.device)
    units, shown = batch["action_units"].to(real.device), []
    targets = [units] + [units.roll(-i, 0) for i in range(1, 4)]
    for code in (12, 45, 26):
        target = units.clone()
        target[:, ACTION_UNITS.index(code)] = 1
        targets.append(target)
    columns, masks = [real], []
    for target in targets:
        fake, _, attention = edit(run.config, networks["generator"], real, target)
        columns.append(fake)
        masks.append(attention.expand(-1, 3, -1, -1) * 2 - 1)
    columns += [masks[0], masks[1], masks[4]]
    for row in zip(*(images.to_pictures(column) for column in columns), strict=True):
        shown += row
    return "edits", images.grid(shown, len(columns)), {}


def in_range(pictures):
    """(n, 3, H, W) uint8 to [-1, 1]."""
    real = pictures.float() / 127.5 - 1
    return real.contiguous(memory_format=torch.channels_last)


def criticised(config, parts, real, units, fake, mix, penalise):
    """The critic's updates: (whether one was left out, losses)."""
    critic, update = parts.critic, partial(optim.update, [parts.critic], [parts.optimizer_critic])
    with optim.autocast(config, real.device):
        loss, losses_d = critic_loss(config, critic, real, units, fake, penalise)
    if config.loss != "wgan_gp" or fake is None:
        return update(loss), losses_d
    bad = torch.zeros((), dtype=torch.bool, device=real.device)
    if config.penalty == "separate":
        bad = update(loss)
        # As in the official code: the head goes on by its momentum, with a gradient of 0.
        loss = 0 * critic.action_units.weight.sum()
    more, penalty = penalty_loss(config, critic, real, fake, mix)
    return bad | update(loss + more), losses_d | penalty


def updates(config, parts, device):
    """The function that makes a step's updates."""
    generator, critic = parts.generator, parts.critic

    def step(batch, mix, criticise, edits, generate, penalise):
        """The critic's updates if `criticise`, of edits only if `edits`, with R1 if `penalise`; the
        generator's if `generate`: losses by name, and whether one was left out. batch as
        `open_action_units` makes them, mix as `mixing` does.
        """
        real, truths = in_range(batch["images"]), None
        units, targets, seen = batch["action_units"], batch["targets"], None
        if "truths" in batch:
            truths = in_range(batch["truths"])
        if edits:
            with optim.autocast(config, device), torch.set_grad_enabled(generate):
                fake, color, attention = edit(config, generator, real, targets)
            seen = fake.detach()
        bad, parts_d, parts_g = torch.zeros((), dtype=torch.bool, device=device), {}, {}
        if criticise:
            bad, parts_d = criticised(config, parts, real, units, seen, mix, penalise)
        if generate:
            critic.requires_grad_(False)
            with optim.autocast(config, device):
                given = real, units, targets, fake, color, attention, truths
                loss, parts_g = generator_loss(config, generator, critic, *given)
            bad = bad | optim.update([generator], [parts.optimizer_generator], loss)
            critic.requires_grad_(True)
        return optim.named(D=parts_d, G=parts_g), bad

    return step


def train(run, pictures):
    """Train into the run's folder until the last epoch, --minutes or Ctrl-C.

    Differs from the official code: rates and the position in the data go on when a run is resumed;
    the generator's edits are made once for both steps, as it does not change between them.
    """
    config, processes, device = run.config, run.processes, run.processes.device
    parts = build(config, device)
    total = schedules.total_images(config, pictures.length)
    about, sheet = partial(describe, config, parts), partial(draw_sheet, run, parts, pictures)
    training = Training(run, parts, pictures, total, about, sheet)
    if training.finished:
        return
    step = Captured(updates(config, parts, device), config.capture and device.type == "cuda")
    for batch in training.batches(pictures, config.batch_size):
        seen = training.images_seen
        factor = schedules.learning_rate_factor(config, seen, pictures.length)
        parts.optimizer_generator.set_rate(factor * config.learning_rate)
        parts.optimizer_critic.set_rate(factor * config.critic_learning_rate)
        edits = seen >= config.warm_up
        generate = edits and (training.steps + 1) % config.d_steps == 0
        criticise = not edits or (training.steps + 1) % config.critic_every == 0
        penalise = edits and config.r1_weight > 0 and (training.steps + 1) % config.r1_every == 0
        mix = mixing(config, seen, processes)
        losses, bad = step(batch, mix, criticise, edits, generate, penalise)
        if config.ema_decay:
            optim.average(parts.critic_ema, parts.critic, schedules.ema_decay(config, seen))
            if generate:
                decay = schedules.ema_decay(config, seen - config.warm_up)
                optim.average(parts.generator_ema, parts.generator, decay)
        training.step(config.batch_size, losses, bad, learning_rate=factor * config.learning_rate)
