"""The folded generator against the plain one, whose numbers test_ganimation_parity.py has."""

import pytest
import torch
from tiny_ganimation import settled

from gan_models.folding import WinogradConv
from gan_models.ganimation.folded import FoldedGenerator
from gan_models.ganimation.networks import Generator


def difference(plain, dtype=torch.float32, shape=(2, 3, 32, 48)):
    """The largest of both outputs, in float64 if the network is."""
    exact = plain.color.weight.dtype
    source = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=source, dtype=exact) * 2 - 1
    action_units = torch.rand(shape[0], 17, generator=source, dtype=exact)
    ours = FoldedGenerator(plain, dtype=dtype)
    pairs = list(zip(ours(images, action_units), plain(images, action_units), strict=True))
    for found, expected in pairs:
        assert found.shape == expected.shape and found.dtype == torch.float32
        assert expected.std() > 0.1
    still = plain(images, 1 - action_units)[0]
    assert (still - pairs[0][1]).abs().max() > 0.1  # the action units matter
    return max((found - expected).abs().max().item() for found, expected in pairs)


@pytest.mark.parametrize("shape", [(2, 3, 32, 48), (1, 3, 8, 8)], ids=str)
def test_it_equals_the_plain_generator(shape):
    plain = settled(Generator(channels=24, blocks=2)).double()  # 96 wide: with Winograd's products
    ours = FoldedGenerator(plain, dtype=torch.float64)
    assert isinstance(ours.main[5].main[0], WinogradConv)
    assert difference(plain, torch.float64, shape) < 1e-5  # the last sums are float32


def test_float32_equals_it_up_to_rounding_and_bfloat16_nearly():
    assert difference(settled(Generator(channels=24, blocks=2))) < 1e-4
    assert difference(settled(Generator(channels=8, blocks=2)), torch.bfloat16) < 0.3


def test_a_picture_does_not_depend_on_its_batch():
    ours = FoldedGenerator(settled(Generator(channels=8, blocks=1)))
    images, action_units = torch.rand(3, 3, 16, 16) * 2 - 1, torch.rand(3, 17)
    together = torch.cat(ours(images, action_units), dim=1)
    alone = torch.cat(ours(images[1:2], action_units[1:2]), dim=1)
    assert (together[1:2] - alone).abs().max() < 1e-5
