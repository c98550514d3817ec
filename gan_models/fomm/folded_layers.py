"""Layers of the motion networks with their constants folded in; see `folded`.

Activations (N, C, H, W) are channels-last. Four forms save arithmetic or time, all but
the first on a processor only:

    up        enlarging and convolving in one: four products instead of nine
    Winograd  wide 3x3 convolutions in float32: a quarter of the products
    last      three or four outputs of four pixels at once: nothing of a vector is left empty
    rows      features are moved pixel by pixel, all channels at once
"""

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import (
    HEAVY,
    Conv,
    LastConv,
    UpConv,
    WinogradConv,
)

WIDE = 128  # channels from which Winograd's products outweigh its transformations


class FoldedHourglass(nn.Module):
    """See `Hourglass`."""

    def __init__(self, hourglass, device, dtype):
        super().__init__()
        self.encoder = nn.ModuleList(FoldedBlock(block, dtype) for block in hourglass.encoder)
        self.decoder = nn.ModuleList(folded_up(block, device, dtype) for block in hourglass.decoder)

    def forward(self, x):
        levels = [x]
        for block in self.encoder:
            levels.append(block(levels[-1]))
        x = levels.pop()
        for block in self.decoder:
            x = block(x)
            x = torch.cat([x, levels.pop().to(x.dtype)], dim=1)
        return x


class FoldedResidual(nn.Module):
    """See `ResidualBlock`; its second norm is part of the first convolution."""

    def __init__(self, block, device, dtype):
        super().__init__()
        scale, shift = scale_and_shift(block.norm1)
        self.register_buffer("scale", scale.view(1, -1, 1, 1).to(dtype))
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(dtype))
        wide = len(scale) >= WIDE and dtype == torch.float32 and on_processor(device)
        kind = WinogradConv if wide else Conv
        self.conv1 = kind(*folded(block.conv1, block.norm2), dtype)
        self.conv2 = kind(block.conv2.weight.detach(), block.conv2.bias.detach(), dtype)

    def forward(self, x):
        x = x.to(self.scale.dtype)
        y = self.conv1(torch.addcmul(self.shift, x, self.scale).relu_())
        return self.conv2(y.relu_()).add_(x)


class FoldedBlock(nn.Module):
    """See `Block`, without its norm; not for "up"."""

    def __init__(self, block, dtype=torch.float32):
        super().__init__()
        self.conv = Conv(*folded(block.conv, block.norm), dtype)
        self.pool = block.resample == "down"

    def forward(self, x):
        x = self.conv(x).relu_()
        return F.avg_pool2d(x, 2) if self.pool else x


def folded_up(block, device, dtype):
    """The faster layer for an "up" `Block`: (N, in, h, w) -> (N, out, 2h, 2w)."""
    heavy = block.conv.in_channels * block.conv.out_channels >= HEAVY and on_processor(device)
    return (HeavyUp if heavy else FoldedUp)(*folded(block.conv, block.norm), dtype)


class FoldedUp(UpConv):
    """Enlarging, convolving and ReLU."""

    def forward(self, x):
        return super().forward(x).relu_()


class HeavyUp(nn.Module):
    """`FoldedUp` for many channels and few pixels: four matrix products.

    A convolution first brings its weights into an order of its own, at every call; with 16 million
    weights and 4 pixels that takes most of its time.
    """

    def __init__(self, weight, bias, dtype):
        super().__init__()
        # What the upper or left of two enlarged pixels sees of two pixels, and the other one.
        seen = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        kernels = torch.einsum("vap,hbq,oipq->vhabio", seen, seen, weight)
        self.register_buffer("kernels", kernels.flatten(2, 4).to(dtype))  # (2, 2, 4 in, out)
        self.register_buffer("bias", bias.to(dtype))

    def forward(self, x):
        n, channels, h, w = x.shape
        x = F.pad(x.to(self.bias.dtype), (1, 1, 1, 1)).permute(0, 2, 3, 1)  # (N, h + 2, w + 2, in)
        out = x.new_empty(n, h, 2, w, 2, len(self.bias))
        for v in (0, 1):
            for k in (0, 1):
                seen = x[:, v : v + h + 1, k : k + w + 1].unfold(1, 2, 1).unfold(2, 2, 1)
                seen = seen.permute(0, 1, 2, 4, 5, 3).reshape(n * h * w, 4 * channels)
                y = torch.addmm(self.bias, seen, self.kernels[v, k])
                out[:, :, v, :, k] = y.relu_().view(n, h, w, -1)
        return out.view(n, 2 * h, 2 * w, -1).permute(0, 3, 1, 2)


class FoldedConv(nn.Module):
    """Convolutions of one input as one; their outputs follow each other. None are left out."""

    def __init__(self, convs, dtype=torch.float32):
        super().__init__()
        convs = [conv for conv in convs if conv is not None]
        weight = torch.cat([conv.weight.detach() for conv in convs])
        bias = torch.cat([conv.bias.detach() for conv in convs])
        self.conv = Conv(weight, bias, dtype, convs[0].padding)
        self.replicate = convs[0].padding_mode == "replicate"
        if self.replicate:
            self.conv.padding = 0
            vertical, horizontal = convs[0].padding
            self.around = (horizontal, horizontal, vertical, vertical)

    def forward(self, x):
        return self.conv(F.pad(x, self.around, mode="replicate") if self.replicate else x)


def folded_last(conv, device, dtype):
    """The faster layer for a convolution that keeps the size and has few outputs."""
    return LastConv(conv, dtype) if on_processor(device) else FoldedConv([conv], dtype)


def moved_rows(image, places, border, align_corners, share=None):
    """`F.grid_sample` of one image (1, C, H, W) at places (N, h, w, 2): (N, C, h, w).

    With many channels it is several times as fast on a processor: the four pixels around a place
    and their weights are worked out once, and each pixel's channels lie side by side.

    border: Pixels beyond the border are its own, not zeros.
    share: (N, 1, h, w), what the result is multiplied by.
    """
    rim = 0 if border else 1  # of zeros, at which places end
    image = image if border else F.pad(image, (1, 1, 1, 1))
    n, h, w, _ = places.shape
    _, channels, height, width = image.shape
    parts = []
    for place, side in zip(places.unbind(3), (width, height), strict=True):
        own = side - 2 * rim - int(align_corners)
        place = (place * (own / 2)).add_((side - 1) / 2).nan_to_num_(0.0).clamp_(0, side - 1)
        before = place.floor().clamp_max_(side - 2)  # the left or upper of two pixels
        parts += [before, place.sub_(before)]  # and the weight of the other one
    x, right, y, below = parts
    share = 1.0 if share is None else share.view(n, h, w)
    below = below * share
    corner = right * below
    above = share - below  # of the upper two
    beside = right * above
    weights = torch.stack([above - beside, beside, below - corner, corner], dim=3)
    first = (y * width + x).int().view(-1, 1)
    near = first + torch.tensor([0, 1, width, width + 1], dtype=torch.int32)
    rows = image.permute(0, 2, 3, 1).reshape(-1, channels)
    moved = F.embedding_bag(near, rows, mode="sum", per_sample_weights=weights.view(-1, 4))
    return moved.view(n, h, w, channels).permute(0, 3, 1, 2)


def scale_and_shift(norm):
    """A batch norm's two numbers per channel: what it does to x is scale * x + shift."""
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    return scale.float(), shift.float()


def folded(conv, norm):
    """Weight and bias of a convolution that does the work of the norm behind it, too."""
    scale, shift = scale_and_shift(norm)
    return conv.weight.detach() * scale.view(-1, 1, 1, 1), conv.bias.detach() * scale + shift


def on_processor(device):
    return torch.device(device).type == "cpu"
