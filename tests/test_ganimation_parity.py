"""GANimation's networks against numbers recorded from the official code and from two others of it
(tests/parity/ganimation; weights and inputs come from parity/fill.py, and the weights pass through
the import of checkpoints).

Tolerances: 1e-4, uint8 pictures 1.
"""

import functools
import json
import re

import cv2
import numpy as np
import pytest
import torch

from gan_models.faces import Box, Paster
from gan_models.ganimation import folded, networks, official
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image

case = functools.partial(recorded.case, "ganimation")


@functools.cache
def filled(recipe):
    """The network of a recipe (JSON), imported as a checkpoint's would be."""
    recipe = json.loads(recipe)
    state = fill(recipe["tensors"], recipe["gain"], recipe["unit"])
    state = {key: torch.from_numpy(array) for key, array in state.items()}
    kind, arguments, state = official.import_network(state)
    made = {"generator": networks.Generator, "critic": networks.Critic}[kind]
    with torch.device("meta"):
        network = made(**arguments)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def network(description, kind):
    return filled(json.dumps(description["networks"][kind]))


def inputs(description):
    """The images and, where there are any, the action units that `inputs` describes in words."""
    name, batch, size = re.match(
        r"smooth_image\('(.+)', (\d), 3, (\d+), -1, 1\)", description["inputs"]["x"]
    ).groups()
    given = [torch.from_numpy(smooth_image(name, int(batch), 3, int(size), -1, 1))]
    if "c" in description["inputs"]:
        name, *shape = re.match(
            r"noise\('(.+)', \((\d+), (\d+)\), 0, 1\)", description["inputs"]["c"]
        ).groups()
        given.append(torch.from_numpy(noise(name, tuple(map(int, shape)), 0, 1)))
    return given


def check(found, recorded, tolerance=1e-4):
    found, recorded = np.asarray(found), np.asarray(recorded)
    assert found.shape == recorded.shape
    assert np.abs(found.astype(float) - recorded).max() <= tolerance


def check_edit(recorded, images, color, attention):
    """Whole pictures against every k-th pixel of them, and the mean and spread of all."""
    found = {"color": color, "attention": attention}
    found["composed"] = networks.compose(images, color, attention)
    for name, pictures in found.items():
        if name in recorded:
            step = pictures.shape[-1] // recorded[name].shape[-1]
            check(pictures[..., ::step, ::step], recorded[name])
        if f"{name}_ms" in recorded:
            check([pictures.mean(), pictures.std(correction=0)], recorded[f"{name}_ms"])


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize(
    "name", ["generator_default", "generator_small", "replicate_default", "vipermu_generator"]
)
def test_generators(name):
    description, recorded = case(name)
    images, action_units = inputs(description)
    generator = network(description, "gen" if name == "replicate_default" else "generator")
    with torch.inference_mode():
        check_edit(recorded, images, *generator(images, action_units))


@pytest.mark.parametrize(
    "name", ["discriminator_default", "discriminator_small", "replicate_default"]
)
def test_critics(name):
    description, recorded = case(name)
    images = inputs(description)[0]
    critic = network(description, "dis" if name == "replicate_default" else "discriminator")
    scores, action_units = critic(images)
    check(scores.reshape(recorded["critic"].shape), recorded["critic"])  # squeezed there
    check(action_units, recorded["aus"])


# ---------------------------------------------------------------- as the pipeline runs them


def test_one_unit_in_steps():
    description, recorded = case("sweep_au12")
    image, action_units = inputs(description)
    values = torch.tensor(description["config"]["values"])
    action_units = action_units.repeat(len(values), 1)
    action_units[:, description["config"]["au_index"]] = values
    ours = folded.FoldedGenerator(network(description, "generator"))
    images = image.expand(len(values), -1, -1, -1)
    check_edit(recorded, images, *ours(images, action_units))


def test_the_strip_that_the_official_command_writes():
    """Input, edit, attention, colour; the last three once more, of the edit turned back."""
    description, recorded = case("test_py_strip")
    face = np.rint(smooth_image("ganimation/testpy/face", 1, 3, 128)[0] * 255).astype(np.float32)
    image = torch.from_numpy(face)[None] / 127.5 - 1
    action_units = torch.from_numpy(noise("ganimation/testpy/expression", (1, 17), 0, 1)) / 5
    ours = folded.FoldedGenerator(network(description, "generator"))
    panels, current = [image], image
    for turn in range(2):
        color, attention = ours(current, action_units)
        current = networks.compose(current, color, attention)
        mask = attention.expand(-1, 3, -1, -1) * 2 - 1  # shown as pictures are
        panels += [current, mask, color] if turn == 0 else [color, mask, current]
    strip = torch.cat(panels, dim=3)[0].permute(1, 2, 0)  # (128, 896, 3)
    strip = np.trunc((strip.numpy() * 0.5 + 0.5) * 254)  # as there
    check(strip[::6, ::6], recorded["concat"], 1)
    check([strip.mean(), strip.std()], recorded["concat_ms"], 0.01)


def test_pasting_differs_from_the_official_helper_in_the_feathered_border_only():
    description, recorded = case("paste_back")
    left, top, width, height = description["config"]["bb_xywh"]
    picture = smooth_image("ganimation/paste/picture", 1, 3, 260)[0, :, :200].transpose(1, 2, 0)
    picture = np.rint(picture * 255).astype(np.uint8)
    face = cv2.resize(picture[top : top + height, left : left + width], (128, 128))
    check(face[::8, ::8], recorded["face"], 1)
    change = np.rint(40 * smooth_image("ganimation/paste/edit", 1, 3, 128)[0].transpose(1, 2, 0))
    edited = np.clip(face + change, 0, 255).astype(np.uint8)
    found = Paster(picture, Box(left, top, left + width, top + height)).paste(edited)
    y, x = np.mgrid[:200, :260]
    inwards = np.minimum(
        np.minimum(x - left, left + width - 1 - x), np.minimum(y - top, top + height - 1 - y)
    )[::6, ::6]
    difference = np.abs(found[::6, ::6].astype(int) - recorded["pasted"]).max(axis=2)
    assert difference[inwards < 0].max() == 0
    assert difference[inwards > 15].max() <= 2  # they enlarge linearly, we by cubic splines
    assert difference[(inwards >= 0) & (inwards < 4)].max() > 10
