"""StarGAN v2's losses, gradients and updates against numbers recorded from the official code.

Whole iterations are compared in float64, as they were recorded: Adam's first steps follow the signs
of gradients, so that float32 drifts.
"""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from test_stargan_v2_parity import case, theirs

from gan_models.stargan_v2 import official
from tests.parity.fill import noise, smooth_image
from trainers import optim
from trainers.stargan_v2 import train
from trainers.stargan_v2.config import Config, diversity_weight

TRAINED = (*train.TRAINED, "discriminator")


def networks_of(description, dtype=torch.float32):
    states, found = theirs(description), {}
    for name in TRAINED:
        state, arguments = official.import_network(name, states)
        found[name] = official.NETWORKS[name][0](**arguments)
        found[name].load_state_dict(state)
        found[name].to(dtype)
    return found


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


@pytest.mark.parametrize(("name", "mark"), [("losses_32_d3", None), ("losses_128_d3", "l1")])
def test_losses_and_gradients(name, mark):
    description, recorded = case(name)
    mark = mark or description["inputs"]["x_src"].split("'")[1].removeprefix("x_src_")
    config, networks = config_of(description), networks_of(description)
    real, domains, targets, latents, references = batch_of(mark, config.size)
    generator, mapping, encoder, discriminator = networks.values()
    ways = {
        "latent": lambda: [mapping(drawn, targets) for drawn in latents],
        "ref": lambda: [encoder(picture, targets) for picture in references],
    }

    def check(loss, parts, names, of, key):
        for network in networks.values():
            network.zero_grad()
        loss.backward()
        for ours, official_name in names.items():
            expected = float(recorded[f"{key}.{official_name}"])
            assert parts[ours].item() == pytest.approx(expected, rel=1e-4, abs=1e-6), ours
        assert loss.item() == pytest.approx(float(recorded[f"{key}.total"]), rel=1e-4)
        for network in of:
            expected = float(recorded[f"{key}.grad_norm.{network}"])
            assert norm(networks[network]) == pytest.approx(expected, rel=1e-3), network

    for side, styles in ways.items():
        with torch.no_grad():
            fake = generator(real, styles()[0])
        loss = train.discriminator_loss(config, discriminator, real, domains, fake, targets)
        names = {"real": "real", "fake": "fake", "r1": "reg"}
        check(*loss, names, ["discriminator"], f"d_{side}")
        given = (generator, encoder, discriminator), None, real, domains, styles(), targets, None
        loss = train.generator_loss(config, *given, config.diversity_weight)
        names = {"adversarial": "adv", "style": "sty", "diversity": "ds", "cycle": "cyc"}
        of = train.TRAINED if side == "latent" else ("generator", "style_encoder")
        check(*loss, names, of, f"g_{side}")


def test_two_iterations_in_float64():
    description, recorded = case("train_32_d3")
    given = description["config"]
    config = dataclasses.replace(
        config_of(description), batch_size=3, diversity_images=3 * given["ds_iter"]
    )
    networks = networks_of(description, torch.float64)
    averaged = {f"{name}_ema": copy.deepcopy(networks[name]) for name in train.TRAINED}
    adams = {
        f"optimizer_{name}": optim.Adam(network, (0.0, 0.99), config.weight_decay)
        for name, network in networks.items()
    }
    parts = train.Parts(**networks, **averaged, **adams)
    for name in TRAINED:
        adams[f"optimizer_{name}"].set_rate(1e-6 if name == "mapping_network" else 1e-4)
    step = train.updates(config, parts, None)
    names = {
        "real": "real", "fake": "fake", "r1": "reg", "adversarial": "adv", "style": "sty",
        "diversity": "ds", "cycle": "cyc",
    }  # fmt: skip
    for index in range(2):
        batch = batch_of(f"t1{index}", 32, torch.float64)
        weight = diversity_weight(config, 3 * index)
        losses, bad = step(*batch, torch.tensor(weight, dtype=torch.float64))
        assert not bad
        for key, value in losses.items():
            side, part = key.split("/")[1].split("_", 1)
            side = {"reference": "ref"}.get(side, side)
            expected = float(recorded[f"iter{index}.{key[0]}/{side}_{names[part]}"])
            assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-7), key
        for name in train.TRAINED:
            optim.average(averaged[f"{name}_ema"], networks[name], 0.999)
        after = diversity_weight(config, 3 * (index + 1))
        assert after == pytest.approx(float(recorded[f"iter{index}.G/lambda_ds"]), rel=1e-6)
    places = {
        "generator": "to_rgb.2.weight", "mapping_network": "unshared.2.6.weight",
        "style_encoder": "unshared.2.weight",
    }  # fmt: skip
    for name, place in places.items():
        for kind, network in (("net", networks[name]), ("ema", averaged[f"{name}_ema"])):
            found = network.state_dict()[place].flatten()[:64].numpy()
            assert np.abs(found - recorded[f"{kind}.{name}"]).max() <= 1e-6
