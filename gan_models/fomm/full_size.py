"""Frames at the source's own size: its pixels are moved, only what is painted is enlarged.

The networks see a small picture, and what they say varies slowly: where each pixel comes from,
which part is painted, in which colours. So that is enlarged, and the large source itself is moved.
On any device this runs on the processor: it takes a few milliseconds a frame, and no graphics
memory.
"""

import cv2
import numpy as np
import torch

from gan_models import images
from gan_models.fomm.folded import Maps

LARGEST = 1024  # pixels
# The share's logits times this: enlarged, what separates moved from painted pixels would else be
# a seam as wide as a small pixel.
STEEPNESS = 2.0


def full_size(large: np.ndarray, maps: Maps, align_corners: bool, value_range):
    """Yield the frames, (S, S, 3) uint8, one by one.

    Args:
        large: The source, (S, S, 3) uint8.
        maps: Of the frames, made from the source at the network's size.
        align_corners: How the generator samples: whether -1 and 1 are the centres of the outermost
            pixels of the small picture, or their outer edges.
        value_range: Of the colours.
    """
    size, own = len(large), maps.colour.shape[-1]
    scale = size / own * (own - 1 if align_corners else own) / 2  # pixels of the source to 1
    places = maps.deformation.permute(0, 2, 3, 1) * scale + (size - 1) / 2
    places = places.contiguous().cpu().numpy()  # (N, H, W, 2) in pixels of the source
    colours = images.to_pictures(maps.colour, value_range)
    share = (maps.share.squeeze(1) * STEEPNESS).cpu().numpy()
    for place, colour, logits in zip(places, colours, share, strict=True):
        place, edge = enlarged(place, size), cv2.BORDER_REPLICATE
        moved = cv2.remap(large, place, None, cv2.INTER_LINEAR, borderMode=edge)
        logits = torch.from_numpy(enlarged(logits, size, cv2.INTER_CUBIC))
        yield blended(moved, enlarged(colour, size), logits.sigmoid_().numpy())


def blended(moved, painted, share):
    """Pictures (S, S, 3) uint8, the second one's share (S, S) of [0, 1]; in bytes, for speed."""
    share = cv2.cvtColor(cv2.convertScaleAbs(share, alpha=255), cv2.COLOR_GRAY2RGB)
    kept = cv2.multiply(moved, 255 - share, scale=1 / 255)
    return cv2.add(kept, cv2.multiply(painted, share, scale=1 / 255))


def enlarged(picture, size, how=cv2.INTER_LINEAR):
    return cv2.resize(picture, (size, size), interpolation=how)
