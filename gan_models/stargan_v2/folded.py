"""StarGAN v2's generator as the pipeline runs it: the same numbers up to rounding, sooner.

The half that knows no style is run once for a source. A convolution before a halving, or behind a
doubling, needs 16 products where the plain one needs 36; wide convolutions are Winograd's on a
processor; norms and styles are one scale and shift of each channel; 1 / sqrt(2) lies in the
weights. Activations are channels-last.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import (
    WIDE,
    Conv,
    UpConv,
    WinogradConv,
    channels_last,
    four_shifts,
    instance_norm,
)
from gan_models.stargan_v2.networks import HPF_SIZES, LEAK

UNIT = 1 / math.sqrt(2)  # of a block's two ways, so that their sum keeps its variance


def activated(x):
    return F.leaky_relu_(x, LEAK)


def convolution(layer, dtype, winograd, factor=1.0):
    """A `Conv2d` that keeps the size, times a factor."""
    weight = layer.weight.detach() * factor
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach() * factor
    if winograd and weight.shape[-1] == 3 and weight.shape[1] >= WIDE:
        return WinogradConv(weight, bias, dtype)
    return Conv(weight, bias, dtype)


class HalvingConv(nn.Module):
    """A 3x3 convolution and the mean of each 2x2 pixels, as one of 4x4 pixels and stride 2."""

    def __init__(self, layer, dtype):
        super().__init__()
        kernel = four_shifts(layer.weight.detach()) / 4
        self.register_buffer("weight", channels_last(kernel).to(dtype))
        self.register_buffer("bias", layer.bias.detach().to(dtype, copy=True))

    def forward(self, x):
        return F.conv2d(x.to(self.weight.dtype), self.weight, self.bias, stride=2, padding=1)


class Straight(nn.Module):
    """A block's shortcut, times UNIT: the input itself, or a 1x1 convolution of it."""

    def __init__(self, block, dtype):
        super().__init__()
        self.conv = None
        if hasattr(block, "conv1x1"):
            self.conv = convolution(block.conv1x1, dtype, False, UNIT)

    def forward(self, x):
        return x * UNIT if self.conv is None else self.conv(x)


class FoldedResBlk(nn.Module):
    """See `networks.ResBlk`, with norms."""

    def __init__(self, block, dtype, winograd):
        super().__init__()
        self.norms = nn.ModuleList([block.norm1, block.norm2]).requires_grad_(False)
        self.downsample, self.straight = block.downsample, Straight(block, dtype)
        halving = HalvingConv(block.conv1, dtype) if block.downsample else None
        self.conv1 = halving or convolution(block.conv1, dtype, winograd)
        self.conv2 = convolution(block.conv2, dtype, winograd, UNIT)

    def forward(self, x):
        straight = self.straight(F.avg_pool2d(x, 2) if self.downsample else x)
        for norm, conv in zip(self.norms, (self.conv1, self.conv2), strict=True):
            x = conv(instance_norm(x, norm.weight, norm.bias, norm.eps, activated))
        return x.add_(straight)


class FoldedAdainResBlk(nn.Module):
    """See `networks.AdainResBlk`; the styles come as two pairs of scale and shift (N, 1, C)."""

    def __init__(self, block, dtype, winograd):
        super().__init__()
        self.epsilons = block.norm1.norm.eps, block.norm2.norm.eps
        self.upsample = block.upsample
        self.straight = Straight(block, dtype) if block.straight else None
        doubling = None
        if block.upsample:
            doubling = UpConv(block.conv1.weight, block.conv1.bias, dtype)
        self.conv1 = doubling or convolution(block.conv1, dtype, winograd)
        self.conv2 = convolution(block.conv2, dtype, winograd, UNIT if block.straight else 1.0)

    def forward(self, x, first, second):
        straight = None if self.straight is None else self.straight(x)
        x = self.conv1(instance_norm(x, *first, self.epsilons[0], activated))
        x = self.conv2(instance_norm(x, *second, self.epsilons[1], activated))
        if straight is None:
            return x
        return x.add_(F.interpolate(straight, scale_factor=2) if self.upsample else straight)


class FoldedGenerator(nn.Module):
    """A copy of `generator` for inference, with its `encoded` and `decoded`.

    Args:
        generator: A `networks.Generator`; stays as it is.
        device: Where it runs.
        dtype: Of the convolutions; images are float32.
    """

    def __init__(self, generator, device="cpu", dtype=torch.float32):
        super().__init__()
        winograd = torch.device(device).type == "cpu" and dtype.itemsize >= 4
        self.from_rgb = convolution(generator.from_rgb, dtype, False)
        self.encode = nn.ModuleList(FoldedResBlk(b, dtype, winograd) for b in generator.encode)
        self.decode = nn.ModuleList(FoldedAdainResBlk(b, dtype, winograd) for b in generator.decode)
        self.to_rgb = convolution(generator.to_rgb[2], dtype, False)
        self.last_norm = generator.to_rgb[0].requires_grad_(False)
        linear = [norm.fc for block in generator.decode for norm in (block.norm1, block.norm2)]
        self.widths = [layer.out_features for layer in linear]
        self.register_buffer("styles", torch.cat([layer.weight.detach() for layer in linear]))
        self.register_buffer("shifts", torch.cat([layer.bias.detach() for layer in linear]))
        self.hpf = getattr(generator, "hpf", None)
        self.to(device).eval()

    @torch.inference_mode()
    def encoded(self, images, masks=None):
        """images (N, 3, H, W) and masks as for `networks.Generator.decoded` -> (map without a
        style, by their side what the skip adds).
        """
        x, added = self.from_rgb(channels_last(images)), {}
        for block in self.encode:
            if masks is not None and x.shape[2] in HPF_SIZES:
                mask = masks[0] if x.shape[2] == HPF_SIZES[0] else masks[1]
                mask = F.interpolate(mask, size=x.shape[2:], mode="bilinear").to(x.dtype)
                added[x.shape[2]] = self.hpf(mask * x)
            x = block(x)
        return x, added

    @torch.inference_mode()
    def decoded(self, encoded, style_code):
        """What `encoded` gives of one source or of N, styles (N, S) -> images (N, 3, H, W)."""
        x, added = encoded
        n = len(style_code)
        x = x.expand(n, -1, -1, -1)
        numbers = F.linear(style_code.to(self.styles.dtype), self.styles, self.shifts)[:, None]
        pairs = [both.chunk(2, dim=2) for both in numbers.split(self.widths, dim=2)]
        pairs = [(1 + gamma, beta) for gamma, beta in pairs]
        for index, block in enumerate(self.decode):
            x = block(x, *pairs[2 * index : 2 * index + 2])
            if x.shape[2] in added:
                x = x + added[x.shape[2]]
        norm = self.last_norm
        return self.to_rgb(instance_norm(x, norm.weight, norm.bias, norm.eps, activated)).float()
