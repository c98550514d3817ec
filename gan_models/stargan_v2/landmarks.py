"""FAN, the network of 98 face landmarks that StarGAN v2's high-pass skip asks where to keep edges
(Wang et al., "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression", ICCV 2019; its
masks: StarGAN v2's appendix). Parameters are named as in the official code.

Letters in the shapes: N samples, C channels, H and W pixels. Images are in [-1, 1].
"""

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 256  # pixels of the side that the network sees
LANDMARKS = 98  # WFLW's; the network's one more channel is the face's outline
FAINT = 0.1  # heat below this is none

# What the masks are made of: channels, rows that they move up, power. Written for maps of 256 rows.
PARTS = {
    "chin": ((8, 25), 0, 3), "brows": ((33, 51), -7, 2), "nose": ((52, 55), 4, 1),
    "nostrils": ((55, 60), 8, 4), "upper lip": ((77, 82), -8, 4), "lower lip": ((83, 88), 8, 4),
    "inner lip": ((88, 96), -2, 3),
}  # fmt: skip
EYES, AROUND = (60, 76), ((-8, 3), (-24, 1))  # (rows up, power), added
UNUSED = *range(8), *range(25, 34), 46, 76, 82
COARSE_ONLY = (8, 25), (33, 51), (76, 96)  # chin, brows and mouth keep edges only at 32 pixels


class CoordConv(nn.Module):
    """A convolution that is also told each place's row, column and distance from the middle."""

    def __init__(self, c_in, c_out, *arguments, **more):
        super().__init__()
        self.conv = nn.Conv2d(c_in + 3, c_out, *arguments, **more)

    def forward(self, x):
        n, _, h, w = x.shape
        rows = torch.linspace(-1, 1, h, device=x.device)[:, None].expand(h, w)
        columns = torch.linspace(-1, 1, w, device=x.device).expand(h, w)
        distance = (rows.square() + columns.square()).sqrt()
        places = torch.stack([rows, columns, distance / distance.max()]).to(x.dtype)
        return self.conv(torch.cat([x, places.expand(n, -1, -1, -1)], dim=1))


class ConvBlock(nn.Module):
    """(N, C, H, W) -> (N, C', H, W): three convolutions one after the other, side by side in the
    channels, plus the input.
    """

    def __init__(self, c_in, c_out):
        super().__init__()
        half, quarter = c_out // 2, c_out // 4
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(c) for c in (c_in, half, quarter))
        self.conv1 = nn.Conv2d(c_in, half, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        if c_in != c_out:
            across = nn.Conv2d(c_in, c_out, 1, bias=False)
            self.downsample = nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), across)

    def forward(self, x):
        straight = self.downsample(x) if hasattr(self, "downsample") else x
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        return torch.cat([first, second, third], dim=1) + straight


class Hourglass(nn.Module):
    """(N, 256, H, W) -> the same shape, after a look at four halvings of it."""

    def __init__(self, depth=4, channels=256):
        super().__init__()
        self.depth = depth
        self.coordconv = CoordConv(channels, channels, 1)
        for level in range(1, depth + 1):
            for name in ("b1", "b2", "b3"):
                self.add_module(f"{name}_{level}", ConvBlock(channels, channels))
        self.b2_plus_1 = ConvBlock(channels, channels)

    def level(self, level, x):
        low = getattr(self, f"b2_{level}")(F.avg_pool2d(x, 2))
        low = self.level(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = F.interpolate(getattr(self, f"b3_{level}")(low), scale_factor=2)
        return getattr(self, f"b1_{level}")(x) + low

    def forward(self, x):
        return self.level(self.depth, self.coordconv(x))


class FAN(nn.Module):
    """The landmark network, always in eval mode."""

    def __init__(self):
        super().__init__()
        self.conv1 = CoordConv(3, 64, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2, self.conv3 = ConvBlock(64, 128), ConvBlock(128, 128)
        self.conv4 = ConvBlock(128, 256)
        self.m0, self.top_m_0 = Hourglass(), ConvBlock(256, 256)
        self.conv_last0, self.bn_end0 = nn.Conv2d(256, 256, 1), nn.BatchNorm2d(256)
        self.l0 = nn.Conv2d(256, LANDMARKS + 1, 1)

    def train(self, mode=True):
        return super().train(False)

    def forward(self, images):
        """images (N, 3, H, W) of faces as CelebA-HQ frames them -> heat (N, 99, 64, 64)."""
        x = F.interpolate(images, size=(SIZE, SIZE), mode="bilinear") * 0.5 + 0.5
        x = F.avg_pool2d(self.conv2(F.relu(self.bn1(self.conv1(x)))), 2)
        x = self.top_m_0(self.m0(self.conv4(self.conv3(x))))
        return self.l0(F.relu(self.bn_end0(self.conv_last0(x))))

    @torch.no_grad()
    def masks(self, images):
        """images (N, 3, H, W) -> two (N, 1, 256, 256) in [0, 1], for the generator's skip."""
        heat = self(images)[:, :LANDMARKS]
        size = (SIZE, SIZE)
        return masks_of(F.interpolate(heat, size=size, mode="bilinear", align_corners=True))

    @torch.no_grad()
    def landmarks(self, images):
        """images (N, 3, 256, 256) -> (N, 98, 2) as (x, y) in pixels of it."""
        return decoded(self(images)[:, :LANDMARKS]) * (images.shape[-1] // 64)


def moved_up(heat, rows):
    """Rows that leave at one end come in at the other, as in the official code."""
    return heat.roll(-rows, dims=2)


def masks_of(heat):
    """Heat (N, 98, H, W) -> two masks (N, 1, H, W) in [0, 1]: of all that keeps its edges at 32
    pixels, and of what keeps them above (eyes, nose, pupils).
    """
    heat = heat.where(heat >= FAINT, 0)
    low, high = heat.amin((2, 3), keepdim=True), heat.amax((2, 3), keepdim=True)
    heat = (heat - low) / (high - low + 1e-6)
    scale, made = heat.shape[2] // 256, heat.clone()
    for (first, last), rows, power in PARTS.values():
        made[:, first:last] = moved_up(heat[:, first:last], rows * scale) ** power
    eyes = heat[:, EYES[0] : EYES[1]]
    # As in the official code: these rows do not follow the map's size.
    made[:, EYES[0] : EYES[1]] = sum(moved_up(eyes, rows) ** power for rows, power in AROUND)
    made[:, UNUSED] = 0
    fine = made.clone()
    for first, last in COARSE_ONLY:
        fine[:, first:last] = 0
    return tuple(part.sum(1, keepdim=True).clamp(0, 1) for part in (made, fine))


def decoded(heat):
    """Heat (N, L, H, W) -> places (N, L, 2) as (x, y) in its pixels: the hottest, moved by a
    quarter of a pixel to its hotter neighbours.
    """
    n, count, h, w = heat.shape
    best = heat.flatten(2).argmax(2)
    x, y = best % w, best // w
    inner = (x > 0) & (x < w - 1) & (y > 0) & (y < h - 1)
    flat = heat.flatten(2)

    def at(x, y):
        place = y.clamp(0, h - 1) * w + x.clamp(0, w - 1)
        return flat.gather(2, place[..., None])[..., 0]

    across = (at(x + 1, y) - at(x - 1, y)).sign() * inner
    down = (at(x, y + 1) - at(x, y - 1)).sign() * inner
    # Pixels count from 1 and a landmark lies half a pixel before: as in the official code.
    return torch.stack([x + 0.25 * across, y + 0.25 * down], dim=2) + 0.5
