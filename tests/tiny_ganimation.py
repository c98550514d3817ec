"""Tiny expression networks with random numbers, every one of which takes part."""

import torch

from gan_models.ganimation.networks import Critic, Generator
from gan_models.weights import save_weights

GENERATOR = {"channels": 4, "blocks": 1}
CRITIC = {"channels": 4, "layers": 3}
CODES = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45]


def settled(network, seed=0):
    """The network in eval mode, with numbers by which its outputs fill their ranges."""
    source = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias"):
            tensor.normal_(std=0.1, generator=source)
        elif tensor.ndim == 1:  # of a norm
            tensor.uniform_(0.5, 1.5, generator=source)
        else:
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5, generator=source)
    return network.eval().requires_grad_(False)


def save_ganimation(folder, size=32, framing="centre", seed=0, saturate=False):
    """A weights folder of networks that edit and measure in milliseconds; returns the folder."""
    arguments = {"generator": GENERATOR, "critic": {"image_size": size, **CRITIC}}
    with torch.random.fork_rng(devices=[]):
        networks = {
            "generator": settled(Generator(**GENERATOR), seed),
            "critic": settled(Critic(**arguments["critic"]), seed),
        }
    config = {
        "size": size,
        "value_range": [-1, 1],
        "framing": {"kind": framing, "margin": 0.0},
        "action_units": CODES,
        "saturate": saturate,
        "data": "none",
        "licence": "Apache-2.0",
    }
    save_weights(
        folder, system="ganimation", networks=networks, arguments=arguments, config=config,
        card="# Random numbers, for tests",
    )  # fmt: skip
    return folder
