"""StarGAN v2's folded generator against the plain one, whose numbers the parity tests have."""

import pytest
import torch
from tiny_stargan_v2 import settled

from gan_models.folding import WinogradConv
from gan_models.stargan_v2.folded import FoldedGenerator
from gan_models.stargan_v2.networks import Generator


def made(w_hpf=0.0):
    torch.manual_seed(0)
    return settled(Generator(64, channels=24, style_dim=8, w_hpf=w_hpf, most=96))


def difference(plain, dtype=torch.float32, masked=False):
    """The largest of the images, in float64 if the network is."""
    exact = plain.from_rgb.weight.dtype
    source = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 64, generator=source, dtype=exact) * 2 - 1
    styles = torch.randn(2, 8, generator=source, dtype=exact)
    masks = None
    if masked:
        masks = [torch.rand(2, 1, 256, 256, generator=source, dtype=exact) for _ in range(2)]
    expected, unlike = plain(images, styles, masks), plain(images, -styles, masks)
    assert (expected - unlike).abs().max() > 0.1  # the styles matter
    ours = FoldedGenerator(plain, dtype=dtype)
    found = ours.decoded(ours.encoded(images.to(dtype), masks), styles)
    assert found.dtype == torch.float32 and found.shape == expected.shape
    one = ours.encoded(images[:1].to(dtype), None if masks is None else [m[:1] for m in masks])
    several = ours.decoded(one, styles)
    assert (several[0] - found[0]).abs().max() < 1e-3 * found.abs().max()
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("w_hpf", [0.0, 1.0])
def test_it_equals_the_plain_generator(w_hpf):
    plain = made(w_hpf).double()
    ours = FoldedGenerator(plain, dtype=torch.float64)
    assert isinstance(ours.decode[0].conv1, WinogradConv)
    assert difference(plain, torch.float64, masked=w_hpf > 0) < 1e-6


def test_float32_equals_it_up_to_rounding_and_bfloat16_nearly():
    assert difference(made()) < 1e-4
    assert difference(made(), torch.bfloat16) < 0.2
