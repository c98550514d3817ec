"""ProGAN against numbers recorded from the official TensorFlow code, akanimax's two packages,
pytorch_GAN_zoo and genforce (tests/parity/progan; weights and inputs come from parity/fill.py).

Tolerances: forwards 1e-4 of the output's largest value, losses 1e-4 relative, training steps 1e-4,
5e-3 and 5e-2 (Adam without momentum starts as a sign step, which amplifies rounding), norms of all
gradients 1e-3: rounding turns the sign of a leaky ReLU near zero (one is off by 1.0e-4 in float32
and by 3e-7 in float64).

Parity only, because nothing here trains or runs with them; the tests write them out:
  losses summed over the batch       pytorch_GAN_zoo: N times the means of trainers.losses
  BCE with halves averaged           akanimax: half of losses.logistic_d
  lsgan-with-sigmoid                 akanimax: losses.least_squares_* of sigmoid(scores)
  relativistic hinge                 akanimax: the hinge of the gaps to the other side's mean
  projection discriminator           akanimax: an option of Discriminator, none of the trainer
  latents smoothed without wrapping  akanimax's progan_lsid: its clips jump at their end
"""

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d

from gan_models import images
from gan_models.checkpoints import unwrapped
from gan_models.progan.networks import Discriminator, Generator
from gan_models.progan.official import import_network
from gan_models.progan.pipeline import ProGANPipeline, smoothed
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image
from trainers import losses, optim
from trainers.progan import train
from trainers.progan.config import PRESETS, Config, Phase, schedule

case = functools.partial(recorded.case, "progan")


def network(description, name, **settings):
    """Network `name` of a case with its filled weights, imported as a checkpoint's would be."""
    recipe = description["networks"][name]
    filled = fill(recipe["tensors"], recipe["gain"], recipe["unit"])
    weights = {key: torch.from_numpy(value) for key, value in filled.items()}
    kind, arguments, weights = import_network(unwrapped(weights), **settings)
    with torch.device("meta"):
        made = {"generator": Generator, "discriminator": Discriminator}[kind](**arguments)
    made.load_state_dict(weights, assign=True)
    return made


def tensor(*args):
    return torch.from_numpy(noise(*args))


def picture(*args):
    return torch.from_numpy(smooth_image(*args))


def one_hot(count, classes=10):
    return torch.eye(classes)[torch.arange(count) % classes]


def difference(actual, expected):
    """Largest difference, relative to the largest expected value."""
    actual = np.asarray(actual.detach() if isinstance(actual, torch.Tensor) else actual)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / np.abs(expected).max()


def thinned(output, expected):
    """Every k-th pixel of `output`, as the recorded array has."""
    stride = output.shape[-1] // expected.shape[-1]
    return output[..., ::stride, ::stride]


def place_of_lod(lod, resolution):
    """Our (resolution, alpha) of the official level of detail."""
    return resolution >> int(lod), 1 - (lod - int(lod))


def gradient_norm(module):
    """Over all parameters, in float64: a float32 sum of millions of numbers is off by 5e-5."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return torch.stack([gradient.double().norm() for gradient in gradients]).norm()


# ---------------------------------------------------------------- forwards


@pytest.mark.parametrize(
    ("name", "latents", "labels"),
    [
        ("tf_generator_64", ("tfgz", (2, 512)), None),
        ("tf_generator_64_unfused_labels", ("tfuz", (3, 128)), 10),
        ("tf_generator_celebahq_1024_unfused", ("tf1kz", (1, 512)), None),
        ("genforce_pggan_64", ("sfz", (2, 512)), None),
    ],
)
@torch.no_grad()
def test_official_generator(name, latents, labels):
    description, expected = case(name)
    generator = network(description, next(iter(description["networks"])), label_size=labels or 0)
    latents = tensor(*latents)
    labels = one_hot(len(latents)) if labels else None
    for key, array in expected.items():
        if key == "uint8_lod0":
            continue
        resolution, alpha = place_of_lod(float(key.removeprefix("lod")), generator.resolution)
        output = generator(latents, labels, resolution, alpha)
        output = F.interpolate(output, size=(generator.resolution,) * 2)
        assert difference(thinned(output, array), array) < 1e-4, key
        if key == "lod0.0" and "uint8_lod0" in expected:
            array = expected["uint8_lod0"]
            found = images.to_pictures(output).transpose(0, 3, 1, 2)
            assert np.abs(thinned(found, array).astype(int) - array).max() <= 1


@pytest.mark.parametrize(
    ("name", "latents", "four"),  # four: what the number in "depth" is at 4x4
    [
        ("v2_generator_default", ("zd", (1, 512)), 0),
        ("v2_generator_depth6_latent256", ("z", (2, 256)), 0),
        ("v3_generator_default", ("zd", (1, 512)), 2),
        ("v3_generator_depth5_no_eql_gray", ("z", (2, 64)), 2),
        ("v3_generator_depth6_latent256", ("z", (2, 256)), 2),
    ],
)
@torch.no_grad()
def test_akanimax_generator(name, latents, four):
    description, expected = case(name)
    generator = network(description, "generator", equalized=description["config"]["use_eql"])
    raw = tensor(*latents)
    scaled = raw / raw.norm(dim=1, keepdim=True) * raw.shape[1] ** 0.5
    for key, array in expected.items():
        place = key.removeprefix("raw_latent_")
        z = raw if four == 2 or key.startswith("raw") else scaled
        if place == "default_call":
            output = generator(z)
        else:
            depth, alpha = place.removeprefix("depth").split("_alpha")
            output = generator(z, resolution=4 << (int(depth) - four), alpha=float(alpha))
        assert difference(thinned(output, array), array) < 1e-4, key


@pytest.mark.parametrize(
    ("name", "pictures", "settings"),
    [
        ("tf_discriminator_64", "tfdimg", {}),
        ("tf_discriminator_64_unfused_labels_g16", "tflimg", {"stddev_group": 16}),
    ],
)
@torch.no_grad()
def test_official_discriminator(name, pictures, settings):
    description, expected = case(name)
    discriminator = network(description, "D", **settings)
    for key, scores in expected.items():
        batch, lod, kind = key.split("_")
        if kind == "labels":
            continue
        resolution, alpha = place_of_lod(float(lod.removeprefix("lod")), 64)
        seen = picture(pictures, int(batch[1:]), 3, 64, -1, 1)
        seen = F.avg_pool2d(seen, 64 // resolution)
        found, logits = discriminator(seen, alpha=alpha)
        assert difference(found, scores[:, 0]) < 1e-4, key
        if discriminator.label_size:
            assert difference(logits, expected[key.replace("scores", "labels")]) < 1e-4, key


@pytest.mark.parametrize(
    ("name", "four"),
    [
        ("v2_discriminator_depth6_feature256", 0),
        ("v3_discriminator_default", 2),
        ("v3_discriminator_default_depth7", 2),
        ("v3_discriminator_conditional", 2),
    ],
)
@torch.no_grad()
def test_akanimax_discriminator(name, four):
    description, expected = case(name)
    discriminator = network(description, "discriminator")
    for key, scores in expected.items():
        batch, depth, alpha = key.split("_")
        batch, size = int(batch[1:]), 4 << (int(depth.removeprefix("depth")) - four)
        seen = picture(f"img{size}", batch, 3, size, -1, 1)
        labels = one_hot(batch) if discriminator.projection else None
        found, _ = discriminator(seen, labels, alpha=float(alpha.removeprefix("alpha")))
        assert difference(found, scores) < 1e-4, key


@pytest.mark.parametrize(
    ("name", "batch", "letters"),
    [
        ("zoo_pgan_16_step", 8, "zol"),
        ("zoo_pgan_64", 4, "zoo"),
        ("zoo_pgan_celebAHQ256", 1, "z256"),
    ],
)
@torch.no_grad()
def test_zoo_networks(name, batch, letters):
    description, expected = case(name)
    generator, discriminator = network(description, "netG"), network(description, "netD")
    latents = tensor(f"{letters}z", (batch, generator.latent_size))
    seen = picture(f"{letters}img", batch, 3, generator.resolution, -1, 1)
    for key, array in expected.items():
        if key.startswith("step"):
            continue
        alpha = 1 - float(key.split("alpha")[1])  # theirs is the weight of the lower level
        if key.startswith("generator"):
            output = generator(latents, alpha=alpha)
            assert difference(thinned(output, array), array) < 1e-4, key
        else:
            assert difference(discriminator(seen, alpha=alpha)[0], array[:, 0]) < 1e-4, key


# ---------------------------------------------------------------- losses and training steps


OFFICIAL_PARTS = {
    "real": "real_scores",
    "fake": "fake_scores",
    "drift": "epsilon_penalty",
    "class_real": "label_penalty_reals",
    "class_fake": "label_penalty_fakes",
}


@pytest.mark.parametrize(
    ("name", "letters", "classes"),
    [("tf_losses_wgangp_16", "tlo", 0), ("tf_losses_acgan_target750_16", "tla", 10)],
)
def test_official_losses(name, letters, classes):
    """The trainer's losses, real pictures and gradients are the official ones."""
    description, expected = case(name)
    settings = description["config"]
    generator = network(description, "G", label_size=classes)
    discriminator = network(description, "D")
    batch = settings["batch"]
    resolution, alpha = place_of_lod(settings["lod"], 16)
    enlarge = 16 // resolution  # official networks always see and make pictures of the full size
    config = replace(
        Config(), resolution=16, loss="wgan_gp", penalty_target=settings["wgan_target"]
    )
    phase = Phase(0, 16, alpha, batch, 1e-3)

    def full_generator(latents, labels, resolution_, alpha):
        output = generator(latents, labels, resolution, alpha)
        return F.interpolate(output, scale_factor=enlarge)

    def full_discriminator(pictures, labels=None, alpha=1.0):
        return discriminator(F.avg_pool2d(pictures, enlarge), alpha=alpha)

    stored = np.rint(smooth_image(f"{letters}img", batch, 3, resolution, 0, 255))
    flip = noise(f"{letters}mirror", (batch, 1, 1, 1), 0, 1) >= 0.5
    stored = torch.from_numpy(np.where(flip, stored[..., ::-1], stored).astype(np.uint8))
    real = train.fade_reals(stored, resolution, alpha)
    real = F.interpolate(real, scale_factor=enlarge)
    assert difference(real[:2], expected["processed_reals"]) < 1e-4

    labels = one_hot(batch) if classes else None
    mix = tensor(f"{letters}eps", (batch, 1, 1, 1), 0, 1)
    latents = [tensor(f"{letters}z{step}", (batch, generator.latent_size)) for step in "dg"]
    loss, parts = train.discriminator_loss(
        config, full_generator, full_discriminator, real, labels, latents[0], labels, mix,
        phase.resolution, phase.alpha, penalise=True,
    )  # fmt: skip
    loss.backward()
    assert difference(loss, expected["D_loss"]) < 1e-4
    assert difference(gradient_norm(discriminator), expected["D_grad_norm"]) < 1e-3
    target = settings["wgan_target"]
    penalty = np.square(expected["Loss/mixed_norms"] - target).mean() / target**2
    assert difference(parts["gradient_penalty"], penalty) < 1e-4
    for ours, theirs in OFFICIAL_PARTS.items():
        if ours in parts:
            assert difference(parts[ours], expected[f"Loss/{theirs}"].mean()) < 1e-4, theirs

    if enlarge > 1:  # what `shrink` is for: the same norms from pictures of our size
        fake = generator(latents[0], labels, resolution, alpha).detach()
        between = torch.lerp(F.avg_pool2d(real, enlarge), fake, mix)
        norms = losses.gradient_norms(lambda x: discriminator(x, alpha=alpha)[0], between) / enlarge
        assert difference(norms, expected["Loss/mixed_norms"]) < 1e-4

    labels = labels.roll(1, 0) if classes else None
    loss, _ = train.generator_loss(
        config,
        full_generator,
        full_discriminator,
        latents[1],
        labels,
        phase.resolution,
        phase.alpha,
    )
    loss.backward()
    assert difference(loss, expected["G_loss"]) < 1e-4
    assert difference(gradient_norm(generator), expected["G_grad_norm"]) < 1e-3


def test_akanimax_old_losses():
    """Every loss of the old package on one batch."""
    description, expected = case("v2_losses_all")
    generator = network(description, "generator").requires_grad_(False)
    discriminator = network(description, "discriminator").requires_grad_(False)
    real = picture("v2lreal", 6, 3, 16, -1, 1)
    fake = generator(tensor("v2lz", (6, 128)), resolution=16, alpha=0.7)

    def critic(pictures):
        return discriminator(pictures, alpha=0.7)[0]

    r, f = critic(real), critic(fake)
    mix = 1 - tensor("v2leps", (6, 1, 1, 1), 0, 1)  # theirs is the weight of the real picture
    penalty = losses.gradient_penalty(critic, real, fake, mix)
    wasserstein = losses.wasserstein_d(r, f) + 0.001 * losses.drift(r)
    found = {
        "real_scores": r,
        "fake_scores": f,
        "wgan_dis": wasserstein,
        "wgan_gen": losses.wasserstein_g(f),
        "wgan-gp_dis": wasserstein + 10 * penalty,
        "wgan-gp_gen": losses.wasserstein_g(f),
        "lsgan_dis": losses.least_squares_d(r, f),
        "lsgan_gen": losses.least_squares_g(f),
        "lsgan-with-sigmoid_dis": losses.least_squares_d(r.sigmoid(), f.sigmoid()),
        "lsgan-with-sigmoid_gen": losses.least_squares_g(f.sigmoid()),
        "hinge_dis": losses.hinge_d(r, f),
        "hinge_gen": losses.hinge_g(f),
        "relativistic-hinge_dis": losses.hinge_d(r - f.mean(), f - r.mean()),
        "relativistic-hinge_gen": losses.hinge_d(f - r.mean(), r - f.mean()),
        "standard-gan_dis": losses.logistic_d(r, f) / 2,
    }
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert difference(found[key], array) < 1e-4, key


def test_akanimax_losses_and_steps():
    """One batch's losses and gradients, then three steps of D, average and G as the trainer's."""
    description, expected = case("v3_losses_depth4")
    generator, discriminator = (network(description, name) for name in description["networks"])
    averaged = copy.deepcopy(generator)
    config = replace(Config(), resolution=16, loss="wgan_gp")
    latents = tensor("v3lz", (8, 256))
    real = train.fade_reals((picture("v3lreal", 8, 3, 16, -1, 1) + 1) * 127.5, 16, 0.6)
    assert difference(real[:2], expected["real_downsampled"]) < 1e-4
    scores = []
    discriminator.register_forward_hook(lambda _, __, found: scores.append(found[0].detach()))

    def discriminator_loss(mix):
        return train.discriminator_loss(
            config, generator, discriminator, real, None, latents, None, 1 - mix, 16, 0.6, False
        )

    def generator_loss():
        return train.generator_loss(config, generator, discriminator, latents, None, 16, 0.6)[0]

    loss, parts = discriminator_loss(tensor("v3leps", (8, 1, 1, 1), 0, 1))
    loss.backward()
    r, f = scores[:2]
    assert difference(r, expected["real_scores"]) < 1e-4
    assert difference(f, expected["fake_scores"]) < 1e-4
    assert difference(losses.logistic_d(r, f) / 2, expected["standard_dis_loss"]) < 1e-4
    assert difference(losses.logistic_g(f), expected["standard_gen_loss"]) < 1e-4
    assert difference(loss, expected["dis_loss"]) < 1e-4
    assert difference(parts["adversarial"], expected["wasserstein"]) < 1e-4
    assert difference(10 * parts["gradient_penalty"], expected["gp_x10"]) < 1e-4
    assert difference(0.001 * parts["drift"], expected["drift_x0.001"]) < 1e-4
    assert difference(gradient_norm(discriminator), expected["dis_grad_norm"]) < 1e-3

    adam = [optim.Adam(network, (0.0, 0.99)) for network in (generator, discriminator)]
    for optimizer in adam:
        optimizer.set_rate(3e-3)
    for step, tolerance in enumerate((1e-4, 5e-3, 5e-2)):
        loss_d, _ = discriminator_loss(tensor(f"v3leps{step}", (8, 1, 1, 1), 0, 1))
        if step == 0:
            discriminator.requires_grad_(False)
            loss_g = generator_loss()  # before D's first step, as it was recorded
            loss_g.backward()
            assert difference(loss_g, expected["gen_loss"]) < 1e-4
            assert difference(gradient_norm(generator), expected["gen_grad_norm"]) < 1e-3
            discriminator.requires_grad_(True)
        optim.update([discriminator], adam[1:], loss_d)
        optim.average(averaged, generator, 0.999)
        discriminator.requires_grad_(False)
        loss_g = generator_loss()
        optim.update([generator], adam[:1], loss_g)
        discriminator.requires_grad_(True)
        row = torch.stack([loss_d, loss_g])
        assert difference(row, expected["trajectory_dis_gen"][step]) < tolerance, step
    with torch.no_grad():
        after = generator(latents, alpha=0.6)[:2].numpy()
        averaged_after = averaged(latents, alpha=0.6)[:2].numpy()
    assert np.abs(after - expected["gen_after"]).max() < 0.2
    assert np.abs(averaged_after - expected["ema_after"]).max() < 1e-3


def test_zoo_step():
    """One step of pytorch_GAN_zoo, whose losses are sums over the batch."""
    description, expected = case("zoo_pgan_16_step")
    generator, discriminator = network(description, "netG"), network(description, "netD")
    real = picture("zolimg", 8, 3, 16, -1, 1)
    with torch.no_grad():
        fake = generator(tensor("zolzd", (8, 128)), alpha=0.7)

    def critic(pictures):
        return discriminator(pictures, alpha=0.7)[0]

    r, f = critic(real), critic(fake)
    mix = 1 - tensor("zoleps", (8, 1), 0, 1)[..., None, None]
    penalty = losses.gradient_penalty(critic, real, fake, mix)
    parts = {
        "classif": torch.zeros(()),
        "real": losses.wasserstein_g(r),
        "fake": -losses.wasserstein_g(f),
        "Grad": 10 * penalty,
        "Epsilon": 0.001 * losses.drift(r),
    }
    parts[""] = sum(parts.values())
    for name, part in parts.items():
        key = f"step_lossD_{name}".rstrip("_")
        assert abs(8 * part.item() - expected[key]) <= 1e-4 * abs(expected[key]), key
    (8 * parts[""]).backward()
    assert difference(gradient_norm(discriminator), expected["step_grad_norm_D"]) < 1e-3
    optimizer = optim.Adam(discriminator, (0.0, 0.99))
    optimizer.set_rate(1e-3)
    optimizer.step()
    loss = 8 * losses.wasserstein_g(critic(generator(tensor("zolzg", (8, 128)), alpha=0.7)))
    loss.backward()
    assert expected["step_lossG_classif"] == 0
    assert difference(loss, expected["step_lossG_fake"]) < 1e-4
    assert difference(loss, expected["step_lossG"]) < 1e-4
    assert difference(gradient_norm(generator), expected["step_grad_norm_G"]) < 1e-3


# ---------------------------------------------------------------- schedule and latent walks


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("preset-v1-1gpu", PRESETS["paper"]),
        ("preset-v2-1gpu", PRESETS["v2-1gpu"]),
        ("preset-v2-8gpus", PRESETS["v2-8gpus"]),
        (
            "nogrowing",
            replace(PRESETS["paper"], start_resolution=1024, batch_sizes=(16,) * 9),
        ),
    ],
)
def test_schedule(name, config):
    _, expected = case("tf_schedule")
    for kimg, lod, resolution, batch_size, rate_g, rate_d, _ in expected[name]:
        phase = schedule(config, round(float(kimg) * 1000))
        found = (phase.resolution, phase.batch_size, phase.learning_rate)
        assert found == pytest.approx((resolution, batch_size, rate_g), rel=1e-6), kimg
        assert rate_g == rate_d
        assert phase.alpha == pytest.approx(1 - (lod - int(lod)), abs=1e-5), kimg


def test_latent_walk():
    """The official interpolation video: its latents and its first frames."""
    description, expected = case("latent_walk")
    generator = network(description, "G")
    pipeline = ProGANPipeline(generator, {"name": "parity"}, device="cpu")
    walk = pipeline.random_walk(1000, 20, smoothing=3.0)
    assert difference(walk[:, None, ::16], expected["latents_a"]) < 1e-4
    grid = np.random.RandomState(1000).randn(12, 2, 512).astype(np.float32)
    grid = smoothed(grid, 3.0)
    assert difference(grid[..., ::16], expected["latents_b"]) < 1e-4
    for latents, key in ((walk[:6], "frames_a_uint8"), (grid[:6], "frames_b_uint8")):
        pictures = pipeline.sample(latents.reshape(-1, 512)).transpose(0, 3, 1, 2)
        found = thinned(pictures, expected[key]).astype(int)
        assert np.abs(found - expected[key]).max() <= 1, key


def test_akanimax_latent_walk():
    """progan_lsid: new package, Gaussian only; old script, then each latent scaled to sqrt(256)."""
    _, expected = case("latent_walk")
    walk = gaussian_filter1d(noise("lsid", (24, 256)), 0.75 * 4, axis=0)
    assert difference(walk[:, ::8], expected["lsid_smoothed_v3"]) < 1e-4
    walk *= 16 / np.linalg.norm(walk, axis=1, keepdims=True)
    assert difference(walk[:, ::8], expected["lsid_smoothed_v2"]) < 1e-4
