"""Layers as pipelines run them, with their constants folded in: what two systems share.

Activations (N, C, H, W) are channels-last, which makes convolutions fastest. The numbers are those
of the layers that were trained, up to rounding.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Conv(nn.Module):
    """A convolution with fixed numbers: (N, in, H, W) -> (N, out, H, W), of another size only where
    `padding` says so.
    """

    def __init__(self, weight, bias, dtype=torch.float32, padding=None):
        super().__init__()
        self.padding = weight.shape[-1] // 2 if padding is None else padding
        self.register_buffer("weight", channels_last(weight.detach()).to(dtype, copy=True))
        self.register_buffer("bias", bias.detach().to(dtype, copy=True))

    def forward(self, x):
        return F.conv2d(x.to(self.weight.dtype), self.weight, self.bias, padding=self.padding)


class UpConv(nn.Module):
    """Nearest-neighbour enlargement by 2 and a 3x3 convolution: (N, in, H, W) -> (N, out, 2H, 2W).

    An enlarged pixel sees only 2x2 different ones, so that four products do instead of nine. As
    one transposed convolution, the fastest of the forms tried in both precisions.
    """

    def __init__(self, weight, bias, dtype=torch.float32):
        super().__init__()
        kernel = four_shifts(weight.detach().flip(2, 3)).transpose(0, 1)  # (in, out, 4, 4)
        self.register_buffer("weight", channels_last(kernel).to(dtype))
        self.register_buffer("bias", bias.detach().to(dtype, copy=True))

    def forward(self, x):
        x = x.to(self.weight.dtype)
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)


def four_shifts(weight):
    """The 4x4 kernel whose stride-2 use equals a 3x3 kernel beside a nearest-neighbour resize.

    (out, in, 3, 3) -> (out, in, 4, 4): the kernel summed over its four one-pixel shifts, as in
    ProGAN's official fused layers.
    """
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)
