"""Convert the First Order Motion Model's published checkpoints: `convert(content, file_name)`.

A `.pth.tar` is a plain dict of state dicts: generator (with the dense motion network inside),
kp_detector, in most files discriminator, and the optimisers', which are left out. Every setting
that changes a layer is read from the tensors' shapes. Those that do not show there are what all
published configurations have: temperature 0.1, keypoint variance 0.01, no padding of the heatmaps,
and align_corners, as torch sampled when the published files were trained (before 1.3). For weights
that somebody trained from scratch with a newer torch, set align_corners to false in the config.json
that the import wrote, and import that folder.
"""

import logging
import re

from gan_models.errors import UserError
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import AntiAliasDown, Generator, KeypointDetector
from gan_models.weights import fit, is_state

logger = logging.getLogger(__name__)

RENAMED = [  # pattern of their names to ours; the scales of a discriminator are numbered besides
    (r"^predictor\.", "hourglass."),
    (r"^kp\.", "heatmap."),
    (r"^dense_motion_network\.", "dense_motion."),
    (r"hourglass\.encoder\.down_blocks\.", "hourglass.encoder."),
    (r"hourglass\.decoder\.up_blocks\.", "hourglass.decoder."),
    (r"^bottleneck\.r", "bottleneck."),
    (r"^discs\.(\d+)\.down_blocks\.", r"patches.\1."),
    (r"^discs\.(\d+)\.conv\.", r"scores.\1."),
]
# Names of state dicts, or of a tensor in them, that tell other projects' files.
OTHERS = {
    "inpainting_network": "Thin-Plate-Spline-Motion-Model",
    "region_predictor": "articulated-animation (MRAA)",
    "reconstruction_module": "motion-cosegmentation",
    "he_estimator": "an implementation of face-vid2vid",
    "appearance_encoder": "monkey-net",
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
    """What `gan_models.checkpoints.read` returns, or None if the content is none of this family.
    UserError for another project of it, a file that lacks a network or is damaged, and for settings
    that our networks lack.
    """
    if not isinstance(content, dict):
        return None
    states = {name: content[name] for name in NETWORKS if is_state(content.get(name))}
    generator = states.get("generator", {})
    for name, project in OTHERS.items():
        inside = any(key.startswith(f"{name}.") for key in generator)
        if isinstance(content.get(name), dict) or "kp_detector" in states and inside:
            raise UserError(
                f"it holds a {name}, so it is from {project}, whose networks are others; give a "
                "checkpoint of first-order-model, such as vox-cpk.pth.tar"
            )
    if "kp_detector" not in states and not is_generator(generator):
        return None
    for name in ("generator", "kp_detector"):
        if name not in states:
            raise UserError(f"it has no {name}; both of them are needed, so get the whole file")
    found = {}
    for name, state in states.items():
        try:
            ours, arguments, state = import_network(state)
            found[ours] = (arguments, state)
        except UserError as error:
            if name != "discriminator":
                raise
            # It animates nothing, so it is no reason to refuse the other two.
            logger.warning("%s: its discriminator is left out, as %s.", file_name, error)
    detector, generator = found["detector"][0], found["generator"][0]
    points = generator.setdefault("num_keypoints", detector["num_keypoints"])
    if points != detector["num_keypoints"]:
        raise UserError(
            f"its kp_detector finds {detector['num_keypoints']} keypoints, and its generator takes "
            f"{points}"
        )
    return {
        "system": "fomm",
        "networks": {name: state for name, (_, state) in found.items()},
        "arguments": {name: arguments for name, (arguments, _) in found.items()},
        "config": {"size": 256, "value_range": [0, 1], **described(file_name, found)},
    }


def import_network(state):
    """(network, constructor arguments, our state dict) of a published state dict. UserError for
    none of the three networks, or shapes that do not make one.
    """
    if "kp.weight" in state:
        theirs = "kp_detector"
    elif is_generator(state):
        theirs = "generator"
    elif any(name.startswith("discs.") for name in state):
        theirs = "discriminator"
    else:
        raise UserError(f"one of its networks has unknown layers ({next(iter(state), 'none')})")
    name, make, arguments_of = NETWORKS[theirs]
    try:
        arguments = arguments_of(state)
        scales = scales_of(state)
        ours = {}
        for key, tensor in state.items():
            if not key.endswith("down.weight"):  # the blur, which is computed
                key = re.sub(r"^discs\.([\d-]+)", lambda m: f"discs.{scales.index(m[1])}", key)
                for pattern, new in RENAMED:
                    key = re.sub(pattern, new, key)
                ours[key] = tensor
        return name, arguments, fit(make, arguments, ours)
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"its tensors do not make a {theirs} ({error!s:.200})") from error


def is_generator(state):
    return "first.conv.weight" in state and "final.weight" in state


# ---------------------------------------------------------------- settings from shapes


def detector_arguments(state):
    num_keypoints, _, head_size, _ = state["kp.weight"].shape
    jacobian = state.get("jacobian.weight")
    arguments = {
        "num_keypoints": num_keypoints,
        **hourglass_arguments(state, "predictor."),
        "scale_factor": scale_factor(state.get("down.weight")),
        "estimate_jacobian": jacobian is not None,
        "single_jacobian_map": jacobian is not None and num_keypoints > 1 and len(jacobian) == 4,
    }
    return arguments if head_size == 7 else arguments | {"head_size": head_size}


def generator_arguments(state):
    first = len(state["first.conv.weight"])
    levels = count(state, r"down_blocks\.(\d+)\.")
    widths = [first] + [len(state[f"down_blocks.{i}.conv.weight"]) for i in range(levels)]
    arguments = {
        "block_expansion": first,
        "max_features": limit(first, widths, 512),
        "num_down_blocks": levels,
        "num_bottleneck_blocks": count(state, r"bottleneck\.r(\d+)\."),
        "estimate_occlusion_map": "dense_motion_network.occlusion.weight" in state,
        "dense_motion": None,
        "align_corners": True,
    }
    if "dense_motion_network.mask.weight" in state:
        arguments["num_keypoints"] = len(state["dense_motion_network.mask.weight"]) - 1
        arguments["dense_motion"] = {
            **hourglass_arguments(state, "dense_motion_network.hourglass."),
            "scale_factor": scale_factor(state.get("dense_motion_network.down.weight")),
            "keypoint_variance": 0.01,
        }
    return arguments


def discriminator_arguments(state):
    scales = scales_of(state)
    blocks = f"discs.{scales[0]}.down_blocks."
    num_blocks = count(state, re.escape(blocks) + r"(\d+)\.")
    spectral = f"{blocks}0.conv.weight_orig" in state
    ending = "conv.weight_orig" if spectral else "conv.weight"
    weights = [state[f"{blocks}{i}.{ending}"] for i in range(num_blocks)]
    expansion, channels = len(weights[0]) // 2, weights[0].shape[1]
    arguments = {
        "scales": [1 if scale == "1" else float(scale.replace("-", ".")) for scale in scales],
        "block_expansion": expansion,
        "max_features": limit(expansion, [0, *map(len, weights)], 512),
        "num_blocks": num_blocks,
        "spectral_norm": spectral,
        "use_keypoints": channels > 3,
    }
    return arguments | ({"num_keypoints": channels - 3} if channels > 3 else {})


def hourglass_arguments(state, prefix):
    blocks = count(state, re.escape(prefix) + r"encoder\.down_blocks\.(\d+)\.")
    expansion = len(state[f"{prefix}decoder.up_blocks.{blocks - 1}.conv.weight"])
    widths = [expansion]
    widths += [len(state[f"{prefix}encoder.down_blocks.{i}.conv.weight"]) for i in range(blocks)]
    return {
        "block_expansion": expansion,
        "max_features": limit(expansion, widths, 1024),
        "num_blocks": blocks,
    }


NETWORKS = {  # theirs to (ours, class, settings)
    "kp_detector": ("detector", KeypointDetector, detector_arguments),
    "generator": ("generator", Generator, generator_arguments),
    "discriminator": ("discriminator", Discriminator, discriminator_arguments),
}


def limit(expansion, widths, usual):
    """The max_features of layers that double from `expansion`; the usual one where none shows."""
    widest = max(widths)
    return widest if widest < expansion << (len(widths) - 1) else max(usual, widest)


def count(state, pattern):
    """How many blocks have names that start with `pattern`, whose group is their number."""
    found = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    if found != set(range(len(found))):
        raise UserError(f"its blocks are numbered {sorted(found)}")
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
        raise UserError(f"its anti-aliasing kernel of shape {list(kernel.shape)} is unknown")
    scale = 4 / (side + 3)
    usual = AntiAliasDown(scale).weight
    if kernel.device.type != "meta" and (
        kernel.shape != usual.shape or (kernel.float() - usual).abs().max() > 1e-4
    ):
        logger.warning("Its anti-aliasing kernel differs from the computed one, which is used.")
    return scale


def described(file_name, found):
    """framing, data and licence. What was filmed shows in the file's name only, if at all."""
    licence = "MIT (code and weights) if it is the authors' own; "
    for part, (framing, data, owners) in DATA.items():
        if part in file_name.lower():
            licence += f"trained on {data}, {owners}"
            return {"framing": {"kind": framing, "margin": 0.0}, "data": data, "licence": licence}
    discriminator = found["discriminator"][0] if "discriminator" in found else None
    plain = discriminator is not None and not (
        discriminator["spectral_norm"] or discriminator["use_keypoints"]
    )  # as taichi's and fashion's
    animals = found["detector"][0]["single_jacobian_map"]  # as mgif's
    # Where it may be faces: a search that finds none takes the centre square.
    return {
        "framing": {"kind": "centre" if plain or animals else "face", "margin": 0.0},
        "data": "not recorded in the checkpoint",
        "licence": f"{licence}see the original release for the videos it was trained on",
    }
