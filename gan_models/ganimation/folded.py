"""GANimation's generator as the pipeline runs it: the same numbers up to rounding, sooner.

Activations are channels-last. The first convolution never sees the planes of action units: inside
the picture a plane adds the same number to every pixel, which the instance norm behind it takes
away again, so that only near the border (where a kernel reaches beyond it) is something left to
add. Norm and ReLU are one scale and shift of each channel, the two heads one convolution, and on a
processor the wide convolutions are Winograd's.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import WIDE, Conv, LastConv, WinogradConv, channels_last, instance_norm
from gan_models.ganimation.networks import Generator, Residual


class FirstConv(nn.Module):
    """A convolution of images and of planes of action units, up to a constant in each channel."""

    def __init__(self, conv, dtype):
        super().__init__()
        weight = conv.weight.detach()
        kernel, self.half = weight.shape[-1], weight.shape[-1] // 2
        self.register_buffer("weight", channels_last(weight[:, :3]).to(dtype))
        # What a plane of ones adds in a picture of one kernel's size, whose middle pixel alone
        # sees the whole kernel, as all pixels inside a larger picture do.
        planes = weight[:, 3:].double().transpose(0, 1).flatten(0, 1)[:, None]  # (A C, 1, k, k)
        ones = planes.new_ones(1, 1, kernel, kernel)
        added = F.conv2d(ones, planes, padding=self.half).view(-1, len(weight), kernel, kernel)
        added -= added[:, :, self.half, self.half, None, None].clone()
        self.register_buffer("border", added.to(torch.promote_types(dtype, torch.float32)))

    def forward(self, images, action_units):
        """images (N, 3, H, W), action_units (N, A) -> (N, C, H, W)."""
        x = F.conv2d(channels_last(images.to(self.weight.dtype)), self.weight, padding=self.half)
        added = torch.tensordot(action_units.to(self.border.dtype), self.border, 1).to(x.dtype)
        half, (h, w) = self.half, x.shape[2:]
        columns = torch.arange(w, device=x.device)
        columns = columns.clamp(max=half) + (columns - (w - 1 - half)).clamp(min=0)
        x[:, :, :half] += added[:, :, :half, columns]
        x[:, :, h - half :] += added[:, :, half + 1 :, columns]
        x[:, :, half : h - half, :half] += added[:, :, half : half + 1, :half]
        x[:, :, half : h - half, w - half :] += added[:, :, half : half + 1, half + 1 :]
        return x


class Norm(nn.Module):
    """An instance norm, and the ReLU behind it if there is one; statistics are float32."""

    def __init__(self, norm):
        super().__init__()
        self.epsilon, self.relu = norm.eps, False
        self.register_buffer("scale", norm.weight.detach().clone())
        self.register_buffer("shift", norm.bias.detach().clone())

    def forward(self, x, modulation=None):
        """x (N, C, H, W); modulation (N, 2 C): shift and scale of what goes into the ReLU."""
        scale, shift = self.scale, self.shift
        if modulation is not None:
            more, factor = modulation[:, None].to(scale.dtype).chunk(2, dim=2)  # (N, 1, C)
            scale, shift = scale + scale * factor, shift + shift * factor + more
        activate = F.relu_ if self.relu else None
        return instance_norm(x, scale, shift, self.epsilon, activate)


class FoldedResidual(nn.Module):
    """See `networks.Residual`."""

    def __init__(self, main, modulation):
        super().__init__()
        self.main, self.modulation = main, copy.deepcopy(modulation)

    def forward(self, x, action_units):
        first, norm, *rest = self.main
        modulation = None if self.modulation is None else self.modulation(action_units)
        y = norm(first(x), modulation)
        for layer in rest:
            y = layer(y)
        return y.add_(x)


def folded(layers, winograd, dtype):
    """The layers of a `Generator` behind its first convolution."""
    made = []
    for layer in layers:
        if isinstance(layer, Residual):
            main = folded(layer.main, winograd, dtype)
            made.append(FoldedResidual(main, layer.modulation))
        elif isinstance(layer, nn.InstanceNorm2d):
            made.append(Norm(layer))
        elif isinstance(layer, nn.ReLU):
            made[-1].relu = True
        elif winograd and layer.kernel_size == (3, 3) and layer.in_channels >= WIDE:
            weight = layer.weight.detach()
            made.append(WinogradConv(weight, weight.new_zeros(len(weight)), dtype))
        else:
            layer = copy.deepcopy(layer).requires_grad_(False)
            made.append(layer.to(dtype=dtype, memory_format=torch.channels_last))
    return nn.Sequential(*made)


class FoldedGenerator(nn.Module):
    """A copy of `generator` for inference; the original stays as it is.

    Args:
        generator: A `Generator`.
        device: Where it runs.
        dtype: Of the convolutions; colour and attention are float32.
    """

    def __init__(self, generator: Generator, device="cpu", dtype=torch.float32):
        super().__init__()
        first, *layers = generator.main
        on_processor = torch.device(device).type == "cpu"
        self.first = FirstConv(first, dtype)
        self.main = folded(layers, on_processor and dtype.itemsize >= 4, dtype)
        heads = copy.deepcopy(generator.color)
        weight = torch.cat([heads.weight, generator.attention.weight]).detach()
        heads.weight, heads.bias = nn.Parameter(weight), nn.Parameter(weight.new_zeros(4))
        self.heads = LastConv(heads, dtype) if on_processor else Conv(weight, heads.bias, dtype)
        self.to(device).eval()

    @torch.inference_mode()
    def forward(self, images, action_units):
        """images (N, 3, H, W), action_units (N, A) -> color (N, 3, H, W) in [-1, 1] and attention
        (N, 1, H, W) in [0, 1]; H and W at least 8.
        """
        x = self.first(images, action_units)
        for layer in self.main:
            x = layer(x, action_units) if isinstance(layer, FoldedResidual) else layer(x)
        color, attention = self.heads(x).float().split([3, 1], dim=1)
        return color.tanh(), attention.sigmoid()
