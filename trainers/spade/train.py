"""SPADE's loss functions and training loop, in that order.

Letters in the shapes: those of gan_models/spade/networks.py.
"""

import copy
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import nn

from gan_models import images
from gan_models.spade.networks import (
    Discriminator,
    Encoder,
    Generator,
    GlobalGenerator,
    Spectral,
    one_hot,
)
from gan_models.spade.pipeline import SPADEPipeline
from trainers import distributed, optim, schedules
from trainers.capture import Captured
from trainers.run import Training, step_generator
from trainers.spade import config as options
from trainers.state import start_from

# Each loss as what it makes of scores: (of reals, of fakes, of fakes in the generator's step).
SIDES = {
    "hinge": (lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), torch.neg),
    "ls": (lambda x: (x - 1).square(), torch.square, lambda x: (x - 1).square()),
    "original": (lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    "w": (torch.neg, lambda x: x, torch.neg),
}
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)  # of relu1_1 ... relu5_1
WARP_POINTS = 5  # control points of the warp, along a side
SETTLING = 10  # steps of power iteration for averaged weights
SHEET_ROWS = 8


def adversarial(outputs, side):
    """The mean over the scales, each the mean over its patches' scores."""
    return sum(side(scale[-1].float()).mean() for scale in outputs) / len(outputs)


def feature_matching(real, fake):
    """Mean differences of the discriminators' features, summed over layers, averaged over scales
    (pix2pixHD, equation 4); the scores are none of them.
    """
    return sum(
        (a.float() - b.float().detach()).abs().mean()
        for ours, theirs in zip(fake, real, strict=True)
        for a, b in zip(ours[:-1], theirs[:-1], strict=True)
    ) / len(fake)


def perceptual(vgg, real, fake):
    """Weighted mean differences of VGG19's features of images in [-1, 1].

    As in the official code: they go in as they are, without ImageNet's mean and deviation.
    """
    with torch.no_grad():
        wanted = vgg(real * vgg.std + vgg.mean)
    found = vgg(fake * vgg.std + vgg.mean)
    return sum(
        weight * (a.float() - b.float()).abs().mean()
        for weight, a, b in zip(VGG_WEIGHTS, found, wanted, strict=True)
    )


def kl_divergence(mean, log_variance):
    """Of the styles (N, Z) from the normal distribution.

    As in the official code on one GPU: a sum, over the global batch too.
    """
    each = 1 + log_variance - mean.square() - log_variance.exp()
    return -0.5 * each.sum() * distributed.world_size()


def reconstruction(fake, real, semantics):
    """Mean absolute difference of images (N, 3, H, W), and of each plane of the semantics
    (N, S, H, W), half each: what is small, such as an iris, counts as much as the ground.
    """
    difference = (fake - real).abs().mean(dim=1, keepdim=True)
    areas = semantics.sum(dim=(0, 2, 3))
    of_planes = (difference * semantics).sum(dim=(0, 2, 3)) / areas.clamp(min=1)
    return (difference.mean() + of_planes.sum() / (areas > 0).sum()) / 2


def styles(encoder, real, noise):
    """(latents (N, Z), mean, log variance): what the encoder finds, and near it by noise (N, Z)."""
    mean, log_variance = (part.float() for part in encoder(real))
    return mean + noise * (0.5 * log_variance).exp(), mean, log_variance


def judged(discriminator, semantics, real, fake):
    """The discriminator's outputs for (reals, fakes), which it sees in one batch."""
    both = discriminator(torch.cat([semantics, semantics]), torch.cat([fake.float(), real]))
    n = len(real)
    return [[x[n:] for x in scale] for scale in both], [[x[:n] for x in scale] for scale in both]


def generator_loss(config, networks, vgg, semantics, bent, real, styled, noise):
    """(loss, parts) of the step of generator and encoder.

    networks: (generator, encoder or None, discriminator); semantics (N, S, H, W), and `bent` what
    the generator sees of them; real (N, 3, H, W) in [-1, 1], styled the pictures whose style it
    takes; noise (N, Z) or None.
    """
    generator, encoder, discriminator = networks
    parts, loss, latents = {}, 0.0, None
    if encoder is not None:
        latents, *about = styles(encoder, styled, noise)
        parts["kl"] = kl_divergence(*about)
        loss = loss + config.kl_weight * parts["kl"]
    fake = generator(bent, latents)
    for_real, for_fake = judged(discriminator, semantics, real, fake)
    parts["adversarial"] = adversarial(for_fake, SIDES[config.loss][2])
    loss = loss + parts["adversarial"]
    if config.feature_weight:
        parts["feature_matching"] = feature_matching(for_real, for_fake)
        loss = loss + config.feature_weight * parts["feature_matching"]
    if config.perceptual_weight:
        parts["perceptual"] = perceptual(vgg, real, fake.float())
        loss = loss + config.perceptual_weight * parts["perceptual"]
    if config.reconstruction_weight:
        parts["reconstruction"] = reconstruction(fake.float(), real, semantics)
        loss = loss + config.reconstruction_weight * parts["reconstruction"]
    return loss, parts


def discriminator_loss(config, networks, semantics, bent, real, styled, noise):
    """(loss, parts) of the discriminator's step, whose fakes are new ones; see `generator_loss`."""
    generator, encoder, discriminator = networks
    with torch.no_grad():
        latents = None if encoder is None else styles(encoder, styled, noise)[0]
        fake = generator(bent, latents)
    for_real, for_fake = judged(discriminator, semantics, real, fake)
    of_real, of_fake, _ = SIDES[config.loss]
    parts = {"real": adversarial(for_real, of_real), "fake": adversarial(for_fake, of_fake)}
    return parts["real"] + parts["fake"], parts


@cache
def warp_basis(size, device):
    """(H W, 25) how far a pixel goes with each control point of a thin-plate spline (Bookstein
    1989), in a plane from -1 to 1.
    """
    line = torch.linspace(-1, 1, WARP_POINTS, dtype=torch.float64)
    knots = torch.cartesian_prod(line, line)  # (25, 2) as (y, x)
    lines = [(torch.arange(side, dtype=torch.float64) + 0.5) * 2 / side - 1 for side in size]

    def functions(points):
        """r^2 log r to each knot, and 1, y and x: (points, 28)."""
        r = torch.cdist(points, knots)
        return torch.cat([torch.xlogy(r.square(), r), torch.ones(len(points), 1), points], dim=1)

    count = len(knots)
    known = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    known[:count] = functions(knots)
    known[count:, :count] = functions(knots)[:, count:].T  # the bending has no affine part
    weights = torch.linalg.inv_ex(known).inverse[:, :count]
    return (functions(torch.cartesian_prod(*lines)) @ weights).float().to(device)


def warp(maps, moves):
    """Maps (N, H, W) of whole numbers bent by moves (N, 25, 2) of the control points as (y, x).

    What comes from beyond the border is the border's.
    """
    n, h, w = maps.shape
    shift = (warp_basis((h, w), maps.device) @ moves).view(n, h, w, 2)
    rows = (shift[..., 0] * (h / 2)).round().long() + torch.arange(h, device=maps.device)[:, None]
    columns = (shift[..., 1] * (w / 2)).round().long() + torch.arange(w, device=maps.device)
    places = rows.clamp(0, h - 1) * w + columns.clamp(0, w - 1)
    return maps.flatten(1).gather(1, places.flatten(1)).view(n, h, w)


def draws(config, images_seen, processes):
    """This process's share of a step's random numbers: noise (n, Z) of both steps, and the warp's
    moves (n, 25, 2); None for what is not used.
    """
    source, n = step_generator(config, images_seen), config.batch_size
    noise_g = noise_d = moves = None
    if config.latent_size:
        noise_g, noise_d = (
            processes.share(torch.randn(n, config.latent_size, generator=source)) for _ in range(2)
        )
    if config.warp_maps:
        drawn = config.warp_maps * torch.randn(n, WARP_POINTS**2, 2, generator=source)
        moves = processes.share(drawn)
    return noise_g, noise_d, moves


@torch.no_grad()
def initialise(network, kind, gain, spectral):
    """Draw the weights as the official code does: convolutions and linear layers by `kind`, without
    biases; norms' scales around 1.

    spectral False leaves layers with spectral norm as torch draws them. As in the official code on
    a GPU, where its initialisation misses them, and which all published weights were trained with.
    """
    draw = {
        "normal": lambda weight: nn.init.normal_(weight, 0.0, gain),
        "xavier": lambda weight: nn.init.xavier_normal_(weight, gain),
        "xavier_uniform": lambda weight: nn.init.xavier_uniform_(weight, 1.0),
        "kaiming": lambda weight: nn.init.kaiming_normal_(weight, 0.0, "fan_in"),
        "orthogonal": lambda weight: nn.init.orthogonal_(weight, gain),
    }
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, gain)
        elif isinstance(module, nn.Conv2d | nn.Linear | Spectral) and kind != "none":
            if spectral or not getattr(module, "spectral", False):
                draw[kind](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass
class Parts:
    """All that the loop trains; None: what the run does not have."""

    generator: nn.Module
    encoder: Encoder | None
    discriminator: Discriminator
    generator_ema: nn.Module | None
    encoder_ema: Encoder | None
    optimizer_generator: optim.Adam
    optimizer_encoder: optim.Adam | None
    optimizer_discriminator: optim.Adam


def build(config, device, weights=""):
    """Fresh networks and optimisers, the same on every process.

    weights: to start from, see `trainers.state.start_from`.
    """
    torch.manual_seed(config.seed)
    kinds = {"spade": Generator, "pix2pixhd": GlobalGenerator}
    made_by = {
        "generator": kinds[config.generator], "encoder": Encoder, "discriminator": Discriminator,
    }  # fmt: skip
    arguments, networks = options.network_arguments(config), dict.fromkeys(made_by)
    for role, given in arguments.items():
        networks[role] = network = made_by[role](**given)
        initialise(network, config.init, config.init_gain, config.init_spectral)
    if weights:
        made = {role: network for role, network in networks.items() if network}
        start_from(weights, "spade", made, "--start-from")
    for network in filter(None, networks.values()):
        network.to(device, memory_format=torch.channels_last)
        distributed.synchronise_norms(network)
        distributed.broadcast(network)
    averaged, adams = {}, {}
    for role, network in networks.items():
        adams[f"optimizer_{role}"] = network and optim.Adam(network, options.betas(config))
        if role != "discriminator":
            averaged[f"{role}_ema"] = copy.deepcopy(network) if config.ema_decay else None
    return Parts(**networks, **averaged, **adams)


def for_use(parts):
    """Copies of generator and encoder (if any) in eval mode, for weights and sheets.

    Averaged singular vectors are not those of the averaged weights: they are brought nearer.
    """
    found = {}
    for role in ("generator", "encoder"):
        network = getattr(parts, f"{role}_ema") or getattr(parts, role)
        if network is not None:
            found[role] = copy.deepcopy(network).eval().requires_grad_(False)
            for module in found[role].modules():
                if isinstance(module, Spectral) and module.spectral:
                    for _ in range(SETTLING):
                        module.iterate()
    return found


def describe(config, parts, images_seen):
    """What the weights are, for `Training`."""
    networks, labels = for_use(parts), options.labels_of(config)
    arguments = options.network_arguments(config)
    return "SPADE generator" + " and encoder" * (len(networks) > 1), {
        "networks": networks,
        "arguments": {name: arguments[name] for name in networks},
        "config": {
            "size": max(options.size_of(config)),
            "shape": list(options.size_of(config)),
            "value_range": [-1, 1],
            "framing": {"kind": "centre", "margin": 0.0},
            "classes": list(labels.names),
            "labels": {
                "kind": labels.kind,
                "dont_care": labels.dont_care,
                "edges": labels.edges,
            },  # fmt: skip
        },
    }


def draw_sheet(run, parts, pictures, images_seen):
    """Rows of label map, picture, and paintings by the pipeline the app uses: in the picture's own
    style, in that of the row above, and in those of two seeds (without styles: one painting).
    """
    _, about = describe(run.config, parts, images_seen)
    networks, name = about["networks"], run.folder.name
    pipeline = SPADEPipeline(
        networks["generator"], networks.get("encoder"), about["config"] | {"name": name},
        run.processes.device,
    )  # fmt: skip
    batch = {name: tensor.numpy() for name, tensor in pictures.first(SHEET_ROWS).items()}
    shown, above = [], None
    for index, label_map in enumerate(batch["label_maps"]):
        real = batch["images"][index].transpose(1, 2, 0)
        instances = batch["instances"][index] if "instances" in batch else None
        row = [None]
        if pipeline.latent_size:
            own = pipeline.style_of(real)
            row = [own, own if above is None else above, pipeline.style(0), pipeline.style(1)]
            above = own
        shown += [pipeline.labels.colours[label_map], real]
        shown += [pipeline.paint(label_map, style, instances=instances) for style in row]
    return "paintings", images.grid(shown, 2 + len(row)), {}


def prepared(batch, labels, moves):
    """(semantics (n, S, H, W), bent semantics, reals (n, 3, H, W) in [-1, 1], and the pictures
    whose style is taken) of a batch.
    """
    real = styled = batch["images"].float() * (2 / 255) - 1
    if "companions" in batch:
        styled = batch["companions"].float() * (2 / 255) - 1
    maps = batch["label_maps"].long()
    instances = batch["instances"] if labels.edges else None
    semantics = bent = one_hot(maps, labels.classes, instances)
    if moves is not None:
        instances = None if instances is None else warp(instances, moves)
        bent = one_hot(warp(maps, moves), labels.classes, instances)
    return semantics, bent, real, styled


def train(run, pictures, vgg):
    """Train into the run's folder until the last epoch, --minutes or Ctrl-C.

    Differs from the official code: rates and the position in the data go on when a run is resumed,
    the optimisers, too; the discriminator's gradients of the generator's step are never computed.
    """
    config, processes, device = run.config, run.processes, run.processes.device
    parts = build(config, device, "" if run.saved else config.start_from)
    labels = options.labels_of(config)
    generator, encoder, discriminator = parts.generator, parts.encoder, parts.discriminator
    total = schedules.total_images(config, pictures.length)
    about, sheet = partial(describe, config, parts), partial(draw_sheet, run, parts, pictures)
    training = Training(run, parts, pictures, total, about, sheet)
    if training.finished:
        return
    networks = generator, encoder, discriminator
    painters = [network for network in (generator, encoder) if network]
    painters_adam = [adam for adam in (parts.optimizer_generator, parts.optimizer_encoder) if adam]

    def step(batch, noise_g, noise_d, moves, paint):
        """The updates, the generator's only if `paint`: losses by name, and whether one was left
        out; batch as `open_labelled` makes them.
        """
        shown = prepared(batch, labels, moves)
        parts_g, bad = {}, torch.zeros((), dtype=torch.bool, device=device)
        if paint:
            discriminator.requires_grad_(False)
            with optim.autocast(config, device):
                loss, parts_g = generator_loss(config, networks, vgg, *shown, noise_g)
            bad = optim.update(painters, painters_adam, loss)
            discriminator.requires_grad_(True)
        with optim.autocast(config, device):
            loss, parts_d = discriminator_loss(config, networks, *shown, noise_d)
        bad = bad | optim.update([discriminator], [parts.optimizer_discriminator], loss)
        return optim.named(D=parts_d, G=parts_g), bad

    step = Captured(step, config.capture and device.type == "cuda")
    for batch in training.batches(pictures, config.batch_size):
        seen = training.images_seen
        rate_g, rate_d = options.learning_rates(config, seen, pictures.length)
        for adam in painters_adam:
            adam.set_rate(rate_g)
        parts.optimizer_discriminator.set_rate(rate_d)
        paint = training.steps % config.d_steps == 0
        losses, bad = step(batch, *draws(config, seen, processes), paint)
        if config.ema_decay and paint:
            decay = schedules.ema_decay(config, seen)
            optim.average(parts.generator_ema, generator, decay)
            if encoder:
                optim.average(parts.encoder_ema, encoder, decay)
        training.step(config.batch_size, losses, bad, learning_rate=rate_g)
