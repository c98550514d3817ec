"""Convert the First Order Motion Model's published checkpoints: `convert(content, file_name)`.

A `.pth.tar` is a plain dict of state dicts: generator (with the dense motion network inside),
kp_detector, in most files discriminator, and the optimisers', which are left out. Every setting
that changes a layer is read from the tensors' shapes. Those that do not show there are what all
published configurations have: temperature 0.1, keypoint variance 0.01, no padding of the heatmaps,
and align_corners, as torch sampled when the published files were trained (before 1.3). For weights
that somebody trained from scratch with a newer torch, set align_corners to false in config.json.
"""

import logging
import re

import torch

from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import AntiAliasDown, Generator, KeypointDetector
from gan_models.official.files import Unsuitable, is_state

logger = logging.getLogger(__name__)

NETWORKS = {  # theirs to (ours, class)
    "kp_detector": ("detector", KeypointDetector),
    "generator": ("generator", Generator),
    "discriminator": ("discriminator", Discriminator),
}
RENAMED = {  # pattern of their names to ours, by our network
    "detector": [
        (r"predictor\.encoder\.down_blocks\.(\d+)\.", r"hourglass.encoder.\1."),
        (r"predictor\.decoder\.up_blocks\.(\d+)\.", r"hourglass.decoder.\1."),
        (r"kp\.", "heatmap."),
        (r"jacobian\.", "jacobian."),
    ],
    "generator": [
        (
            r"dense_motion_network\.hourglass\.encoder\.down_blocks\.(\d+)\.",
            r"dense_motion.hourglass.encoder.\1.",
        ),
        (
            r"dense_motion_network\.hourglass\.decoder\.up_blocks\.(\d+)\.",
            r"dense_motion.hourglass.decoder.\1.",
        ),
        (r"dense_motion_network\.(mask|occlusion)\.", r"dense_motion.\1."),
        (r"(first|final)\.", r"\1."),
        (r"(down_blocks|up_blocks)\.(\d+)\.", r"\1.\2."),
        (r"bottleneck\.r(\d+)\.", r"bottleneck.\1."),
    ],
}
BLUR = {"detector": "down.weight", "generator": "dense_motion_network.down.weight"}
# Names of state dicts, or of a tensor in them, that tell other projects' files.
OTHERS = {
    "inpainting_network": "Thin-Plate-Spline-Motion-Model",
    "region_predictor": "articulated-animation (MRAA)",
    "reconstruction_module": "motion-cosegmentation",
    "he_estimator": "an implementation of face-vid2vid",
}
DATA = {  # part of a file's name to (framing, training data, whose pictures those are)
    "vox": ("face", "VoxCeleb", "videos from YouTube that remain their owners': research use"),
    "taichi": ("centre", "Tai-Chi-HD", "videos from YouTube that remain their owners'"),
    "fashion": ("centre", "Fashion", "videos that remain their owners'"),
    "nemo": ("face", "UvA-NEMO Smile", "videos of people, given out for research"),
    "mgif": ("centre", "MGif, moving cartoon animals", "clips that remain their owners'"),
    "bair": ("centre", "BAIR robot pushing", "videos of a robot's arm"),
}


def convert(content, file_name):
    """What `gan_models.official.read` returns, or None if the content is none of this family.

    Raises:
        Unsuitable: It is of another project of the family, lacks a network, is damaged, or was made
            with settings that our networks lack.
    """
    if not isinstance(content, dict):
        return None
    for name, project in OTHERS.items():
        if isinstance(content.get(name), dict):
            raise Unsuitable(
                f"it holds a {name}, so it is from {project}, whose networks are others; give a "
                "checkpoint of first-order-model, such as vox-cpk.pth.tar"
            )
    states = {name: content[name] for name in NETWORKS if is_state(content.get(name))}
    states = {name: without_module(state) for name, state in states.items()}
    if "kp_detector" not in states and not is_generator(states.get("generator", {})):
        return None
    for name in ("generator", "kp_detector"):
        if name not in states:
            raise Unsuitable(f"it has no {name}; both of them are needed, so get the whole file")
    if any(name.startswith("appearance_encoder.") for name in states["generator"]):
        raise Unsuitable(
            "it is from monkey-net, whose networks are others; give a checkpoint of "
            "first-order-model, such as vox-cpk.pth.tar"
        )
    found = {}
    for name, state in states.items():
        try:
            found[NETWORKS[name][0]] = import_network(state)
        except Unsuitable as error:
            if name != "discriminator":
                raise
            # It animates nothing, so it is no reason to refuse the other two.
            logger.warning("%s: its discriminator is left out, as %s.", file_name, error)
    check_together(found)
    return {
        "system": "fomm",
        "networks": {name: state for name, (_, _, state) in found.items()},
        "arguments": {name: arguments for name, (_, arguments, _) in found.items()},
        "config": {"size": 256, "value_range": [0, 1], **described(file_name, found)},
    }


def import_network(state, **settings):
    """(network, constructor arguments, our state dict) of a published state dict.

    settings: constructor arguments that the tensors do not show (temperature, pad, ...).

    Raises:
        Unsuitable: It is none of the three networks, or its shapes do not make one.
    """
    theirs = kind_of(state)
    name, make = NETWORKS[theirs]
    try:
        arguments = ARGUMENTS[name](state)
        for key, value in settings.items():
            part = arguments if key != "keypoint_variance" else arguments["dense_motion"]
            part[key] = value
        ours = {
            renamed(name, key, state): tensor
            for key, tensor in state.items()
            if key != BLUR.get(name)
        }
        with torch.device("meta"):
            expected = make(**arguments).state_dict()
    except Unsuitable:
        raise
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise Unsuitable(f"its tensors do not make a {theirs} ({error!r:.200})") from error
    for key, tensor in expected.items():
        if key.endswith("num_batches_tracked"):  # older files lack it; it counts nothing
            ours.setdefault(key, torch.zeros((), dtype=torch.int64))
        if key not in ours:
            raise Unsuitable(f"its {theirs} lacks what our {key} is made of")
        if ours[key].shape != tensor.shape:
            raise Unsuitable(
                f"the shape of {key} in its {theirs} ({list(ours[key].shape)}) does not fit the "
                f"other layers ({list(tensor.shape)})"
            )
    unknown = sorted(ours.keys() - expected.keys())
    if unknown:
        raise Unsuitable(f"its {theirs} has layers of no published configuration ({unknown[0]})")
    ours = {
        key: ours[key].to(tensor.dtype, copy=True).contiguous() for key, tensor in expected.items()
    }
    return name, arguments, ours


def kind_of(state):
    """Which of `NETWORKS` these tensors make; Unsuitable if none."""
    if "kp.weight" in state:
        return "kp_detector"
    if is_generator(state):
        return "generator"
    if any(name.startswith("discs.") for name in state):
        return "discriminator"
    raise Unsuitable(f"one of its networks has unknown layers ({next(iter(state), 'none')})")


def is_generator(state):
    return "first.conv.weight" in state and "final.weight" in state


def renamed(network, key, state):
    """Our name of a tensor; Unsuitable if there is none."""
    if network == "discriminator":
        match = re.fullmatch(r"discs\.([\d-]+)\.(?:down_blocks\.(\d+)\.)?(.+)", key)
        if match:
            scale, block, rest = match.groups()
            place = scales_of(state).index(scale)
            if block is not None:
                return f"patches.{place}.{block}.{rest}"
            return f"scores.{place}.{rest.removeprefix('conv.')}"
    else:
        for pattern, ours in RENAMED[network]:
            if re.match(pattern, key):
                return re.sub(pattern, ours, key, count=1)
    raise Unsuitable(f"its {network} has a layer of no published configuration ({key:.60})")


def without_module(state):
    """Without the "module." that multi-GPU training adds to names."""
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


# ---------------------------------------------------------------- settings from shapes


def detector_arguments(state):
    prefix = "predictor."
    num_keypoints, _, head_size, _ = state["kp.weight"].shape
    arguments = {"num_keypoints": num_keypoints}
    arguments |= hourglass_arguments(state, prefix, max_features=1024)
    arguments |= {
        "scale_factor": scale_factor(state.get(BLUR["detector"])),
        "estimate_jacobian": "jacobian.weight" in state,
        "single_jacobian_map": False,
    }
    if "jacobian.weight" in state and num_keypoints > 1:
        arguments["single_jacobian_map"] = len(state["jacobian.weight"]) == 4
    if head_size != 7:
        arguments["head_size"] = head_size
    return arguments


def generator_arguments(state):
    first = len(state["first.conv.weight"])
    levels = count(state, r"down_blocks\.(\d+)\.")
    widths = [first] + [len(state[f"down_blocks.{i}.conv.weight"]) for i in range(levels)]
    dense_motion = None
    if "dense_motion_network.mask.weight" in state:
        prefix = "dense_motion_network.hourglass."
        dense_motion = hourglass_arguments(state, prefix, max_features=1024)
        dense_motion |= {
            "scale_factor": scale_factor(state.get(BLUR["generator"])),
            "keypoint_variance": 0.01,
        }
    arguments = {
        "block_expansion": first,
        "max_features": limit(first, widths, 512),
        "num_down_blocks": levels,
        "num_bottleneck_blocks": count(state, r"bottleneck\.r(\d+)\."),
        "estimate_occlusion_map": "dense_motion_network.occlusion.weight" in state,
        "dense_motion": dense_motion,
        "align_corners": True,
    }
    if dense_motion is not None:
        mask = state["dense_motion_network.mask.weight"]
        arguments["num_keypoints"] = len(mask) - 1
    return arguments


def discriminator_arguments(state):
    scales = scales_of(state)
    blocks = f"discs.{scales[0]}.down_blocks."
    num_blocks = count(state, re.escape(blocks) + r"(\d+)\.")
    spectral = f"{blocks}0.conv.weight_orig" in state
    weight = ".conv.weight_orig" if spectral else ".conv.weight"
    widths = [len(state[f"{blocks}{i}{weight}"]) for i in range(num_blocks)]
    channels = state[f"{blocks}0{weight}"].shape[1]
    arguments = {
        "scales": [float(scale.replace("-", ".")) for scale in scales],
        "block_expansion": widths[0] // 2,
        "max_features": limit(widths[0] // 2, [0, *widths], 512),
        "num_blocks": num_blocks,
        "spectral_norm": spectral,
        "use_keypoints": channels > 3,
    }
    if channels > 3:
        arguments["num_keypoints"] = channels - 3
    arguments["scales"] = [int(scale) if scale == 1 else scale for scale in arguments["scales"]]
    return arguments


ARGUMENTS = {
    "detector": detector_arguments,
    "generator": generator_arguments,
    "discriminator": discriminator_arguments,
}


def hourglass_arguments(state, prefix, max_features):
    blocks = count(state, re.escape(prefix) + r"encoder\.down_blocks\.(\d+)\.")
    expansion = len(state[f"{prefix}decoder.up_blocks.{blocks - 1}.conv.weight"])
    widths = [expansion]
    widths += [len(state[f"{prefix}encoder.down_blocks.{i}.conv.weight"]) for i in range(blocks)]
    return {
        "block_expansion": expansion,
        "max_features": limit(expansion, widths, max_features),
        "num_blocks": blocks,
    }


def limit(expansion, widths, usual):
    """The max_features of layers that double from `expansion`; the usual one where none shows."""
    widest = max(widths)
    return widest if widest < expansion << (len(widths) - 1) else max(usual, widest)


def count(state, pattern):
    """How many blocks have names that start with `pattern`, whose group is their number."""
    found = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    if found != set(range(len(found))):
        raise Unsuitable(f"its blocks are numbered {sorted(found)}")
    return len(found)


def scales_of(state):
    """The discriminators' names, "1" or "0-5", in the order in which they are called."""
    return list(dict.fromkeys(key.split(".")[1] for key in state if key.startswith("discs.")))


def scale_factor(kernel):
    """How much smaller the picture gets, from the blur that goes before (5 pixels wide for 1/2).

    The blur is computed from the scale, so a file whose blur says something else gets ours.
    """
    if kernel is None:
        return 1
    side = kernel.shape[-1]
    if kernel.ndim != 4 or side % 4 != 1:
        raise Unsuitable(f"its anti-aliasing kernel of shape {list(kernel.shape)} is unknown")
    scale = 4 / (side + 3)
    usual = AntiAliasDown(scale).weight
    if kernel.device.type != "meta" and (
        kernel.shape != usual.shape or (kernel.float() - usual).abs().max() > 1e-4
    ):
        logger.warning("Its anti-aliasing kernel differs from the computed one, which is used.")
    return scale


# ---------------------------------------------------------------- the file as a whole


def check_together(found):
    """The generator must take the detector's keypoints."""
    detector, generator = found["detector"][1], found["generator"][1]
    points = generator.setdefault("num_keypoints", detector["num_keypoints"])
    if points != detector["num_keypoints"]:
        raise Unsuitable(
            f"its kp_detector finds {detector['num_keypoints']} keypoints, and its generator takes "
            f"{points}"
        )


def described(file_name, found):
    """framing, data and licence. What was filmed shows in the file's name only, if at all."""
    name = file_name.lower()
    for part, (framing, data, owners) in DATA.items():
        if part in name:
            licence = (
                f"MIT (code and weights) if it is the authors' own; trained on {data}, {owners}"
            )
            return {"framing": {"kind": framing, "margin": 0.0}, "data": data, "licence": licence}
    discriminator = found["discriminator"][1] if "discriminator" in found else None
    plain = discriminator is not None and not (
        discriminator["spectral_norm"] or discriminator["use_keypoints"]
    )  # as taichi's and fashion's
    animals = found["detector"][1]["single_jacobian_map"]  # as mgif's
    # Where it may be faces: a search that finds none takes the centre square.
    kind = "centre" if plain or animals else "face"
    return {
        "framing": {"kind": kind, "margin": 0.0},
        "data": "not recorded in the checkpoint",
        "licence": "MIT (code and weights) if it is the authors' own; see the original release for "
        "the videos it was trained on",
    }
