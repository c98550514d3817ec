"""The adversary that FOMM's trainer uses with every configuration but vox and taichi."""

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.fomm.networks import heatmaps


class Discriminator(nn.Module):
    """Patch discriminators, one for each of `scales` of the image pyramid.

    use_keypoints: each also sees the heatmaps of the driving keypoints (vox-adv, taichi-adv).
    """

    def __init__(
        self,
        scales=(1,),
        block_expansion=32,
        max_features=512,
        num_blocks=4,
        spectral_norm=False,
        use_keypoints=False,
        num_keypoints=10,
        keypoint_variance=0.01,
    ):
        super().__init__()
        self.scales = tuple(scales)
        self.keypoint_variance = keypoint_variance if use_keypoints else None
        widths = [min(max_features, block_expansion << i) for i in range(1, num_blocks + 1)]
        ins = [3 + (num_keypoints if use_keypoints else 0), *widths[:-1]]
        self.patches = nn.ModuleList(
            nn.ModuleList(
                PatchBlock(ins[i], widths[i], i > 0, i < num_blocks - 1, spectral_norm)
                for i in range(num_blocks)
            )
            for _ in self.scales
        )
        self.scores = nn.ModuleList(
            normalised(nn.Conv2d(widths[-1], 1, 1), spectral_norm) for _ in self.scales
        )

    def forward(self, pyramid, keypoints: torch.Tensor | None = None):
        """pyramid {scale: (N, 3, H, W)}, keypoints (N, K, 2); returns for each of `scales`
        (score map (N, 1, h, w), feature maps of all blocks).
        """
        results = []
        for scale, blocks, score in zip(self.scales, self.patches, self.scores, strict=True):
            x = pyramid[scale]
            if self.keypoint_variance is not None:
                h, w = x.shape[2:]
                x = torch.cat([x, heatmaps(h, w, keypoints, self.keypoint_variance)], dim=1)
            maps = []
            for block in blocks:
                x = block(x)
                maps.append(x)
            results.append((score(x), maps))
        return results


class PatchBlock(nn.Module):
    """4x4 convolution without padding, instance norm (not in the first), leaky ReLU, pooling."""

    def __init__(self, in_channels, out_channels, norm, pool, spectral_norm):
        super().__init__()
        self.conv = normalised(nn.Conv2d(in_channels, out_channels, 4), spectral_norm)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True) if norm else nn.Identity()
        self.pool = pool

    def forward(self, x):
        x = F.leaky_relu(self.norm(self.conv(x)), 0.2)
        return F.avg_pool2d(x, 2) if self.pool else x


def normalised(conv, spectral_norm):
    # The older of torch's two spectral norms: the newer one iterates in the other order.
    return nn.utils.spectral_norm(conv) if spectral_norm else conv
