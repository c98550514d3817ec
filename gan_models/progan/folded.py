"""The generator as the pipeline runs it: constants folded into the weights, one pass, no gradients.

The pictures are those of `Generator` up to rounding. Folded once and not at every call: the scale
of each weight (section 4.1 of the paper), the 4x4 kernels of the enlarging layers, the casts.
Activations are channels-last, which makes the convolutions and the norm over channels fastest.
"""

import copy
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import Conv, UpConv, channels_last
from gan_models.progan.networks import LEAK, Generator

# Up to this many pixels a low precision is not used: it would save little there, and an error made
# so early spreads over the whole picture.
EXACT_UP_TO = 16
CENTRE_OF = 1024  # latents whose features are averaged
MATCHED_PIXELS = 2**18  # of the pictures that colours are fitted to: 64 at 64 px, 8 from 256 px


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
    def forward(
        self, latents, labels=None, resolution=None, alpha=1.0, truncation=1.0, matched=False
    ):
        """As `Generator.forward`; images float32.

        truncation: 1 leaves the features of the first layer as they are, 0 puts their average in
            their place. The latents have no average to go to: they are normalised to a sphere.
        matched: give the lower levels the colours of the last one, see `matched_rgb`.
        """
        x = self.first_layer(latents, labels)
        if truncation != 1:
            x = torch.lerp(self.centre(labels), x, truncation)
        return self.grow(x, self.matched_rgb if matched else self.to_rgb, resolution, alpha)

    @functools.cached_property
    def centres(self):
        """(1 + label_size, C, 4, 4): the average of `first_layer` without and with each label."""
        rows = torch.eye(1 + self.label_size, device=self.first.weight.device)[:, 1:]
        latents = self.fixed_latents(CENTRE_OF)
        return torch.cat(
            [self.first_layer(latents, row.expand(CENTRE_OF, -1)).mean(0, True) for row in rows]
        )

    def centre(self, labels):
        """(1 or N, C, 4, 4) of one-hot labels (N, label_size) or None."""
        return self.centres[:1] if labels is None else self.centres[1 + labels.argmax(1)]

    @functools.cached_property
    def matched_rgb(self):
        """`to_rgb` whose lower levels have, channel by channel, the mean and the spread of the last
        one's images: those layers are not trained on once their successors have faded in, and their
        colours drift away. Fitted to fixed latents when it is first asked for.
        """
        matched = copy.deepcopy(self.to_rgb)
        pixels = self.resolution**2
        latents = self.fixed_latents(max(MATCHED_PIXELS // pixels, 8))
        labels = torch.eye(self.label_size, device=latents.device)
        labels = labels[torch.arange(len(latents)) % self.label_size] if self.label_size else None
        parts = self.first_layer(latents, labels).split(max(2**17 // pixels, 1))
        wanted = torch.cat([self.grow(part, self.to_rgb) for part in parts])  # (N, C, H, W)
        for level in reversed(range(len(matched) - 1)):
            wanted = F.avg_pool2d(wanted, 2)
            ours = torch.cat([self.grow(part, self.to_rgb, 4 << level) for part in parts])
            means, spreads = zip(*(levels_of(one) for one in (wanted, ours)), strict=True)
            scale = spreads[0] / spreads[1].clamp(min=1e-6)
            matched[level].weight *= scale.view(-1, 1, 1, 1)
            matched[level].bias.copy_((matched[level].bias - means[1]) * scale + means[0])
        return matched

    def fixed_latents(self, count):
        """(count, latent_size): the same at every call and on every machine."""
        drawn = np.random.RandomState(0).randn(count, self.latent_size).astype(np.float32)
        return torch.from_numpy(drawn).to(self.first.weight.device)

    def first_layer(self, latents, labels):
        return channels_last(super().first_layer(latents, labels))  # (N, C, 4, 4)

    def activate(self, x):
        """Leaky ReLU and pixel norm in float32, in place in channels-last x (N, C, H, W)."""
        y = F.leaky_relu_(x.float(), LEAK)
        length = torch.linalg.vector_norm(y, dim=1, keepdim=True)
        y *= (length.square_() / y.shape[1] + self.epsilon).rsqrt_()
        return x.copy_(y)  # nothing to do in float32: y is x


def levels_of(images):
    """Mean and spread (C,) of each channel of images (N, C, H, W)."""
    return images.mean((0, 2, 3)), images.std((0, 2, 3))


class FoldedFirst(nn.Module):
    """The first layer's weight and bias, as `Generator.first_layer` asks for them."""

    def __init__(self, layer):
        super().__init__()
        for name, value in zip(("weight", "bias"), layer.scaled(), strict=True):
            self.register_buffer(name, value.detach().float().clone())

    def scaled(self):
        return self.weight, self.bias
