"""The judge: one small network that reads a puppet back from its picture.

It reads the label map, the landmarks, 17 action units, the domain, the style and a few identity
numbers: for scoring the systems without a pretrained network, and for making a label map of a
picture. `trainers.judge` trains it on drawn puppets; the shipped one is in assets/weights.

    from gan_models.judge import judge
    readings = judge(pictures)
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan_models import images, names, weights
from gan_models.errors import UserError

SIZE = 64  # pixels of every picture the judge reads
# How many of each `trainers.puppets` draws, in whose orders they are read.
LABELS, LANDMARKS, ACTION_UNITS, DOMAINS = 16, 31, 17, 3
STYLE = ("tone", "hair", "iris", "accent", "pattern")
IDENTITY = (
    "head_width", "head_height", "jaw", "eye_spacing", "eye_size", "nose_width", "mouth_width",
    "lip_fullness", "ear_size", "shoulders", "hair_volume", "glasses",
)  # fmt: skip


def block(channels, width, stride=1):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


class Network(nn.Module):
    """Down to 4 pixels and back up to 32, then one head per reading.

    Args:
        widths: Channels at 32, 16, 8 and 4 pixels.
        features: Channels on the way back.
        hidden: Width of the layer before the global readings.
    """

    def __init__(self, widths=(24, 48, 72, 96), features=32, hidden=96):
        super().__init__()
        inputs = (12, *widths[:3])
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b, 1 if a == 12 else 2), block(b, b))
            for a, b in zip(inputs, widths, strict=True)
        )
        self.across = nn.ModuleList(nn.Conv2d(width, features, 1) for width in widths)
        self.up = nn.ModuleList(block(features, features) for _ in widths[:3])
        self.maps = nn.Conv2d(features, 4 * LABELS + LANDMARKS, 1)
        self.local = nn.Conv2d(features, 16, 1)
        self.whole = nn.Conv2d(widths[3], 16, 1)
        self.sizes = {
            "action_units": ACTION_UNITS, "domain": DOMAINS, "style": len(STYLE),
            "identity": len(IDENTITY),
        }  # fmt: skip
        described = LANDMARKS * (16 + 2) + 16 * 16
        self.describe = nn.Sequential(
            nn.Linear(described, hidden), nn.ReLU(), nn.Linear(hidden, sum(self.sizes.values()))
        )

    def forward(self, pictures):
        """pictures (N, 3, 64, 64) in [-1, 1] -> dict of: labels (N, 16, 64, 64), action_units
        (N, 17) and domain (N, 3) as logits; landmarks (N, 31, 2) in pixels; style (N, 5) and
        identity (N, 12) as they are.
        """
        x, levels = F.pixel_unshuffle(pictures, 2), []  # (N, 12, 32, 32)
        for down in self.down:
            x = down(x)
            levels.append(x)
        bottom = self.whole(x)  # (N, 16, 4, 4)
        x = self.across[3](x)
        for up, across, level in zip(self.up[::-1], self.across[2::-1], levels[2::-1], strict=True):
            x = up(F.interpolate(x, scale_factor=2) + across(level))  # ... (N, features, 32, 32)
        labels, heat = self.maps(x).float().split([4 * LABELS, LANDMARKS], dim=1)
        landmarks = centres(heat)  # (N, 31, 2)

        # What the picture looks like at each landmark; their places learn from their own loss only.
        places = landmarks.detach() / (SIZE / 2) - 1
        near = F.grid_sample(self.local(x).float(), places[:, :, None], align_corners=False)
        seen = [near.flatten(1), 4 * places.flatten(1), bottom.float().flatten(1)]
        with torch.autocast(pictures.device.type, enabled=False):  # half a pixel matters here
            numbers = self.describe(torch.cat(seen, dim=1))
        named = zip(self.sizes, numbers.split(list(self.sizes.values()), dim=1), strict=True)
        return {"labels": F.pixel_shuffle(labels, 2), "landmarks": landmarks, **dict(named)}


def centres(heat):
    """Each heat map's centre of mass under softmax, in pixels: (N, K, h, w) -> (N, K, 2)."""
    side = heat.shape[-1]
    share = heat.flatten(2).softmax(dim=2).unflatten(2, (side, side))
    line = (torch.arange(side, device=heat.device) + 0.5) * (SIZE / side)
    return torch.stack([(share.sum(dim=2) * line).sum(2), (share.sum(dim=3) * line).sum(2)], dim=2)


@dataclass(frozen=True)
class Readings:
    """What the judge reads in N pictures, as numpy arrays."""

    labels: np.ndarray  # (N, 64, 64) uint8, the class of each pixel
    landmarks: np.ndarray  # (N, 31, 2) float32, (x, y) in pixels, (0, 0) the top left corner
    action_units: np.ndarray  # (N, 17) float32 in [0, 1]
    domain: np.ndarray  # (N,) int64
    style: np.ndarray  # (N, 5) float32 in [0, 1], in the order of STYLE
    identity: np.ndarray  # (N, 12) float32, about [-1, 1], in the order of IDENTITY


def judge(pictures, weights_name="judge-puppets"):
    """Read pictures (N, H, W, 3) uint8 RGB, of any size, with the shipped judge, or another; see
    `Readings`, whose pixels are those of 64.

    weights_name: a weights folder, a run, or a shipped name. Raises UserError for weights that are
    not there.
    """
    small = np.stack([images.resize(one, SIZE) for one in pictures])
    return read(load_judge(str(weights_name)), small)


@functools.lru_cache(maxsize=4)
def load_judge(weights_name="judge-puppets", device="cpu"):
    """The network of a judge's weights folder. Raises UserError."""
    loaded = weights.load_weights(names.find_weights(weights_name), "judge", ["judge"])
    network = weights.build_network(Network, loaded, "judge")
    return network.to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def read(network, pictures, batch_size=64):
    """`Readings` of pictures (N, 64, 64, 3) uint8; the network must be in eval mode."""
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != (SIZE, SIZE, 3) or not len(pictures):
        raise UserError(
            f"the judge reads pictures ({SIZE}, {SIZE}, 3) of uint8, not {pictures.shape} of "
            f"{pictures.dtype}: bring them to {SIZE} pixels with gan_models.images.resize."
        )
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(pictures), batch_size):
        out = network(images.to_tensor(pictures[start : start + batch_size]).to(device))
        parts.append(
            (out["labels"].argmax(1).byte(), out["landmarks"], out["action_units"].sigmoid(),
             out["domain"].argmax(1), out["style"].clamp(0, 1), out["identity"])
        )  # fmt: skip
    return Readings(*(torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)))
