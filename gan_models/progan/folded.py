"""The generator as the pipeline runs it: constants folded into the weights, inference only, one precision.

The pictures are those of `Generator` up to rounding. What is done once here, and not at every call: the run-time
scale of each weight (section 4.1 of the paper), the kernels of the enlarging layers, and the cast.
"""

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.progan.networks import LEAK, Generator, four_shifts, pixel_norm


class FoldedGenerator(Generator):
    """A copy of `generator` for inference on `device` in `dtype`; the original stays as it is.

    Called like `Generator`; images come in float32.
    """

    def __init__(self, generator, device="cpu", dtype=torch.float32):
        nn.Module.__init__(self)
        settings = {key: value for key, value in vars(generator).items() if not key.startswith("_")}
        vars(self).update(settings)
        self.dtype = dtype
        self.first = FoldedFirst(generator.first)
        self.conv1 = nn.ModuleList(FoldedUpConv(layer) for layer in generator.conv1)
        self.conv2 = nn.ModuleList(FoldedConv(layer) for layer in generator.conv2)
        self.to_rgb = nn.ModuleList(FoldedConv(layer) for layer in generator.to_rgb)
        self.to(device)
        for layers in (self.conv1, self.conv2, self.to_rgb):
            layers.to(dtype)
        self.eval()

    @torch.inference_mode()
    def forward(self, latents, labels=None, resolution=None, alpha=1.0):
        return super().forward(latents, labels, resolution, alpha).float()

    def first_layer(self, latents, labels):
        return super().first_layer(latents, labels).to(self.dtype)

    def activate(self, x):
        return pixel_norm(F.leaky_relu_(x, LEAK), self.epsilon)


class FoldedFirst(nn.Module):
    def __init__(self, layer):
        super().__init__()
        weight, bias = layer.scaled()
        self.register_buffer("weight", weight.detach().float())
        self.register_buffer("bias", bias.detach().float())

    def scaled(self):
        return self.weight, self.bias


class FoldedConv(FoldedFirst):
    """A convolution of fixed weights that keeps the size: (N, in, H, W) -> (N, out, H, W)."""

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class FoldedUpConv(FoldedFirst):
    """Enlargement and convolution as one transposed convolution: (N, in, H, W) -> (N, out, 2H, 2W)."""

    def __init__(self, layer):
        super().__init__(layer)
        self.weight = four_shifts(self.weight.flip(2, 3)).transpose(0, 1).contiguous()

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
