"""Convert ProGAN's published checkpoints to our networks: `convert(content, file_name)`.

`import_network` turns one state dict of any layout into ours by the tables of progan_layouts.py;
`from_tensorflow`, `from_zoo`, `from_akanimax` and `from_state` find the state dicts and settings in
each kind of file.
"""

import math
import re

import torch

from gan_models.official.files import Stub, Unsuitable, is_state, to_tensor
from gan_models.official.progan_layouts import LAYOUTS
from gan_models.progan.networks import Discriminator, Generator

MAX_LEVELS = 12


def names(layout, levels):
    """Yield (our layer, their layer, level) of a network of so many levels."""
    for ours, theirs in layout.layers.items():
        if "{every}" in ours:
            chosen = range(levels)
        elif "{upper}" in ours or "{below}" in ours:
            chosen = range(1, levels)
        else:
            chosen = [levels - 1] if "{last}" in ours else [0]
        for level in chosen:
            places = {
                "every": level,
                "upper": level,
                "below": level - 1,
                "last": levels - 1,
                "from_top": levels - 1 - level,
                "pixels": 4 << level,
                "twice": 2 * level,
                "twice_1": 2 * level + 1,
                "twice_2": 2 * level + 2,
            }
            yield ours.format(**places), theirs.format(**places), level


def recognise(state):
    """(layout, levels) whose names are exactly those of a state dict, or None."""
    found = set(state)
    for layout in LAYOUTS:
        for levels in range(1, MAX_LEVELS):
            expected = set()
            for ours, theirs, _ in names(layout, levels):
                expected.add(theirs + layout.weight)
                if ours != "embedding":
                    expected.add(theirs + layout.bias)
            if found == expected:
                return layout, levels
    return None


def import_network(state, level=-1, **settings):
    """(network, constructor arguments, our state dict) of a published state dict, or None.

    level: the last one that is wholly trained, counted as Python counts (-1 is the topmost): those
        above it are left out.
    settings: constructor arguments that the tensors do not show (label_size of a generator, ...).

    Raises:
        Unsuitable: The tensors' shapes do not make one network.
    """
    recognised = recognise(state)
    if recognised is None:
        return None
    layout, levels = recognised
    top = level if 0 <= level < levels else max(levels + min(level, -1), 0)
    try:
        ours = renamed(layout, levels, top, state)
        if layout.network == "generator":
            arguments = generator_arguments(ours, top, settings.get("label_size", 0))
            add_missing_rgb(ours, arguments)
        else:
            arguments = discriminator_arguments(ours, top)
        arguments |= layout.arguments | settings
        make = Generator if layout.network == "generator" else Discriminator
        with torch.device("meta"):
            expected = make(**arguments).state_dict()
        wrong = [name for name in expected if ours[name].shape != expected[name].shape]
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        raise Unsuitable(f"its tensors do not make a {layout.network} ({error})") from error
    if wrong:
        raise Unsuitable(f"the shape of {wrong[0]} does not fit the other layers")
    return layout.network, arguments, ours


def renamed(layout, levels, top, state):
    """Our state dict of levels 0 to `top`."""
    result = {}
    for ours, theirs, level in names(layout, levels):
        if level > top:
            continue
        layer = ours.split(".")[0]
        weight = state[theirs + layout.weight].float()
        if layer == "embedding":
            result["embedding"] = weight.clone()
            continue
        orient = layout.orient.get(layer)
        bias = state[theirs + layout.bias].float()
        if layer == "first":  # a number a channel, or a channel and pixel
            side = 4 if layout.arguments.get("first_bias") == "position" else 1
            bias = bias.reshape(-1, side, side)
        result[f"{ours}.weight"] = (orient(weight) if orient else weight).clone()
        result[f"{ours}.bias"] = bias.clone()
    return {name: tensor.contiguous() for name, tensor in result.items()}


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
    outputs = state.get("embedding", state["last.bias"][1:])
    arguments = {
        "resolution": 4 << top,
        "channels": channels,
        "num_channels": state["from_rgb.0.weight"].shape[1],
        "label_size": len(outputs),
        "hidden": len(state["dense.bias"]),
    }
    if state["conv.weight"].shape[1] == channels[0]:
        arguments["stddev_group"] = 0
    return arguments


def add_missing_rgb(state, arguments):
    """Levels without a toRGB (interfacegan keeps the last only) get one that draws grey."""
    for level, width in enumerate(arguments["channels"]):
        shape = (arguments["num_channels"], width, 1, 1)
        state.setdefault(f"to_rgb.{level}.weight", torch.zeros(shape))
        state.setdefault(f"to_rgb.{level}.bias", torch.zeros(shape[0]))


# ---------------------------------------------------------------- files


def convert(content, file_name):
    """What `gan_models.official.read` returns, or None if the content is no ProGAN.

    Raises:
        Unsuitable: It is one, but damaged or made with settings that our networks lack.
    """
    for reader in (from_tensorflow, from_zoo, from_akanimax, from_state):
        found = reader(content, file_name)
        if found is not None:
            networks, config = found
            break
    else:
        return None
    shown = networks.get("generator") or networks["discriminator"]
    return {
        "system": "progan",
        "networks": {name: state for name, (_, state) in networks.items()},
        "arguments": {name: arguments for name, (arguments, _) in networks.items()},
        "config": {"size": shown[0]["resolution"], **config},
    }


def networks_of(*parts):
    """Networks by name from (state, level, settings), None if one is of no known layout."""
    networks = {}
    for state, level, settings in parts:
        found = import_network(state, level, **settings)
        if found is None:
            return None
        name, arguments, ours = found
        networks[name] = (arguments, ours)
    return networks


def setting(fields, name, default):
    """A setting of the default's type; Unsuitable if it is of another."""
    value = fields.get(name, default)
    if type(value) is not type(default):
        raise Unsuitable(f"its setting {name} is {value!r:.60}")
    return value


def require(fields, name, value):
    """Unsuitable unless the setting, where it is there, has the only value that we support."""
    found = fields.get(name, value)
    if type(found) is not type(value) or found != value:
        raise Unsuitable(f"it was made with {name} {found!r:.60}, which is not supported")


def level_of_lod(lod):
    """The last level that is wholly faded in, of the official tensor `lod` (0: the topmost)."""
    if lod.numel() != 1 or not 0 <= lod.item() < MAX_LEVELS:
        raise Unsuitable(f"its level of detail is {lod}")
    return -1 - math.ceil(lod.item())


def level_in_name(file_name):
    """akanimax: GAN_GEN_SHADOW_8.pth counts from 0, depth_10_epoch_40.bin from 2; -1 if neither."""
    old = re.search(r"GAN_(?:GEN|GEN_SHADOW|DIS)_(\d{1,2})", file_name)
    new = re.search(r"depth_(\d{1,2})_epoch", file_name)
    return int(old[1]) if old else max(int(new[1]) - 2, 0) if new else -1


def from_tensorflow(content, file_name):
    """tkarras/progressive_growing_of_gans: a tuple of the networks G, D and Gs, the average."""
    if not (isinstance(content, tuple) and len(content) == 3):
        return None
    if not all(isinstance(part, Stub) and "variables" in part.fields for part in content):
        return None
    parts = []
    level = -1
    for network in (content[2], content[1]):
        options = setting(network.fields, "static_kwargs", {})
        try:
            state = {str(name): to_tensor(value) for name, value in network.fields["variables"]}
        except (TypeError, ValueError) as error:
            raise Unsuitable(f"its variables are damaged ({error})") from error
        lod = state.pop("lod", None)
        require(options, "use_pixelnorm", True)
        require(options, "use_leakyrelu", True)
        settings = {"equalized": setting(options, "use_wscale", True)}
        if network is content[2]:
            level = -1 if lod is None else level_of_lod(lod)
            settings["label_size"] = setting(options, "label_size", 0)
            settings["normalize_latents"] = setting(options, "normalize_latents", True)
            settings["pixel_norm_epsilon"] = setting(options, "pixelnorm_epsilon", 1e-8)
        else:
            group = setting(options, "mbstd_group_size", 4)
            settings["stddev_group"] = group if group > 1 else 0
        parts.append((state, level, settings))
    return described(networks_of(*parts), "CC BY-NC 4.0 if it is the authors' own")


def from_zoo(content, file_name):
    """facebookresearch/pytorch_GAN_zoo: {config, netG, netD, avgG}."""
    if not (isinstance(content, dict) and is_state(content.get("netD"))):
        return None
    generator = content.get("avgG", content.get("netG"))
    if not is_state(generator):
        return None
    config = content["config"].fields if isinstance(content.get("config"), Stub) else {}
    require(config, "leakyReluLeak", 0.2)
    require(config, "perChannelNormalization", True)
    require(config, "lossCriterion", "WGANGP")  # the others end in a tanh
    settings = {"equalized": setting(config, "equalizedlR", True)}
    label_size = setting(config, "categoryVectorDim", 0)
    alpha = config.get("alpha")  # the weight of the level below
    level = -2 if isinstance(alpha, float) and alpha > 0 else -1
    networks = networks_of(
        (without_module(generator), level, settings | {"label_size": label_size}),
        (without_module(content["netD"]), level, settings),
    )
    return described(networks, "BSD-3-Clause if it is the authors' own", zoo_classes(config))


def zoo_classes(config):
    """Names of the values of all attributes, in the order of the one-hot vector."""
    attributes = config.get("attribKeysOrder") or {}
    try:
        ordered = sorted(attributes.values(), key=lambda attribute: attribute["order"])
        return [str(value) for attribute in ordered for value in attribute["values"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise Unsuitable(f"its attribKeysOrder is damaged ({error!r:.100})") from error


def from_akanimax(content, file_name):
    """akanimax/pro_gan_pytorch 3: {generator, discriminator[, shadow_generator]} with conf each."""
    if not (isinstance(content, dict) and "generator" in content):
        return None
    level = level_in_name(file_name)
    parts = []
    for name in ("shadow_generator" if "shadow_generator" in content else "generator",
                 "discriminator"):  # fmt: skip
        part = content.get(name)
        if not (isinstance(part, dict) and is_state(part.get("state_dict"))):
            return None
        equalized = setting(setting(part, "conf", {}), "use_eql", True)
        parts.append((without_module(part["state_dict"]), level, {"equalized": equalized}))
    return described(networks_of(*parts), "MIT if it is the author's own")


def from_state(content, file_name):
    """A bare state dict of one network: akanimax/pro_gan_pytorch 2, genforce."""
    if not is_state(content):
        return None
    state = without_module(content)
    lod = state.pop("lod", None)
    level = level_in_name(file_name) if lod is None else level_of_lod(lod)
    return described(networks_of((state, level, {})), "see the original release")


def without_module(state):
    """Without the "module" that multi-GPU training and the GAN zoo's layers add to names."""
    return {
        name.removeprefix("module.").replace(".module.", "."): tensor
        for name, tensor in state.items()
    }


def described(networks, licence, classes=()):
    """(networks, fields of config.json), or None if there are no networks."""
    if networks is None:
        return None
    label_size = next(iter(networks.values()))[0]["label_size"]
    if len(classes) != label_size:
        classes = [str(number) for number in range(label_size)]
    return networks, {"classes": list(classes), "licence": licence}
