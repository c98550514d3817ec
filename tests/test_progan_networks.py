"""ProGAN's networks: sizes, fading in, minibatch standard deviation, fused layers."""

import pytest
import torch

from gan_models.folding import four_shifts
from gan_models.progan.networks import (
    Conv,
    Discriminator,
    DownConv,
    Generator,
    UpConv,
    channel_widths,
    downsample,
    minibatch_stddev,
    pixel_norm,
    upsample,
)

LATENT_SIZE = 6
WIDTHS = (8, 8, 4)  # 4, 8 and 16 px


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(16, LATENT_SIZE, WIDTHS).requires_grad_(False)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return Discriminator(16, WIDTHS).requires_grad_(False)


@pytest.fixture
def latents():
    return torch.randn(5, LATENT_SIZE, generator=torch.Generator().manual_seed(2))


def test_channel_widths_are_the_papers():
    assert channel_widths(1024) == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert channel_widths(32, base=4096, maximum=128) == (128, 128, 128, 128)


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_every_resolution_has_its_shapes(generator, discriminator, latents, resolution):
    images = generator(latents, resolution=resolution)
    assert images.shape == (5, 3, resolution, resolution)
    scores, logits = discriminator(images)
    assert scores.shape == (5,)
    assert logits.shape == (5, 0)
    assert scores.isfinite().all()


def test_labels_reach_the_pictures_and_the_logits(latents):
    torch.manual_seed(0)
    generator = Generator(8, LATENT_SIZE, (8, 4), label_size=3)
    discriminator = Discriminator(8, (8, 4), label_size=3)
    cat, dog = (torch.eye(3)[number].expand(5, 3) for number in (0, 1))
    assert not torch.allclose(generator(latents, cat), generator(latents, dog))
    assert torch.equal(generator(latents), generator(latents, torch.zeros(5, 3)))
    assert discriminator(generator(latents, cat))[1].shape == (5, 3)


def test_sizes_that_do_not_exist_are_refused(generator, discriminator, latents):
    with pytest.raises(ValueError, match="resolution 12 is not one"):
        generator(latents, resolution=12)
    with pytest.raises(ValueError, match="resolution 32 is not one"):
        discriminator(torch.zeros(2, 3, 32, 32))
    for resolution, widths in ((16, (8, 8)), (12, (8, 8, 8)), (8, (8, 8, 8))):
        with pytest.raises(ValueError, match="channels needs one width"):
            Generator(resolution, LATENT_SIZE, widths)


def test_the_generator_fades_from_the_enlarged_level_below(generator, latents):
    below, full = generator(latents, resolution=8), generator(latents, resolution=16)
    assert torch.allclose(generator(latents, alpha=0.0), upsample(below), atol=1e-6)
    assert torch.equal(generator(latents, alpha=1.0), full)
    half = generator(latents, alpha=0.5)
    assert torch.allclose(half, (upsample(below) + full) / 2, atol=1e-6)
    assert torch.equal(generator(latents, resolution=4, alpha=0.3), generator(latents, None, 4))


def test_the_discriminator_fades_from_the_level_below(generator, discriminator, latents):
    images = generator(latents)
    faded_out = discriminator(images, alpha=0.0)[0]
    assert torch.allclose(faded_out, discriminator(downsample(images))[0], atol=1e-5)
    assert not torch.allclose(faded_out, discriminator(images, alpha=1.0)[0], atol=1e-3)


def test_fused_enlarging_equals_enlarging_then_convolving():
    torch.manual_seed(0)
    layer, x = UpConv(5, 4, 3), torch.randn(2, 5, 6, 6)
    torch.nn.init.normal_(layer.bias)
    assert layer(x).shape == (2, 4, 12, 12)
    assert torch.allclose(layer(x), Conv.forward(layer, upsample(x)), atol=1e-5)


def test_fused_reducing_equals_convolving_then_averaging():
    torch.manual_seed(0)
    layer, x = DownConv(5, 4, 3), torch.randn(2, 5, 6, 6)
    torch.nn.init.normal_(layer.bias)
    assert layer(x).shape == (2, 4, 3, 3)
    assert torch.allclose(layer(x), downsample(Conv.forward(layer, x)), atol=1e-5)


def test_four_shifts_keeps_four_times_the_kernels_sum():
    kernel = torch.randn(3, 2, 3, 3)
    assert four_shifts(kernel).shape == (3, 2, 4, 4)
    assert torch.allclose(four_shifts(kernel).sum((2, 3)), 4 * kernel.sum((2, 3)), atol=1e-5)


def test_pixel_norm_gives_each_pixel_a_root_mean_square_of_one():
    x = pixel_norm(torch.randn(2, 7, 3, 3) * 5)
    assert torch.allclose(x.square().mean(dim=1), torch.ones(2, 3, 3), atol=1e-5)


def test_equalized_weights_act_with_variance_two_over_fan_in():
    torch.manual_seed(0)
    layer = Conv(64, 64, 3)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    assert layer.scaled()[0].std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_stddev_groups_are_strided_through_the_batch():
    x = torch.randn(8, 2, 3, 3)
    out = minibatch_stddev(x, group=4)
    assert out.shape == (8, 3, 3, 3)
    assert torch.equal(out[:, :2], x)
    for first in (0, 1):  # groups {0, 2, 4, 6} and {1, 3, 5, 7}
        members = x[first::2]
        expected = (members.var(dim=0, correction=0) + 1e-8).sqrt().mean()
        assert torch.allclose(out[first::2, 2], expected, atol=1e-6)


def test_stddev_groups_may_follow_each_other():
    x = torch.randn(8, 2, 3, 3)
    out = minibatch_stddev(x, group=4, consecutive=True, unbiased=True)
    expected = (x[4:].var(dim=0, correction=1) + 1e-8).sqrt().mean()
    assert torch.allclose(out[4:, 2], expected, atol=1e-6)


@pytest.mark.parametrize(("count", "group", "used"), [(6, 4, 3), (3, None, 3), (2, 4, 2)])
def test_stddev_takes_the_largest_group_that_divides_the_batch(count, group, used):
    x = torch.randn(count, 2, 3, 3)
    grouped = x.reshape(used, count // used, 2, 3, 3)
    expected = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (groups,)
    assert torch.allclose(minibatch_stddev(x, group)[:, 2, 0, 0], expected.repeat(used), atol=1e-6)


def test_stddev_makes_samples_of_a_group_depend_on_each_other(discriminator):
    images = torch.randn(4, 3, 16, 16)
    alone = torch.cat([discriminator(image[None])[0] for image in images])
    assert not torch.allclose(discriminator(images)[0], alone, atol=1e-3)
    torch.manual_seed(1)
    independent = Discriminator(16, WIDTHS, stddev_group=0).requires_grad_(False)
    alone = torch.cat([independent(image[None])[0] for image in images])
    assert torch.allclose(independent(images)[0], alone, atol=1e-5)
