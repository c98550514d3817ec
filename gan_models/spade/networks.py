"""SPADE's networks (Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization",
CVPR 2019), and the generator of pix2pixHD (Wang et al., CVPR 2018) that its code offers beside.

Parameters are named as in the official code, but for spectral norm's: `weight`, `u` and `v` instead
of `weight_orig`, `weight_u` and `weight_v`.

Letters in the shapes: N samples, S semantic channels (one per class, one more for the edges of
instances where the network wants them), C channels, H and W pixels, Z latent numbers. Images are in
[-1, 1].
"""

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.errors import UserError

LEAK = 0.2  # slope of the leaky ReLUs
UPSAMPLINGS = {"normal": 5, "more": 6, "most": 7}  # doublings between the first map and the picture


def parameter_free_norm(kind, channels):
    """ "batch" (its statistics synchronised by the trainer) or "instance"."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    return nn.BatchNorm2d(channels, affine=False)


class Spectral(nn.Module):
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018,
    algorithm 1), which one step of power iteration per training forward follows.

    u (out,) and v (the rest of the weight,) are the singular vectors.
    """

    def __init__(self, convolution, spectral=True):
        super().__init__()
        self.stride, self.padding = convolution.stride, convolution.padding
        self.weight, self.bias = convolution.weight, convolution.bias
        self.spectral = spectral
        self.transposed = isinstance(convolution, nn.ConvTranspose2d)
        if spectral:
            matrix = self.matrix()
            for name, length in (("u", len(matrix)), ("v", matrix.shape[1])):
                vector = torch.empty(length)
                drawn = vector if vector.is_meta else F.normalize(vector.normal_(), dim=0)
                self.register_buffer(name, drawn)

    def matrix(self):
        """The weight as (out, the rest)."""
        return (self.weight.transpose(0, 1) if self.transposed else self.weight).flatten(1)

    def normalised(self):
        """The weight as the convolution uses it."""
        if not self.spectral:
            return self.weight
        matrix = self.matrix()
        if self.training:
            self.iterate()
        # Copies: a network that runs twice before one backward would change what that needs.
        return self.weight / (self.u.clone() @ (matrix @ self.v.clone()))

    @torch.no_grad()
    def iterate(self):
        """Bring u and v one step nearer to the weight's singular vectors."""
        matrix = self.matrix()
        self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0, eps=1e-12))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0, eps=1e-12))

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):  # a norm of a few digits is none
            weight = self.normalised().to(x.dtype)
        if self.transposed:  # doubles the size
            return F.conv_transpose2d(
                x, weight, self.bias, self.stride, self.padding, output_padding=1
            )
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def convolution(in_channels, out_channels, size, spectral=True, bias=True, **options):
    padding = options.pop("padding", size // 2)
    plain = nn.Conv2d(in_channels, out_channels, size, padding=padding, bias=bias, **options)
    return Spectral(plain, spectral)


class SPADE(nn.Module):
    """Normalise without parameters, then scale by 1 + gamma and shift by beta, which are read from
    the semantics at each pixel (section 3, equation 1; the 1 is the code's).
    """

    def __init__(self, channels, semantics, norm="batch", kernel=3, hidden=128):
        super().__init__()
        self.param_free_norm = parameter_free_norm(norm, channels)
        half = kernel // 2
        self.mlp_shared = nn.Sequential(nn.Conv2d(semantics, hidden, kernel, padding=half))
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel, padding=half)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel, padding=half)

    def forward(self, x, semantics):
        """x (N, C, h, w); semantics (N, S, H, W)."""
        x = self.param_free_norm(x)
        semantics = F.interpolate(semantics, size=x.shape[2:], mode="nearest")
        hidden = F.relu(self.mlp_shared(semantics))
        return x * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class SPADEBlock(nn.Module):
    """The SPADE residual block (appendix A, figure 12): (N, in, h, w) -> (N, out, h, w)."""

    def __init__(self, in_channels, out_channels, spectral, semantics, **norm):
        super().__init__()
        middle = min(in_channels, out_channels)
        self.conv_0 = convolution(in_channels, middle, 3, spectral)
        self.conv_1 = convolution(middle, out_channels, 3, spectral)
        self.norm_0 = SPADE(in_channels, semantics, **norm)
        self.norm_1 = SPADE(middle, semantics, **norm)
        self.conv_s = self.norm_s = None
        if in_channels != out_channels:
            self.conv_s = convolution(in_channels, out_channels, 1, spectral, bias=False)
            self.norm_s = SPADE(in_channels, semantics, **norm)

    def forward(self, x, semantics):
        shortcut = x if self.conv_s is None else self.conv_s(self.norm_s(x, semantics))
        x = self.conv_0(F.leaky_relu(self.norm_0(x, semantics), LEAK))
        return shortcut + self.conv_1(F.leaky_relu(self.norm_1(x, semantics), LEAK))


class Generator(nn.Module):
    """SPADE's generator (appendix A, figure 14).

    Args:
        semantics: S.
        size: (height, width) of the pictures; multiples of 32, 64 or 128 as `upsampling` doubles 5,
            6 or 7 times.
        channels: Width of the last blocks; the first are 16 times as wide.
        upsampling: "normal", "more" or "most" (`UPSAMPLINGS`).
        latent_size: Z, where a latent begins the picture (with an encoder, a VAE); 0: the semantics
            do.
        norm: Before each scaling: "batch" or "instance".
        kernel, hidden: Of the convolutions from semantics to gamma and beta: their size, and the
            channels between them (128 in the paper and the code).
        spectral: Spectral norm of the blocks' convolutions; nothing else has it in the code.
    """

    def __init__(
        self, semantics, size, channels=64, upsampling="normal", latent_size=0, norm="batch",
        kernel=3, hidden=128, spectral=True,
    ):  # fmt: skip
        super().__init__()
        step = 1 << UPSAMPLINGS[upsampling]
        if size[0] % step or size[1] % step:
            raise UserError(f"The size {size[1]} x {size[0]} is no multiple of {step} pixels.")
        self.start = size[0] // step, size[1] // step
        self.size, self.latent_size, self.upsampling = tuple(size), latent_size, upsampling
        wide = 16 * channels
        if latent_size:
            self.fc = nn.Linear(latent_size, wide * self.start[0] * self.start[1])
        else:
            self.fc = nn.Conv2d(semantics, wide, 3, padding=1)
        widths = [wide, wide, wide, wide // 2, wide // 4, wide // 8, wide // 16]
        names = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"]
        if upsampling == "most":
            widths.append(wide // 32)
            names.append("up_4")
        self.names = names
        for name, narrow, out in zip(names, [wide, *widths], widths, strict=False):
            block = SPADEBlock(
                narrow, out, spectral, semantics, norm=norm, kernel=kernel, hidden=hidden
            )
            setattr(self, name, block)
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def doubles_before(self, name):
        """Whether the map is enlarged before the block `name`."""
        if name == "G_middle_1":
            return self.upsampling != "normal"
        return name != "head_0"

    def begin(self, semantics, latents=None):
        """(N, 16 channels, h, w): the first map."""
        if self.latent_size:
            return self.fc(latents).view(len(latents), -1, *self.start)
        # Nearest takes the upper left pixel of each, as in the official code.
        return self.fc(F.interpolate(semantics, size=self.start, mode="nearest"))

    def forward(self, semantics, latents=None):
        """semantics (N, S, H, W); latents (N, Z) or None; returns (N, 3, height, width)."""
        x = self.begin(semantics, latents)
        for name in self.names:
            if self.doubles_before(name):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = getattr(self, name)(x, semantics)
        return self.conv_img(F.leaky_relu(x, LEAK)).tanh()


class Encoder(nn.Module):
    """Mean and log variance of a picture's style (appendix A, figure 13).

    size: Pixels of the pictures it sees, to which others are resized; a power of two from 16. Its
        layers halve them to 4 x 4: six in the paper, where the size is 256.
    """

    def __init__(self, channels=64, latent_size=256, norm="instance", size=256):
        super().__init__()
        self.size, self.depth = size, size.bit_length() - 3
        widths = [channels * times for times in (1, 2, 4, 8)]
        widths = (widths + [8 * channels] * self.depth)[: self.depth]
        for number, (narrow, wide) in enumerate(zip([3, *widths], widths, strict=False), 1):
            layer = normed(convolution(narrow, wide, 3, bias=False, stride=2), norm, wide)
            setattr(self, f"layer{number}", layer)
        self.fc_mu = nn.Linear(widths[-1] * 16, latent_size)
        self.fc_var = nn.Linear(widths[-1] * 16, latent_size)

    def forward(self, images):
        """images (N, 3, H, W); returns mean and log variance, each (N, Z)."""
        x, size = images, (self.size, self.size)
        if x.shape[2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear")
        for number in range(1, self.depth + 1):
            x = F.leaky_relu(getattr(self, f"layer{number}")(x), LEAK)
        x = x.flatten(1)
        return self.fc_mu(x), self.fc_var(x)


def normed(conv, norm, channels):
    """A convolution with its norm: "instance" without parameters, "batch" with, "none"."""
    if norm == "none":
        return nn.Sequential(conv)
    kinds = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
    return nn.Sequential(conv, kinds[norm](channels))


class PatchDiscriminator(nn.Module):
    """Scores of overlapping patches at one scale (appendix A, figure 15)."""

    def __init__(self, in_channels, channels, layers, norm):
        super().__init__()
        self.layers = layers
        self.model0 = nn.Sequential(nn.Conv2d(in_channels, channels, 4, 2, 2), nn.LeakyReLU(LEAK))
        width = channels
        for number in range(1, layers):
            wide, stride = min(2 * width, 512), 1 if number == layers - 1 else 2
            conv = convolution(width, wide, 4, bias=False, stride=stride, padding=2)
            layer = nn.Sequential(normed(conv, norm, wide), nn.LeakyReLU(LEAK))
            setattr(self, f"model{number}", layer)
            width = wide
        setattr(self, f"model{layers}", nn.Sequential(nn.Conv2d(width, 1, 4, 1, 2)))

    def forward(self, x):
        """The outputs of all layers; the last are the scores (N, 1, h, w)."""
        outputs = []
        for number in range(self.layers + 1):
            x = getattr(self, f"model{number}")(x)
            outputs.append(x)
        return outputs


class Discriminator(nn.Module):
    """Patch discriminators at several scales, each half as large as the one before."""

    def __init__(self, semantics, channels=64, scales=2, layers=4, norm="instance"):
        super().__init__()
        self.scales = scales
        for scale in range(scales):
            patches = PatchDiscriminator(semantics + 3, channels, layers, norm)
            setattr(self, f"discriminator_{scale}", patches)

    def forward(self, semantics, images):
        """semantics (N, S, H, W), images (N, 3, H, W); for each scale the outputs of its layers,
        the last of which are the scores.
        """
        x, found = torch.cat([semantics, images], dim=1), []
        for scale in range(self.scales):
            found.append(getattr(self, f"discriminator_{scale}")(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return found


class GlobalGenerator(nn.Module):
    """pix2pixHD's global generator, the official code's `--netG pix2pixhd`.

    Args:
        semantics: S.
        channels: Width of the outermost layers.
        downsamples: Halvings before the residual blocks.
        blocks: Residual blocks.
        kernel, first_kernel: Of the blocks' and of the outermost convolutions.
        norm: As for `normed`.
    """

    def __init__(
        self, semantics, channels=64, downsamples=4, blocks=9, kernel=3, first_kernel=7,
        norm="instance",
    ):  # fmt: skip
        super().__init__()

        def layer(conv, width):
            return normed(conv, norm, width)

        edge, width = first_kernel // 2, channels
        first = convolution(semantics, width, first_kernel, bias=False, padding=0)
        model = [nn.ReflectionPad2d(edge), layer(first, width), nn.ReLU()]
        for _ in range(downsamples):
            conv = convolution(width, 2 * width, kernel, bias=False, stride=2, padding=1)
            width *= 2
            model += [layer(conv, width), nn.ReLU()]
        model += [ResidualBlock(width, kernel, norm) for _ in range(blocks)]
        for _ in range(downsamples):
            plain = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, bias=False)
            width //= 2
            model += [layer(Spectral(plain), width), nn.ReLU()]
        model += [nn.ReflectionPad2d(edge), nn.Conv2d(width, 3, first_kernel), nn.Tanh()]
        self.model = nn.Sequential(*model)

    def forward(self, semantics, latents=None):
        """semantics (N, S, H, W); returns (N, 3, H, W). There are no latents."""
        return self.model(semantics)


class ResidualBlock(nn.Module):
    """Two reflection-padded convolutions beside the identity."""

    def __init__(self, channels, kernel, norm):
        super().__init__()

        def layer():
            conv = convolution(channels, channels, kernel, bias=False, padding=0)
            return nn.ReflectionPad2d(kernel // 2), normed(conv, norm, channels)

        self.conv_block = nn.Sequential(*layer(), nn.ReLU(), *layer())

    def forward(self, x):
        return x + self.conv_block(x)


def instance_edges(instances):
    """(N, 1, H, W) float: 1 where one of the four neighbours belongs to another instance.

    instances (N, 1, H, W), whole numbers.
    """
    across = instances[..., 1:] != instances[..., :-1]
    down = instances[..., 1:, :] != instances[..., :-1, :]
    edges = F.pad(across, (1, 0)) | F.pad(across, (0, 1))
    return (edges | F.pad(down, (0, 0, 1, 0)) | F.pad(down, (0, 0, 0, 1))).float()


def one_hot(label_map, classes, instances=None):
    """Semantics (N, classes [+ 1], H, W) float of a label map (N, H, W) int64 below `classes`.

    instances: (N, H, W), whose edges become the last channel.
    """
    n, h, w = label_map.shape
    semantics = torch.zeros(n, classes, h, w, device=label_map.device)
    semantics.scatter_(1, label_map.unsqueeze(1), 1.0)  # one_hot of torch would wait for a GPU
    if instances is None:
        return semantics
    return torch.cat([semantics, instance_edges(instances.unsqueeze(1))], dim=1)
