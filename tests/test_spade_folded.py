"""The folded generator against the plain one, whose numbers test_spade_parity.py has."""

import pytest
import torch
from tiny_spade import settled

from gan_models.folding import WinogradConv
from gan_models.spade import folded
from gan_models.spade.folded import FoldedGenerator
from gan_models.spade.networks import Generator, instance_edges, one_hot

CLASSES = 5


def generator(edges=False, **arguments):
    """A small one whose every number takes part."""
    torch.manual_seed(0)
    arguments = {"size": (64, 64), "channels": 8, "hidden": 16} | arguments
    return settled(Generator(CLASSES + edges, **arguments))


def painted(size):
    """(1, H, W) int64: three areas and a dot."""
    label_map = torch.zeros(1, *size, dtype=torch.long)
    label_map[:, size[0] // 3 :], label_map[:, 20:50, 7:19] = 1, 4
    label_map[:, 9, 9] = 2
    return label_map


def difference(plain, edges=False, label_map=None, dtype=torch.float32):
    label_map = painted(plain.size) if label_map is None else label_map
    instances = label_map if edges else None
    exact = plain.conv_img.weight.dtype
    latents = torch.randn(2, plain.latent_size, dtype=exact) if plain.latent_size else None
    semantics = one_hot(label_map, CLASSES, instances).to(exact)
    count = 2 if plain.latent_size else 1
    expected = plain(semantics.expand(count, -1, -1, -1), latents)
    ours = FoldedGenerator(plain, CLASSES, dtype=dtype)
    drawn = instance_edges(label_map[:, None])[0, 0].long() if edges else None
    found = ours(ours.prepare(label_map[0], drawn), latents)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert expected.std() > 0.1
    return (found - expected).abs().max().item()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"edges": True, "latent_size": 7},
        {"size": (64, 128), "upsampling": "more"},
        {"size": (128, 128), "upsampling": "most"},
        {"norm": "instance", "edges": True},
        {"kernel": 5, "spectral": False},
        {"kernel": 1, "latent_size": 7},
    ],
    ids=str,
)
def test_it_equals_the_plain_generator(arguments):
    plain = generator(**arguments).double()
    edges = arguments.get("edges", False)
    assert difference(plain, edges, dtype=torch.float64) < 1e-5  # the last sums are float32


def test_a_map_of_noise_equals_it_too():
    noise = torch.randint(0, CLASSES, (1, 64, 64))
    assert difference(generator().double(), label_map=noise, dtype=torch.float64) < 1e-5


def test_float32_equals_it_up_to_rounding_and_bfloat16_nearly():
    wide = generator(channels=16, size=(32, 32))  # for every form of a convolution
    assert isinstance(FoldedGenerator(wide, CLASSES).head_0.conv_1, WinogradConv)
    assert difference(wide) < 2e-4
    assert difference(generator(), dtype=torch.bfloat16) < 0.5


def test_a_painted_map_needs_few_surroundings():
    codes = painted((256, 256))[0]
    around = folded.surroundings(codes, 3, CLASSES)
    assert len(around.windows) < 600  # of 65,536 pixels
    ours = FoldedGenerator(generator(), CLASSES)
    noise = ours.prepare(torch.randint(0, CLASSES, (64, 64)))
    assert ours.prepare(painted((64, 64))[0]).bytes < noise.bytes / 4
