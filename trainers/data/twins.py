"""Recognises clips that are copies or mirror images of each other."""

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

FINGERPRINT_SIZE = 16
# Root mean square difference over the contrast: mirrored copies saved as JPEG or cut from one video
# stay below 0.04, different clips of one person in one room start near 0.35.
TWIN_DISTANCE = 0.08


def fingerprint(frames: np.ndarray) -> np.ndarray:
    """(3, S, S, 3) first, middle and last frame -> (3, 16, 16, 3) float32."""
    side = (FINGERPRINT_SIZE, FINGERPRINT_SIZE)
    return np.stack(
        [cv2.resize(frame, side, interpolation=cv2.INTER_AREA) for frame in frames]
    ).astype(np.float32)


def find_twins(fingerprints: np.ndarray, num_frames: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of clips that show the same, plain or mirrored, from (N, 3, 16, 16, 3) fingerprints.

    Their numbers of frames may differ by one. Robust against compression and other sizes.
    """
    count = len(fingerprints)
    plain = fingerprints.reshape(count, -1).astype(np.float64)  # the subtraction loses digits
    mirrored = fingerprints[:, :, :, ::-1].reshape(count, -1)
    contrast = np.maximum(plain.std(axis=1), 1.0)  # 1: flat clips are compared too
    power = (plain**2).mean(axis=1)
    twins = []
    for start in range(0, count, 256):
        rows = slice(start, start + 256)
        common = np.maximum(plain[rows] @ plain.T, plain[rows] @ mirrored.T) / plain.shape[1]
        allowed = (TWIN_DISTANCE * np.minimum(contrast[rows, None], contrast)) ** 2
        close = power[rows, None] + power - 2 * common <= allowed
        close &= np.abs(num_frames[rows, None] - num_frames) <= 1
        twins += [(start + a, b) for a, b in np.argwhere(close).tolist() if start + a < b]
    return twins


def group(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """For each of `count` things, the smallest number that `pairs` connect it with."""
    first, second = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), (count, count))
    _, parts = connected_components(graph, directed=False)
    _, firsts, part = np.unique(parts, return_index=True, return_inverse=True)
    return firsts[part].tolist()
