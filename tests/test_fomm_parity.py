"""FOMM against numbers recorded from the official code (tests/parity/fomm; weights and inputs come
from parity/fill.py, and the weights pass through the import of official checkpoints).

Tolerances: 10 times the difference between the official code's own float32 and float64, at least
1e-5; where none is recorded, 1e-5 of [-1, 1] and [0, 1]. Pictures are also compared by mean,
deviation, least and largest value of all their pixels, as only some pixels are recorded.

Training steps: losses of the first step 1e-5 relative, gradient norms 5e-3 (the detector's, behind
an inverse and a softmax at temperature 0.1, have up to 8e-4 of noise). Adam makes full steps of the
rounding noise in the gradients of biases in front of batch norms, so later steps get 2 %, the
jacobian term 10 %.
"""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_models.fomm import motion
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import (
    AntiAliasDown,
    Generator,
    ImagePyramid,
    KeypointDetector,
    Keypoints,
)
from gan_models.fomm.official import import_network
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image
from trainers import optim
from trainers.fomm import objective
from trainers.fomm.config import PRESETS
from trainers.vgg import VGG19

case = functools.partial(recorded.case, "fomm")
NETWORKS = {
    "detector": KeypointDetector,
    "generator": Generator,
    "discriminator": Discriminator,
}


@functools.cache
def official_state(recipe):
    """The official tensors of a recipe (as JSON text): filled, adjusted, with computed kernels."""
    recipe = json.loads(recipe)
    filled = fill(recipe["tensors"], recipe["gain"], recipe["unit"])
    for name, rule in recipe.get("adjust", {}).items():
        array = np.float32(rule.get("scale", 1)) * filled[name]
        shift = np.asarray(rule.get("add", 0), np.float32)
        filled[name] = array + np.resize(shift, array.shape) if shift.ndim else array + shift
    state = {name: torch.from_numpy(array) for name, array in filled.items()}
    for name, shape in recipe.get("keep", {}).items():
        state[name] = AntiAliasDown(4 / (shape[-1] + 3)).weight  # its values: test_anti_alias
    return state


def official(description, name):
    return official_state(json.dumps(description["networks"][name]))


def network(description, name, **settings):
    """Network `name` of a case, imported as a checkpoint's would be."""
    kind, arguments, state = import_network(official(description, name))
    for key, value in settings.items():  # what the tensors do not show
        place = arguments["dense_motion"] if key == "keypoint_variance" else arguments
        place[key] = value
    made = NETWORKS[kind](**arguments)
    made.load_state_dict(state)
    return made.eval()


def picture(*args):
    return torch.from_numpy(smooth_image(*args))


def tensor(*args):
    return torch.from_numpy(noise(*args))


def check(found, expected, key, tolerance):
    """Compare with the recorded array, every n-th entry of `found`, and with its statistics."""
    array = found.detach().numpy()
    recorded = expected[key]
    assert array.ndim == recorded.ndim, key
    steps = [-(-ours // theirs) for ours, theirs in zip(array.shape, recorded.shape, strict=True)]
    thinned = array[tuple(slice(None, None, step) for step in steps)]
    assert thinned.shape == recorded.shape, key
    assert np.abs(thinned - recorded).max() < tolerance, key
    statistics = expected.get(f"{key}__stats")
    if statistics is not None:
        whole = [array.mean(), array.std(), array.min(), array.max()]
        assert np.abs(np.array(whole) - statistics).max() < tolerance, key


def tolerance(description, key):
    return max(10 * description.get("float32_noise", {}).get(key, 0), 1e-5)


# ---------------------------------------------------------------- networks


@functools.cache
def vox_detector():
    return network(case("kp_vox256")[0], "kp_detector")


@functools.cache
def vox_generator():
    return network(case("generator_vox256")[0], "generator", align_corners=False)


def with_logits(detector, source, driving):
    """Keypoints of both pictures, and the source's heatmaps before their softmax."""
    logits = []
    hook = detector.heatmap.register_forward_hook(lambda _, __, found: logits.append(found))
    n = len(source)
    value, jacobian = detector(torch.cat([source, driving]))
    hook.remove()
    halves = [
        Keypoints(value[rows], None if jacobian is None else jacobian[rows])
        for rows in (slice(n), slice(n, None))
    ]
    return *halves, logits[0][:n]


@pytest.mark.parametrize(
    ("name", "count", "size", "kind"),
    [
        ("kp_vox256", 1, 256, "kp"),
        ("generator_vox256", 1, 256, "vox"),
        ("generator_vox256_aligned", 1, 256, "vox"),
        ("motion_mgif256", 2, 256, "mgif"),
        ("motion_zero_order", 2, 128, "zero"),
    ],
)
@torch.no_grad()
def test_motion(name, count, size, kind):
    """Keypoints, and everything that the generator makes of them."""
    description, expected = case(name)
    letters = {"kp": ("kp_a", "kp_b"), "vox": ("source", "driving")}.get(
        kind, (f"{kind}_source", f"{kind}_driving")
    )
    source, driving = (picture(f"fomm_{which}", count, 3, size) for which in letters)
    detector, generator = vox_detector(), None
    if kind == "zero":
        detector = network(description, "kp_detector", temperature=0.2, pad=3)
        generator = network(description, "generator", keypoint_variance=0.02, align_corners=False)
    elif kind != "kp":
        generator = vox_generator()
    if kind == "mgif":
        detector = network(description, "kp_detector")
        assert detector.jacobian.out_channels == 4
    there, here, logits = with_logits(detector, source, driving)
    found = {
        "kp_logits": logits,
        "kp_source_value": there.value,
        "kp_source_jacobian": there.jacobian,
        "kp_driving_value": here.value,
        "kp_driving_jacobian": here.jacobian,
    }
    if generator is not None:
        aligned = name.endswith("aligned")
        generator.dense_motion.align_corners = aligned
        output = generator(source, here, there)
        generator.dense_motion.align_corners = False
        found |= output._asdict()
        assert torch.equal(found.pop("logits").sigmoid(), output.prediction)
    compared = [key for key in expected if not key.endswith("__stats")]
    assert len(compared) >= 5
    for key in compared:
        check(found[key], expected, key, tolerance(description, key))
    assert {key for key, value in found.items() if value is not None} == set(compared)


@pytest.mark.parametrize(
    ("name", "letters", "count", "size"),
    [
        ("discriminator_vox_adv256", "disc", 1, 256),
        ("discriminator_sn_multiscale", "disc_sn", 2, 128),
    ],
)
@torch.no_grad()
def test_discriminator(name, letters, count, size):
    description, expected = case(name)
    discriminator = network(description, "discriminator")
    scales = description["config"]["discriminator_params"]["scales"]
    assert list(discriminator.scales) == scales
    pyramid = ImagePyramid(scales)(picture(f"fomm_{letters}", count, 3, size))
    results = discriminator(pyramid, tensor(f"fomm_{letters}_kp", (count, 10, 2), -0.8, 0.8))
    compared = 0
    for scale, (score, maps) in zip(scales, results, strict=True):
        found = {f"feature_maps_{scale}_{i}": features for i, features in enumerate(maps)}
        found[f"prediction_map_{scale}"] = score
        for key, value in found.items():
            check(value, expected, key, tolerance(description, key))
            compared += 1
    assert compared == len(description["float32_noise"])


def test_anti_alias():
    description, expected = case("antialias")
    image = picture("fomm_aa", 1, 3, 128)
    for scale in description["config"]["scales"]:
        down = AntiAliasDown(scale)
        for channel in down.weight[:, 0]:
            check(channel, expected, f"kernel_{scale}", 1e-7)
        check(down(image), expected, f"down_{scale}", 1e-6)
    assert AntiAliasDown(1)(image) is image


@torch.no_grad()
def test_vgg19_features():
    description, expected = case("vgg19_features")
    vgg = VGG19.with_weights(official(description, "vgg19"))
    found = vgg(picture("fomm_vgg", 2, 3, 64))
    for number, features in enumerate(found, 1):
        assert features.shape[1] == (64, 128, 256, 512, 512)[number - 1]
        check(features, expected, f"slice{number}", 1e-4)


# ---------------------------------------------------------------- animation


def motion_of(keypoints):
    return motion.Motion(keypoints.value.numpy(), keypoints.jacobian.numpy())


def keypoints_of(moved):
    return Keypoints(torch.from_numpy(moved.value), torch.from_numpy(moved.jacobian))


@torch.no_grad()
def test_animation():
    """Keypoints of all frames, the picture of one in each way: the others differ by keypoints."""
    description, expected = case("animate_vox256")
    detector, generator = vox_detector(), vox_generator()
    source = picture("fomm_clip_source", 1, 3, 256)
    first, last = (picture(f"fomm_clip_{letter}", 1, 3, 256) for letter in "ab")
    frames = torch.cat([(1 - 0.1 * t) * first + 0.1 * t * last for t in range(6)])
    seen = detector(torch.cat([source, frames]))
    there = Keypoints(seen.value[:1], seen.jacobian[:1])
    source_motion, clip = motion_of(there), motion_of(Keypoints(*(part[1:] for part in seen)))
    check(there.value, expected, "kp_source_value", 1e-5)
    scale = motion.movement_scale(source_motion.value[0], clip.value[0])
    assert scale == pytest.approx(expected["adapt_scale"].item(), abs=1e-5)

    encoded = generator.encode(source)

    def compare(kind, moved, t):
        here = keypoints_of(moved[t])
        prediction = generator.animate(encoded, here, there).prediction[0, :, ::8, ::8].numpy()
        wanted = expected[f"{kind}_prediction"][t]
        assert np.abs(prediction - wanted).max() < 5e-5, (kind, t)

    ways = {
        "relative_adapt": (motion.transfer(source_motion, clip, clip[0]), (5,)),
        "relative": (motion.transfer(source_motion, clip, clip[0], adapt_scale=False), (5,)),
        "absolute": (motion.transfer(source_motion, clip, clip[0], relative=False), (3,)),
        "best_frame": (motion.transfer(source_motion, clip, clip[2]), (0,)),
    }
    for kind, (moved, chosen) in ways.items():
        if kind != "best_frame":
            here = keypoints_of(moved)
            check(here.value, expected, f"{kind}_kp_value", 1e-5)
            check(here.jacobian, expected, f"{kind}_kp_jacobian", 1e-5)
        for t in chosen:
            compare(kind, moved, t)

    encoded = generator.encode(frames[:1])  # reconstruction: the clip's first frame drives nothing
    here = keypoints_of(clip[4])
    prediction = generator.animate(encoded, here, keypoints_of(clip[0])).prediction
    distance = (prediction - frames[4:5]).abs().mean().item()
    assert distance == pytest.approx(expected["reconstruction_l1"][4], abs=1e-5)


@pytest.mark.parametrize("adapt", [0, 1])
@pytest.mark.parametrize("move", [0, 1])
@pytest.mark.parametrize("jacobian", [0, 1])
def test_transfer(adapt, move, jacobian):
    _, expected = case("procedures")
    source, driving, initial = (
        motion.Motion(
            noise(f"fomm_misc_{which}_v", (1, 10, 2), -0.7, 0.7),
            np.eye(2) + 0.2 * noise(f"fomm_misc_{which}_j", (1, 10, 2, 2)),
        )
        for which in ("source", "driving", "initial")
    )
    moved = motion.transfer(
        source,
        driving,
        initial,
        relative=bool(move),
        adapt_scale=bool(adapt),
        relative_jacobian=bool(jacobian),
    )
    name = f"normalize_adapt{adapt}_move{move}_jac{jacobian}"
    assert np.abs(moved.value - expected[f"{name}_value"]).max() < 1e-5
    assert np.abs(moved.jacobian - expected[f"{name}_jacobian"]).max() < 1e-5


# ---------------------------------------------------------------- losses and training steps


def drawn(letters, count, sigma_affine, sigma_tps):
    theta = torch.eye(2, 3) + sigma_affine * tensor(f"fomm_{letters}_theta", (count, 2, 3))
    if not sigma_tps:
        return objective.RandomTransform(theta)
    control = sigma_tps * tensor(f"fomm_{letters}_control", (count, 1, 25))
    return objective.RandomTransform(theta, control)


def test_random_transform():
    _, expected = case("transform_tps")
    transform = drawn("tps", 2, 0.05, 0.005)
    check(transform.theta, expected, "theta", 1e-7)
    check(transform.control, expected, "control_params", 1e-7)
    points = tensor("fomm_tps_points", (2, 10, 2), -1.1, 1.1)
    check(transform.points(points), expected, "warped_points", 1e-5)
    check(transform.jacobian(points), expected, "jacobian", 1e-5)
    image = picture("fomm_tps", 2, 3, 128)
    for aligned in (False, True):
        found = transform.images(image, align_corners=aligned)
        check(found, expected, f"warped_frame_align_{str(aligned).lower()}", 1e-4)


def gradient_norm(module):
    """Over all parameters, in float64."""
    gradients = [p.grad.double().norm() for p in module.parameters() if p.grad is not None]
    return torch.stack(gradients).norm().item()


WEIGHTED = {  # theirs to (ours, weight): as logged, they are weighted
    "perceptual": ("perceptual", 10),
    "gen_gan": ("adversarial", 1),
    "feature_matching": ("feature_matching", 10),
    "equivariance_value": ("equivariance_value", 10),
    "equivariance_jacobian": ("equivariance_jacobian", 10),
}


@pytest.mark.parametrize(
    ("name", "letters", "count", "size"),
    [
        ("loss_small", "loss_small", 4, 64),
        ("loss_small_no_gan", "loss_nogan", 4, 64),
        ("loss_vox_adv256", "loss_vox", 2, 256),
    ],
)
def test_training_steps(name, letters, count, size):
    """The trainer's losses, gradients and running statistics are the official ones."""
    description, expected = case(name)
    settings = description["config"]["train_params"]
    networks = {
        "detector": network(description, "kp_detector"),
        "generator": network(description, "generator", align_corners=False),
        "discriminator": Discriminator(),
    }
    weight = settings["loss_weights"]["generator_gan"]
    if "discriminator" in description["networks"]:
        networks["discriminator"] = network(description, "discriminator")
    for module in networks.values():
        module.train()
    detector, generator, discriminator = networks.values()
    vgg = VGG19.with_weights(official(description, "vgg19"))
    config = replace(PRESETS["vox"], scales=tuple(settings["scales"]), align_corners=False)
    pyramid = ImagePyramid(config.scales)
    source, driving = (
        picture(f"fomm_{letters}_{which}", count, 3, size) for which in ("source", "driving")
    )
    sigmas = settings["transform_params"]
    transform = drawn(letters, count, sigmas["sigma_affine"], sigmas.get("sigma_tps", 0))
    check(transform.theta, expected, "theta", 1e-7)
    adam = {which: optim.Adam(module, (0.5, 0.999)) for which, module in networks.items()}
    for optimizer in adam.values():
        optimizer.set_rate(2e-4)
    seen = []
    hook = detector.register_forward_hook(lambda _, __, found: seen.append(found))

    steps = 1 + max(int(key[9]) for key in expected if key.startswith("loss_step"))
    for step in range(steps):
        discriminator.requires_grad_(False)
        loss, parts, prediction, points = objective.generator_loss(
            config, detector, generator, discriminator, vgg, pyramid, source, driving, transform,
            weight,
        )  # fmt: skip
        both = [adam["generator"], adam["detector"]]
        assert not optim.update([generator, detector], both, loss)
        discriminator.requires_grad_(True)
        found = {
            theirs: factor * parts[ours].item()
            for theirs, (ours, factor) in WEIGHTED.items()
            if ours in parts
        }
        assert loss.item() == pytest.approx(sum(found.values()), rel=1e-5)
        if weight:
            loss, _ = objective.discriminator_loss(
                discriminator, pyramid, driving, prediction, points, weight
            )
            assert not optim.update([discriminator], [adam["discriminator"]], loss)
            found["disc_gan"] = loss.item()
        prefix = f"loss_step{step}_"
        assert {prefix + key for key in found} == {k for k in expected if k.startswith(prefix)}
        for key, value in found.items():
            loose = 0.1 if key == "equivariance_jacobian" else 0.02
            wanted = expected[prefix + key].item()
            assert value == pytest.approx(wanted, rel=loose if step else 1e-5), (step, key)
        if step == 0:
            hook.remove()
            check_first_step(description, expected, networks, prediction, seen)


def check_first_step(description, expected, networks, prediction, seen):
    for theirs, ours in (("generator",) * 2, ("kp_detector", "detector"), ("discriminator",) * 2):
        wanted = expected.get(f"gradnorm_step0_{theirs}")
        if wanted is not None:
            assert gradient_norm(networks[ours]) == pytest.approx(wanted.item(), rel=5e-3), ours
    there, here, warped = seen
    found = {
        "kp_detector.predictor.encoder.down_blocks.0.norm.running_mean": (
            networks["detector"].hourglass.encoder[0].norm.running_mean
        ),
        "kp_detector.predictor.encoder.down_blocks.0.norm.running_var": (
            networks["detector"].hourglass.encoder[0].norm.running_var
        ),
        "generator.first.norm.running_mean": networks["generator"].first.norm.running_mean,
        "kp_source_value": there.value,
        "kp_driving_value": here.value,
        "kp_driving_jacobian": here.jacobian,
        "transformed_kp_value": warped.value,
        "prediction": prediction,
    }
    for key, value in found.items():
        check(value, expected, key, tolerance(description, key))
    compared = {key for key in expected if not key.startswith(("loss_", "gradnorm_"))}
    compared = {key for key in compared if not key.endswith("__stats")}
    assert compared - {"theta", "control_params"} == found.keys()
