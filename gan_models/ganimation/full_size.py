"""The edited face at its own size: its pixels are kept, only what is painted is enlarged.

The networks see a small picture. Their colour and attention vary slowly, so those are enlarged, and
blended with the large face. On any device this runs on the processor, in a few milliseconds; a
colour at a time, for of a face of 12 megapixels all three in floating point take 0.5 GB.
"""

import cv2
import numpy as np

# Levels of 255 between colour and picture. Attention is seldom quite 1, so that a plain blend would
# blur all of the face; but a small change is as well a weak share of a stronger colour, and the
# more pixels are kept the sharper it is. Lines that move would be seen twice where this is larger.
STRONG = 80.0
AROUND = np.ones((3, 3), np.uint8)  # beside a line that moves nothing may change by chance


def full_size(large, small, color, attention) -> np.ndarray:
    """The edited face (S, S, 3) uint8.

    Args:
        large: The face (S, S, 3) uint8, of any size.
        small: The same (s, s, 3) uint8, as the network saw it.
        color: (s, s, 3) float32, 0 to 255; attention: (s, s) float32 in [0, 1].
    """
    share, size = 1 - attention, len(large)
    change = np.abs(share[:, :, None] * (color - small)).max(2)
    change = cv2.GaussianBlur(cv2.dilate(change, AROUND), (0, 0), 1)
    stronger = np.maximum(share * STRONG / np.maximum(change, 1e-3), 1)
    color = small + stronger[:, :, None] * (color - small)
    share = enlarged(share / stronger, size).clip(0, 1)  # the same picture at the small size
    kept, edited = 1 - share, np.empty_like(large)
    for one in range(3):
        before = large[:, :, one].astype(np.float32)
        mixed = cv2.blendLinear(before, enlarged(color[:, :, one], size), kept, share)
        edited[:, :, one] = cv2.add(mixed, 0, dtype=cv2.CV_8U)  # rounded, and within 0 to 255
    return edited


def enlarged(picture, size: int) -> np.ndarray:
    """(s, s) or (s, s, 3) -> (size, size) or (size, size, 3): smooth, an average if smaller."""
    how = cv2.INTER_CUBIC if size > len(picture) else cv2.INTER_AREA
    return cv2.resize(picture, (size, size), interpolation=how)
