"""The motion networks as the pipeline runs them: constants folded into the weights, no gradients.

The numbers are those of `KeypointDetector` and `Generator` in eval mode, up to rounding. What is
not computed: batch norms (part of the convolutions), the enlarged pictures that the decoders
convolve, whatever of the source no driving frame changes, and the deformed source unless someone
looks at it. How the convolutions are cheaper, too, is in `folded_layers`. `FoldedGenerator.maps`
stops before the picture, for `full_size`.

Keypoints, masks, deformations and pictures are float32 in every precision; the source is encoded
in float32 too, since that happens once.
"""

from __future__ import annotations

import copy
import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from gan_models.folding import channels_last
from gan_models.fomm.folded_layers import (
    FoldedBlock,
    FoldedConv,
    FoldedHourglass,
    FoldedResidual,
    folded_last,
    folded_up,
    moved_rows,
    on_processor,
)
from gan_models.fomm.networks import (
    Encoded,
    Generator,
    KeypointDetector,
    Keypoints,
    Output,
    coordinate_grid,
    heatmaps,
    inverse,
    preferences,
    resized,
)


class Motions(NamedTuple):
    """What `FoldedDenseMotion` makes of N driving frames; see also `Output`."""

    theta: torch.Tensor  # (N, K + 1, 2, 3), see `affine_motions`
    logits: torch.Tensor  # (N, K + 1, h, w), whose softmax is the mask
    mask: torch.Tensor  # (N, K + 1, h, w)
    moved: torch.Tensor  # (N, K + 1, 3, h, w)
    deformation: torch.Tensor  # (N, h, w, 2)
    occlusion_map: torch.Tensor | None  # (N, 1, h, w)
    features: torch.Tensor  # (N, C, h, w), which all this was read from


class Maps(NamedTuple):
    """What a picture of any size is made from (see `full_size`), N frames, float32."""

    deformation: torch.Tensor  # (N, 2, H, W), where each pixel comes from: x and y in [-1, 1]
    colour: torch.Tensor  # (N, 3, H, W) in [0, 1], what is painted
    share: torch.Tensor  # (N, 1, H, W), logits of the painted part


class FoldedDetector(nn.Module):
    """A copy of `detector` for inference, called like it; the original stays as it is.

    Args:
        detector: A `KeypointDetector` of any configuration.
        device: Where it runs.
        dtype: Of the hourglass; the maps that points are read from are float32. For bfloat16, whose
            8 bits move points by pixels, float32 is used instead, at hardly more time.
    """

    def __init__(self, detector: KeypointDetector, device="cpu", dtype=torch.float32):
        super().__init__()
        self.num_keypoints, self.temperature = detector.num_keypoints, detector.temperature
        self.anchors = detector.anchors
        self.down = copy.deepcopy(detector.down)
        dtype = torch.float32 if dtype == torch.bfloat16 else dtype
        self.hourglass = FoldedHourglass(detector.hourglass, device, dtype)
        self.heads = FoldedConv([detector.heatmap, detector.jacobian])
        self.to(device).eval()

    @torch.inference_mode()
    def forward(self, images) -> Keypoints:
        """images (N, 3, H, W) float32 in [0, 1]; keypoints float32."""
        maps = self.heads(self.hourglass(self.down(images)))  # (N, K + 4 K or + 4, h, w)
        n, channels, h, w = maps.shape
        k = self.num_keypoints
        maps = maps.flatten(2)
        logits = maps[:, :k] / self.temperature
        if self.anchors:
            logits += fixed_preferences(k, h, w, self.anchors, logits.device)
        heat = logits.softmax(dim=2)  # (N, K, h w)
        value = heat @ fixed_grid(h, w, heat.device)[:, :2]  # (N, K, 2)
        if channels == k:
            return Keypoints(value)
        if channels == k + 4:
            jacobian = heat @ maps[:, k:].transpose(1, 2)
        else:
            jacobian = torch.einsum("nkp,nkcp->nkc", heat, maps[:, k:].view(n, k, 4, h * w))
        return Keypoints(value, jacobian.view(n, k, 2, 2))


class FoldedGenerator(nn.Module):
    """A copy of `generator` for inference; the original stays as it is.

    Args:
        generator: A `Generator` of any configuration.
        device: Where it runs.
        dtype: Of the convolutions that run for each driving frame.
    """

    def __init__(self, generator: Generator, device="cpu", dtype=torch.float32):
        super().__init__()
        self.warped_skips, self.blend = generator.warped_skips, generator.blend
        motion = generator.dense_motion
        self.dense_motion = None if motion is None else FoldedDenseMotion(motion, device, dtype)
        self.paint = None if generator.paint is None else FoldedConv([generator.paint], dtype)
        self.encoder = nn.ModuleList(
            FoldedBlock(block) for block in [generator.first, *generator.down_blocks]
        )
        self.bottleneck = nn.ModuleList(
            FoldedResidual(block, device, dtype) for block in generator.bottleneck
        )
        self.up_blocks = nn.ModuleList(
            folded_up(block, device, dtype) for block in generator.up_blocks
        )
        self.final = folded_last(generator.final, device, dtype)
        self.to(device).eval()

    @torch.inference_mode()
    def encode(self, source) -> Encoded:
        """source (1, 3, H, W) float32 in [0, 1]; what `animate` needs of it.

        `features` holds the levels that are moved, finest first: all with `warped_skips`, else
        the last.
        """
        x, features = channels_last(source), []
        for block in self.encoder:
            x = block(x)
            features.append(x)
        small = None if self.dense_motion is None else self.dense_motion.down(source)
        return Encoded(source, small, features if self.warped_skips else features[-1:])

    @torch.inference_mode()
    def animate(
        self, encoded: Encoded, driving: Keypoints, source_keypoints: Keypoints, explain=False
    ):
        """The encoded source as the N driving keypoints move it: (N, 3, H, W) float32 in [0, 1].

        Args:
            encoded: One source, from `encode`.
            driving: N keypoints.
            source_keypoints: The source's own, one.
            explain: Return the whole `Output` instead of its prediction.
        """
        n = len(driving.value)
        if self.dense_motion is None:
            x = self.decode(encoded.features).sigmoid().expand(n, -1, -1, -1)
            return Output(x) if explain else x
        motions = self.dense_motion(encoded.small, driving, source_keypoints)
        prediction = self.draw(encoded, motions).sigmoid()  # (N, 3, H, W), with `blend` (N, 4, ...)
        deformed = None
        if self.blend or explain:
            deformed = self.dense_motion.warp(encoded.image, motions.deformation)
        if self.blend:
            colour, share = prediction.split([3, 1], dim=1)
            prediction = torch.lerp(deformed.float(), colour, share)
        if explain:
            return Output(
                prediction, deformed, motions.mask, motions.moved, motions.deformation,
                motions.occlusion_map,
            )  # fmt: skip
        return prediction

    @torch.inference_mode()
    def maps(self, encoded: Encoded, driving: Keypoints, source_keypoints: Keypoints) -> Maps:
        """As `animate`, of a generator with `blend`, but before the source's pixels are moved."""
        motions = self.dense_motion(encoded.small, driving, source_keypoints)
        colour, share = self.draw(encoded, motions).split([3, 1], dim=1)
        deformation = finer_deformation(motions.theta, motions.logits, encoded.image)
        return Maps(deformation, colour.sigmoid(), share)

    def draw(self, encoded, motions):
        """The last layer's logits, float32 (N, 3 or with `blend` 4, H, W)."""
        how = motions.deformation, motions.occlusion_map
        warped = [self.dense_motion.move(level, *how) for level in encoded.features]
        if self.paint is not None:
            painted = self.paint(motions.features).float()
            warped[-1] = warped[-1] + resized(painted, warped[-1])
        return self.decode(warped)

    def decode(self, warped):
        x = warped[-1]
        for block in self.bottleneck:
            x = block(x)
        for number, block in enumerate(self.up_blocks):
            x = block(x)
            if self.warped_skips:
                x = torch.cat([x, warped[-2 - number].to(x.dtype)], dim=1)
        return self.final(x).float()


class FoldedDenseMotion(nn.Module):
    """See `DenseMotion`; one source, many driving frames."""

    def __init__(self, motion, device, dtype):
        super().__init__()
        self.keypoint_variance = motion.keypoint_variance
        self.align_corners, self.padding_mode = motion.align_corners, motion.padding_mode
        self.down = copy.deepcopy(motion.down)
        self.hourglass = FoldedHourglass(motion.hourglass, device, dtype)
        self.heads = FoldedConv([motion.mask, motion.occlusion], dtype)

    def forward(self, small, driving: Keypoints, source: Keypoints) -> Motions:
        """small (1, 3, h, w); the rest as `DenseMotion.forward`."""
        n, k, _ = driving.value.shape
        _, _, h, w = small.shape
        theta = affine_motions(driving, source)  # (N, K + 1, 2, 3)
        grid = fixed_grid(h, w, theta.device)
        motions = grid @ theta.transpose(2, 3)  # (N, K + 1, h w, 2)
        motions = motions.view(n * (k + 1), h, w, 2)
        moved = self.warp(small, motions).view(n, k + 1, 3, h, w)
        heat = heatmaps(h, w, driving.value, self.keypoint_variance)
        x = moved.new_zeros(n, k + 1, 4, h, w)
        x[:, 1:, 0] = heat - heatmaps(h, w, source.value, self.keypoint_variance)
        x[:, :, 1:] = moved
        features = self.hourglass(channels_last(x.view(n, 4 * (k + 1), h, w)))
        x = self.heads(features).float()
        logits = x[:, : k + 1]
        mask = logits.softmax(dim=1)  # (N, K + 1, h, w)
        # Mixing the motions' six numbers at each pixel mixes the motions.
        mixed = mask.permute(0, 2, 3, 1).reshape(n, h * w, k + 1) @ theta.view(n, k + 1, 6)
        deformation = (mixed.view(n, h * w, 2, 3) * grid.unsqueeze(1)).sum(dim=3)
        occlusion_map = x[:, k + 1 :].sigmoid() if x.shape[1] > k + 1 else None
        deformation = deformation.view(n, h, w, 2)
        return Motions(theta, logits, mask, moved, deformation, occlusion_map, features)

    def move(self, level, deformation, occlusion_map=None):
        """Features (1, C, H, W) where each of `deformation` (N, h, w, 2) points, times the
        occlusion map (N, 1, h, w).
        """
        share = None if occlusion_map is None else resized(occlusion_map, level)
        if on_processor(level.device):
            places, border = like(deformation, level), self.padding_mode == "border"
            return moved_rows(level, places, border, self.align_corners, share)
        moved = self.warp(level, deformation)
        return moved if share is None else moved * share

    def warp(self, image, deformation):
        """Sample image (1, C, H, W) where each of `deformation` (N, h, w, 2) points."""
        deformation = like(deformation, image)
        return F.grid_sample(
            image.expand(len(deformation), -1, -1, -1),
            deformation,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
        )


def finer_deformation(theta, logits, like):
    """The deformation (N, 2, H, W) at the size of `like`, of motions theta (N, K + 1, 2, 3) and the
    logits (N, K + 1, h, w) of their shares. Not the deformation is enlarged but what it is mixed
    by, before the softmax: where two parts meet, the border stays sharp and runs between the pixels
    of the mask.
    """
    n, k, h, w = logits.shape
    mask = resized(logits, like).softmax(dim=1).flatten(2)  # (N, K + 1, H W)
    grid = coordinate_grid(h, w, theta).permute(2, 0, 1).unsqueeze(0)
    grid = resized(grid, like)  # as `warp` sees it
    mixed = theta.view(n, k, 6).transpose(1, 2) @ mask  # (N, 6, H W)
    x, y, shift = mixed.view(n, 2, 3, *grid.shape[2:]).unbind(dim=2)
    return x * grid[:, :1] + y * grid[:, 1:] + shift


def like(deformation, image):
    """A deformation (N, h, w, 2) for each pixel of `image`."""
    return resized(deformation.permute(0, 3, 1, 2), image).permute(0, 2, 3, 1)


def affine_motions(driving: Keypoints, source: Keypoints):
    """Where a point (x, y, 1) comes from by each motion: matrices (N, K + 1, 2, 3).

    Those of `sparse_motions`, J_source J_driving^-1 (z - driving) + source, with the point taken
    out of the brackets; the first is the background's, the identity.
    """
    n, k, _ = driving.value.shape
    theta = driving.value.new_zeros(n, k + 1, 2, 3)
    theta[:, 0, 0, 0] = theta[:, 0, 1, 1] = 1
    if driving.jacobian is None:
        theta[:, 1:, 0, 0] = theta[:, 1:, 1, 1] = 1
        theta[:, 1:, :, 2] = source.value - driving.value
    else:
        turn = source.jacobian @ inverse(driving.jacobian)  # (N, K, 2, 2)
        theta[:, 1:, :, :2] = turn
        theta[:, 1:, :, 2] = source.value - (turn @ driving.value.unsqueeze(3)).squeeze(3)
    return theta


@functools.lru_cache(maxsize=16)
@torch.inference_mode()
def fixed_grid(h, w, device):
    """(x, y, 1) of each point of `coordinate_grid`, (h w, 3) float32."""
    grid = coordinate_grid(h, w, torch.empty(0, device=device)).view(h * w, 2)
    return F.pad(grid, (0, 1), value=1.0)


@functools.lru_cache(maxsize=16)
@torch.inference_mode()
def fixed_preferences(k, h, w, width, device):
    """`preferences`, which are the same for every picture, (1, K, h w) float32."""
    return preferences(k, h, w, width, torch.empty(0, device=device)).flatten(2)
