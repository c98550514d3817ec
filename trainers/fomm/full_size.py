"""Frames larger than the networks see: a loss that learns them, and scores against puppets drawn
at that size.

Three ways to make them are compared by `scores`: `full_size` moves the large source's own pixels,
as the demo does; `enlarged` makes frames of the networks' size and enlarges them; `halved_truth` is
the drawn truth itself brought to the networks' size and enlarged, what no enlarged frame can pass.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from gan_models.fomm.folded import affine_motions, finer_deformation
from gan_models.fomm.full_size import STEEPNESS
from gan_models.fomm.networks import in_float32, resized
from gan_models.images import resize
from trainers.fomm import puppet_moves

BAND = 2  # pixels on either side of the truth's edges
EDGE = 60  # of a Sobel operator on grey levels, 0 to 1020; a step of 15 levels
QUICK, RATE = 25, 25.0  # frames, and frames a second, of the clips that flicker is measured on


def render(large, output, driving, source, align_corners):
    """Frames (N, 3, S, S) as `gan_models.fomm.full_size` makes them, with gradients.

    large: the sources (N, 3, S, S) in [0, 1]. output: what the generator, one with `blend`, made of
    them at its own size, moved from the keypoints `source` to `driving`.
    """
    own = output.logits.shape[-1]
    with in_float32(large):
        places = affine_motions(driving, source), output.mask.clamp(min=1e-12).log()
        places = finer_deformation(*places, output.logits)
        if align_corners:  # else -1 and 1 are the outer edges of the outermost pixels already
            places = places * ((own - 1) / own)
        # With a nan in it, torch's backward of grid_sample reads memory that is not its own.
        places = resized(places, large).permute(0, 2, 3, 1).nan_to_num(0.0, 1e4, -1e4)
        moved = F.grid_sample(large, places, padding_mode="border", align_corners=False)
        colour, share = output.logits.split([3, 1], dim=1)
        how = {"size": large.shape[2:], "mode": "bicubic", "align_corners": False}
        share = F.interpolate(share * STEEPNESS, **how).sigmoid()
        return torch.lerp(moved, resized(colour.sigmoid(), large), share)


def loss(frames, truth):
    """Mean absolute difference of frames (N, 3, S, S) in [0, 1] from the truth; what lies near the
    truth's edges counts twice.
    """
    return ((frames - truth).abs() * (1 + edges(truth))).mean()


def scores(mover, own: int, at: int, count: int, style: str, frames: int) -> dict:
    """For each way l1, edges (the same within BAND of the truth's edges) and flicker (the mean
    second difference over time at RATE) beside the truth's.

    mover: Moves pictures, as `trainers.fomm.scores.Piped`. own, at: pixels that the networks see,
    pixels of the frames.
    """
    ways = {
        "full_size": lambda moves, i: mover.animate(moves.truth[i, 0], small.driving[i], at),
        "enlarged": lambda moves, i: grown(mover.animate(small.truth[i, 0], small.driving[i]), at),
        "halved_truth": lambda moves, i: grown([resize(one, own) for one in moves.truth[i]], at),
    }
    result = {name: {"l1": [], "edges": [], "flicker": []} for name in (*ways, "truth")}
    large, small = (puppet_moves.puppet_set(count, size, style, frames) for size in (at, own))
    for index, truth in enumerate(large.truth):
        band = edges(torch.from_numpy(truth[1:]).permute(0, 3, 1, 2) / 255)[:, 0].bool().numpy()
        for name, way in ways.items():
            off = np.abs(way(large, index)[1:].astype(np.int16) - truth[1:]).mean(axis=3) / 255
            result[name]["l1"].append(off.mean())
            result[name]["edges"].append(off[band].mean())
    large, small = (puppet_moves.puppet_set(count, size, style, QUICK, RATE) for size in (at, own))
    for index, truth in enumerate(large.truth):
        result["truth"]["flicker"].append(flicker(truth))
        for name, way in ways.items():
            result[name]["flicker"].append(flicker(way(large, index)))
    return {
        name: {key: float(np.mean(values)) for key, values in of.items() if values}
        for name, of in result.items()
    }


def grown(frames, size: int) -> np.ndarray:
    """(T, size, size, 3) uint8, bicubic."""
    return np.stack(
        [cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in frames]
    )


def edges(frames):
    """1 where frames (N, 3, S, S) in [0, 1] are within BAND of an edge, else 0: (N, 1, S, S)."""
    red, green, blue = (255 * frames).split(1, dim=1)
    grey = F.pad(0.299 * red + 0.587 * green + 0.114 * blue, (1, 1, 1, 1), mode="reflect")
    across, down = grey[..., 2:] - grey[..., :-2], grey[..., 2:, :] - grey[..., :-2, :]
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return F.max_pool2d((torch.hypot(across, down) > EDGE).to(frames), 2 * BAND + 1, 1, BAND)


def flicker(frames) -> float:
    """Mean absolute second difference over time of frames (T, S, S, 3) uint8, on [0, 1]."""
    signed = np.asarray(frames, np.int16)
    return float(np.abs(signed[2:] - 2 * signed[1:-1] + signed[:-2]).mean() / 255)
