"""Frames larger than the networks see, against puppets drawn at that size.

Three ways to make them are compared: `full_size` moves the large source's own pixels, as the demo
does; `enlarged` makes frames of the networks' size and enlarges them; `halved_truth` is the drawn
truth itself brought to the networks' size and enlarged, what no enlarged frame can pass.
"""

import cv2
import numpy as np

from gan_models.images import resize
from trainers.fomm import puppet_moves

BAND = 2  # pixels on either side of the truth's edges
EDGE = 60  # of a Sobel operator on grey levels, 0 to 1020; a step of 15 levels
QUICK, RATE = 25, 25.0  # frames, and frames a second, of the clips that flicker is measured on


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
        band = edges(truth[1:])
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


def edges(frames) -> np.ndarray:
    """Where frames (T, S, S, 3) uint8 are within BAND of an edge: (T, S, S) bool."""
    around, found = np.ones((2 * BAND + 1,) * 2), []
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        found.append(cv2.dilate((slope > EDGE).astype(np.uint8), around) > 0)
    return np.stack(found)


def flicker(frames) -> float:
    """Mean absolute second difference over time of frames (T, S, S, 3) uint8, on [0, 1]."""
    signed = np.asarray(frames, np.int16)
    return float(np.abs(signed[2:] - 2 * signed[1:-1] + signed[:-2]).mean() / 255)
