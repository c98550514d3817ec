"""Tiny weights with random numbers, made on the fly for the tests of the page."""

import torch

from gan_models.fomm import Generator as MotionGenerator
from gan_models.fomm import KeypointDetector
from gan_models.fomm.retargeting import Directions
from gan_models.progan import Generator
from gan_models.weights import save_weights


def save_progan(folder, classes=(), resolution=16, latent_size=8, seed=0):
    """A weights folder of a ProGAN that draws noise in a millisecond; returns the folder."""
    levels = resolution.bit_length() - 2
    arguments = {
        "resolution": resolution,
        "latent_size": latent_size,
        "channels": [8] * levels,
        "label_size": len(classes),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(**arguments)
    config = {
        "size": resolution,
        "value_range": [-1, 1],
        "framing": {"kind": "face", "margin": 0.0},
        "classes": list(classes),
        "data": "none",
        "licence": "Apache-2.0",
    }
    save_weights(
        folder,
        system="progan",
        networks={"generator": generator},
        arguments={"generator": arguments},
        config=config,
        card="# Random numbers, for tests",
    )
    return folder


def save_fomm(folder, size=32, framing="centre", data="puppets", seed=0, half=False, sliders=None):
    """A weights folder of a motion model that takes milliseconds; returns the folder.

    sliders: their ends by name; what they do is random.
    """
    few = {"num_keypoints": 4}
    hourglass = {"block_expansion": 8, "max_features": 16, "num_blocks": 2, "scale_factor": 0.5}
    arguments = {
        "detector": few | hourglass,
        "generator": few
        | {"block_expansion": 8, "max_features": 16, "num_down_blocks": 1}
        | {"num_bottleneck_blocks": 1, "dense_motion": hourglass},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {
            "detector": KeypointDetector(**arguments["detector"]),
            "generator": MotionGenerator(**arguments["generator"]),
        }
        if sliders:
            arguments["retargeting"] = {"controls": sliders, **few}
            networks["retargeting"] = Directions(sliders, **few)
            for buffer in networks["retargeting"].buffers():
                buffer.normal_(std=0.1)
    config = {
        "size": size,
        "value_range": [0, 1],
        "framing": {"kind": framing, "margin": 0.0},
        "classes": [],
        "data": data,
        "licence": "Apache-2.0",
    }
    save_weights(
        folder,
        system="fomm",
        networks=networks,
        arguments=arguments,
        config=config,
        card="# Random numbers, for tests",
        half=half,
    )
    return folder
