"""FOMM's published checkpoints: all eight configurations are recognised, and what is none."""

import json
import logging
import os
import pickle

import pytest
import torch

from gan_models import checkpoints
from gan_models.checkpoints import read
from gan_models.errors import UserError
from gan_models.fomm import official as fomm
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import AntiAliasDown, Generator, KeypointDetector
from gan_models.weights import build_network, load_weights
from tests.parity.fill import fill, noise, smooth_image
from tests.recorded import PARITY

KINDS = {
    "detector": KeypointDetector,
    "generator": Generator,
    "discriminator": Discriminator,
}


def recipes(case):
    """Shapes of the official tensors by network, kernels with them, of a parity case."""
    networks = json.loads((PARITY / "fomm" / f"{case}.json").read_text())["networks"]
    return {
        name: network["tensors"] | network["keep"]
        for name, network in networks.items()
        if name != "vgg19"
    }


def filled(case):
    """A small checkpoint's state dicts, with computed anti-aliasing kernels."""
    states = {}
    for name, shapes in recipes(case).items():
        states[name] = {key: torch.from_numpy(value) for key, value in fill(shapes).items()}
        for key, value in states[name].items():
            if key.endswith("down.weight"):
                states[name][key] = AntiAliasDown(4 / (value.shape[-1] + 3)).weight
    return states


def save(path, legacy=False, **content):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def optimiser():
    """As Adam's state: numbers, tensors and lists in nested dicts."""
    moments = {"step": 7, "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}
    group = {"lr": 2e-4, "betas": (0.5, 0.999), "params": [0], "initial_lr": 2e-4}
    return {"state": {0: moments}, "param_groups": [group]}


def checkpoint(path, states, **more):
    optimisers = {f"optimizer_{name}": optimiser() for name in states}
    return save(path, **states, **optimisers, epoch=99, **more)


# ---------------------------------------------------------------- the eight configurations


def published(single=False, spectral=False, keypoints=False):
    """Official names and shapes of one of the published configurations, without numbers."""
    shapes = recipes("motion_mgif256" if single else "generator_vox256")
    shapes |= recipes("discriminator_vox_adv256")
    discriminator = shapes["discriminator"]
    if not keypoints:
        discriminator["discs.1.down_blocks.0.conv.weight"] = (64, 3, 4, 4)
    if spectral:
        for key in [key for key in discriminator if key.endswith("conv.weight")]:
            shape = discriminator.pop(key)
            discriminator[f"{key}_orig"] = shape
            discriminator[f"{key}_u"] = (shape[0],)
            discriminator[f"{key}_v"] = (shape[1] * shape[2] * shape[3],)
    return {
        name: {key: torch.empty(tuple(shape), device="meta") for key, shape in part.items()}
        for name, part in shapes.items()
    }


@pytest.mark.parametrize(
    ("name", "single", "spectral", "keypoints", "framing", "unnamed"),
    [
        ("vox-cpk", False, True, False, "face", "face"),
        ("vox-adv-cpk", False, False, True, "face", "face"),
        ("taichi-cpk", False, False, False, "centre", "centre"),
        ("taichi-adv-cpk", False, False, True, "centre", "face"),
        ("fashion", False, False, False, "centre", "centre"),
        ("nemo-cpk", False, True, False, "face", "face"),
        ("mgif-cpk", True, True, False, "centre", "centre"),
        ("bair-cpk", False, True, False, "centre", "face"),
    ],
)
def test_published_configuration(name, single, spectral, keypoints, framing, unnamed):
    content = published(single, spectral, keypoints)
    found = fomm.convert(content, f"{name}.pth.tar")
    assert found["system"] == "fomm"
    arguments = found["arguments"]
    assert arguments["detector"] == {
        "num_keypoints": 10, "block_expansion": 32, "max_features": 1024, "num_blocks": 5,
        "scale_factor": 0.25, "estimate_jacobian": True, "single_jacobian_map": single,
    }  # fmt: skip
    assert arguments["generator"] == {
        "num_keypoints": 10, "block_expansion": 64, "max_features": 512, "num_down_blocks": 2,
        "num_bottleneck_blocks": 6, "estimate_occlusion_map": True, "align_corners": True,
        "dense_motion": {
            "block_expansion": 64, "max_features": 1024, "num_blocks": 5, "scale_factor": 0.25,
            "keypoint_variance": 0.01,
        },
    }  # fmt: skip
    discriminator = arguments["discriminator"]
    assert discriminator.pop("num_keypoints", None) == (10 if keypoints else None)
    assert discriminator == {
        "scales": [1], "block_expansion": 32, "max_features": 512, "num_blocks": 4,
        "spectral_norm": spectral, "use_keypoints": keypoints,
    }  # fmt: skip
    config = found["config"]
    assert (config["size"], config["value_range"]) == (256, [0, 1])
    assert config["framing"] == {"kind": framing, "margin": 0.0}
    assert "MIT" in config["licence"] and config["data"] in config["licence"]
    other = fomm.convert(content, "00000099-checkpoint.pth.tar")["config"]
    assert other["framing"]["kind"] == unnamed
    assert other["data"] == "not recorded in the checkpoint"


def test_other_settings():
    """Zero order, no occlusion map, other widths and scale."""
    content = {name: state for name, state in filled("motion_zero_order").items()}
    arguments = fomm.convert(content, "a.pth.tar")["arguments"]
    detector, generator = arguments["detector"], arguments["generator"]
    assert not detector["estimate_jacobian"] and not generator["estimate_occlusion_map"]
    assert (detector["num_keypoints"], detector["scale_factor"]) == (5, 0.5)
    assert (detector["block_expansion"], detector["max_features"]) == (16, 64)
    assert (generator["num_down_blocks"], generator["num_bottleneck_blocks"]) == (3, 2)
    assert generator["dense_motion"]["max_features"] == 64


@pytest.mark.parametrize(
    ("side", "scale"), [(5, 0.5), (13, 0.25), (29, 0.125), (None, 1), (9, 1 / 3)]
)
def test_scale_factor_from_the_kernel(side, scale):
    kernel = None if side is None else torch.empty(3, 1, side, side, device="meta")
    found = fomm.scale_factor(kernel)
    assert found == pytest.approx(scale)
    assert AntiAliasDown(found).weight.shape[-1] == (side or 1)
    assert AntiAliasDown(found).step == round(1 / scale)


def test_foreign_kernel(caplog):
    """Some set another blur by hand: the computed one is used, and it is said."""
    with caplog.at_level(logging.WARNING):
        assert fomm.scale_factor(AntiAliasDown(0.25).weight) == 0.25
        assert not caplog.records
        assert fomm.scale_factor(torch.full((3, 1, 13, 13), 1 / 169)) == 0.25
    assert "anti-aliasing kernel differs" in caplog.text
    with pytest.raises(UserError, match="anti-aliasing kernel"):
        fomm.scale_factor(torch.zeros(3, 1, 12, 12))


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def small():
    """Two scales, spectral norm, keypoints in the discriminator: everything, in small."""
    return filled("loss_small")


@pytest.mark.parametrize("legacy", [False, True])
def test_import_command(legacy, small, tmp_path, capsys):
    """The command's folder holds the networks, with the file's numbers, and nothing else."""
    states = {name: {f"module.{k}": v for k, v in state.items()} for name, state in small.items()}
    file = checkpoint(tmp_path / "vox-cpk.pth.tar", states if legacy else small, legacy=legacy)
    folder = tmp_path / "imported"
    checkpoints.main(["import", str(file), "--out", str(folder)])
    assert str(folder) in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    stored = load_weights(folder, system="fomm")
    assert stored.config["framing"]["kind"] == "face" and stored.config["value_range"] == [0, 1]
    networks = {name: build_network(kind, stored, name) for name, kind in KINDS.items()}
    assert torch.equal(networks["detector"].heatmap.weight, small["kp_detector"]["kp.weight"])
    theirs = small["discriminator"]["discs.0-5.down_blocks.1.conv.weight_orig"]
    assert networks["discriminator"].scales == (1, 0.5)
    assert torch.equal(networks["discriminator"].patches[1][1].conv.weight_orig, theirs)
    source = torch.from_numpy(smooth_image("fomm_loss_small_source", 4, 3, 64))
    keypoints = networks["detector"](source)
    assert networks["generator"](source, keypoints, keypoints).prediction.shape == (4, 3, 64, 64)
    points = torch.from_numpy(noise("points", (4, 6, 2), -0.8, 0.8))
    pyramid = {1: source, 0.5: AntiAliasDown(0.5)(source)}
    assert networks["discriminator"](pyramid, points)[1][0].shape[:2] == (4, 1)


def test_without_discriminator(small, tmp_path):
    states = {name: small[name] for name in ("generator", "kp_detector")}
    found = read(checkpoint(tmp_path / "cpk.pth.tar", states))
    assert sorted(found["networks"]) == ["detector", "generator"]


def test_unknown_discriminator_is_left_out(small, tmp_path, caplog):
    states = small | {"discriminator": {"blocks.0.weight": torch.zeros(2, 2)}}
    with caplog.at_level(logging.WARNING):
        found = read(checkpoint(tmp_path / "cpk.pth.tar", states))
    assert sorted(found["networks"]) == ["detector", "generator"]
    assert "cpk.pth.tar: its discriminator is left out" in caplog.text


def test_counters_may_be_absent(small, tmp_path):
    """Files of torch before 0.4.1 have none; half precision comes back as float32."""
    states = {
        name: {
            key: value.half() if value.is_floating_point() else value
            for key, value in state.items()
            if not key.endswith("num_batches_tracked")
        }
        for name, state in small.items()
    }
    found = read(checkpoint(tmp_path / "cpk.pth.tar", states))
    generator = Generator(**found["arguments"]["generator"])
    generator.load_state_dict(found["networks"]["generator"])
    assert generator.final.weight.dtype == torch.float32
    assert generator.first.norm.num_batches_tracked == 0


# ---------------------------------------------------------------- what must not be imported


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (("inpainting_network", "kp_detector", "dense_motion_network"), "Thin-Plate-Spline"),
        (("generator", "region_predictor", "bg_predictor"), "articulated-animation"),
        (("reconstruction_module", "segmentation_module"), "motion-cosegmentation"),
        (("generator", "kp_detector", "he_estimator"), "face-vid2vid"),
    ],
)
def test_other_projects(content, reason, small, tmp_path):
    states = {name: small.get(name, {"a.weight": torch.zeros(2)}) for name in content}
    with pytest.raises(UserError, match=rf"x\.pth\.tar cannot be imported: .*{reason}"):
        read(checkpoint(tmp_path / "x.pth.tar", states))


def test_monkey_net(small, tmp_path):
    old = {"appearance_encoder.down_blocks.0.conv.weight": torch.zeros(2, 3, 3, 3)}
    file = checkpoint(tmp_path / "x.pth.tar", small | {"generator": old})
    with pytest.raises(UserError, match="from monkey-net"):
        read(file)


def changed(states, network, **tensors):
    """A copy with other tensors; None takes one away."""
    part = states[network] | tensors
    part = {key: value for key, value in part.items() if value is not None}
    return states | {network: part}


@pytest.mark.parametrize(
    ("network", "tensors", "reason"),
    [
        ("kp_detector", {"kp.weight": None}, "unknown layers"),
        ("kp_detector", {"kp.bias": None}, "kp_detector .heatmap.bias is absent in the file"),
        ("kp_detector", {"kp.bias": torch.zeros(7)}, r"heatmap.bias is \(7,\) in the file"),
        ("kp_detector", {"extra.weight": torch.zeros(7)}, "extra.weight is .* absent in the net"),
        ("kp_detector", {"down.weight": torch.zeros(3, 1, 6, 6)}, "anti-aliasing kernel"),
        ("generator", {"final.weight": torch.zeros(3)}, r"final.weight is \(3,\) in the file"),
        ("generator", {"first.conv.weight": torch.tensor(1.0)}, "do not make a generator"),
        ("generator", {"down_blocks.7.conv.weight": torch.zeros(3)}, "numbered"),
        ("generator", {"dense_motion_network.mask.bias": torch.zeros(8)}, r"mask.bias is \(8,\)"),
    ],
)
def test_damaged_network(network, tensors, reason, small, tmp_path):
    file = checkpoint(tmp_path / "x.pth.tar", changed(small, network, **tensors))
    with pytest.raises(UserError, match=rf"x\.pth\.tar cannot be imported: .*{reason}"):
        read(file)


def test_parts_that_do_not_belong_together(small, tmp_path):
    other = filled("motion_zero_order")["kp_detector"]
    with pytest.raises(UserError, match="finds 5 keypoints, and its generator takes 6"):
        read(checkpoint(tmp_path / "x.pth.tar", small | {"kp_detector": other}))
    half = {"generator": small["generator"]}
    with pytest.raises(UserError, match="has no kp_detector; both"):
        read(checkpoint(tmp_path / "x.pth.tar", half))
    half = {"kp_detector": small["kp_detector"]}
    with pytest.raises(UserError, match="has no generator; both"):
        read(checkpoint(tmp_path / "x.pth.tar", half))
    with pytest.raises(UserError, match="none of the known layouts"):
        read(save(tmp_path / "x.pth.tar", epoch=3, model=small["kp_detector"]))


class Runs:
    """Pickles as a call of os.system."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_runs(legacy, small, tmp_path):
    mark = tmp_path / "ran"
    file = checkpoint(tmp_path / "vox-cpk.pth.tar", small, legacy=legacy, more=Runs(mark))
    with pytest.raises(UserError, match=r"vox-cpk\.pth\.tar was not opened"):
        read(file)
    file.write_bytes(pickle.dumps({"generator": Runs(mark)}))
    with pytest.raises(UserError, match=r"vox-cpk\.pth\.tar was not opened"):
        read(file)
    assert not mark.exists()


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.98])
@pytest.mark.parametrize("legacy", [False, True])
def test_truncated(keep, legacy, small, tmp_path):
    states = {name: small[name] for name in ("generator", "kp_detector")}
    file = checkpoint(tmp_path / "vox-cpk.pth.tar", states, legacy=legacy)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match=r"vox-cpk\.pth\.tar"):
        read(file)
