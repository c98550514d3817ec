"""An animated square back in its full picture, at the picture's own resolution.

Only the square's own pixels are computed for a frame; inside a border where the two are blended,
and outside everything stays as it was, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np

from gan_models.errors import UserError
from gan_models.faces.finding import Box
from gan_models.faces.framing import check_box

FEATHER = 0.1  # of the box's side: narrower borders show where hair or a shoulder moves across
AT_ONCE = 1 << 22  # values blended at a time, so that the largest box needs little memory


class Paster:
    """Puts small animated crops of a picture back into it.

    Args:
        picture: (H, W, 3) uint8; read, never written.
        box: Where the crops come from, as given to `crop`; may reach outside the picture.
        feather: Width of the blend inside the box's border, as a share of the box, 0 to 0.5. Edges
            of the box at or beyond the picture's own edge are not blended: nothing is behind them.
        match_colours: Shift the colours of each patch so that its border has the picture's own
            mean there. Off: the patch as it is.
    """

    def __init__(
        self,
        picture: np.ndarray,
        box: Box,
        *,
        feather: float = FEATHER,
        match_colours: bool = False,
    ):
        if not 0 <= feather <= 0.5:  # NaN fails too
            raise UserError(f"feather is from 0 to 0.5 of the box, not {feather}.")
        height, width = picture.shape[:2]
        check_box(box, width, height)
        self.picture = picture
        self.box = box
        self.match_colours = match_colours
        self.rows = slice(max(0, math.floor(box.top)), min(height, math.ceil(box.bottom)))
        self.columns = slice(max(0, math.floor(box.left)), min(width, math.ceil(box.right)))
        self._down = _ramp(self.rows, box.top, box.bottom, height, feather)
        self._across = _ramp(self.columns, box.left, box.right, width, feather)

    def paste(self, patch: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The (H, W, 3) uint8 picture with `patch`, (size, size, 3) uint8, in its box.

        out: an earlier result of this paster to write into, which saves copying the picture; its
        content then changes. None: a new array.
        """
        if patch.dtype != np.uint8 or patch.ndim != 3 or patch.shape[2] != 3 or patch.size == 0:
            raise UserError(f"a patch is (size, size, 3) of uint8, not {patch.shape}.")
        if out is None:
            out = self.picture.copy()
        elif out.shape != self.picture.shape or out.dtype != np.uint8:
            raise UserError("out is not an earlier result of this paster.")
        before = self.picture[self.rows, self.columns]
        after = out[self.rows, self.columns]
        after[:] = self._enlarged(patch)
        if self.match_colours:
            self._match(before, after)
        self._blend(before, after)
        return out

    def _enlarged(self, patch: np.ndarray) -> np.ndarray:
        """The patch on the pixels of the box that lie in the picture."""
        import cv2

        box = self.box
        smaller = (math.ceil(box.width), math.ceil(box.height))
        if smaller[0] < patch.shape[1] or smaller[1] < patch.shape[0]:  # else it would alias
            patch = cv2.resize(patch, smaller, interpolation=cv2.INTER_AREA)
        # Pixel centres of the region to pixel centres of the patch
        across, down = patch.shape[1] / box.width, patch.shape[0] / box.height
        matrix = np.array(
            [
                [across, 0, (self.columns.start + 0.5 - box.left) * across - 0.5],
                [0, down, (self.rows.start + 0.5 - box.top) * down - 0.5],
            ]
        )
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        patch = np.ascontiguousarray(patch)
        return cv2.warpAffine(patch, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _blend(self, before: np.ndarray, after: np.ndarray) -> None:
        """Mix `before` into the border of `after`, in place; its inner part stays untouched."""
        inner = _full(self._down)
        sides = _full(self._across)
        self._blend_part(before, after, slice(0, inner.start), slice(None))
        self._blend_part(before, after, slice(inner.stop, None), slice(None))
        self._blend_part(before, after, inner, slice(0, sides.start))
        self._blend_part(before, after, inner, slice(sides.stop, None))

    def _blend_part(self, before, after, rows: slice, columns: slice) -> None:
        across = self._across[columns]
        first, last, _ = rows.indices(len(self._down))
        if not len(across):
            return
        step = max(1, AT_ONCE // (3 * len(across)))
        for start in range(first, last, step):
            some = slice(start, min(start + step, last))
            share = (self._down[some, None] * across)[:, :, None]  # (h, w, 1) float32
            old = before[some, columns].astype(np.float32)
            new = after[some, columns]
            new[:] = np.rint(old + share * (new - old))

    def _match(self, before: np.ndarray, after: np.ndarray) -> None:
        """Shift the colours of `after`, in place, to those of `before` along the blended border."""
        step = max(1, math.isqrt(before.shape[0] * before.shape[1] // 65_536))  # enough for a mean
        down, across = self._down[::step], self._across[::step]
        border = 1 - down[:, None] * across
        if border.sum() == 0:
            return
        difference = before[::step, ::step].astype(np.float32) - after[::step, ::step]
        shift = (difference * border[:, :, None]).sum((0, 1)) / border.sum()  # (3,)
        values = np.arange(256, dtype=np.float32)
        for channel in range(3):
            table = np.clip(np.rint(values + shift[channel]), 0, 255).astype(np.uint8)
            after[:, :, channel] = table[after[:, :, channel]]


def _ramp(pixels: slice, low: float, high: float, limit: int, feather: float) -> np.ndarray:
    """The patch's share, 0 to 1 float32, at each of these pixels along one direction of the box."""
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    width = feather * (high - low)
    share = np.ones(len(centres))
    for inside, distance in ((low > 0, centres - low), (high < limit, high - centres)):
        if inside:
            part = np.clip(distance / width if width else distance > 0, 0, 1)
            share = np.minimum(share, part * part * (3 - 2 * part))  # smooth at both ends
    return share.astype(np.float32)


def _full(share: np.ndarray) -> slice:
    """The run of ones in a ramp that rises to 1 and falls again; empty where there is none."""
    ones = np.flatnonzero(share == 1)
    return slice(ones[0], ones[-1] + 1) if len(ones) else slice(len(share), len(share))
