"""StarGAN v2's networks against numbers recorded from the official code (tests/parity/starganv2;
weights and inputs come from parity/fill.py; the weights pass through the import of checkpoints).

Tolerances: 1e-4 of the largest value; masks, in [0, 1], 1e-4.
"""

import json
import re
from functools import lru_cache, partial

import numpy as np
import pytest
import torch

from gan_models.stargan_v2 import StarGANv2Pipeline, alignment, landmarks, official
from tests.parity.fill import fill, noise, smooth_image
from tests.recorded import case

case = partial(case, "starganv2")


def theirs(description):
    """The state dicts as the official code's file has them."""
    return {name: filled(name, json.dumps(one)) for name, one in description["networks"].items()}


@lru_cache(9)  # what several cases have alike: the networks of both sizes of 256 pixels and one FAN
def filled(name, recipe):
    recipe = json.loads(recipe)
    shapes = {key: shape for key, shape in recipe["tensors"].items() if key != "hpf.filter"}
    arrays = fill(shapes, recipe["gain"], recipe["unit"])
    state = {key: torch.from_numpy(array) for key, array in arrays.items()}
    if name == "fan":
        state["l0.bias"] -= 1.4  # the case's `rule`
    return state


def made(name, states):
    state, arguments = official.import_network(name, states)
    with torch.device("meta"):
        network = official.NETWORKS[name][0](**arguments)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def given(text):
    """The input that a case describes in words."""
    kind, name, shape, limits = re.match(
        r"(smooth_image|noise)\('(\w+)', ?\(?([\d,]+?)\)?(,-1,1)?\)$", text
    ).groups()
    shape = [int(number) for number in shape.split(",")]
    if kind == "noise":
        return torch.from_numpy(noise(name, tuple(shape)))
    return torch.from_numpy(smooth_image(name, *shape, *((-1, 1) if limits else ())))


def check(found, recorded, name):
    """Every k-th pixel of what was found, and the mean and spread of all of it."""
    whole = found.numpy().astype(float)
    part = whole
    for axis in range(whole.ndim):
        step = -(-whole.shape[axis] // recorded[name].shape[axis])
        part = part.take(range(0, whole.shape[axis], step), axis=axis)
    scale = max(1.0, np.abs(recorded[name]).max())
    assert part.shape == recorded[name].shape
    assert np.abs(part - recorded[name]).max() <= 1e-4 * scale
    assert abs(whole.mean() - recorded[f"{name}.mean"]) <= 1e-4 * scale
    assert whole.size == 1 or abs(whole.std(ddof=1) - recorded[f"{name}.std"]) <= 1e-4 * scale


CASES = "nets_128_d3", "nets_128_hpf1", "nets_256_afhq", "nets_256_celeba"


@pytest.mark.parametrize("name", CASES)
def test_networks(name):
    description, recorded = case(name)
    states, told = theirs(description), description["inputs"]
    x = given(told["x"])
    domain = torch.arange(len(x)) % description["config"]["num_domains"]
    generator = made("generator", states)
    encoded, style_code = generator.encoded(x), given(told["s"])
    check(generator.decoded(encoded, style_code), recorded, "generator")
    if "mask0" in told:
        masks = given(told["mask0"]), given(told["mask1"])
        check(generator.decoded(encoded, style_code, masks), recorded, "generator_masks")
    style = made("mapping_network", states)(given(told["z"]), domain)
    check(style, recorded, "mapping_network")
    check(made("style_encoder", states)(given(told["x_ref"]), domain), recorded, "style_encoder")
    discriminator, trunk = made("discriminator", states), []
    discriminator.main.register_forward_hook(lambda *passed: trunk.append(passed[2]))
    check(discriminator(x, domain), recorded, "discriminator")
    every, known = trunk[0].flatten(1).numpy(), recorded["discriminator_all"]
    assert every.shape == known.shape
    assert np.abs(every - known).max() <= 1e-4 * max(1, np.abs(known).max())


def test_settings_are_read_from_the_tensors():
    for name in ("nets_128_d3", "nets_128_hpf1"):
        description, _ = case(name)
        recipes = description["networks"]
        states = {
            network: {key: torch.zeros(shape) for key, shape in recipe["tensors"].items()}
            for network, recipe in recipes.items()
        }
        states["generator"].pop("hpf.filter", None)  # as in the published CelebA-HQ file
        found, config = official.convert(states, "x")["arguments"], description["config"]
        expected = {
            "image_size": config["img_size"], "channels": 128, "style_dim": config["style_dim"],
            "w_hpf": config["w_hpf"], "most": config["max_conv_dim"],
        }  # fmt: skip
        assert found["generator"] == expected
        assert found["mapping_network"]["latent_dim"] == config["latent_dim"]
        for network in ("mapping_network", "style_encoder", "discriminator"):
            assert found[network]["num_domains"] == config["num_domains"]
            assert found[network].get("image_size", config["img_size"]) == config["img_size"]


def test_landmark_network():
    description, recorded = case("fan_256")
    network, x = made("fan", theirs(description)), given(description["inputs"]["x"])
    heat = network(x)
    assert np.abs(heat[:, ::11, ::2, ::2].numpy() - recorded["heatmaps"]).max() <= 1e-4
    for index, mask in enumerate(network.masks(x)):
        check(mask, recorded, f"mask{index}")
    assert np.abs(network.landmarks(x).numpy() - recorded["landmarks"]).max() <= 1e-3


def test_masks_of_heat():
    _, recorded = case("mask_post")
    centres = noise("centres_m1", (2, 98, 2), 20, 236).astype(float)
    peaks = noise("peaks_m1", (2, 98), 0.05, 1.0).astype(float)
    line = np.arange(256.0)
    across = (line - centres[..., :1]) ** 2
    down = (line - centres[..., 1:]) ** 2
    heat = peaks[..., None, None] * np.exp(-(across[..., None, :] + down[..., None]) / 72)
    for index, mask in enumerate(landmarks.masks_of(torch.from_numpy(heat.astype(np.float32)))):
        check(mask, recorded, f"mask{index}")


@pytest.mark.parametrize("name, tag", [("e2e_256_afhq", "e1"), ("e2e_256_celeba", "e2")])
def test_whole_ways_of_the_pipeline(name, tag):
    """The first source of the recorded sheets: by references, there and back, by latents (psi), and
    between two references.
    """
    description, recorded = case(name)
    description["networks"].pop("discriminator")
    states = theirs(description)
    networks = {network: made(network, states) for network in states}
    domains = ["a", "b", "c"][: description["config"]["num_domains"]]
    pipeline = StarGANv2Pipeline(networks, {"size": 256, "domains": domains}, "cpu")
    fan, generator = networks.get("fan"), pipeline._generator
    source, *references = (
        torch.from_numpy(smooth_image(f"{which}_{tag}", 2, 3, 256, -1, 1))[row : row + 1]
        for which, row in (("src", 0), ("ref", 0), ("ref", 1))
    )

    def encoded(x):
        return generator.encoded(x, fan and fan.masks(x))

    def style(x, domain):
        return networks["style_encoder"](x, torch.tensor([domain]))

    def compare(sheet, row, column, image, tolerance=1e-4):
        there = recorded[sheet][:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        shown = (image[0] * 0.5 + 0.5).clamp(0, 1)[:, ::8, ::8].numpy()
        off = np.abs(shown - there)
        assert (off > tolerance).mean() <= 0.01 and off.mean() <= tolerance

    known, styles = encoded(source), [style(x, 1) for x in references]
    by_reference = [generator.decoded(known, one) for one in styles]
    for row, image in enumerate(by_reference):
        compare("reference_grid", row + 1, 1, image)
    compare("cycle_grid", 2, 0, by_reference[0])
    # With masks: a fake's heat that lies at their threshold falls to either side.
    back = generator.decoded(encoded(by_reference[0]), style(source, 0))
    compare("cycle_grid", 3, 0, back)
    draws = noise(f"zmany_{tag}1", (10_000, 16))
    pipeline._mean = {1: pipeline._mapped(draws, 1).mean(0)}.get
    latent = pipeline._mapped(noise(f"zl_{tag}0", (1, 16)), 1)[0]
    towards = pipeline._towards(1, latent, float(description["inputs"]["psi"]))
    compare("latent_grid", 3, 0, generator.decoded(known, torch.from_numpy(towards)[None]))
    share = float(recorded["alphas"][10])
    mixed = torch.from_numpy(pipeline.mix(*(one.numpy() for one in styles), share))
    frame = generator.decoded(known, mixed)[:, :, ::8, ::8].numpy()
    assert np.abs(frame[0] - recorded["frame10"][0]).max() <= 2e-4


def test_alignment():
    _, recorded = case("align")
    centres = noise("centres_al1", (2, 98, 2), -1, 65).astype(float)
    line = np.arange(64.0)
    across, down = (line - centres[..., :1]) ** 2, (line - centres[..., 1:]) ** 2
    peaks = noise("peaks_al1", (2, 98), 0.05, 1.0).astype(float)
    heat = peaks[..., None, None] * np.exp(-(across[..., None, :] + down[..., None]) / 5.78)
    decoded = landmarks.decoded(torch.from_numpy(heat.astype(np.float32)))
    assert np.abs(decoded.numpy() - recorded["decoded"]).max() <= 1e-4
    mean = noise("lm_mean_al1", (98, 2), 60, 196)
    c, s = np.cos(0.3), np.sin(0.3)
    points = (mean - 128) @ (0.8 * np.array([[c, -s], [s, c]])).T + [120, 135]
    points = np.float32(points + 0.02 * (noise("lm_al1", (98, 2), 50, 206) - 128))
    image = smooth_image("align_al1", 1, 3, 256, -1, 1)[0].transpose(1, 2, 0)
    picture = ((image * 0.5 + 0.5) * 255).astype(np.uint8)
    assert np.abs(alignment.padded(picture)[::8, ::8] - recorded["padded"]).max() <= 1e-2
    there = points + 128
    assert np.abs(there - recorded["padded_landmarks"]).max() <= 1e-3
    assert np.abs(alignment.matrix(there, mean) - recorded["matrix"]).max() <= 1e-3
    made = alignment.aligned(picture, points, mean, 256) / 127.5 - 1
    off = np.abs(made.transpose(2, 0, 1)[None, :, ::4, ::4] - recorded["aligned"])
    assert off.max() <= 2e-3  # OpenCV rounds places to 1/32 of a pixel, a few of them differently
    assert off.mean() <= 1e-5 and abs(made.mean() - recorded["aligned.mean"]) <= 1e-6


def test_what_is_none_of_its_checkpoints_is_left_to_others():
    lone = {"weight": torch.zeros(1)}
    assert official.convert(lone, "x") is None
    every = dict.fromkeys(("generator", "mapping_network", "style_encoder"), lone)
    assert official.convert(every, "x") is None
