"""StarGAN v2's losses, gradients and updates against numbers recorded from the official code.

Whole iterations are compared in float64, as they were recorded: Adam's first steps follow the signs
of gradients, so that float32 drifts.
"""

import copy
import dataclasses

import pytest
import torch
from test_stargan_v2_parity import case, made, theirs

from tests.parity.fill import noise, smooth_image
from trainers import optim
from trainers.stargan_v2 import train
from trainers.stargan_v2.config import Config, diversity_weight

TRAINED = (*train.TRAINED, "discriminator")


def networks_of(description, dtype=torch.float32):
    states = theirs(description)
    copies = {name: copy.deepcopy(made(name, states)).to(dtype) for name in TRAINED}
    return {name: network.train().requires_grad_() for name, network in copies.items()}


def batch_of(mark, size, dtype=torch.float32):
    """(real, domains, targets, two latents, two references) of a case."""
    draw = [smooth_image(f"{name}_{mark}", 3, 3, size, -1, 1) for name in ("x_src", "x_ref")]
    draw.append(smooth_image(f"x_ref2_{mark}", 3, 3, size, -1, 1))
    draw += [noise(f"{name}_{mark}", (3, 16)) for name in ("z_trg", "z_trg2")]
    real, *references, first, second = (torch.from_numpy(array).to(dtype) for array in draw)
    domains = torch.arange(3)
    return real, domains, (domains + 1) % 3, [first, second], references


def norm(network):
    return sum(p.grad.double().square().sum() for p in network.parameters()).sqrt().item()


def config_of(description):
    given = description["config"]
    return Config(
        size=given["img_size"], r1_weight=given["lambda_reg"], cycle_weight=given["lambda_cyc"],
        style_weight=given["lambda_sty"], diversity_weight=given["lambda_ds"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "mark", "side"), [("losses_32_d3", None, "ref"), ("losses_128_d3", "l1", "latent")]
)
def test_losses_and_gradients(name, mark, side):
    """Styles of references at 32 pixels, of latents at 128, where widths grow from block to block
    (and at 32 in the iteration below): which they are of says nothing about the size.
    """
    description, recorded = case(name)
    mark = mark or description["inputs"]["x_src"].split("'")[1].removeprefix("x_src_")
    config, networks = config_of(description), networks_of(description)
    real, domains, targets, latents, references = batch_of(mark, config.size)
    generator, mapping, encoder, discriminator = networks.values()

    def check(loss, parts, names, of, key):
        loss.backward()
        for ours, official_name in names.items():
            expected = float(recorded[f"{key}.{official_name}"])
            assert parts[ours].item() == pytest.approx(expected, rel=1e-4, abs=1e-6), ours
        assert loss.item() == pytest.approx(float(recorded[f"{key}.total"]), rel=1e-4)
        for network in of:
            expected = float(recorded[f"{key}.grad_norm.{network}"])
            assert norm(networks[network]) == pytest.approx(expected, rel=1e-3), network

    if side == "latent":
        styles, of = [mapping(drawn, targets) for drawn in latents], train.TRAINED
    else:
        styles = [encoder(picture, targets) for picture in references]
        of = "generator", "style_encoder"
    with torch.no_grad():
        fake = generator(real, styles[0])
    loss = train.discriminator_loss(config, discriminator, real, domains, fake, targets)
    check(*loss, {"real": "real", "fake": "fake", "r1": "reg"}, ["discriminator"], f"d_{side}")
    discriminator.requires_grad_(False)
    given = (generator, encoder, discriminator), None, real, domains, styles, targets, None
    loss = train.generator_loss(config, *given, config.diversity_weight)
    names = {"adversarial": "adv", "style": "sty", "diversity": "ds", "cycle": "cyc"}
    check(*loss, names, of, f"g_{side}")


def test_an_iteration_in_float64():
    """And the first losses of the next one, which every update of the iteration takes part in:
    losses show a single gradient that has turned its sign, as float32's do by 1e-2.
    """
    description, recorded = case("train_32_d3")
    config = dataclasses.replace(
        config_of(description), batch_size=3, diversity_images=3 * description["config"]["ds_iter"]
    )
    networks = networks_of(description, torch.float64)
    adams = {
        f"optimizer_{name}": optim.Adam(network, (0.0, 0.99), config.weight_decay)
        for name, network in networks.items()
    }
    averaged = {f"{name}_ema": None for name in train.TRAINED}
    for name in TRAINED:
        adams[f"optimizer_{name}"].set_rate(1e-6 if name == "mapping_network" else 1e-4)
    step = train.updates(config, train.Parts(**networks, **averaged, **adams), None)
    names = {
        "real": "real", "fake": "fake", "r1": "reg", "adversarial": "adv", "style": "sty",
        "diversity": "ds", "cycle": "cyc",
    }  # fmt: skip

    def check(index, losses):
        for key, value in losses.items():
            side, part = key.split("/")[1].split("_", 1)
            side = {"reference": "ref"}.get(side, side)
            expected = float(recorded[f"iter{index}.{key[0]}/{side}_{names[part]}"])
            assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-7), (index, key)

    weights = [diversity_weight(config, 3 * index) for index in range(3)]
    for index, after in enumerate(weights[1:]):
        assert after == pytest.approx(float(recorded[f"iter{index}.G/lambda_ds"]), rel=1e-6)
    batch = batch_of("t10", 32, torch.float64)
    losses, bad = step(*batch, torch.tensor(weights[0], dtype=torch.float64))
    assert not bad and len(losses) == 14
    check(0, losses)
    assert all(p.requires_grad for network in networks.values() for p in network.parameters())
    real, domains, targets, latents, _ = batch_of("t11", 32, torch.float64)
    with torch.no_grad():
        fake = networks["generator"](real, networks["mapping_network"](latents[0], targets))
    given = real, domains, fake, targets
    _, losses = train.discriminator_loss(config, networks["discriminator"], *given)
    check(1, {f"D/latent_{part}": value for part, value in losses.items()})
