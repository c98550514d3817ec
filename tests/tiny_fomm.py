"""Tiny motion-transfer networks with random numbers, that do move what they are shown."""

import numpy as np
import torch

from gan_models.fomm.networks import Generator, KeypointDetector
from gan_models.weights import save_weights

SIZE = 32
DETECTOR = {
    "num_keypoints": 3, "block_expansion": 4, "max_features": 8, "num_blocks": 2,
    "scale_factor": 0.5, "head_size": 3,
}  # fmt: skip
GENERATOR = {
    "num_keypoints": 3, "block_expansion": 4, "max_features": 8, "num_down_blocks": 1,
    "num_bottleneck_blocks": 1, "border": True, "warped_skips": True, "blend": True,
    "dense_motion": {
        "block_expansion": 4, "max_features": 8, "num_blocks": 2, "scale_factor": 0.5,
        "head_size": 3,
    },
}  # fmt: skip


def networks(seed=0, detector=None, generator=None):
    """(detector, generator) in eval mode; the arguments replace those above."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = KeypointDetector(**DETECTOR | (detector or {}))
        generator = Generator(**GENERATOR | (generator or {}))
        with torch.no_grad():
            detector.heatmap.weight.mul_(8)  # else every point lies in the middle
            if detector.jacobian is not None:
                detector.jacobian.weight.normal_(std=0.02)
            for network in (detector, generator):
                for name, buffer in network.named_buffers():
                    if name.endswith("running_var"):
                        buffer.uniform_(0.5, 1.5)
                    if name.endswith("running_mean"):
                        buffer.normal_(std=0.2)
            generator.final.weight.mul_(3)
    return detector.eval(), generator.eval()


def save_fomm(folder, kind="centre", seed=0, **changes):
    """A weights folder of such networks; `changes` as for `networks`. Returns the folder."""
    detector, generator = networks(seed, **changes)
    save_weights(
        folder,
        system="fomm",
        networks={"detector": detector, "generator": generator},
        arguments={
            "detector": DETECTOR | changes.get("detector", {}),
            "generator": GENERATOR | changes.get("generator", {}),
        },
        config={
            "size": SIZE,
            "value_range": [0, 1],
            "framing": {"kind": kind, "margin": 0.0},
            "data": "none",
            "licence": "Apache-2.0",
        },
        card="# Random numbers, for tests",
    )
    return folder


def picture(seed=0, height=SIZE, width=SIZE):
    """A smooth picture (height, width, 3) uint8: three waves."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / min(height, width)
    waves = numbers.uniform(-9, 9, (3, 2))
    levels = [np.sin(a * x + b * y + seed) for a, b in waves]
    return np.uint8(np.stack(levels, axis=2) * 110 + 127)


def clip(count, height=SIZE, width=SIZE, seed=7):
    """`count` frames (height, width, 3) uint8 in which a blot travels over a picture."""
    back = picture(seed, height, width)
    y, x = np.mgrid[:height, :width]
    for number in range(count):
        turn = number / 4
        there = (width * (0.5 + 0.3 * np.cos(turn)), height * (0.5 + 0.3 * np.sin(turn)))
        near = np.exp(-((x - there[0]) ** 2 + (y - there[1]) ** 2) / (min(height, width) / 5) ** 2)
        yield np.uint8(back * (1 - near[..., None]) + 255 * near[..., None] * [1, 0.4, 0])
