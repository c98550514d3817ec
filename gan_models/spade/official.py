"""Convert SPADE's published checkpoints: `gather` the files, `convert(content, file_name)` them.

The official code saves a plain state dict a network, NAME_net_G.pth (beside it D's and E's, where
somebody trained), and its options as opt.txt. What the tensors do not show is read from opt.txt, or
else is what the official configuration with as many semantic channels has.
"""

import logging
import re

import torch.nn.functional as F

from gan_models.errors import UserError
from gan_models.spade.labels import LABELS, custom
from gan_models.spade.networks import (
    UPSAMPLINGS,
    Discriminator,
    Encoder,
    Generator,
    GlobalGenerator,
)
from gan_models.weights import fit, is_state

logger = logging.getLogger(__name__)

FILES = {"generator": "G", "encoder": "E", "discriminator": "D"}
RENAMED = [  # of spectral norm: torch's first way, which the official code uses, and its second
    (r"\.weight_orig$", ".weight"),
    (r"\.weight_([uv])$", r".\1"),
    (r"\.parametrizations\.weight\.original$", ".weight"),
    (r"\.parametrizations\.weight\.0\._([uv])$", r".\1"),
]
PRESETS = {  # semantic channels of the official configurations to their options
    184: {"dataset_mode": "coco"},
    151: {"dataset_mode": "ade20k"},
    36: {
        "dataset_mode": "cityscapes", "crop_size": "512", "aspect_ratio": "2.0",
        "num_upsampling_layers": "more",
    },
    13: {"dataset_mode": "facades"},
}  # fmt: skip
LICENCE = (
    "CC BY-NC-SA 4.0 if it is the authors' own (non-commercial); see the original release for the "
    "pictures it was trained on"
)


def gather(path, load):
    """What `load` reads from the file and from those beside it that belong to it: a dict of
    networks, with the lines of opt.txt as "options". None for a file that is not called as the
    official code's are.
    """
    match = re.fullmatch(r"(.+_net_)[GDE](\.pth)", path.name)
    if not match:
        return None
    files = {name: path.with_name(match[1] + letter + match[2]) for name, letter in FILES.items()}
    content = {name: load(file) for name, file in files.items() if file == path or file.is_file()}
    if path.with_name("opt.txt").is_file():
        text = path.with_name("opt.txt").read_text(encoding="utf-8", errors="replace")
        lines = re.findall(r"^\s*(\w+): *(.*?)(?:\s+\[default: .*\])?$", text, re.MULTILINE)
        content["options"] = dict(lines)
        size_of(content["options"])  # it is refused here, not as a fault of the tensors
    return content


def convert(content, file_name):
    """What `gan_models.checkpoints.read` returns, or None if the content is none of SPADE's.
    UserError for tensors that make none of our networks.
    """
    if is_state(content):
        content = {"generator": content}
    if not isinstance(content, dict):
        return None
    states = [content[name] for name in FILES if is_state(content.get(name))]
    if not states or None in map(kind_of, states):
        return None
    options, networks, arguments = content.get("options"), {}, {}
    for state in states:
        name, found, ours = import_network(state, options)
        networks[name], arguments[name] = ours, found
    semantics = [found["semantics"] for found in arguments.values() if "semantics" in found]
    settings = settings_of(semantics[0] if semantics else 0, options)
    labels, (height, width) = settings["labels"], settings["size"]
    if options is None and (not semantics or semantics[0] not in PRESETS):
        logger.warning(
            "%s does not say its picture's size, nor what its channels mean: %d x %d pixels and "
            "%d classes were assumed. Import it with its opt.txt beside it, or mend config.json.",
            file_name, width, height, labels.classes,
        )  # fmt: skip
    return {
        "system": "spade",
        "networks": networks,
        "arguments": arguments,
        "config": {
            "size": max(height, width),
            "shape": [height, width],
            "classes": list(labels.names),
            "labels": {"kind": labels.kind, "dont_care": labels.dont_care, "edges": labels.edges},
            "data": labels.kind,
            "licence": LICENCE,
        },
    }


def kind_of(state):
    """The network that a state dict is by its names, None for none of ours."""
    for name, (_, mark, _) in NETWORKS.items():
        if any(re.fullmatch(mark, key) for key in state):
            return name
    return None


def import_network(state, options=None):
    """(network, constructor arguments, our state dict) of a published state dict.

    options: the options it was trained with, by name, as text; None: of the official configuration.
    """
    kind = kind_of(state)
    try:
        ours = renamed(state)
        make, _, arguments_of = NETWORKS[kind]
        arguments = arguments_of(ours, options)
        return kind.removeprefix("global_"), arguments, fit(make, arguments, ours)
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"its tensors do not make a {kind} ({error!s:.200})") from error


def renamed(state):
    """The state under our names; the right singular vector, which torch < 1.0 left out, added."""
    ours = {}
    for key, tensor in state.items():
        for pattern, new in RENAMED:
            key = re.sub(pattern, new, key)
        if not key.endswith("num_batches_tracked"):  # never moves in the official code
            ours[key] = tensor.float()
    for key in [key for key in ours if key.endswith(".u")]:
        matrix = ours[key[:-1] + "weight"]
        transposed = len(ours[key]) != len(matrix)
        matrix = (matrix.transpose(0, 1) if transposed else matrix).flatten(1)
        ours.setdefault(key[:-1] + "v", F.normalize(matrix.t() @ ours[key], dim=0))
    return ours


# ---------------------------------------------------------------- settings


def settings_of(semantics, options=None):
    """size (height, width), upsampling and labels of a network with so many semantic channels."""
    given = PRESETS.get(semantics, {"dataset_mode": "custom"}) if options is None else options
    size, upsampling = size_of(given)
    labels = LABELS.get(given.get("dataset_mode"))
    if labels is None or labels.semantics != semantics:
        edges = given.get("no_instance", "True") == "False"
        dont_care = given.get("contain_dontcare_label") == "True"
        names = [str(number) for number in range(semantics - edges - dont_care)]
        labels = custom(names + ["unknown"] * dont_care, dont_care, edges)
    return {"size": size, "upsampling": upsampling, "labels": labels}


def size_of(options):
    """((height, width), upsampling). UserError for a damaged opt.txt."""
    upsampling = options.get("num_upsampling_layers", "normal")
    try:
        step = 1 << UPSAMPLINGS[upsampling]
        across = int(options.get("crop_size", 256)) // step
        return (
            round(across / float(options.get("aspect_ratio", 1))) * step,
            across * step,
        ), upsampling
    except (KeyError, ValueError, ArithmeticError) as error:
        raise UserError(
            "opt.txt beside it is damaged: crop_size and aspect_ratio are numbers, and "
            f"num_upsampling_layers is one of {', '.join(UPSAMPLINGS)}. Mend it, or take it away."
        ) from error


def generator_arguments(state, options):
    hidden, semantics, kernel, _ = state["head_0.norm_0.mlp_shared.0.weight"].shape
    settings = settings_of(semantics, options)
    vae = state["fc.weight"].ndim == 2
    return {
        "semantics": semantics,
        "size": list(settings["size"]),
        "channels": len(state["head_0.conv_0.weight"]) // 16,
        "upsampling": "most" if "up_4.conv_0.weight" in state else settings["upsampling"],
        "latent_size": state["fc.weight"].shape[1] if vae else 0,
        "norm": "batch" if "head_0.norm_0.param_free_norm.running_mean" in state else "instance",
        "kernel": kernel,
        "hidden": hidden,
        "spectral": "head_0.conv_0.u" in state,
    }


def global_arguments(state, options):
    channels, semantics, first_kernel, _ = state["model.1.0.weight"].shape
    blocks = [re.fullmatch(r"model\.(\d+)\.conv_block\.1\.0\.weight", key) for key in state]
    numbers = [int(match[1]) for match in blocks if match]
    return {
        "semantics": semantics,
        "channels": channels,
        "downsamples": (min(numbers) - 3) // 2,
        "blocks": len(numbers),
        "kernel": state[f"model.{min(numbers)}.conv_block.1.0.weight"].shape[-1],
        "first_kernel": first_kernel,
        "norm": norm_of(state, "model.1.1."),
    }


def encoder_arguments(state, options):
    depth = sum(bool(re.fullmatch(r"layer\d+\.0\.weight", key)) for key in state)
    return {
        "channels": len(state["layer1.0.weight"]),
        "latent_size": len(state["fc_mu.weight"]),
        "norm": norm_of(state, "layer1.1."),
        "size": 4 << depth,
    }


def discriminator_arguments(state, options):
    layers = [re.match(r"discriminator_(\d+)\.model(\d+)\.", key) for key in state]
    channels, inputs, _, _ = state["discriminator_0.model0.0.weight"].shape
    return {
        "semantics": inputs - 3,
        "channels": channels,
        "scales": 1 + max(int(match[1]) for match in layers),
        "layers": max(int(match[2]) for match in layers),
        "norm": norm_of(state, "discriminator_0.model1.0.1."),
    }


def norm_of(state, place):
    """The norm behind a convolution; that of instances, the official default, has no tensors."""
    return "batch" if f"{place}running_mean" in state else "instance"


SPECTRAL = r"(weight_orig|parametrizations\.weight\.original)"
NETWORKS = {  # class, name of a tensor that no other project's networks have, arguments
    "generator": (Generator, r"head_0\.norm_0\.mlp_shared\.0\.weight", generator_arguments),
    "global_generator": (GlobalGenerator, rf"model\.1\.0\.{SPECTRAL}", global_arguments),
    "encoder": (Encoder, rf"layer1\.0\.{SPECTRAL}", encoder_arguments),
    "discriminator": (
        Discriminator, rf"discriminator_0\.model1\.0\.0\.{SPECTRAL}", discriminator_arguments,
    ),
}  # fmt: skip
