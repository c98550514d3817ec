"""Layers as pipelines run them, with their constants folded in: what two systems share.

Activations (N, C, H, W) are channels-last, which makes convolutions fastest. The numbers are those
of the layers that were trained, up to rounding.
"""

import torch
import torch.nn.functional as F
from torch import nn

WIDE = 96  # channels from which Winograd's products outweigh its transformations
HEAVY = 2**19  # channels in x channels out from which the weights outweigh the pixels

# Winograd's transformations for 4 outputs of a 3-tap filter from 6 inputs (Lavin and Gray, 2016),
# at the points 0, 1, -1, 2, -2 and infinity: of the input, of the filter, of the product.
INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
FILTER = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
PRODUCT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


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


class LastConv(nn.Module):
    """A convolution with few outputs that keeps the size (H and W even); float32 outputs.

    A processor computes 16 outputs at a time. Few leave most of their places empty, so it makes
    those of 2 x 2 pixels at once, from all that any of the four sees.
    """

    def __init__(self, conv, dtype):
        super().__init__()
        weight = conv.weight.detach()  # (out, in, h, w)
        shifted = [F.pad(weight, (k, 1 - k, v, 1 - v)) for v in (0, 1) for k in (0, 1)]
        weight = torch.stack(shifted, dim=1).flatten(0, 1)  # (4 out, in, h + 1, w + 1)
        self.register_buffer("weight", channels_last(weight).to(dtype))
        self.register_buffer("bias", conv.bias.detach().repeat_interleave(4).to(dtype))
        self.padding = conv.padding
        self.replicate = conv.padding_mode == "replicate"

    def forward(self, x):
        x, padding = x.to(self.weight.dtype), self.padding
        if self.replicate:
            vertical, horizontal = padding
            x = F.pad(x, (horizontal, horizontal, vertical, vertical), mode="replicate")
            padding = 0
        y = F.conv2d(x, self.weight, self.bias, stride=2, padding=padding)
        return F.pixel_shuffle(y.float(), 2)


class WinogradConv(nn.Module):
    """A 3x3 convolution that keeps the size, by 36 products for 16 outputs instead of 144.

    Its rounding errors are 3 times those of the plain sum in float32 (2e-6 of the outputs), but 9
    times in bfloat16, too much. One picture at a time, whose 36 planes then stay in the cache.
    """

    def __init__(self, weight, bias, dtype):
        super().__init__()
        flat = torch.tensor(FILTER, dtype=torch.float64)
        weight = torch.einsum("ai,bj,ocij->abco", flat, flat, weight.double())
        self.register_buffer("weight", weight.flatten(0, 1).to(dtype))  # (36, in, out)
        self.register_buffer("bias", bias.to(dtype, copy=True))
        for name, rows in (("input", INPUT), ("product", PRODUCT)):
            rows = torch.tensor(rows, dtype=dtype)
            self.register_buffer(name, torch.kron(rows, rows))

    def forward(self, x):
        n, channels, h, w = x.shape
        rows, columns = -(-h // 4), -(-w // 4)
        x = F.pad(x, (1, 4 * columns - w + 1, 1, 4 * rows - h + 1)).permute(0, 2, 3, 1)
        out = x.new_empty(n, rows, 4, columns, 4, len(self.bias))
        for picture, y in zip(x, out, strict=True):
            tiles = picture.unfold(0, 6, 4).unfold(1, 6, 4)  # (rows, columns, in, 6, 6)
            tiles = tiles.permute(3, 4, 0, 1, 2).reshape(36, -1)
            tiles = (self.input @ tiles).view(36, rows * columns, channels)
            tiles = tiles @ self.weight  # (36, rows columns, out)
            tiles[7] += self.bias  # the point (1, 1): its row of `product` reaches all 16 outputs
            tiles = (self.product @ tiles.view(36, -1)).view(4, 4, rows, columns, -1)
            y.copy_(tiles.permute(2, 0, 3, 1, 4))
        out = out.view(n, 4 * rows, 4 * columns, -1)[:, :h, :w]
        return out.permute(0, 3, 1, 2)


def instance_norm(x, scale, shift, epsilon, activate=None):
    """Each channel of x (N, C, H, W) at mean 0 and variance 1, times scale plus shift, (C,) or
    (N, 1, C); then `activate`, which may write where it reads. Statistics are of `scale`'s type.
    """
    rows = x.permute(0, 2, 3, 1).flatten(1, 2).to(scale.dtype)  # (N, H W, C)
    # Averages as products, because torch adds up channels-last pixels slowly.
    share = rows.new_full((len(rows), 1, rows.shape[1]), 1 / rows.shape[1])
    mean = share @ rows  # (N, 1, C)
    scale = scale * (share @ (rows - mean).square_() + epsilon).rsqrt_()
    rows = torch.addcmul(shift - mean * scale, rows, scale)
    rows = rows if activate is None else activate(rows)
    rows = rows.to(x.dtype).view(len(x), *x.shape[2:], -1)
    return rows.permute(0, 3, 1, 2)


def four_shifts(weight):
    """The 4x4 kernel whose stride-2 use equals a 3x3 kernel beside a nearest-neighbour resize.

    (out, in, 3, 3) -> (out, in, 4, 4): the kernel summed over its four one-pixel shifts, as in
    ProGAN's official fused layers.
    """
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)
