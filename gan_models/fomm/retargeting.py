"""Retargeting: controls that move head and face of a still portrait, as directions of keypoints.

    directions = Directions({"yaw": (-30, 30), "mouth": (0, 1)}, num_keypoints=15)
    posed = directions.pose(source, {"yaw": 12, "mouth": 0.5})  # keypoints, as `render` takes them

A value is a change: 0 leaves the portrait as it is. What each control does to the keypoints is
fitted on drawn puppets, whose truth is known (`python -m trainers.fomm.retargeting`). Weights
without directions, as all official ones, have no controls. LivePortrait (Guo et al., 2024) made
such sliders popular; it trains small networks on films for them.
"""

import itertools
import math

import numpy as np
import torch
from torch import nn

from gan_models.errors import UserError
from gan_models.fomm.motion import Motion, hull_area, spread

NETWORK = "retargeting"  # its name in a weights folder, beside detector and generator
HEAD = ("yaw", "pitch", "roll")  # degrees: to the right of the picture, down, clockwise


class Directions(nn.Module):
    """How the keypoints of a portrait change with each control; see `pose`.

    A network only to files: its numbers are saved, read and checked as networks' are.

    Args:
        controls: The lowest and highest value of each, 0 between or at them, by name.
        num_keypoints: K.
        jacobians: Whether the weights have jacobians.
    """

    def __init__(self, controls: dict, num_keypoints: int, jacobians: bool = True):
        super().__init__()
        self.controls = {name: (float(low), float(high)) for name, (low, high) in controls.items()}
        if not all(low <= 0 < high for low, high in self.controls.values()):  # NaN fails too
            raise ValueError("a control goes from 0 or less to more than 0")
        self.heads = [name for name in HEAD if name in self.controls]
        count, numbers = len(self.controls), 2 + 4 * jacobians
        turns = len(list(itertools.combinations_with_replacement(self.heads, 2)))
        self.register_buffer("reading", torch.zeros(num_keypoints * numbers + 1, count))
        self.register_buffer("value", torch.zeros(2 * count + turns + count**2, num_keypoints, 2))
        if jacobians:
            self.register_buffer("jacobian", torch.zeros(*self.value.shape, 2))

    def steps(self, values: dict[str, float], own: np.ndarray) -> np.ndarray:
        """The F numbers that the directions are multiplied by; all 0 where the values are.

        Each control above and below 0, for closing eyes is not the opposite of opening them; the
        products of the head's angles; and each control times each of the portrait's `own` (C,), for
        it depends on these what is left to do. All in parts of a control's highest value.
        """
        part = {name: values.get(name, 0.0) / high for name, (_, high) in self.controls.items()}
        apart = [side for one in part.values() for side in (max(one, 0.0), max(-one, 0.0))]
        pairs = itertools.combinations_with_replacement(self.heads, 2)
        turns = [part[one] * part[other] for one, other in pairs]
        return np.concatenate([apart, turns, np.outer(list(part.values()), own).ravel()])

    def own(self, source: Motion) -> np.ndarray:
        """The controls (C,) as the portrait has them already, in parts of the highest value: read
        from its keypoints (one frame) by a linear map, and kept within what was seen.
        """
        return np.clip(described(source) @ self.reading.numpy(), -1, 1)

    def pose(self, source: Motion, values: dict[str, float]) -> Motion:
        """The keypoints (one frame) of a portrait that has `source` and takes the controls' values.

        With p a keypoint, J its jacobian, f the F `steps`, a the root of the hull's area:

            value p + a sum_i f_i V_i        jacobian (1 + sum_i f_i D_i) J

        Bit for bit those of the source where all values are 0.
        """
        steps, points = self.steps(values, self.own(source)), source.value.astype(np.float64)
        shift = np.tensordot(steps, self.value.numpy(), axes=1)  # (K, 2)
        value = points + math.sqrt(hull_area(points[0])) * shift
        if source.jacobian is None:
            return Motion(value, weights=source.weights)
        change = np.eye(2) + np.tensordot(steps, self.jacobian.numpy(), axes=1)  # (K, 2, 2)
        return Motion(value, change @ source.jacobian.astype(np.float64), weights=source.weights)

    def check(self, values: dict[str, float]) -> None:
        """UserError for a control that there is not, or a value beyond its ends."""
        for name, value in values.items():
            if name not in self.controls:
                raise UserError(
                    f"These weights have no control called {name}, only {', '.join(self.controls)}."
                )
            low, high = self.controls[name]
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not low <= value <= high:  # NaN fails too
                unit = " degrees" if name in HEAD else ""
                raise UserError(
                    f"{name} goes from {low:g} to {high:g}{unit}, not to {value!r:.40}."
                )


def described(source: Motion) -> np.ndarray:
    """One frame's keypoints as a row (6 K + 1,), or (2 K + 1,) without jacobians: the points from
    their centre, in parts of their spread, the jacobians, and 1.
    """
    points = source.value[0].astype(np.float64)
    points = (points - points.mean(axis=0)) / (spread(points) or 1.0)
    parts = [points] if source.jacobian is None else [points, source.jacobian[0]]
    return np.concatenate([*(part.ravel() for part in parts), [1.0]])
