"""Tiny StarGAN v2 networks with random numbers, every one of which takes part."""

import torch

from gan_models.stargan_v2.landmarks import FAN
from gan_models.stargan_v2.networks import Generator, MappingNetwork, StyleEncoder
from gan_models.weights import save_weights

DOMAINS = ["human", "cat", "robot"]


def settled(network):
    """The network in eval mode, with numbers that keep the size of what they are given."""
    for name, tensor in network.state_dict().items():
        if name.endswith("bias"):
            tensor.normal_(std=0.1)
        elif tensor.ndim > 1 and "hpf" not in name:
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
    return network.eval().requires_grad_(False)


def networks_of(size=32, w_hpf=0.0, fan=False, seed=0):
    """({name: network}, {name: arguments}) with a style of 8 numbers."""
    trunk = {"image_size": size, "channels": 4, "style_dim": 8, "most": 8}
    arguments = {
        "generator": trunk | {"w_hpf": w_hpf},
        "mapping_network": {
            "latent_dim": 4, "style_dim": 8, "num_domains": len(DOMAINS), "hidden": 8,
        },
        "style_encoder": trunk | {"num_domains": len(DOMAINS)},
    } | ({"fan": {}} if fan else {})  # fmt: skip
    made = {
        "generator": Generator, "mapping_network": MappingNetwork, "style_encoder": StyleEncoder,
        "fan": FAN,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {name: settled(made[name](**given)) for name, given in arguments.items()}
    return networks, arguments


def save_stargan_v2(folder, size=32, framing="centre", **more):
    """A weights folder of networks that translate in milliseconds; returns the folder."""
    networks, arguments = networks_of(size, **more)
    config = {
        "size": size,
        "value_range": [-1, 1],
        "framing": {"kind": framing, "margin": 0.0},
        "domains": DOMAINS,
        "data": "none",
        "licence": "Apache-2.0",
    }
    save_weights(
        folder, system="stargan_v2", networks=networks, arguments=arguments, config=config,
        card="# Random numbers, for tests",
    )  # fmt: skip
    return folder
