"""An animated square back in its full picture, at the picture's own resolution.

Only the square's own pixels are computed for a frame; inside a border where the two are blended,
and outside everything stays as it was, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np

from gan_models.faces.finding import Box
from gan_models.faces.framing import check_box

FEATHER = 0.1  # of the box's side: narrower borders show where hair or a shoulder moves across


class Paster:
    """Puts small animated crops of a picture back into it.

    Args:
        picture: (H, W, 3) uint8; read, never written.
        box: Where the crops come from, as given to `crop`; may reach outside the picture. Edges of
            the box at or beyond the picture's own edge are not blended: nothing is behind them.
    """

    def __init__(self, picture: np.ndarray, box: Box):
        height, width = picture.shape[:2]
        check_box(box, width, height)
        self.picture = picture
        self.box = box
        self.rows = slice(max(0, math.floor(box.top)), min(height, math.ceil(box.bottom)))
        self.columns = slice(max(0, math.floor(box.left)), min(width, math.ceil(box.right)))
        self._down = _ramp(self.rows, box.top, box.bottom, height)
        self._across = _ramp(self.columns, box.left, box.right, width)

    def paste(self, patch: np.ndarray) -> np.ndarray:
        """The (H, W, 3) uint8 picture with `patch`, (size, size, 3) uint8, in its box."""
        out = self.picture.copy()
        out[self.rows, self.columns] = self.part(patch)
        return out

    def part(self, patch: np.ndarray) -> np.ndarray:
        """The same, but only its `rows` and `columns`."""
        before = self.picture[self.rows, self.columns]
        after = self._enlarged(patch)
        inner, sides = _full(self._down), _full(self._across)
        for rows, columns in (  # of the border; what lies inside it stays untouched
            (slice(0, inner.start), slice(None)),
            (slice(inner.stop, None), slice(None)),
            (inner, slice(0, sides.start)),
            (inner, slice(sides.stop, None)),
        ):
            share = (self._down[rows, None] * self._across[columns])[:, :, None]  # (h, w, 1)
            old, new = before[rows, columns].astype(np.float32), after[rows, columns]
            new[:] = np.rint(old + share * (new - old))
        return after

    def _enlarged(self, patch: np.ndarray) -> np.ndarray:
        """A copy of the patch on the pixels of the box that lie in the picture."""
        import cv2

        box = self.box
        top, left = self.rows.start - box.top, self.columns.start - box.left
        if patch.shape[:2] == (box.height, box.width) and top % 1 == left % 1 == 0:
            high, wide = len(self._down), len(self._across)
            return patch[int(top) : int(top) + high, int(left) : int(left) + wide].copy()
        smaller = (math.ceil(box.width), math.ceil(box.height))
        if smaller[0] < patch.shape[1] or smaller[1] < patch.shape[0]:  # else it would alias
            patch = cv2.resize(patch, smaller, interpolation=cv2.INTER_AREA)
        # Pixel centres of the region to pixel centres of the patch
        across, down = patch.shape[1] / box.width, patch.shape[0] / box.height
        x = (self.columns.start + 0.5 - box.left) * across - 0.5
        y = (self.rows.start + 0.5 - box.top) * down - 0.5
        matrix = np.array([[across, 0, x], [0, down, y]])
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        patch = np.ascontiguousarray(patch)
        return cv2.warpAffine(patch, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _ramp(pixels: slice, low: float, high: float, limit: int) -> np.ndarray:
    """The patch's share, 0 to 1 float32, at each of these pixels along one direction of the box."""
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    width = FEATHER * (high - low)
    share = np.ones(len(centres))
    for inside, distance in ((low > 0, centres - low), (high < limit, high - centres)):
        if inside:
            part = np.clip(distance / width, 0, 1)
            share = np.minimum(share, part * part * (3 - 2 * part))  # smooth at both ends
    return share.astype(np.float32)


def _full(share: np.ndarray) -> slice:
    """The run of ones in a ramp that rises to 1 and falls again; empty where there is none."""
    ones = np.flatnonzero(share == 1)
    return slice(ones[0], ones[-1] + 1) if len(ones) else slice(len(share), len(share))
