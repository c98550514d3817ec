"""The generator as the pipeline runs it: constants folded into the weights, one pass, no gradients.

The pictures are those of `Generator` up to rounding. Folded once and not at every call: the scale
of each weight (section 4.1 of the paper), the 4x4 kernels of the enlarging layers, the casts.
Activations are channels-last, which makes the convolutions and the norm over channels fastest.
"""

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import Conv, UpConv, channels_last
from gan_models.progan.networks import LEAK, Generator

# Up to this many pixels a low precision is not used: it would save little there, and an error made
# so early spreads over the whole picture.
EXACT_UP_TO = 16


class FoldedGenerator(Generator):
    """A copy of `generator` for inference, called like it; the original stays as it is.

    Args:
        generator: A `Generator` of any layout.
        resolution: The last level that is wanted, in pixels.
        device: Where it runs.
        dtype: Of the convolutions; sums, norms and the images are float32.
    """

    def __init__(self, generator, resolution, device="cpu", dtype=torch.float32):
        nn.Module.__init__(self)
        options = {key: value for key, value in vars(generator).items() if key[0] != "_"}
        vars(self).update(options)  # how the latents are prepared, epsilons: as the original
        self.resolution = resolution
        levels = [level for level in range(len(generator.conv2)) if 4 << level <= resolution]

        def precision(level):
            return dtype if 4 << level > EXACT_UP_TO else torch.float32

        self.first = FoldedFirst(generator.first)
        self.conv1 = nn.ModuleList(
            UpConv(*generator.conv1[level - 1].scaled(), precision(level)) for level in levels[1:]
        )
        self.conv2 = nn.ModuleList(
            Conv(*generator.conv2[level].scaled(), precision(level)) for level in levels
        )
        self.to_rgb = nn.ModuleList(Conv(*generator.to_rgb[level].scaled()) for level in levels)
        self.to(device).eval()

    @torch.inference_mode()
    def forward(self, latents, labels=None, resolution=None, alpha=1.0):
        """As `Generator.forward`; images float32."""
        return super().forward(latents, labels, resolution, alpha)

    def first_layer(self, latents, labels):
        return channels_last(super().first_layer(latents, labels))  # (N, C, 4, 4)

    def activate(self, x):
        """Leaky ReLU and pixel norm in float32, in place in channels-last x (N, C, H, W)."""
        y = F.leaky_relu_(x.float(), LEAK)
        length = torch.linalg.vector_norm(y, dim=1, keepdim=True)
        y *= (length.square_() / y.shape[1] + self.epsilon).rsqrt_()
        return x.copy_(y)  # nothing to do in float32: y is x


class FoldedFirst(nn.Module):
    """The first layer's weight and bias, as `Generator.first_layer` asks for them."""

    def __init__(self, layer):
        super().__init__()
        for name, value in zip(("weight", "bias"), layer.scaled(), strict=True):
            self.register_buffer(name, value.detach().float().clone())

    def scaled(self):
        return self.weight, self.bias
