"""GANimation's losses and training steps against numbers recorded from the official code
(tests/parity/ganimation; weights and inputs come from parity/fill.py), and its draws.

Tolerances, relative: 1e-4 for losses, 1e-3 for the length of gradients; 1e-2 for losses of steps of
Adam, of which float32 and float64 already differ by 1e-3.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from gan_models.ganimation.networks import Critic, Generator
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image
from trainers.ganimation import config as options
from trainers.ganimation import train

case = partial(recorded.case, "ganimation")
OURS = {"img_reg.0": "color", "attetion_reg.0": "attention", "conv1": "patches"}
OURS |= {"conv2": "action_units"}
OFFICIAL = options.PRESETS["official"]
D_TERMS = {"d_real": ("real", -1), "d_cond": ("expression", 4000), "d_fake": ("fake", 1)}
G_TERMS = {"g_fake": ("adversarial", 1), "g_cond": ("expression", 4000), "g_cyc": ("cycle", 10)}


def load(network, recipe):
    shapes = {name: tuple(shape) for name, shape in recipe["tensors"].items()}
    state = {}
    for name, array in fill(shapes, recipe["gain"]).items():
        place, _, leaf = name.rpartition(".")
        state[f"{OURS.get(place, place)}.{leaf}"] = torch.from_numpy(array)
    network.load_state_dict(state)
    return network


def networks_of(about, recipes):
    g, d = about.get("generator", about), about.get("discriminator", about)
    shapes = recipes["generator"]["tensors"], recipes["discriminator"]["tensors"]
    channels = [next(iter(tensors.values()))[0] for tensors in shapes]
    blocks = sum(name.endswith("main.0.weight") for name in shapes[0]) - 1
    layers = sum(name.endswith("bias") for name in shapes[1])
    units, size = shapes[1]["conv2.weight"][0], shapes[1]["conv2.weight"][2] << layers
    assert g.get("c_dim", units) == d.get("c_dim", units) == units
    return (
        load(Generator(channels[0], units, blocks), recipes["generator"]),
        load(Critic(size, channels[1], units, layers), recipes["discriminator"]),
    )


def inputs(place, number, batch, units, size):
    """(real, action units, targets, mix) of a step."""
    drawn = [noise(f"ganimation/{place}/{x}{number}", (batch, units), 0, 1) for x in TARGETS]
    mix = noise(f"ganimation/{place}/alpha{number}", (batch, 1, 1, 1), 0, 1)
    real = smooth_image(f"ganimation/{place}/face{number}", batch, 3, size, -1, 1)
    return tuple(torch.from_numpy(array) for array in (real, *drawn, mix))


TARGETS = ("real", "target")


def length(network):
    return torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()


def close(found, expected, tolerance, name=""):
    assert float(torch.as_tensor(found).detach()) == pytest.approx(
        float(expected), rel=tolerance, abs=1e-6
    ), name


@pytest.mark.parametrize(
    ("name", "place"), [("losses_default", "loss"), ("losses_small_saturated", "loss2")]
)
def test_losses_and_gradients(name, place):
    description, expected = case(name)
    about = description["config"]
    generator, critic = networks_of(about, description["networks"])
    units, size = about["generator"]["c_dim"], about["discriminator"]["image_size"]
    config = replace(OFFICIAL, batch_size=about["batch"], saturate=about["do_saturate_mask"])
    real, own, targets, mix = inputs(place, "", about["batch"], units, size)
    fake, color, attention = train.edit(config, generator, real, targets)

    loss, parts = train.critic_loss(config, critic, real, own, fake.detach())
    for term, (part, weight) in D_TERMS.items():
        close(weight * parts[part], expected[term], 1e-4, term)
    close(loss, expected["d_total"], 1e-4)
    loss.backward()
    close(length(critic), expected["d_grad_norm"], 1e-3)
    assert all(p.grad is None for p in generator.parameters())

    critic.zero_grad()
    penalty, _ = train.penalty_loss(config, critic, real, fake.detach(), mix)
    close(penalty, expected["d_gp"], 1e-4)
    penalty.backward()
    close(length(critic), expected["gp_grad_norm"], 1e-3)
    close(critic.main[0].weight.grad.norm(), expected["gp_grad_first_conv"], 1e-3)
    assert critic.action_units.weight.grad is None

    given = real, own, targets, fake, color, attention
    loss, parts = train.generator_loss(config, generator, critic, *given)
    for term, (part, weight) in G_TERMS.items():
        close(weight * parts[part], expected[term], 1e-4, term)
    both = expected["g_mask_1"] + expected["g_mask_2"]
    close(0.1 * parts["attention"], both, 1e-4)
    both = expected["g_mask_1_smooth"] + expected["g_mask_2_smooth"]
    close(1e-5 * parts["smoothness"], both, 1e-4)
    close(loss, expected["g_total"], 1e-4)
    loss.backward()
    close(length(generator), expected["g_grad_norm"], 1e-3)


def test_six_iterations_of_the_official_training():
    """The critic's penalty in a step of its own, the generator in every third iteration."""
    description, expected = case("train_small")
    about = description["config"]
    networks = networks_of({"c_dim": 17}, description["networks"])
    config = replace(OFFICIAL, batch_size=about["batch"], size=64)
    parts = train.Parts(*networks, None, None, *train.adams(networks))
    for adam in (parts.optimizer_generator, parts.optimizer_critic):
        adam.set_rate(about["lr_G"])
    step = train.updates(config, parts, torch.device("cpu"))
    names = [
        "d_real", "d_cond", "d_fake", "d_gp", "g_fake", "g_cond", "g_cyc",
    ]  # fmt: skip
    for number in range(about["iterations"]):
        real, own, targets, mix = inputs("train", number, about["batch"], 17, 64)
        batch = {"images": (real + 1) * 127.5, "action_units": own, "targets": targets}
        generate = (number + 1) % about["train_G_every_n_iterations"] == 0
        found, bad = step(batch, mix, True, True, generate, False)
        assert not bad
        row = dict(zip(names, expected["losses"][number], strict=False))
        found["D/gradient_penalty"] = found["D/gradient_penalty"] / 10
        for side, terms in (("D", D_TERMS), ("G", G_TERMS if generate else {})):
            for term, (part, weight) in terms.items():
                close(weight * found[f"{side}/{part}"], row[term], 1e-2, (number, term))
        lengths = [
            torch.stack([p.detach().norm() for p in n.parameters()]).norm() for n in networks
        ]
        np.testing.assert_allclose([float(x) for x in lengths], expected["weight_norms"][number],
                                   rtol=1e-5)  # fmt: skip
    probe = torch.from_numpy(smooth_image("ganimation/train/probe", 1, 3, 64, -1, 1))
    units = torch.from_numpy(noise("ganimation/train/probe_aus", (1, 17), 0, 1))
    with torch.no_grad():
        made, *_ = train.edit(config, networks[0], probe, units)
    np.testing.assert_allclose(made[:, :, ::4, ::4], expected["probe_composed"], atol=3e-3)
