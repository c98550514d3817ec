"""StarGAN v2's networks (Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains",
CVPR 2020, appendix F), with parameters named as in the official code.

Letters in the shapes: N samples, D domains, Z latent numbers (16), S numbers of a style code (64),
C channels, H and W pixels. Images are in [-1, 1]; the generator's may reach a little beyond.

`channels` of a network are those at the image's own size; each halving doubles them, to at most
`most` (512).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.errors import UserError

LEAK = 0.2  # slope of the leaky ReLUs
MOST = 512
HPF_SIZES = (32, 64, 128)  # of the maps that the high-pass skip adds to, whatever the image's size


def halvings(image_size, last):
    """How often an image is halved until its side is `last`. UserError for a side that is none of
    4, 8, 16 ... or below 32.
    """
    if image_size < 32 or image_size & (image_size - 1):
        raise UserError(f"StarGAN v2 takes pictures of 32, 64, 128 ... pixels, not {image_size}.")
    return int(math.log2(image_size // last))


def widths(channels, count, most=MOST):
    """Channels before and after each of `count` halvings."""
    return [min(channels << i, most) for i in range(count + 1)]


class ResBlk(nn.Module):
    """(N, C, H, W) -> (N, C', H, W) or half the size: pre-activation residual block of unit
    variance; with instance norm only in the generator.
    """

    def __init__(self, c_in, c_out, normalize=False, downsample=False):
        super().__init__()
        self.normalize, self.downsample = normalize, downsample
        self.conv1 = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.conv2 = nn.Conv2d(c_in, c_out, 3, padding=1)
        if normalize:
            self.norm1 = nn.InstanceNorm2d(c_in, affine=True)
            self.norm2 = nn.InstanceNorm2d(c_in, affine=True)
        if c_in != c_out:
            self.conv1x1 = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x):
        straight = self.conv1x1(x) if hasattr(self, "conv1x1") else x
        x = self.conv1(F.leaky_relu(self.norm1(x) if self.normalize else x, LEAK))
        if self.downsample:
            straight, x = F.avg_pool2d(straight, 2), F.avg_pool2d(x, 2)
        x = self.conv2(F.leaky_relu(self.norm2(x) if self.normalize else x, LEAK))
        return (straight + x) / math.sqrt(2)


class AdaIN(nn.Module):
    """Instance norm whose scale and shift are linear in the style (Huang & Belongie 2017)."""

    def __init__(self, style_dim, channels):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.fc = nn.Linear(style_dim, 2 * channels)

    def forward(self, x, style_code):
        gamma, beta = self.fc(style_code)[:, :, None, None].chunk(2, dim=1)
        return (1 + gamma) * self.norm(x) + beta


class AdainResBlk(nn.Module):
    """(N, C, H, W), style (N, S) -> (N, C', H, W) or twice the size.

    straight False leaves the shortcut out, as in the official code where there is a high-pass skip;
    its convolution stays in the checkpoints without being used.
    """

    def __init__(self, c_in, c_out, style_dim, upsample=False, straight=True):
        super().__init__()
        self.upsample, self.straight = upsample, straight
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.norm1 = AdaIN(style_dim, c_in)
        self.norm2 = AdaIN(style_dim, c_out)
        if c_in != c_out:
            self.conv1x1 = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x, style_code):
        residual = F.leaky_relu(self.norm1(x, style_code), LEAK)
        if self.upsample:
            residual = F.interpolate(residual, scale_factor=2)
        residual = self.conv1(residual)
        residual = self.conv2(F.leaky_relu(self.norm2(residual, style_code), LEAK))
        if not self.straight:
            return residual
        straight = self.conv1x1(x) if hasattr(self, "conv1x1") else x  # commutes with enlarging
        if self.upsample:
            straight = F.interpolate(straight, scale_factor=2)
        return (straight + residual) / math.sqrt(2)


class HighPass(nn.Module):
    """Edges (N, C, H, W) of a map: each channel's difference from its neighbours / w_hpf."""

    def __init__(self, w_hpf):
        super().__init__()
        kernel = torch.full((3, 3), -1 / w_hpf)
        kernel[1, 1] = 8 / w_hpf
        self.register_buffer("filter", kernel)

    def forward(self, x):
        kernel = self.filter.to(x.dtype).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


class Generator(nn.Module):
    """Source image and style code in, the image in that style out (section 2.1).

    w_hpf > 0: with a high-pass skip where masks (`landmarks.FAN.masks`) say, one level deeper, and
    without shortcuts in the decoder: CelebA-HQ's. 0: all other data.
    """

    def __init__(self, image_size=256, channels=64, style_dim=64, w_hpf=0.0, most=MOST):
        super().__init__()
        count = halvings(image_size, 8 if w_hpf > 0 else 16)
        ways = widths(channels, count, most)
        pairs = list(zip(ways, ways[1:], strict=False))
        self.from_rgb = nn.Conv2d(3, channels, 3, padding=1)
        self.to_rgb = nn.Sequential(
            nn.InstanceNorm2d(channels, affine=True),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(channels, 3, 1),
        )
        deepest, straight = ways[-1], w_hpf <= 0
        self.encode = nn.ModuleList(ResBlk(a, b, True, True) for a, b in pairs)
        self.encode.extend(ResBlk(deepest, deepest, True) for _ in range(2))
        self.decode = nn.ModuleList(
            AdainResBlk(deepest, deepest, style_dim, straight=straight) for _ in range(2)
        )
        self.decode.extend(
            AdainResBlk(b, a, style_dim, upsample=True, straight=straight)
            for a, b in reversed(pairs)
        )
        if w_hpf > 0:
            self.hpf = HighPass(w_hpf)

    def encoded(self, images):
        """images (N, 3, H, W) -> (their map (N, C, h, w) without a style, kept maps by their side);
        the same for all styles.
        """
        x, kept = self.from_rgb(images), {}
        for block in self.encode:
            if hasattr(self, "hpf") and x.shape[2] in HPF_SIZES:
                kept[x.shape[2]] = x
            x = block(x)
        return x, kept

    def decoded(self, encoded, style_code, masks=None):
        """What `encoded` gives, styles (N, S), and masks (2 of (N, 1, h, w) in [0, 1]: where the
        skip adds edges at 32 pixels, and above) or None -> images (N, 3, H, W).
        """
        x, kept = encoded
        for block in self.decode:
            x = block(x, style_code)
            if masks is not None and x.shape[2] in kept:
                mask = masks[0] if x.shape[2] == HPF_SIZES[0] else masks[1]
                mask = F.interpolate(mask, size=x.shape[2:], mode="bilinear")
                x = x + self.hpf(mask * kept[x.shape[2]])
        return self.to_rgb(x)

    def forward(self, images, style_code, masks=None):
        """images (N, 3, H, W), style_code (N, S), masks as for `decoded` -> (N, 3, H, W)."""
        return self.decoded(self.encoded(images), style_code, masks)


def of_domain(every, domain):
    """(N, D, ...) or a list of D (N, ...), domains (N,) int64 -> (N, ...)."""
    every = torch.stack(every, dim=1) if isinstance(every, list) else every
    return every[torch.arange(len(domain), device=domain.device), domain]


class MappingNetwork(nn.Module):
    """Latents to style codes of each domain (section 2.1)."""

    def __init__(self, latent_dim=16, style_dim=64, num_domains=2, hidden=512):
        super().__init__()

        def layers(c_in, count):
            sizes = [c_in] + [hidden] * count
            for a, b in zip(sizes, sizes[1:], strict=False):
                yield from (nn.Linear(a, b), nn.ReLU())

        self.shared = nn.Sequential(*layers(latent_dim, 4))
        self.unshared = nn.ModuleList(
            nn.Sequential(*layers(hidden, 3), nn.Linear(hidden, style_dim))
            for _ in range(num_domains)
        )

    def forward(self, latent, domain):
        """latent (N, Z) of the normal distribution, domain (N,) int64 -> style_code (N, S)."""
        shared = self.shared(latent)
        return of_domain([head(shared) for head in self.unshared], domain)


def trunk(image_size, channels, most=MOST):
    """([layers from an image (N, 3, H, W) to (N, C, 1, 1)], C)."""
    ways = widths(channels, halvings(image_size, 4), most)
    blocks = (ResBlk(a, b, downsample=True) for a, b in zip(ways, ways[1:], strict=False))
    ends = nn.LeakyReLU(LEAK), nn.Conv2d(ways[-1], ways[-1], 4), nn.LeakyReLU(LEAK)
    return [nn.Conv2d(3, channels, 3, padding=1), *blocks, *ends], ways[-1]


class StyleEncoder(nn.Module):
    """Reference images to style codes of their domain (section 2.1)."""

    def __init__(self, image_size=256, channels=64, style_dim=64, num_domains=2, most=MOST):
        super().__init__()
        layers, width = trunk(image_size, channels, most)
        self.shared = nn.Sequential(*layers)
        self.unshared = nn.ModuleList(nn.Linear(width, style_dim) for _ in range(num_domains))

    def forward(self, reference, domain):
        """reference (N, 3, H, W), domain (N,) int64 -> style_code (N, S)."""
        shared = self.shared(reference).flatten(1)
        return of_domain([head(shared) for head in self.unshared], domain)


class Discriminator(nn.Module):
    """Whether an image is a real one of its domain (section 2.1)."""

    def __init__(self, image_size=256, channels=64, num_domains=2, most=MOST):
        super().__init__()
        layers, width = trunk(image_size, channels, most)
        self.main = nn.Sequential(*layers, nn.Conv2d(width, num_domains, 1))

    def forward(self, images, domain):
        """images (N, 3, H, W), domain (N,) int64 -> logits (N,)."""
        return of_domain(self.main(images).flatten(1), domain)


def channels_of(image_size):
    """Those of the official networks: 64 for 256 pixels, the more the smaller the image."""
    return 2**14 // image_size
