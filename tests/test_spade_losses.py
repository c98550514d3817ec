"""SPADE's losses, training steps, schedule and preprocessing against numbers recorded from the
official code (tests/parity/spade; weights and inputs come from parity/fill.py).

Tolerances, relative: 1e-4 for losses, 1e-3 for the length of gradients; three steps of Adam 2e-2,
because with a first moment of 0 they begin as signs, which rounding turns.
"""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models.spade.networks import Discriminator, Encoder, Generator, one_hot
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image
from trainers import optim, schedules
from trainers.data import Framing
from trainers.spade import config as options
from trainers.spade import train
from trainers.vgg import VGG19

case = functools.partial(recorded.case, "spade")


@functools.cache
def filled(recipe):
    """The state of a recipe (as JSON text) under our names."""
    recipe = json.loads(recipe)
    state = fill({k: tuple(v) for k, v in recipe["tensors"].items()}, recipe["gain"])
    ours = {"weight_orig": "weight", "weight_u": "u", "weight_v": "v"}
    found = {}
    for name, array in state.items():
        place, _, leaf = name.rpartition(".")
        found[f"{place}.{ours.get(leaf, leaf)}"] = torch.from_numpy(array)
    return found


def load(network, recipe):
    network.load_state_dict(filled(json.dumps(recipe)))
    return network.train()


def vgg_of(description):
    return VGG19.with_weights(filled(json.dumps(description["networks"]["vgg19"])))


def networks_of(description):
    """(generator, encoder or None, discriminator) of a case."""
    about, recipes = description["config"], description["networks"]
    semantics, side = about["semantic_nc"], about["crop_size"]
    latent_size = about["z_dim"] if about["use_vae"] else 0
    generator = Generator(semantics, (side, side), about["ngf"], latent_size=latent_size)
    encoder = load(Encoder(16), recipes["encoder"]) if latent_size else None
    discriminator = load(Discriminator(semantics, about["ndf"]), recipes["discriminator"])
    return load(generator, recipes["generator"]), encoder, discriminator


def inputs_of(description):
    """(semantics, real, noise or None)."""
    about = description["config"]
    n, side = about["batch"], about["crop_size"]
    classes = about["label_nc"] + about["contain_dontcare_label"]

    def integers(name, count):
        drawn = np.floor(smooth_image(name, n, 1, side) * np.float32(count)).clip(0, count - 1)
        return torch.from_numpy(drawn[:, 0]).long()

    instances = None if about["no_instance"] else integers("instance", 12)
    semantics = one_hot(integers("label", classes), classes, instances)
    real = torch.from_numpy(smooth_image("real", n, 3, side, -1, 1))
    eps = torch.from_numpy(noise("eps", (n, about["z_dim"]))) if about["use_vae"] else None
    return semantics, real, eps


def asked_again(generator):
    """The generator for a second step: it is given the same, and paints what it has painted."""
    first = []
    generator.register_forward_hook(lambda _, given, fake: first.append((given, fake.detach())))

    def again(*given):
        torch.testing.assert_close(given, first[0][0])
        return first[0][1]

    return again


def length(network):
    return torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()


def close(found, expected, tolerance):
    torch.testing.assert_close(
        torch.as_tensor(found).detach().float(),
        torch.as_tensor(expected),
        rtol=tolerance,
        atol=1e-6,
    )


OFFICIAL = {
    "GAN": ("adversarial", 1), "GAN_Feat": ("feature_matching", 10), "VGG": ("perceptual", 10),
    "KLD": ("kl", 0.05),
}  # fmt: skip


def test_losses_gradients_and_buffers():
    check("losses_small_all_gan_modes", options.Config(), "hinge_")


def test_losses_with_styles():
    """Without VGG19, which at this size would take longer than all the others: its share of total
    and gradients is missing.
    """
    check("losses_vae", options.Config(latent_size=256, perceptual_weight=0))


def check(name, config, prefix=""):
    """A case's steps of generator (and encoder) and of the discriminator."""
    description, expected = case(name)
    whole = config.perceptual_weight > 0
    semantics, real, eps = inputs_of(description)
    networks = generator, encoder, discriminator = networks_of(description)
    again = asked_again(generator)
    vgg = vgg_of(description) if whole else None
    loss, parts = train.generator_loss(config, networks, vgg, semantics, semantics, real, real, eps)
    for term, (part, weight) in OFFICIAL.items():
        if part in parts:
            close(weight * parts[part], expected[f"{prefix}G_{term}"], 1e-4)
    after = generator.state_dict()
    for key in [key for key in expected if key.startswith("after_")]:
        ours = key.removeprefix("after_").replace("weight_u", "u").replace("weight_v", "v")
        torch.testing.assert_close(after[ours], torch.from_numpy(expected[key]), rtol=0, atol=1e-5)
    if whole:
        close(loss, expected[f"{prefix}G_total"], 1e-4)
        loss.backward()
        close(length(generator), expected[f"{prefix}G_gradnorm_G"], 1e-3)
        if encoder is not None:
            close(length(encoder), expected["G_gradnorm_E"], 1e-3)
        wanted = torch.from_numpy(expected["grad_up_0.conv_0"])
        apart = generator.up_0.conv_0.weight.grad[::8, ::8] - wanted
        assert apart.norm() < 5e-3 * wanted.norm()

    if encoder is not None:
        load(encoder, description["networks"]["encoder"])
    load(discriminator, description["networks"]["discriminator"]).zero_grad()
    networks = again, encoder, discriminator
    loss, parts = train.discriminator_loss(config, networks, semantics, semantics, real, real, eps)
    close(parts["fake"], expected[f"{prefix}D_D_Fake"], 1e-4)
    close(parts["real"], expected[f"{prefix}D_D_real"], 1e-4)
    close(loss, expected[f"{prefix}D_total"], 1e-4)
    loss.backward()
    close(length(discriminator), expected[f"{prefix}D_gradnorm_D"], 1e-3)


def test_the_other_adversarial_modes():
    """The same networks, so that the fakes are those of the case, whatever the mode."""
    description, expected = case("losses_small_all_gan_modes")
    semantics, real, _ = inputs_of(description)
    generator, _, discriminator = networks_of(description)
    networks, recipe = (asked_again(generator), None, discriminator), description["networks"]
    with torch.no_grad():
        generator(semantics, None)
    given = networks, semantics, semantics, real, real, None
    for mode in ("ls", "original", "w"):
        config = options.Config(loss=mode, perceptual_weight=0)
        load(discriminator, recipe["discriminator"])
        with torch.no_grad():
            _, parts = train.generator_loss(config, networks, None, *given[1:])
        close(parts["adversarial"], expected[f"{mode}_G_GAN"], 1e-4)
        close(10 * parts["feature_matching"], expected[f"{mode}_G_GAN_Feat"], 1e-4)
        load(discriminator, recipe["discriminator"]).zero_grad()
        loss, parts = train.discriminator_loss(config, *given)
        close(parts["fake"], expected[f"{mode}_D_D_Fake"], 1e-4)
        close(parts["real"], expected[f"{mode}_D_D_real"], 1e-4)
        loss.backward()
        close(length(discriminator), expected[f"{mode}_D_gradnorm_D"], 1e-3)


def test_adversarial_and_kl_terms():
    _, expected = case("gan_and_kld_losses")
    scores = [
        [torch.from_numpy(noise(f"p{i}{j}", (2, 1, 9 - 3 * i, 9 - 3 * i))) for j in (0, 1)]
        for i in (0, 1)
    ]
    for mode, sides in train.SIDES.items():
        for side, name in zip(sides, ("D_real", "D_fake", "G"), strict=True):
            close(train.adversarial(scores, side), expected[f"{mode}_{name}"], 1e-5)
    mean = torch.from_numpy(noise("mu", (3, 256)))
    log_variance = 0.3 * torch.from_numpy(noise("logvar", (3, 256)))
    close(train.kl_divergence(mean, log_variance), expected["kld"], 1e-5)
    eps = torch.from_numpy(noise("eps", (3, 256)))
    latents, *_ = train.styles(lambda _: (mean, log_variance), None, eps)
    torch.testing.assert_close(latents, torch.from_numpy(expected["z"]))


def test_perceptual_loss():
    description, expected = case("vgg_loss")
    x, y = (torch.from_numpy(smooth_image(name, 2, 3, 64, -1, 1)) for name in ("vx", "vy"))
    close(train.perceptual(vgg_of(description), y, x), expected["loss"], 1e-4)


def test_small_labels_count_as_much_as_large_ones_in_half_of_the_reconstruction():
    real = torch.zeros(1, 3, 4, 4)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0, 0] = 2  # one pixel of sixteen; label 1 is nowhere
    semantics = one_hot(labels, 3)
    fake = real.clone()
    fake[0, :, 0, 0] = 1.0
    assert float(train.reconstruction(fake, real, semantics)) == pytest.approx((1 / 16 + 1 / 2) / 2)


def test_the_encoder_reads_the_companions():
    batch = {
        "images": torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
        "label_maps": torch.zeros(1, 4, 4, dtype=torch.uint8),
    }
    labels = SimpleNamespace(classes=2, edges=False)
    *_, real, styled = train.prepared(batch, labels, None)
    assert styled is real and float(real.max()) == -1
    batch["companions"] = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    *_, real, styled = train.prepared(batch, labels, None)
    assert float(real.max()) == -1 and float(styled.min()) == 1


def test_three_steps():
    description, expected = case("train_three_iterations")
    config = options.Config()
    semantics, real, _ = inputs_of(description)
    networks = generator, _, discriminator = networks_of(description)
    vgg = vgg_of(description)
    adams = [optim.Adam(network, options.betas(config)) for network in (generator, discriminator)]
    rates = options.learning_rates(config, 0, 1)
    assert rates == pytest.approx(expected["lr"].tolist())
    for adam, rate in zip(adams, rates, strict=True):
        adam.set_rate(rate)
    rows = list(expected["losses"])
    for row, sums in zip(rows, expected["abs_sums"], strict=True):
        given = networks, vgg, semantics, semantics, real, real, None
        loss, parts = train.generator_loss(config, *given)
        optim.update([generator], adams[:1], loss)
        found = [weight * parts[part] for part, weight in list(OFFICIAL.values())[:3]]
        given = networks, semantics, semantics, real, real, None
        loss, parts = train.discriminator_loss(config, *given)
        optim.update([discriminator], adams[1:], loss)
        found += [parts["fake"], parts["real"]]
        tolerance = {"rtol": 1e-4, "atol": 1e-6} if row is rows[0] else {"rtol": 2e-2, "atol": 1e-2}
        torch.testing.assert_close(torch.stack(found), torch.from_numpy(row), **tolerance)
        for network, total in zip((generator, discriminator), sums, strict=True):
            ours = sum(p.detach().double().abs().sum() for p in network.parameters())
            assert float(ours) == pytest.approx(total, rel=1e-5)


def test_the_learning_rates():
    _, expected = case("schedule_and_colormaps")
    for two_rates, name in ((True, "lr_ttur"), (False, "lr_no_ttur")):
        config = options.Config(epochs=5, decay_epochs=4, two_rates=two_rates)
        found = [options.learning_rates(config, 10 * epoch, 10) for epoch in range(9)]
        np.testing.assert_allclose(found, expected[name], rtol=1e-12)
        within = [options.learning_rates(config, 10 * epoch + 9, 10) for epoch in range(9)]
        assert within == found
    short = options.Config(epochs=5, decay_epochs=4, total_images=20)
    assert schedules.learning_rate_factor(short, 0, 10) == 1
    assert options.betas(options.Config()) == (0.0, 0.9)
    assert options.betas(options.Config(two_rates=False)) == (0.5, 0.999)


@pytest.mark.parametrize(
    "mode",
    ["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "scale_shortside"]
    + ["scale_shortside_and_crop", "fixed", "none"],
)
def test_preprocessing(mode):
    _, expected = case("preprocess_modes")
    picture = smooth_image("pimage", 1, 3, 100, 0, 255)[0].transpose(1, 2, 0)[:70]
    labels = np.floor(smooth_image("plabel", 1, 1, 100) * 14).clip(0, 13)[0, 0, :70]
    labels = np.where(labels == 13, 255, labels).astype(np.uint8)
    framing = Framing((32, 64), mode, load_size=72, crop_size=64)
    mirror = slice(None, None, -1 if mode in ("crop", "resize_and_crop") else 1)
    found = framing.apply(Image.fromarray(picture.astype(np.uint8)), (3, 5))[:, mirror]
    image = found.transpose(2, 0, 1)[:, ::4, ::4] / 127.5 - 1
    np.testing.assert_allclose(image, expected[f"{mode}_image"], atol=1e-6)
    found = framing.apply(Image.fromarray(labels), (3, 5), nearest=True)[:, mirror]
    assert np.array_equal(np.where(found == 255, 13, found), expected[f"{mode}_label"][0])
