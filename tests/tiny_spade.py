"""Tiny semantic-painting networks with random numbers, every one of which takes part."""

import torch

from gan_models.spade.labels import LABELS
from gan_models.spade.networks import Encoder, Generator, Spectral
from gan_models.weights import save_weights

GENERATOR = {"size": [64, 64], "channels": 4, "hidden": 8}
ENCODER = {"channels": 4, "size": 32}


def settled(network, seed=0):
    """The network in eval mode: statistics and biases that matter, and spectral norms found."""
    source = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.1, generator=source)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=source)
        elif "mlp_" in name:
            tensor.mul_(4)
    for layer in network.modules():
        if isinstance(layer, Spectral):
            for _ in range(30):
                layer.normalised()  # a step of the power iteration
    return network.eval().requires_grad_(False)


def save_spade(folder, kind="puppets", latent_size=6, seed=0, **changes):
    """A weights folder of such networks that paint in milliseconds, with an encoder where there are
    latents; `changes` of the generator's arguments. Returns the folder.
    """
    labels = LABELS[kind]
    arguments = {"semantics": labels.semantics, **GENERATOR, "latent_size": latent_size} | changes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {"generator": settled(Generator(**arguments), seed)}
        described = {"generator": arguments}
        if latent_size:
            described["encoder"] = {**ENCODER, "latent_size": latent_size}
            networks["encoder"] = settled(Encoder(**described["encoder"]), seed)
    config = {
        "size": max(arguments["size"]),
        "value_range": [-1, 1],
        "framing": {"kind": "centre", "margin": 0.0},
        "classes": list(labels.names),
        "labels": {"kind": kind, "dont_care": labels.dont_care, "edges": labels.edges},
        "data": "none",
        "licence": "Apache-2.0",
    }
    save_weights(
        folder, system="spade", networks=networks, arguments=described, config=config,
        card="# Random numbers, for tests",
    )  # fmt: skip
    return folder
