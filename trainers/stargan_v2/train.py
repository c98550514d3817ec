"""StarGAN v2's loss functions and training loop, in that order.

Letters in the shapes: those of gan_models/stargan_v2/networks.py.
"""

import copy
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from gan_models import images
from gan_models.stargan_v2.networks import Discriminator, Generator, MappingNetwork, StyleEncoder
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline
from trainers import distributed, losses, optim
from trainers.capture import Captured
from trainers.run import Training, step_generator
from trainers.stargan_v2 import config as options

SHEET_ROWS = 6  # sources
TRAINED = "generator", "mapping_network", "style_encoder"  # and used afterwards, averaged


def exact(x):
    """In float32, or in float64 if it is that: what losses are made of, even under autocast."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def difference(a, b):
    return (exact(a) - exact(b)).abs().mean()


def masks_of(fan, pictures):
    """Where the generator's skip keeps the edges of images (N, 3, H, W); None without such."""
    return None if fan is None else fan.masks(pictures)


def discriminator_loss(config, discriminator, real, domain, fake, target, penalise=True):
    """(loss, parts): real (N, 3, H, W) of domains (N,), fake ones of target domains (N,).

    penalise: whether this step has its share of the R1 penalty (Mescheder et al. 2018). Paper,
    equation 1.
    """

    def of_real(pictures):  # a penalty differentiates it twice
        with torch.autocast(pictures.device.type, enabled=False):
            return discriminator(exact(pictures), domain)

    real_scores = exact(discriminator(real, domain))
    fake_scores = exact(discriminator(fake, target))
    parts = {"real": losses.logistic_g(real_scores), "fake": losses.logistic_g(-fake_scores)}
    loss = parts["real"] + parts["fake"]
    if penalise and config.r1_weight:
        parts["r1"] = 0.5 * losses.r1_penalty(of_real, real)
        loss = loss + config.r1_weight * config.r1_every * parts["r1"]
    return loss, parts


def generator_loss(config, networks, fan, real, domain, styles, target, masks, diversity):
    """(loss, parts) of a step of the generator and of what else the styles come from.

    networks: (generator, style encoder, discriminator); styles: two codes (N, S) of the target
    domains (N,); masks of the reals, see `masks_of`; diversity: the present weight of it. Paper,
    equations 1 to 5.
    """
    generator, style_encoder, discriminator = networks
    style_code, other = styles
    encoded = generator.encoded(real)
    fake = generator.decoded(encoded, style_code, masks)
    with torch.no_grad():
        unlike = generator.decoded(encoded, other, masks)
    back = generator(fake, style_encoder(real, domain), masks_of(fan, fake))
    parts = {
        "adversarial": losses.logistic_g(exact(discriminator(fake, target))),
        "style": difference(style_encoder(fake, target), style_code),
        "diversity": difference(fake, unlike),
        "cycle": difference(back, real),
    }
    loss = parts["adversarial"] + config.style_weight * parts["style"]
    loss = loss - diversity * parts["diversity"] + config.cycle_weight * parts["cycle"]
    return loss, parts


def draws(config, images_seen, processes):
    """This process's share of a step's two latents (n, Z)."""
    source, shape = step_generator(config, images_seen), (config.batch_size, config.latent_dim)
    return [processes.share(torch.randn(shape, generator=source)) for _ in range(2)]


@torch.no_grad()
def initialise(network):
    """He's normal draw for convolutions and linear layers, biases 0, as in the official code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass
class Parts:
    """All that the loop trains."""

    generator: Generator
    mapping_network: MappingNetwork
    style_encoder: StyleEncoder
    discriminator: Discriminator
    generator_ema: Generator
    mapping_network_ema: MappingNetwork
    style_encoder_ema: StyleEncoder
    optimizer_generator: optim.Adam
    optimizer_mapping_network: optim.Adam
    optimizer_style_encoder: optim.Adam
    optimizer_discriminator: optim.Adam


def build(config, num_domains, device):
    """Fresh networks and optimisers, the same on every process.

    Differs from the official code: the averages begin as the networks do; there they begin with
    other random numbers.
    """
    torch.manual_seed(config.seed)
    kinds = {
        "generator": Generator, "mapping_network": MappingNetwork, "style_encoder": StyleEncoder,
        "discriminator": Discriminator,
    }  # fmt: skip
    arguments = options.network_arguments(config, num_domains)
    networks = {name: make(**arguments[name]) for name, make in kinds.items()}
    for network in networks.values():
        initialise(network)
        network.to(device, memory_format=torch.channels_last)
        distributed.broadcast(network)
    averaged = {f"{name}_ema": copy.deepcopy(networks[name]) for name in TRAINED}
    adams = {
        f"optimizer_{name}": optim.Adam(network, (0.0, 0.99), config.weight_decay)
        for name, network in networks.items()
    }
    return Parts(**networks, **averaged, **adams)


def describe(config, parts, domains, fan, images_seen):
    """What the weights are, for `Training`."""
    arguments = options.network_arguments(config, len(domains))
    networks = {name: getattr(parts, f"{name}_ema") for name in TRAINED}
    kept = {name: arguments[name] for name in TRAINED}
    if fan is not None:
        networks, kept = networks | {"fan": fan}, kept | {"fan": {}}
    return "StarGAN v2 networks (averaged weights)", {
        "networks": networks,
        "arguments": kept,
        "config": {
            "size": config.size,
            "value_range": [-1, 1],
            "framing": {"kind": "face" if config.face_crops else "centre", "margin": 0.0},
            "domains": list(domains),
        },
    }


def draw_sheet(run, parts, pictures, fan, images_seen):
    """A row for each source: itself, for each domain the style of a reference and of a seed; above
    them the references.
    """
    _, about = describe(run.config, parts, pictures.classes, fan, images_seen)
    device, domains = run.processes.device, pictures.classes
    pipeline = StarGANv2Pipeline(about["networks"], about["config"], device)
    batch = {name: x.numpy() for name, x in pictures.first(8 * SHEET_ROWS).items()}
    sources = batch["images"].transpose(0, 2, 3, 1)
    references = [sources[batch["domains"] == number][0] for number in range(len(domains))]
    shown, styles = [255 + 0 * sources[0]], []
    for domain, reference in zip(domains, references, strict=True):
        styles += [pipeline.style_of(reference, domain), pipeline.style(domain, 0)]
        shown += [reference, 255 + 0 * reference]
    for source in sources[:SHEET_ROWS]:
        shown += [source, *pipeline.translations(source, styles)]
    return "translations", images.grid(shown, len(styles) + 1), {}


def in_range(pictures):
    """(..., 3, H, W) uint8 to [-1, 1]."""
    return pictures.float() * (2 / 255) - 1


def reconstructing(config, parts):
    """The function that makes a step of learning pictures by their difference, without an
    adversary (ours).
    """
    trained = parts.generator, parts.style_encoder
    adams = parts.optimizer_generator, parts.optimizer_style_encoder

    def step(source, styled, wanted, domain, weight):
        """Losses by name, and whether the update was left out: `wanted` is made of the source and
        the style of `styled`, all (n, 3, H, W) in [-1, 1] and of one domain.
        """
        with optim.autocast(config, source.device):
            fake = parts.generator(source, parts.style_encoder(styled, domain))
            loss = difference(fake, wanted)
        bad = optim.update(trained, adams, weight * loss)
        return optim.named(G={"reconstruction": loss}), bad

    return step


def updates(config, parts, fan):
    """The function that makes a step's updates; `latent` and `reference` say from which styles."""
    generator, mapping, encoder = parts.generator, parts.mapping_network, parts.style_encoder
    discriminator, networks = parts.discriminator, (generator, encoder, parts.discriminator)
    adams = {name: getattr(parts, f"optimizer_{name}") for name in (*TRAINED, "discriminator")}

    def step(
        real, domain, target, latents, references, diversity,
        latent=True, reference=True, penalise=True,
    ):  # fmt: skip
        """Losses by name, and whether an update was left out.

        real (n, 3, H, W) in [-1, 1], latents and references: two each, of target domains (n,).
        Differs from the official code: what a step would only throw away is not computed.
        """
        device = real.device
        masks, parts_d, parts_g = masks_of(fan, real), {}, {}
        bad = torch.zeros((), dtype=torch.bool, device=device)
        sides = [name for name, on in (("latent", latent), ("reference", reference)) if on]
        ways = {
            "latent": lambda: [mapping(drawn, target) for drawn in latents],
            "reference": lambda: [encoder(picture, target) for picture in references],
        }
        with torch.no_grad(), optim.autocast(config, device):
            encoded = generator.encoded(real)
        for side in sides:
            with torch.no_grad(), optim.autocast(config, device):
                fake = generator.decoded(encoded, ways[side]()[0], masks)
            with optim.autocast(config, device):
                given = discriminator, real, domain, fake, target, penalise
                loss, found = discriminator_loss(config, *given)
            bad = bad | optim.update([discriminator], [adams["discriminator"]], loss)
            parts_d |= {f"{side}_{name}": part for name, part in found.items()}
        discriminator.requires_grad_(False)
        for side in sides:
            # As in the official code: references teach the generator alone.
            learning = TRAINED if side == "latent" else TRAINED[:1]
            encoder.requires_grad_(side == "latent")
            with optim.autocast(config, device):
                given = real, domain, ways[side](), target, masks, diversity
                loss, found = generator_loss(config, networks, fan, *given)
            trained = [getattr(parts, name) for name in learning]
            bad = bad | optim.update(trained, [adams[name] for name in learning], loss)
            parts_g |= {f"{side}_{name}": part for name, part in found.items()}
        discriminator.requires_grad_(True)
        encoder.requires_grad_(True)
        return optim.named(D=parts_d, G=parts_g), bad

    return step


def train(run, pictures, fan=None):
    """Train into the run's folder until total_images, --minutes or Ctrl-C."""
    config, processes, device = run.config, run.processes, run.processes.device
    parts, domains = build(config, pictures.num_classes, device), pictures.classes
    about = partial(describe, config, parts, domains, fan)
    sheet = partial(draw_sheet, run, parts, pictures, fan)
    training = Training(run, parts, pictures, config.total_images, about, sheet)
    if training.finished:
        return
    capture = config.capture and device.type == "cuda"
    step = Captured(updates(config, parts, fan), capture)
    simple = Captured(reconstructing(config, parts), capture)
    for batch in training.batches(pictures, config.batch_size):
        seen = training.images_seen
        rate, mapping_rate = options.learning_rates(config, seen)
        for name in (*TRAINED, "discriminator"):
            slow = name == "mapping_network"
            getattr(parts, f"optimizer_{name}").set_rate(mapping_rate if slow else rate)
        real, domain = in_range(batch["images"]), batch["domains"]
        weight = options.diversity_weight(config, seen)
        if "pairs" in batch:
            puppet, recoloured, companion = in_range(batch["pairs"]).unbind(1)
            pair = recoloured, companion, puppet, domain, config.pair_weight
        else:  # a mirror image's style says nothing of where things are
            pair = real, real.flip(3), real, domain, 1.0
        if seen < config.autoencoding_images:
            losses, bad = simple(*pair)
        else:
            sides = (not config.alternate or training.steps % 2 == side for side in range(2))
            references = in_range(batch["references"]).unbind(1)
            diversity = torch.full((), weight, device=device)
            losses, bad = step(
                real, domain, batch["targets"], draws(config, seen, processes), references,
                diversity, *sides, training.steps % config.r1_every == 0,
            )  # fmt: skip
            if "pairs" in batch:
                more, also_bad = simple(*pair)
                losses, bad = losses | more, bad | also_bad
        for name in TRAINED:
            averaged = getattr(parts, f"{name}_ema")
            optim.average(averaged, getattr(parts, name), config.ema_decay)
        training.step(config.batch_size, losses, bad, diversity_weight=weight)
