"""ProGAN's generator and discriminator (Karras et al., "Progressive Growing of GANs", ICLR 2018).

One implementation holds every published layout; what differs between them (where pixel norm sits,
gains, whether the bias is scaled, how the minibatch standard deviation is grouped) is a constructor
option whose default is the paper's.

Letters in the shapes: N samples, C channels, H and W pixels, L levels (level 0 is 4x4, each further
one doubles).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.errors import UserError
from gan_models.folding import four_shifts

LEAK = 0.2  # slope of the leaky ReLU, everywhere but in the last layers
SQRT2 = math.sqrt(2)


def channel_widths(resolution, base=8192, maximum=512):
    """Widths of the levels from 4x4 to `resolution`: min(base / 2^stage, maximum) (appendix A)."""
    return tuple(min(base >> stage, maximum) for stage in range(1, int(math.log2(resolution))))


def pixel_norm(x, epsilon=1e-8):
    """Divide each pixel's feature vector by its root mean square (section 4.2); any (N, C, ...)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + epsilon)


def drawn(shape, deviation=1.0):
    """A parameter from N(0, deviation^2); empty on the meta device, where only shapes count and
    where drawing would import torch's compiler, which takes seconds.
    """
    values = torch.empty(shape)
    return nn.Parameter(values if values.is_meta else values.normal_(std=deviation))


class Equalized(nn.Module):
    """A weight drawn from N(0, 1) and multiplied at run time by gain / sqrt(fan in) (section 4.1).

    `scale_bias` multiplies the bias too (pytorch_GAN_zoo). `equalized=False` keeps an ordinary He
    initialisation and multiplies nothing.
    """

    def __init__(self, shape, bias_shape, gain=SQRT2, scale_bias=False, equalized=True):
        super().__init__()
        he = gain / math.sqrt(math.prod(shape[1:]))
        self.weight = drawn(shape, 1.0 if equalized else he)
        self.bias = nn.Parameter(torch.zeros(bias_shape))
        self.scale = he if equalized else 1.0
        self.bias_scale = self.scale if scale_bias else 1.0

    def scaled(self):
        """The weight and bias as the convolution uses them."""
        bias = self.bias if self.bias_scale == 1.0 else self.bias * self.bias_scale
        return self.weight * self.scale, bias


class Conv(Equalized):
    """A square convolution that keeps the size: (N, in, H, W) -> (N, out, H, W)."""

    def __init__(self, in_channels, out_channels, size, **options):
        super().__init__((out_channels, in_channels, size, size), (out_channels,), **options)

    def forward(self, x):
        weight, bias = self.scaled()
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


class UpConv(Conv):
    """Nearest-neighbour enlargement by 2, then a 3x3 convolution, as one transposed convolution.

    (N, in, H, W) -> (N, out, 2H, 2W). Four products a pixel instead of nine.
    """

    def forward(self, x):
        weight, bias = self.scaled()
        kernel = four_shifts(weight.flip(2, 3)).transpose(0, 1)  # (in, out, 4, 4)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


class DownConv(Conv):
    """A 3x3 convolution, then the mean of each 2x2 block, as one strided convolution.

    (N, in, H, W) -> (N, out, H/2, W/2).
    """

    def forward(self, x):
        weight, bias = self.scaled()
        return F.conv2d(x, four_shifts(weight) * 0.25, bias, stride=2, padding=1)


class Dense(Equalized):
    """(N, in) -> (N, out)."""

    def __init__(self, in_features, out_features, **options):
        super().__init__((out_features, in_features), (out_features,), **options)

    def forward(self, x):
        return F.linear(x, *self.scaled())


def upsample(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x):
    return F.avg_pool2d(x, 2)


def fades(alpha):
    """Whether a level fades in: alpha is a number, or while it does a tensor () nobody looks at."""
    return isinstance(alpha, torch.Tensor) or alpha < 1


def blend(old, new, alpha):
    """The fade from `old` to `new`, in float32: autocast of a GPU enlarges in another type."""
    return torch.lerp(old.float(), new.float(), alpha).to(new.dtype)


def check_level(resolution, num_levels):
    """The level of `resolution`; ValueError unless it is one of the network's 4, 8, 16, ..."""
    allowed = [4 << level for level in range(num_levels)]
    if resolution not in allowed:
        raise UserError(f"resolution {resolution} is not one of this network's: {allowed}")
    return allowed.index(resolution)


def check_widths(resolution, channels):
    if len(channels) != int(math.log2(resolution)) - 1 or 4 << (len(channels) - 1) != resolution:
        raise UserError(
            f"channels needs one width for each of 4, 8, ... up to {resolution} pixels, "
            f"got {tuple(channels)}"
        )


class Generator(nn.Module):
    """Latents to images, grown level by level (paper, table 2 and figure 2).

    resolution        pixels of the last level, a power of two from 4
    latent_size       numbers in a latent
    channels          one width per level from 4x4 up to `resolution`
    label_size        classes given as one-hot vectors beside the latent, 0 for none
    normalize_latents pixel norm on the latent (with its label) before the first layer
    normalize_first   pixel norm after the first layer (akanimax and pytorch_GAN_zoo have none)
    first_gain, rgb_gain   gains of the first layer and of the toRGB layers
    first_bias        "channel": a number a channel; "position": a channel and pixel (GAN zoo)
    labels_first      concatenate the label before the norm (official code) or after it (genforce)
    """

    def __init__(
        self,
        resolution=64,
        latent_size=512,
        channels=(512, 512, 512, 512, 256),
        num_channels=3,
        label_size=0,
        *,
        normalize_latents=True,
        normalize_first=True,
        labels_first=True,
        first_gain=SQRT2 / 4,
        first_bias="channel",
        rgb_gain=1.0,
        scale_bias=False,
        equalized=True,
        pixel_norm_epsilon=1e-8,
    ):
        super().__init__()
        check_widths(resolution, channels)
        self.resolution, self.latent_size, self.label_size = resolution, latent_size, label_size
        self.normalize_latents, self.normalize_first = normalize_latents, normalize_first
        self.labels_first, self.epsilon = labels_first, pixel_norm_epsilon
        layer = {"scale_bias": scale_bias, "equalized": equalized}
        first_width = channels[0]
        self.first = Equalized(
            (first_width * 16, latent_size + label_size),
            (first_width, 1, 1) if first_bias == "channel" else (first_width, 4, 4),
            gain=first_gain,
            **layer,
        )
        self.conv1 = nn.ModuleList(
            UpConv(channels[level - 1], channels[level], 3, **layer)
            for level in range(1, len(channels))
        )  # conv1[level - 1]: the 4x4 level has none
        self.conv2 = nn.ModuleList(Conv(width, width, 3, **layer) for width in channels)
        self.to_rgb = nn.ModuleList(
            Conv(width, num_channels, 1, gain=rgb_gain, **layer) for width in channels
        )

    def forward(self, latents, labels=None, resolution=None, alpha=1.0):
        """Images (N, num_channels, resolution, resolution), about [-1, 1]: clamp to show them.

        latents (N, latent_size); labels (N, label_size) one-hot or None (all zeros); resolution one
        of 4, 8, ..., self.resolution (default the last); alpha in [0, 1] fades from the enlarged
        previous level (0) to this level (1) (figure 2).
        """
        return self.grow(self.first_layer(latents, labels), self.to_rgb, resolution, alpha)

    def grow(self, x, to_rgb, resolution=None, alpha=1.0):
        """Images of the features x (N, C, 4, 4) of `first_layer`; to_rgb: a layer per level."""
        last = check_level(resolution or self.resolution, len(self.conv2))
        x = self.activate(self.conv2[0](x))
        previous = x
        for level in range(1, last + 1):
            previous = x
            x = self.activate(self.conv1[level - 1](x))  # (N, C, 8 << level, 8 << level) / 2
            x = self.activate(self.conv2[level](x))
        images = to_rgb[last](x)
        if last == 0 or not fades(alpha):
            return images
        return blend(upsample(to_rgb[last - 1](previous)), images, alpha)

    def first_layer(self, latents, labels):
        if self.label_size and labels is None:
            labels = latents.new_zeros(len(latents), self.label_size)
        if self.label_size and self.labels_first:
            latents = torch.cat([latents, labels], dim=1)
        if self.normalize_latents:
            latents = pixel_norm(latents, self.epsilon)
        if self.label_size and not self.labels_first:
            latents = torch.cat([latents, labels], dim=1)
        weight, bias = self.first.scaled()
        x = F.linear(latents, weight).unflatten(1, (-1, 4, 4)) + bias  # (N, C, 4, 4)
        x = F.leaky_relu(x, LEAK)
        return pixel_norm(x, self.epsilon) if self.normalize_first else x

    def activate(self, x):
        return pixel_norm(F.leaky_relu(x, LEAK), self.epsilon)


def minibatch_stddev(x, group=4, consecutive=False, unbiased=False):
    """Append one channel: the standard deviation over groups of samples, averaged (section 3).

    (N, C, H, W) -> (N, C + 1, H, W). `group` samples make a group (None: the whole batch; where it
    does not divide N, the largest smaller number that does). Members of a group are strided through
    the batch, as in the official code, so that `[rank::world]` slices of a batch form the same
    groups; `consecutive` ones follow each other (pytorch_GAN_zoo), whose variance is also the
    unbiased one and whose single samples get zeros.
    """
    n, c, h, w = x.shape
    group = next(size for size in range(min(group or n, n), 0, -1) if n % size == 0)
    if consecutive:
        grouped = x.reshape(n // group, group, c, h, w).transpose(0, 1)
    else:
        grouped = x.reshape(group, n // group, c, h, w)
    if unbiased and group == 1:
        deviation = torch.zeros_like(grouped[0])
    else:
        variance = grouped.var(dim=0, correction=int(unbiased))  # (N/group, C, H, W)
        deviation = (variance + 1e-8).sqrt()
    statistic = deviation.mean(dim=(1, 2, 3))  # (N/group,)
    column = statistic.repeat_interleave(group) if consecutive else statistic.repeat(group)  # (N,)
    return torch.cat([x, column.view(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


class Discriminator(nn.Module):
    """Images to scores, the generator's mirror image (paper, table 2).

    hidden            width of the last hidden layer (default channels[0])
    last_gain         gain of the last layer
    activate_rgb      leaky ReLU after fromRGB (not in akanimax's old networks)
    pool_last         leaky ReLU before each 2x2 mean (the official unfused networks and everybody
                      else's) instead of after it (the official fused ones)
    stddev_group      samples a group of the minibatch deviation; None: whole batch; 0: no layer
    projection        labels enter by a product with the last features instead of being guessed
                      (akanimax's conditional networks; Miyato & Koyama 2018)
    """

    def __init__(
        self,
        resolution=64,
        channels=(512, 512, 512, 512, 256),
        num_channels=3,
        label_size=0,
        *,
        hidden=None,
        last_gain=1.0,
        activate_rgb=True,
        pool_last=False,
        scale_bias=False,
        equalized=True,
        stddev_group=4,
        stddev_consecutive=False,
        stddev_unbiased=False,
        projection=False,
    ):
        super().__init__()
        check_widths(resolution, channels)
        self.resolution, self.label_size = resolution, label_size
        self.activate_rgb, self.pool_last = activate_rgb, pool_last
        self.stddev = {
            "group": stddev_group,
            "consecutive": stddev_consecutive,
            "unbiased": stddev_unbiased,
        }
        hidden = hidden or channels[0]
        layer = {"scale_bias": scale_bias, "equalized": equalized}
        self.from_rgb = nn.ModuleList(Conv(num_channels, width, 1, **layer) for width in channels)
        self.conv1 = nn.ModuleList(Conv(width, width, 3, **layer) for width in channels[1:])
        second = Conv if pool_last else DownConv
        self.conv2 = nn.ModuleList(
            second(channels[level], channels[level - 1], 3, **layer)
            for level in range(1, len(channels))
        )  # conv1[level - 1], conv2[level - 1]: the 4x4 level has its own layers below
        extra = 0 if stddev_group == 0 else 1
        self.conv = Conv(channels[0] + extra, channels[0], 3, **layer)
        self.dense = Dense(channels[0] * 16, hidden, **layer)
        self.projection = projection
        outputs = 1 if projection else 1 + label_size
        self.last = Dense(hidden, outputs, gain=last_gain, **layer)
        if projection:
            self.embedding = drawn((label_size, hidden))

    def forward(self, images, labels=None, alpha=1.0):
        """Scores (N,) and class logits (N, label_size), which are (N, 0) with `projection`.

        images (N, num_channels, r, r), r one of 4, 8, ..., self.resolution; labels (N, label_size)
        one-hot, used with `projection` only; alpha in [0, 1] fades the level of r in, as in the
        generator.
        """
        top = check_level(images.shape[-1], len(self.from_rgb))
        x = self.features_of(images, top)
        for level in range(top, 0, -1):
            x = F.leaky_relu(self.conv1[level - 1](x), LEAK)
            x = F.leaky_relu(self.conv2[level - 1](x), LEAK)
            x = downsample(x) if self.pool_last else x  # (N, C, H/2, W/2)
            if level == top and fades(alpha):
                x = blend(self.features_of(downsample(images), top - 1), x, alpha)
        if self.stddev["group"] != 0:
            x = minibatch_stddev(x, **self.stddev)
        x = F.leaky_relu(self.conv(x), LEAK)
        x = F.leaky_relu(self.dense(x.flatten(1)), LEAK)
        scores = self.last(x)  # (N, 1 + label_size)
        if self.projection:
            scores = F.leaky_relu(scores, LEAK) + self.label_scores(x, labels)
        return scores[:, 0], scores[:, 1:]

    def label_scores(self, features, labels):
        """Product of features (N, C) with the labels' embeddings, none longer than 1: (N, 1).

        Differs from the official code: the stored embeddings are not themselves shortened.
        """
        if labels is None:
            raise UserError("this discriminator needs labels (N, label_size), one-hot")
        lengths = self.embedding.norm(dim=1, keepdim=True)
        embeddings = labels @ (self.embedding / lengths.clamp(min=1))  # (N, C)
        return (embeddings * features).sum(dim=1, keepdim=True)

    def features_of(self, images, level):
        x = self.from_rgb[level](images)
        return F.leaky_relu(x, LEAK) if self.activate_rgb else x
