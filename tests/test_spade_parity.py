"""SPADE's networks against numbers recorded from the official code (tests/parity/spade; weights and
inputs come from parity/fill.py, and the weights pass through the import of official checkpoints).

Tolerances: outputs in [-1, 1], means and deviations 1e-4, uint8 pictures 1; what has no such
range, 1e-4 of its largest value.
"""

import functools
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models.spade import SPADEPipeline, networks, official
from gan_models.spade.labels import LABELS, colour_map, read_map
from tests import recorded
from tests.parity.fill import fill, noise, singular_vectors, smooth_image

case = functools.partial(recorded.case, "spade")


def official_state(description, kind):
    """The tensors as the official code names them."""
    recipe = description["networks"][kind]
    shapes = recipe["tensors"]
    flat = {key: shape for key, shape in shapes.items() if not key.endswith(("_u", "_v"))}
    state = fill(flat, recipe["gain"], recipe["unit"])
    for key in [key for key in shapes if key.endswith("_u")]:
        base = key.removesuffix("_u")
        weight = state[f"{base}_orig"]
        if shapes[key][0] != len(weight):  # transposed: see the notes of pix2pixHD's case
            weight = weight.swapaxes(0, 1)
        state[key], state[f"{base}_v"] = singular_vectors(base, weight)
    return {key: torch.from_numpy(np.ascontiguousarray(state[key])) for key in shapes}


def network(description, kind):
    """A case's network, imported as a checkpoint's with its opt.txt would be."""
    options = {name: str(value) for name, value in description["config"].items()}
    _, arguments, state = official.import_network(official_state(description, kind), options)
    made = {
        "generator": networks.GlobalGenerator if "blocks" in arguments else networks.Generator,
        "encoder": networks.Encoder,
        "discriminator": networks.Discriminator,
    }[kind]
    with torch.device("meta"):
        network = made(**arguments)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def whole_numbers(description, name):
    """The label or instance map (B, H, W) int64 that `inputs` describes in words."""
    text = description["inputs"][name]
    picture = re.search(r"smooth_image\('(\w+)',(\d+),1,(\d+)\) \* float32\((\d+)\)", text)
    name, batch, size, count = picture[1], *map(int, picture.groups()[1:])
    drawn = smooth_image(name, batch, 1, size)[:, 0] * np.float32(count)
    rows = 256 if "rows 0..255 only" in text else size
    return torch.from_numpy(drawn[:, :rows]).floor().clamp(0, count - 1).long()


def semantics_of(description):
    config = description["config"]
    instances = None if config["no_instance"] else whole_numbers(description, "instance")
    classes = config["semantic_nc"] - (instances is not None)
    return networks.one_hot(whole_numbers(description, "label"), classes, instances)


def check(found, recorded, tolerance=1e-4):
    found, recorded = np.asarray(found), np.asarray(recorded)
    assert found.shape == recorded.shape
    assert np.abs(found.astype(float) - recorded).max() <= tolerance


def check_picture(found, recorded):
    """(N, 3, H, W) in [-1, 1] against every k-th pixel of it and the mean and spread of all."""
    step = found.shape[-1] // recorded["out"].shape[-1]
    check(found[..., ::step, ::step], recorded["out"])
    check([found.mean(), found.std()], recorded["stats"])


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize(
    "name",
    [
        "ade20k_default", "coco_ngf16_instance", "cityscapes_more_ngf16", "most_ngf32", "vae_ngf32",
        "norm_spectralspadeinstance3x3_ngf16", "norm_spadebatch5x5_nospectral_ngf16",
        "pix2pixhd_ngf16",
    ],
)  # fmt: skip
def test_generators(name):
    description, recorded = case(f"generator_{name}")
    semantics = semantics_of(description)
    if "semantic_channel_sums" in recorded:
        check(semantics.sum((0, 2, 3)), recorded["semantic_channel_sums"], 0)
    latents = torch.from_numpy(noise("z", (2, 256))) if "z" in description["inputs"] else None
    with torch.inference_mode():
        check_picture(network(description, "generator")(semantics, latents), recorded)


@pytest.mark.parametrize("name", ["default", "resized_input_ngf16"])
def test_encoders(name):
    description, recorded = case(f"encoder_{name}")
    size, height = (256, 256) if name == "default" else (320, 192)
    picture = torch.from_numpy(smooth_image("style", 2, 3, size, -1, 1))[:, :, :height]
    mean, log_variance = network(description, "encoder")(picture)
    for found, key in ((mean, "mu"), (log_variance, "logvar")):
        check(found, recorded[key], 1e-4 * np.abs(recorded[key]).max())


@pytest.mark.parametrize("name", ["ade20k_default", "instance_edges", "numD3_layers3_noganfeat"])
def test_discriminators(name):
    description, recorded = case(f"discriminator_{name}")
    semantics = semantics_of(description)
    picture = torch.from_numpy(smooth_image("fake", len(semantics), 3, 256, -1, 1))
    with torch.inference_mode():
        found = network(description, "discriminator")(semantics, picture)
    assert len(found) == description["config"]["num_D"]
    last = description["config"]["no_ganFeat_loss"]  # the official code then keeps the scores only
    for scale, outputs in enumerate(found):
        kept = outputs[-1:] if last else outputs
        assert len(kept) == sum(
            key.startswith(f"d{scale}_l") and "stats" in key for key in recorded
        )
        for number, output in enumerate(kept):
            stats = recorded[f"d{scale}_l{number}_stats"]
            check(
                [output.mean(), output.std(correction=0)], stats, 1e-4 * max(1, np.abs(stats).max())
            )
            features = recorded.get(f"d{scale}_l{number}")
            if features is not None:
                bound = 1e-4 * max(1, np.abs(features).max())
                check(output[:, ::16, ::8, ::8], features, bound)
        scores = recorded[f"d{scale}_pred"]
        check(kept[-1], scores, 1e-4 * max(1, np.abs(scores).max()))


# ---------------------------------------------------------------- parts


def test_edges():
    description, recorded = case("edges_and_semantics")
    instances = whole_numbers(description, "instance")
    check(networks.instance_edges(instances[:, None]), recorded["edges"], 0)
    small = torch.tensor([[1, 1, 2, 2], [1, 1, 2, 2], [1, 3, 3, 2], [3, 3, 3, 3]])
    check(networks.instance_edges(small[None, None]), recorded["edges_small"], 0)


def test_colour_maps():
    description, recorded = case("schedule_and_colormaps")
    for count in (15, 37, 152, 184):
        check(colour_map(count), recorded[f"cmap_{count}"], 0)
    label_map = whole_numbers(description, "label")[0]
    check(colour_map(152)[label_map], recorded["label_image"], 0)
    check(LABELS["cityscapes"].colours, recorded["cmap_35"], 0)


# ---------------------------------------------------------------- from file to file


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def given(kind):
    """(description, recorded, label map (256, 256) uint8, instances) of an inference case: files
    of 300 x 200 pixels, stretched to the network's size.
    """
    description, recorded = case(f"inference_{kind}_ngf16")
    classes, unknown = (182, 255) if kind == "coco" else (151, 0)
    drawn = smooth_image("elabel", 1, 1, 300)[0, 0, :200] * np.float32(classes)
    label = np.clip(np.floor(drawn), 0, classes - 1).astype(np.uint8)
    label[:20, :20] = unknown
    label, notices = read_map(png(label), LABELS[kind])
    assert notices == []
    drawn = smooth_image("einst", 1, 1, 300)[0, 0, :200] * np.float32(9)
    instances = np.clip(np.floor(drawn), 0, 8).astype(np.uint8) if kind == "coco" else None
    resized = [
        part if part is None else np.array(Image.fromarray(part).resize((256, 256), 0))
        for part in (label, instances)
    ]
    check(resized[0][None, None, ::2, ::2], recorded["label"], 0)
    check(colour_map(LABELS[kind].classes)[resized[0]][::4, ::4], recorded["label_image_u8"], 0)
    return description, recorded, *resized


@pytest.mark.parametrize("kind", ["coco", "ade20k"])
def test_files_through_the_pipeline(kind):
    description, recorded, label_map, instances = given(kind)
    config = {
        "name": kind, "classes": list(LABELS[kind].names),
        "labels": {"kind": kind, "dont_care": kind == "coco", "edges": kind == "coco"},
    }  # fmt: skip
    pipeline = SPADEPipeline(network(description, "generator"), None, config, device="cpu")
    picture = pipeline.paint(label_map, instances=instances)
    check(picture[::2, ::2], recorded["image_u8"], 1)
    instances = label_map if instances is None else instances
    prepared = pipeline.prepared(label_map.astype(np.int64), instances.astype(np.int64))
    out = pipeline.folded(prepared)
    check(out[..., ::8, ::8], recorded["out"])
    check([out.mean(), out.std()], recorded["stats"])
