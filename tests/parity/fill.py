"""Fill a network's tensors with reproducible numbers that depend on their names and shapes alone.

Two implementations of one network, given the same tensor names, get the same weights from this
rule, so their outputs can be compared without shipping the weights.

    state = fill({"conv.weight": (64, 3, 3, 3), "conv.bias": (64,)})  # name -> float32 array

Rule, per tensor, with rng = numpy.random.default_rng(zlib.crc32(name)):
  num_batches_tracked          0 (int64)
  running_mean                 0.1 * N(0, 1)
  running_var                  U(0.5, 1.5)
  2 or more dimensions         gain * N(0, 1) * sqrt(2 / prod(shape[1:])); unit=True drops
                               the sqrt factor
  1 dimension, *weight         U(0.5, 1.5)          (a normalisation layer's scale)
  1 dimension, anything else   0.1 * N(0, 1)
  weight_u, weight_v           the left and right singular vectors of weight_orig (flattened from
                               dim 1), after 30 power iterations from u = N(0, 1) normalised
                               (legacy torch spectral_norm names)
"""

import zlib

import numpy as np


def _rng(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def _normalised(vector):
    return vector / max(np.linalg.norm(vector), 1e-12)


def singular_vectors(name, weight):
    """(u, v) of a weight, whose first dimension is u's, by the rule above."""
    matrix = weight.reshape(len(weight), -1)
    u = _normalised(_rng(name + "_u").standard_normal(len(matrix))).astype(np.float32)
    for _ in range(30):
        v = _normalised(u @ matrix)
        u = _normalised(matrix @ v)
    return u, v


def fill(shapes, gain=1.0, unit=False):
    """Numbers for every tensor of `shapes` (name -> shape); returns name -> numpy array."""
    state = {}
    for name, shape in shapes.items():
        shape = tuple(shape)
        leaf = name.rsplit(".", 1)[-1]
        rng = _rng(name)
        if leaf == "num_batches_tracked":
            state[name] = np.zeros(shape, np.int64)
        elif leaf == "running_mean":
            state[name] = (0.1 * rng.standard_normal(shape)).astype(np.float32)
        elif leaf == "running_var":
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif leaf in ("weight_u", "weight_v"):
            continue
        elif len(shape) >= 2:
            scale = gain * (1.0 if unit else np.sqrt(2.0 / np.prod(shape[1:])))
            state[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        elif leaf.startswith("weight"):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            state[name] = (0.1 * rng.standard_normal(shape)).astype(np.float32)
    for name in shapes:
        if name.endswith("weight_u"):
            base = name[: -len("_u")]
            state[base + "_u"], state[base + "_v"] = singular_vectors(base, state[base + "_orig"])
    return state


def noise(name, shape, low=None, high=None):
    """A reproducible input: N(0, 1), or U(low, high) when the bounds are given; float32."""
    rng = _rng(name)
    if low is None:
        return rng.standard_normal(shape).astype(np.float32)
    return rng.uniform(low, high, shape).astype(np.float32)


def smooth_image(name, batch, channels, size, low=0.0, high=1.0):
    """A reproducible smooth picture (batch, channels, size, size) in [low, high]: 6 plane waves."""
    rng = _rng(name)
    ys, xs = np.mgrid[0:size, 0:size].astype(np.float64) / size
    out = np.zeros((batch, channels, size, size))
    for b in range(batch):
        for c in range(channels):
            for _ in range(6):
                fx, fy, phase, amp = (
                    rng.uniform(-4, 4),
                    rng.uniform(-4, 4),
                    rng.uniform(0, 6.2831853),
                    rng.uniform(0.2, 1),
                )
                out[b, c] += amp * np.sin(6.2831853 * (fx * xs + fy * ys) + phase)
            out[b, c] = (out[b, c] - out[b, c].min()) / (out[b, c].max() - out[b, c].min())
    return (low + (high - low) * out).astype(np.float32)
