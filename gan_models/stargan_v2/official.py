"""Convert StarGAN v2's published checkpoints: `gather` the files, `convert(content, file_name)`.

The official code saves dicts of state dicts: STEP_nets_ema.ckpt (generator, mapping network, style
encoder, and the landmark network FAN where the generator has a high-pass skip), STEP_nets.ckpt
(with the discriminator, not averaged), and FAN alone as wing.ckpt. Every setting of the networks
shows in the tensors; the domains' names do not.
"""

import logging
import re

from gan_models.errors import UserError
from gan_models.stargan_v2.landmarks import FAN
from gan_models.stargan_v2.networks import (
    Discriminator,
    Generator,
    HighPass,
    MappingNetwork,
    StyleEncoder,
)
from gan_models.weights import fit, is_state

logger = logging.getLogger(__name__)

LANDMARKS = "wing.ckpt"
FACES = {"framing": {"kind": "face", "margin": 0.0}, "data": "CelebA-HQ if it is the authors' own"}
ANIMALS = {"framing": {"kind": "centre", "margin": 0.0}, "data": "AFHQ if it is the authors' own"}
PUBLISHED = {  # (domains, whether with a high-pass skip) to (names in order, more of the config)
    (2, True): (("female", "male"), FACES),
    (3, False): (("cat", "dog", "wild"), ANIMALS),
}
LICENCE = "CC BY-NC 4.0 if it is the authors' own (non-commercial)"


def gather(path, load):
    """What `load` reads from a file; of STEP_nets.ckpt or STEP_nets_ema.ckpt, with the landmark
    network of wing.ckpt beside it where its own is missing. None for another name.
    """
    if not re.fullmatch(r".*nets(_ema)?\.ckpt", path.name):
        return None
    content, beside = load(path), path.with_name(LANDMARKS)
    if isinstance(content, dict) and "fan" not in content and beside.is_file():
        content = content | {"fan": state_of_landmarks(load(beside)) or {}}
    return content


def state_of_landmarks(content):
    """FAN's tensors in what wing.ckpt holds beside others; None for anything else."""
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not is_state(state) or not {"conv1.conv.weight", "l0.weight"} <= state.keys():
        return None
    return state


def convert(content, file_name):
    """What `gan_models.checkpoints.read` returns, or None if the content is none of StarGAN v2's.
    UserError for tensors that make none of our networks.
    """
    if not isinstance(content, dict):
        return None
    states = {name: content[name] for name in NETWORKS if is_state(content.get(name))}
    if not {"generator", "mapping_network", "style_encoder"} <= states.keys():
        return None
    if "decode.0.norm1.fc.weight" not in states["generator"]:
        return None
    networks, arguments = {}, {}
    for name in NETWORKS:
        if name in states:
            networks[name], arguments[name] = import_network(name, states)
    count = arguments["mapping_network"]["num_domains"]
    skip = arguments["generator"]["w_hpf"] > 0
    names, config = PUBLISHED.get((count, skip), (None, ANIMALS | {"data": "not recorded"}))
    if names is None:
        names = [f"domain {number}" for number in range(count)]
        logger.warning(
            "%s does not say what its %d domains are: mend the names in config.json and import "
            "that folder.", file_name, count,
        )  # fmt: skip
    return {
        "system": "stargan_v2",
        "networks": networks,
        "arguments": arguments,
        "config": config
        | {
            "size": arguments["generator"]["image_size"],
            "domains": list(names),
            "licence": LICENCE,
        },
    }


def import_network(name, states):
    """(state dict under our names, constructor arguments) of one of a file's networks."""
    make, arguments_of = NETWORKS[name]
    try:
        arguments = arguments_of(states[name], states)
        state = {key: tensor.float() for key, tensor in states[name].items()}
        if name == "generator" and arguments["w_hpf"]:  # not in the files of before 2021-04
            state.setdefault("hpf.filter", HighPass(arguments["w_hpf"]).filter)
        return fit(make, arguments, state), arguments
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"its tensors do not make a {name} ({error!s:.200})") from error


def count(state, pattern):
    """How many layers' names match."""
    return sum(bool(re.fullmatch(pattern, key)) for key in state)


def trunk_arguments(state, place):
    """Of a style encoder or discriminator, whose layers are called `place`."""
    return {
        "image_size": 4 << count(state, rf"{place}\.\d+\.conv1\.weight"),
        "channels": len(state[f"{place}.0.weight"]),
        "most": len(state[max(key for key in state if key.endswith("conv2.weight"))]),
    }


def generator_arguments(state, states):
    size = trunk_arguments(states["style_encoder"], "shared")["image_size"]
    levels = count(state, r"encode\.\d+\.conv1\.weight") - 2
    w_hpf = 0.0
    if size >> levels < 16:  # one level deeper: with a high-pass skip
        w_hpf = 8 / state["hpf.filter"][1, 1].item() if "hpf.filter" in state else 1.0
    return {
        "image_size": size,
        "channels": len(state["from_rgb.weight"]),
        "style_dim": state["decode.0.norm1.fc.weight"].shape[1],
        "w_hpf": round(w_hpf, 6),
        "most": len(state["decode.0.conv1.weight"]),
    }


def mapping_arguments(state, states):
    return {
        "latent_dim": state["shared.0.weight"].shape[1],
        "style_dim": len(state["unshared.0.6.weight"]),
        "num_domains": count(state, r"unshared\.\d+\.6\.weight"),
        "hidden": len(state["shared.0.weight"]),
    }


def encoder_arguments(state, states):
    return trunk_arguments(state, "shared") | {
        "style_dim": len(state["unshared.0.weight"]),
        "num_domains": count(state, r"unshared\.\d+\.weight"),
    }


def discriminator_arguments(state, states):
    last = max(int(key.split(".")[1]) for key in state)
    trunk = trunk_arguments(state, "main")
    return trunk | {"num_domains": len(state[f"main.{last}.weight"])}


NETWORKS = {
    "generator": (Generator, generator_arguments),
    "mapping_network": (MappingNetwork, mapping_arguments),
    "style_encoder": (StyleEncoder, encoder_arguments),
    "discriminator": (Discriminator, discriminator_arguments),
    "fan": (FAN, lambda state, states: {}),
}
