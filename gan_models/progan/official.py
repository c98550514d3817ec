"""Convert ProGAN's published checkpoints to our networks: `convert(content, file_name)`.

`from_tensorflow` and `from_dict` find the state dicts and the settings in each kind of file, and
`import_network` turns one state dict into ours.
"""

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gan_models.errors import UserError
from gan_models.progan.networks import SQRT2, Discriminator, Generator
from gan_models.weights import dicts, fit, is_state

logger = logging.getLogger(__name__)

MAX_LEVELS = 12
GENERATORS = ("generator_smooth", "shadow_generator", "avgG", "generator", "netG")  # averages first
DISCRIMINATORS = ("discriminator", "netD")


# ---------------------------------------------------------------- orientation of weights


def tensorflow(layer, weight):  # (in, out), (kh, kw, in, out)
    return weight.t() if weight.ndim == 2 else weight.permute(3, 2, 0, 1)


def fused(layer, weight):  # conv1: (kh, kw, out, in), of a transposed convolution
    if layer == "conv1":
        return weight.permute(2, 3, 0, 1).flip(2, 3)
    return tensorflow(layer, weight)


def genforce(layer, weight):  # first: (out, in, 4, 4) over a 1x1 picture padded by 3
    return weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2) if layer == "first" else weight


def akanimax(layer, weight):  # first: (in, out, 4, 4), transposed; dense and last: kernels of 4x4
    if layer == "first":
        return weight.permute(1, 2, 3, 0).flatten(0, 2)
    return weight.flatten(1) if layer in ("dense", "last") else weight


# ---------------------------------------------------------------- layouts


@dataclass(frozen=True)
class Layout:
    """How one project stores one network: names of its layers in the order of `OURS`.

    In braces: {level} from 0 for 4x4 and {below}, less 1; {lod}, the levels above it; {pixels}, its
    side; {even}, {odd}, {next}: 2 level, 2 level + 1 and 2 level + 2. What ends in "?" is there in
    the topmost level only.
    """

    network: str  # "generator" or "discriminator"
    bottom: str  # level 0
    upper: str  # the other levels
    arguments: dict  # settings that differ from our defaults
    orient: Callable = lambda layer, weight: weight  # (our layer, their weight): ours
    weight: str = ".weight"
    bias: str = ".bias"
    embedding: str | None = None  # of the labels, in the topmost level
    licence: str = "see the original release"


G, D = "generator", "discriminator"
OURS = {
    G: ("first conv2.0 to_rgb.0", "conv1.{below} conv2.{level} to_rgb.{level}"),
    D: ("from_rgb.0 conv dense last", "from_rgb.{level} conv1.{below} conv2.{below}"),
}
TENSORFLOW = {
    "weight": "/weight", "bias": "/bias", "licence": "CC BY-NC 4.0 if it is the authors' own",
}  # fmt: skip
TF_G = "4x4/Dense 4x4/Conv ToRGB_lod{lod}"
TF_D = "FromRGB_lod{lod} 4x4/Conv 4x4/Dense0 4x4/Dense1"
AKANIMAX = {"orient": akanimax, "licence": "MIT if it is the author's own"}
AKANIMAX_G = {"normalize_first": False, "first_gain": SQRT2, "rgb_gain": SQRT2}
AKANIMAX_D = {"pool_last": True, "last_gain": SQRT2}
V3_BLOCK = "layers.{lod}.conv_1 layers.{lod}.conv_2"
V3_D = f"from_rgb.{{lod}}.0 {V3_BLOCK} layers.{{lod}}.conv_3", f"from_rgb.{{lod}}.0 {V3_BLOCK}"
EARLY_D = f"from_rgb.{{lod}} {V3_BLOCK} layers.{{lod}}.conv_3", f"from_rgb.{{lod}} {V3_BLOCK}"
ZOO_G = {"first_gain": SQRT2, "rgb_gain": SQRT2, "scale_bias": True, "first_bias": "position"}
ZOO_D = AKANIMAX_D | {"scale_bias": True, "stddev_consecutive": True, "stddev_unbiased": True}
ZOO = {"licence": "BSD-3-Clause if it is the authors' own"}

LAYOUTS = (
    # tkarras: networks converted from Theano's, and those that the TensorFlow code trained
    Layout(G, TF_G, "{pixels}/Conv0 {pixels}/Conv1 ToRGB_lod{lod}", {}, tensorflow, **TENSORFLOW),
    Layout(G, TF_G, "{pixels}/Conv0_up {pixels}/Conv1 ToRGB_lod{lod}", {}, fused, **TENSORFLOW),
    Layout(D, TF_D, "FromRGB_lod{lod} {pixels}/Conv0 {pixels}/Conv1", {"pool_last": True},
           tensorflow, **TENSORFLOW),
    Layout(D, TF_D, "FromRGB_lod{lod} {pixels}/Conv0 {pixels}/Conv1_down", {},
           tensorflow, **TENSORFLOW),
    # genforce: sefa, interfacegan
    Layout(G, "layer0 layer1 output0", "layer{even} layer{odd} output{level}",
           {"labels_first": False}, genforce),
    Layout(G, "layer1 layer2 output_4x4?", "layer{odd} layer{next} output_{pixels}?", {}, genforce,
           ".conv.weight", ".wscale.bias"),
    # akanimax: version 2, version 3, its conditional discriminator, the one before the leaky ReLU
    # after fromRGB
    Layout(G, "initial_block.conv_1 initial_block.conv_2 rgb_converters.0",
           "layers.{below}.conv_1 layers.{below}.conv_2 rgb_converters.{level}",
           AKANIMAX_G | {"normalize_latents": False}, **AKANIMAX),
    Layout(D, "rgb_to_features.0 final_block.conv_1 final_block.conv_2 final_block.conv_3",
           "rgb_to_features.{level} layers.{below}.conv_1 layers.{below}.conv_2",
           AKANIMAX_D | {"activate_rgb": False, "stddev_group": None}, **AKANIMAX),
    Layout(G, *["layers.{level}.conv_1 layers.{level}.conv_2 rgb_converters.{level}"] * 2,
           AKANIMAX_G, **AKANIMAX),
    Layout(D, *V3_D, AKANIMAX_D, **AKANIMAX),
    Layout(D, *V3_D, AKANIMAX_D | {"projection": True},
           embedding="layers.{}.label_embedder.weight", **AKANIMAX),
    Layout(D, *EARLY_D, AKANIMAX_D | {"activate_rgb": False}, **AKANIMAX),
    # facebookresearch
    Layout(G, "formatLayer groupScale0.0 toRGBLayers.0",
           "scaleLayers.{below}.0 scaleLayers.{below}.1 toRGBLayers.{level}", ZOO_G, **ZOO),
    Layout(D, "fromRGBLayers.0 groupScaleZero.0 groupScaleZero.1 decisionLayer",
           "fromRGBLayers.{level} scaleLayers.{below}.0 scaleLayers.{below}.1", ZOO_D, **ZOO),
)  # fmt: skip


def layers(layout, levels):
    """Yield (our layer, their layer, level) of a network of so many levels."""
    for level in range(levels):
        places = {
            "level": level, "below": level - 1, "lod": levels - 1 - level,
            "pixels": f"{4 << level}x{4 << level}",
            "even": 2 * level, "odd": 2 * level + 1, "next": 2 * level + 2,
        }  # fmt: skip
        ours = OURS[layout.network][level > 0].format(**places).split()
        theirs = (layout.upper if level else layout.bottom).format(**places).split()
        for our_name, their_name in zip(ours, theirs, strict=True):
            if level == levels - 1 or not their_name.endswith("?"):
                yield our_name, their_name.rstrip("?"), level


def recognise(state):
    """(layout, levels) whose names are exactly those of a state dict, or None."""
    found = state.keys() - {"lod"}
    for layout in LAYOUTS:
        for levels in range(1, MAX_LEVELS):
            theirs = [name for _, name, _ in layers(layout, levels)]
            expected = {name + ending for name in theirs for ending in (layout.weight, layout.bias)}
            if layout.embedding:
                expected.add(layout.embedding.format(levels - 1))
            if found == expected:
                return layout, levels
    return None


# ---------------------------------------------------------------- one network


def import_network(state, level=-1, **settings):
    """(network, constructor arguments, our state dict) of a published state dict, or None.
    UserError if the tensors' shapes do not make one network.

    level: the last one that is wholly trained, counted as Python counts (-1 is the topmost): those
        above it are left out.
    settings: constructor arguments that the tensors do not show (label_size of a generator, ...).
    """
    recognised = recognise(state)
    if recognised is None:
        return None
    layout, levels = recognised
    top = level if 0 <= level < levels else max(levels + min(level, -1), 0)
    try:
        ours = renamed(layout, levels, top, state)
        make = Generator if layout.network == G else Discriminator
        if make is Generator:
            arguments = generator_arguments(ours, top, settings.get("label_size", 0))
            for name, width in enumerate(arguments["channels"]):
                # interfacegan keeps the last toRGB only: the others draw grey.
                rgb = (arguments["num_channels"], width, 1, 1)
                ours.setdefault(f"to_rgb.{name}.weight", torch.zeros(rgb))
                ours.setdefault(f"to_rgb.{name}.bias", torch.zeros(rgb[0]))
        else:
            arguments = discriminator_arguments(ours, top)
        arguments |= layout.arguments | settings
        return layout.network, arguments, fit(make, arguments, ours)
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"its tensors do not make a {layout.network} ({error})") from error


def renamed(layout, levels, top, state):
    """Our state dict of levels 0 to `top`."""
    result = {}
    for ours, theirs, level in layers(layout, levels):
        if level <= top:
            layer = ours.split(".")[0]
            bias = state[theirs + layout.bias].float()
            if layer == "first":  # a number a channel, or a channel and pixel
                side = 4 if layout.arguments.get("first_bias") == "position" else 1
                bias = bias.reshape(-1, side, side)
            weight = state[theirs + layout.weight].float()
            result[f"{ours}.weight"], result[f"{ours}.bias"] = layout.orient(layer, weight), bias
    if layout.embedding:
        result["embedding"] = state[layout.embedding.format(levels - 1)].float()
    return result


def generator_arguments(state, top, label_size):
    inputs = state["first.weight"].shape[1]
    if not 0 <= label_size < inputs:
        raise ValueError(f"{label_size} labels do not fit its first layer of {inputs} inputs")
    rgb = [tensor for name, tensor in state.items() if re.fullmatch(r"to_rgb\.\d+\.bias", name)]
    return {
        "resolution": 4 << top,
        "latent_size": inputs - label_size,
        "channels": [len(state[f"conv2.{level}.bias"]) for level in range(top + 1)],
        "num_channels": len(rgb[0]),
        "label_size": label_size,
    }


def discriminator_arguments(state, top):
    channels = [len(state[f"from_rgb.{level}.bias"]) for level in range(top + 1)]
    arguments = {
        "resolution": 4 << top,
        "channels": channels,
        "num_channels": state["from_rgb.0.weight"].shape[1],
        "label_size": len(state.get("embedding", state["last.bias"][1:])),
        "hidden": len(state["dense.bias"]),
    }
    if state["conv.weight"].shape[1] == channels[0]:
        arguments["stddev_group"] = 0
    return arguments


# ---------------------------------------------------------------- files


def convert(content, file_name):
    """What `gan_models.checkpoints.read` returns, or None if the content is no ProGAN. UserError
    for one that is damaged or made with settings that our networks lack.
    """
    reader = from_tensorflow if isinstance(content, tuple) else from_dict
    given, classes = reader(content, file_name)
    levels = [level_of_lod(state["lod"]) for state, _ in given if "lod" in state]
    level = levels[0] if levels else level_in_name(file_name)  # one for both networks
    imported = [import_network(state, level, **settings) for state, settings in given]
    if not imported or None in imported:
        return None
    shown = imported[0][1]
    if len(classes) != shown["label_size"]:
        classes = [str(number) for number in range(shown["label_size"])]
    licence = recognise(given[0][0])[0].licence
    return {
        "system": "progan",
        "networks": {name: state for name, _, state in imported},
        "arguments": {name: arguments for name, arguments, _ in imported},
        "config": {"size": shown["resolution"], "classes": list(classes), "licence": licence},
    }


def from_tensorflow(content, file_name):
    """tkarras/progressive_growing_of_gans: a tuple of the networks G, D and Gs, the average.

    Returns ([(state dict, constructor arguments)], names of the classes), as `from_dict`.
    """
    if not (len(content) == 3 and all(isinstance(x, dict) and "variables" in x for x in content)):
        return [], []
    given = []
    for network in (content[2], content[1]):
        options = setting(network, "static_kwargs", {})
        try:
            numbers = dict(network["variables"])
            state = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in numbers.items()}
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"its variables are damaged or no numbers ({error})") from error
        require(options, "use_pixelnorm", True)
        require(options, "use_leakyrelu", True)
        settings = {"equalized": setting(options, "use_wscale", True)}
        if network is content[2]:
            settings["label_size"] = setting(options, "label_size", 0)
            settings["normalize_latents"] = setting(options, "normalize_latents", True)
            settings["pixel_norm_epsilon"] = setting(options, "pixelnorm_epsilon", 1e-8)
        else:
            group = setting(options, "mbstd_group_size", 4)
            settings["stddev_group"] = group if group > 1 else 0
        given.append((state, settings))
    return given, []


def from_dict(content, file_name):
    """The generator, averaged if it is there, and the discriminator of a dict of networks.

    facebookresearch/pytorch_GAN_zoo: {config, netG, netD, avgG}; akanimax/pro_gan_pytorch 3:
    {generator, discriminator[, shadow_generator]} with conf each; genforce: {generator,
    discriminator, generator_smooth}; a bare state dict of one network (akanimax 2, genforce).
    """
    if is_state(content):
        return [(content, {})], []
    given, classes = [], []
    for names in (GENERATORS, DISCRIMINATORS) if isinstance(content, dict) else ():
        part = next((content[name] for name in names if isinstance(content.get(name), dict)), {})
        state = next(filter(is_state, dicts(part)), {})
        if recognise(state) is None:
            if given and state:
                logger.warning("%s: its discriminator's layout is none known: left out.", file_name)
            break
        config = content["config"] if isinstance(content.get("config"), dict) else {}
        config = config | setting(part, "conf", {})
        require(config, "leakyReluLeak", 0.2)
        require(config, "perChannelNormalization", True)
        require(config, "lossCriterion", "WGANGP")  # the others end in a tanh
        equalized = setting(config, "equalizedlR", True) and setting(config, "use_eql", True)
        settings = {"equalized": equalized}
        if names is GENERATORS:
            settings["label_size"] = setting(config, "categoryVectorDim", 0)
            classes = zoo_classes(config)
        if isinstance(config.get("alpha"), float) and config["alpha"] > 0:
            state = state | {"lod": torch.tensor(config["alpha"])}  # weight of the level below
        given.append((state, settings))
    return given, classes


def setting(fields, name, default):
    """A setting of the default's type; UserError if it is of another."""
    value = fields.get(name, default)
    if type(value) is not type(default):
        raise UserError(f"its setting {name} is {value!r:.60}")
    return value


def require(fields, name, value):
    """UserError unless the setting, where it is there, has the only value that we support."""
    if setting(fields, name, value) != value:
        raise UserError(f"it was made with {name} {fields[name]!r:.60}, which is not supported")


def level_of_lod(lod):
    """The last level that is wholly faded in, of the official tensor `lod` (0: the topmost)."""
    if lod.numel() != 1 or not 0 <= lod.item() < MAX_LEVELS:
        raise UserError(f"its level of detail is {lod}")
    return -1 - math.ceil(lod.item())


def level_in_name(file_name):
    """akanimax: GAN_GEN_SHADOW_8.pth counts from 0, depth_10_epoch_40.bin from 2; -1 if neither."""
    old = re.search(r"GAN_(?:GEN|GEN_SHADOW|DIS)_(\d{1,2})", file_name)
    new = re.search(r"depth_(\d{1,2})_epoch", file_name)
    return int(old[1]) if old else max(int(new[1]) - 2, 0) if new else -1


def zoo_classes(config):
    """Names of the values of all attributes, in the order of the one-hot vector."""
    attributes = config.get("attribKeysOrder") or {}
    try:
        ordered = sorted(attributes.values(), key=lambda attribute: attribute["order"])
        return [str(value) for attribute in ordered for value in attribute["values"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"its attribKeysOrder is damaged ({error!r:.100})") from error
