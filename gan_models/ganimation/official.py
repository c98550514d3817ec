"""Convert GANimation's checkpoints: `gather` the files, `convert(content, file_name)` them.

Each project saves a plain state dict a network: the official code (which published none),
ganimation_replicate, whose weights most people use, and vipermu's. Every setting of the networks
shows in the tensors; whether the attention was saturated (an option of the official code, off by
default) does not: set "saturate" in the config.json that the import wrote, and import that folder.
"""

import re

import torch

from gan_models.errors import UserError
from gan_models.ganimation.action_units import CODES
from gan_models.ganimation.networks import Critic, Generator
from gan_models.weights import fit, is_state

FILES = [  # names of the generator's file and of the critic's, behind what is common to both
    (r"(.*_id_)[GD](\.pth)", ("G", "D")),  # official
    (r"(.*_net_)(?:gen|dis)(\.pth)", ("gen", "dis")),  # ganimation_replicate
    (r"(.*-)[GD](\.ckpt)", ("G", "D")),  # vipermu
]
RENAMED = [  # patterns of their names to ours
    (r"^model\.", "main."),
    (r"\.conv_block\.", ".main."),
    (r"^(img_reg|im_reg|color_top)\.0\.", "color."),
    (r"^(attetion_reg|im_att|au_top)\.0\.", "attention."),
    (r"^(conv1|dis_top)\.", "patches."),
    (r"^(conv2|aus_top)\.", "action_units."),
]
DROPPED = re.compile(
    r"debug\d\..*"  # vipermu: the trunk once more
    r"|.*\.(running_(mean|var)|num_batches_tracked)"  # never used: instance norm in eval mode, too
)
SOURCES = {  # heads of the generator to (training data, licence)
    "img_reg.0.weight": ("not recorded in the checkpoint", "see whoever trained it"),
    "color_top.0.weight": (
        "CelebA or EmotioNet if published by ganimation_replicate (the file does not tell which)",
        "MIT code; the photographs were given out for non-commercial research",
    ),
    "im_reg.0.weight": (
        "CelebA if published by vipermu",
        "none stated; the photographs were given out for non-commercial research",
    ),
}


def gather(path, load):
    """What `load` reads from the file and from the other network's beside it, by network; None for
    a file that is not called as one of these projects' are.
    """
    for pattern, letters in FILES:
        if match := re.fullmatch(pattern, path.name):
            files = [path.with_name(match[1] + letter + match[2]) for letter in letters]
            names = zip(("generator", "critic"), files, strict=True)
            return {name: load(file) for name, file in names if file == path or file.is_file()}
    return None


def convert(content, file_name):
    """What `gan_models.checkpoints.read` returns, or None if the content is none of GANimation's.
    UserError for tensors that make none of our networks, or of other action units than OpenFace's.
    """
    content = {"whole": content} if is_state(content) else content
    if not isinstance(content, dict):
        return None
    states = [content[name] for name in ("whole", "generator", "critic") if name in content]
    if not states or not all(is_state(state) and kind_of(state) for state in states):
        return None
    networks, arguments = {}, {}
    for state in states:
        name, found, ours = import_network(state)
        networks[name], arguments[name] = ours, found
        if found["action_units"] != len(CODES):
            raise UserError(
                f"its {name} knows {found['action_units']} action units; only OpenFace's "
                f"{len(CODES)} are known here"
            )
    heads = [head for head in SOURCES if any(head in state for state in states)]
    data, licence = SOURCES[heads[0] if heads else "img_reg.0.weight"]
    return {
        "system": "ganimation",
        "networks": networks,
        "arguments": arguments,
        "config": {
            "size": arguments.get("critic", {}).get("image_size", 128),
            "framing": {"kind": "face", "margin": 0.0},
            "action_units": list(CODES),
            "saturate": False,
            "data": data,
            "licence": licence,
        },
    }


def kind_of(state):
    """The network that a state dict is by its names, None for none of ours."""
    names = set(map(renamed, state))
    if {"main.0.weight", "color.weight", "attention.weight"} <= names:
        return "generator"
    return "critic" if {"main.0.weight", "patches.weight", "action_units.weight"} <= names else None


def import_network(state):
    """(network, constructor arguments, our state dict) of a published state dict."""
    kind = kind_of(state)
    if any(re.fullmatch(r"model\..*\.running_mean", key) for key in state):
        raise UserError("it was trained with batch norm; only instance norm is known here")
    ours = {renamed(key): x.float() for key, x in state.items() if not DROPPED.fullmatch(key)}
    make, arguments_of = NETWORKS[kind]
    try:
        arguments = arguments_of(ours)
        if "color_top.0.weight" in state:
            ours = with_norms(ours, arguments)
        return kind, arguments, fit(make, arguments, ours)
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"its tensors do not make a {kind} ({error!s:.200})") from error


def renamed(key):
    for pattern, new in RENAMED:
        key = re.sub(pattern, new, key)
    return key


def with_norms(state, arguments):
    """The state of ganimation_replicate's generator with norms that scale by 1. The biases before
    them, which no norm lets through, are left out: exact.
    """
    with torch.device("meta"):
        expected = Generator(**arguments).state_dict()
    norms = {
        key: torch.full(x.shape, float(key.endswith("weight")))
        for key, x in expected.items()
        if x.ndim == 1
    }
    return {key: x for key, x in state.items() if x.ndim > 1} | norms


def generator_arguments(state):
    channels, inputs, _, _ = state["main.0.weight"].shape
    blocks = sum(bool(re.fullmatch(r"main\.\d+\.main\.0\.weight", key)) for key in state)
    return {"channels": channels, "action_units": inputs - 3, "blocks": blocks}


def critic_arguments(state):
    action_units, _, side, _ = state["action_units.weight"].shape
    layers = sum(bool(re.fullmatch(r"main\.\d+\.weight", key)) for key in state)
    return {
        "image_size": side << layers,
        "channels": len(state["main.0.weight"]),
        "action_units": action_units,
        "layers": layers,
    }


NETWORKS = {
    "generator": (Generator, generator_arguments),
    "critic": (Critic, critic_arguments),
}
