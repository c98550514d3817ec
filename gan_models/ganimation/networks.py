"""GANimation's networks (Pumarola et al., "GANimation: Anatomically-aware Facial Animation from a
Single Image", ECCV 2018, section 4).

`main` is named as in the official code; its heads are `img_reg` and `attetion_reg`, the critic's
`conv1` and `conv2` there.

Letters in the shapes: N samples, A action units (17 in the published networks), C channels, H and W
pixels. Images are in [-1, 1], action units in [0, 1].
"""

import torch
from torch import nn

from gan_models.errors import UserError

ACTION_UNITS = 17
LEAK = 0.01  # slope of the critic's leaky ReLUs


def convolution(c_in, c_out, kernel, stride=1):
    """Without bias, since a norm follows, or a head that has none: [conv, norm, ReLU]."""
    return [
        nn.Conv2d(c_in, c_out, kernel, stride, padding=(kernel - 1) // 2, bias=False),
        nn.InstanceNorm2d(c_out, affine=True),
        nn.ReLU(inplace=True),
    ]


def doubling(c_in, c_out):
    """[Transposed conv to twice the size, norm, ReLU]."""
    return [
        nn.ConvTranspose2d(c_in, c_out, 4, 2, padding=1, bias=False),
        nn.InstanceNorm2d(c_out, affine=True),
        nn.ReLU(inplace=True),
    ]


class Residual(nn.Module):
    """x (N, C, H, W) plus two convolutions of it.

    With `modulated` action units, each moves and scales the first one's channels before its ReLU.
    """

    def __init__(self, channels, modulated=0):
        super().__init__()
        second = convolution(channels, channels, 3)[:2]  # no ReLU after the second
        self.main = nn.Sequential(*convolution(channels, channels, 3), *second)
        self.modulation = nn.Linear(modulated, 2 * channels) if modulated else None

    def forward(self, x, action_units):
        if self.modulation is None:
            return x + self.main(x)
        shift, scale = self.modulation(action_units)[:, :, None, None].chunk(2, dim=1)
        y = self.main[1](self.main[0](x))
        return x + self.main[2:](torch.addcmul(y + shift, y, scale))


class Generator(nn.Module):
    """Image and wanted action units in, colour and attention out (section 4.1).

    channels: of the first layer; blocks: residual ones, at a quarter of the size; H and W must be
    multiples of 4. modulated: action units act on each block, too. The official networks know them
    only by the planes beside the image, of which the first norm leaves nothing but at the border.
    """

    def __init__(self, channels=64, action_units=ACTION_UNITS, blocks=6, modulated=False):
        super().__init__()
        c, acting = channels, action_units if modulated else 0
        self.main = nn.Sequential(
            *convolution(3 + action_units, c, 7),
            *convolution(c, 2 * c, 4, 2),
            *convolution(2 * c, 4 * c, 4, 2),
            *(Residual(4 * c, acting) for _ in range(blocks)),
            *doubling(4 * c, 2 * c),
            *doubling(2 * c, c),
        )
        self.color = nn.Conv2d(c, 3, 7, padding=3, bias=False)
        self.attention = nn.Conv2d(c, 1, 7, padding=3, bias=False)

    def forward(self, images, action_units):
        """images (N, 3, H, W), action_units (N, A) -> color (N, 3, H, W) in [-1, 1] and attention
        (N, 1, H, W) in [0, 1], 1 = keep the image's pixel.
        """
        action_units = action_units.to(images.dtype)
        planes = action_units[:, :, None, None].expand(-1, -1, *images.shape[2:])
        x = torch.cat([images, planes], dim=1)
        for layer in self.main:
            x = layer(x, action_units) if isinstance(layer, Residual) else layer(x)
        return self.color(x).tanh(), self.attention(x).sigmoid()


class Critic(nn.Module):
    """How real each patch of an image is, and the action units that it shows (section 4.1).

    image_size: the side of its images, a multiple of 2 ** layers (128 in the official code, which
    knows no other). No norm, because the gradient penalty is one of single images.
    """

    def __init__(self, image_size=128, channels=64, action_units=ACTION_UNITS, layers=6):
        super().__init__()
        side = image_size >> layers
        if side << layers != image_size or not side:
            raise UserError(
                f"A critic of {layers} halvings takes pictures of {1 << layers} pixels or a "
                f"multiple of that, not of {image_size}."
            )
        widths = [3] + [channels << i for i in range(layers)]
        self.main = nn.Sequential(
            *(
                layer
                for c_in, c_out in zip(widths, widths[1:], strict=False)
                for layer in (nn.Conv2d(c_in, c_out, 4, 2, padding=1), nn.LeakyReLU(LEAK, True))
            )
        )
        self.patches = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.action_units = nn.Conv2d(widths[-1], action_units, side, bias=False)

    def forward(self, images):
        """images (N, 3, H, W) -> scores (N, H', W') of patches, and action units (N, A)."""
        x = self.main(images)
        return self.patches(x).squeeze(1), self.action_units(x).flatten(1)


def saturated(attention):
    """Attention drawn towards 0 and 1: the official code's unpublished option do_saturate_mask."""
    return (0.55 * torch.tanh(3 * (attention - 0.5)) + 0.5).clamp(0, 1)


def compose(images, color, attention):
    """The edited images (N, 3, H, W): equation 1 of arXiv 1807.09251v2 (v1 has it reversed)."""
    return attention * images + (1 - attention) * color
