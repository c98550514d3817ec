"""Published checkpoints: every layout imports and draws the recorded pictures, nothing is run."""

import json
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_models import checkpoints, images
from gan_models.checkpoints import read
from gan_models.errors import UserError
from gan_models.progan.networks import Discriminator, Generator
from gan_models.progan.pipeline import ProGANPipeline
from gan_models.weights import build_network, load_weights
from tests.parity.fill import fill, noise, smooth_image
from tests.recorded import PARITY

CONTAINERS = PARITY / "progan" / "containers"
V3_G, V3_D, V3_CONDITIONAL_D, V3_EARLY_D = "generator", "discriminator", "conditional", "early"


def import_by_command(file, folder):
    checkpoints.main(["import", str(file), "--out", str(folder)])
    return ProGANPipeline.from_weights(folder, device="cpu")


def built(found, name, kind):
    network = kind(**found["arguments"][name])
    network.load_state_dict(found["networks"][name])
    return network


def images_of(generator, resolution=None, alpha=1.0):
    with torch.no_grad():
        return generator(
            torch.from_numpy(noise("ct", (2, 16))), None, resolution, alpha
        ).numpy()  # fmt: skip


def same_pictures(pictures, expected):
    """Pictures (N, H, W, 3) against recorded network outputs (N, 3, H, W), up to one of 255."""
    expected = images.to_pictures(torch.from_numpy(expected))
    assert pictures.shape == expected.shape
    return np.abs(pictures.astype(int) - expected).max() <= 1


# ---------------------------------------------------------------- the recorded containers


@pytest.mark.parametrize(
    ("file", "expected", "discriminator"),
    [
        ("official_layout_tiny.pkl", "official_Gs_lod0", "official_D_scores"),
        ("GAN_GEN_SHADOW_3.pth", "v2_depth3_alpha1", None),
        ("zoo_layout_tiny.pth", "zoo_avgG", "zoo_netD"),
    ],
)
def test_container(file, expected, discriminator, tmp_path, capsys):
    """The command writes a folder that the pipeline draws the recorded pictures from."""
    recorded = np.load(CONTAINERS / "containers.npz")
    pipeline = import_by_command(CONTAINERS / file, tmp_path / "imported")
    assert str(tmp_path / "imported") in capsys.readouterr().out
    assert same_pictures(pipeline.sample(noise("ct", (2, 16))), recorded[expected])
    stored = load_weights(tmp_path / "imported", system="progan")
    assert stored.config["size"] == recorded[expected].shape[-1]
    assert stored.config["imported_from"] == file
    difference = images_of(build_network(Generator, stored, "generator")) - recorded[expected]
    assert np.abs(difference).max() < 1e-4 * np.abs(recorded[expected]).max()
    if discriminator:
        seen = torch.from_numpy(smooth_image("cti", 4, 3, 16, -1, 1))
        scores, _ = build_network(Discriminator, stored, "discriminator")(seen)
        assert scores.numpy() == pytest.approx(recorded[discriminator][:, 0], rel=1e-4)
    else:
        assert list(stored.states) == ["generator"]


def test_lower_level_of_a_container():
    recorded = np.load(CONTAINERS / "containers.npz")["v2_depth2_alpha0.5"]
    generator = built(read(CONTAINERS / "GAN_GEN_SHADOW_3.pth"), "generator", Generator)
    difference = images_of(generator, resolution=16, alpha=0.5) - recorded
    assert np.abs(difference).max() < 1e-4 * np.abs(recorded).max()


# ---------------------------------------------------------------- other files of each layout


def filled(shapes):
    return {key: torch.from_numpy(value) for key, value in fill(shapes, unit=True).items()}


def v3_state(layout, levels=3, width=8, latent=16, classes=5):
    """A state dict of akanimax's third version, which has one width here at all levels."""
    last = levels - 1
    shapes = {}
    for level in range(levels):
        if layout is V3_G:
            shapes[f"layers.{level}.conv_1"] = (width, width, 3, 3)
            shapes[f"layers.{level}.conv_2"] = (width, width, 3, 3)
            shapes[f"rgb_converters.{level}"] = (3, width, 1, 1)
        else:
            shapes[f"layers.{level}.conv_1"] = (width, width + (level == last), 3, 3)
            shapes[f"layers.{level}.conv_2"] = (width, width, 3, 3)
            suffix = "" if layout is V3_EARLY_D else ".0"
            shapes[f"from_rgb.{level}{suffix}"] = (width, 3, 1, 1)
    if layout is V3_G:
        shapes["layers.0.conv_1"] = (latent, width, 4, 4)
    else:
        shapes[f"layers.{last}.conv_2"] = (latent, width, 4, 4)
        shapes[f"layers.{last}.conv_3"] = (1, latent, 1, 1)
    biases = {
        f"{name}.bias": (shape[1] if name == "layers.0.conv_1" and layout is V3_G else shape[0],)
        for name, shape in shapes.items()
    }
    shapes = {f"{name}.weight": shape for name, shape in shapes.items()} | biases
    if layout is V3_CONDITIONAL_D:
        shapes[f"layers.{last}.label_embedder.weight"] = (classes, latent)
    return filled(shapes)


def v3_file(path, discriminator=V3_D, **changes):
    conf = {"depth": 4, "num_channels": 3, "latent_size": 16, "use_eql": True}
    shadow = {key: value / 2 for key, value in v3_state(V3_G).items()}
    content = {
        "generator": {"conf": conf, "state_dict": v3_state(V3_G)},
        "discriminator": {"conf": conf, "state_dict": v3_state(discriminator)},
        "gen_optim": {},
        "dis_optim": {},
        "shadow_generator": {"conf": conf, "state_dict": shadow},
    }
    torch.save(content | changes, path)
    return path


def test_akanimax_file(tmp_path):
    found = read(v3_file(tmp_path / "model.bin"))
    assert found["system"] == "progan" and found["config"]["size"] == 16
    generator = built(found, "generator", Generator)
    rgb = v3_state(V3_G)["rgb_converters.2.weight"]
    assert torch.equal(generator.to_rgb[2].weight, rgb / 2), "the averaged generator is imported"
    assert built(found, "discriminator", Discriminator).from_rgb[0].weight.shape == (8, 3, 1, 1)


def test_half_trained_levels_are_left_out(tmp_path):
    """akanimax tells the level in the file's name only; levels above it hold untrained noise."""
    whole = built(read(v3_file(tmp_path / "model.bin")), "generator", Generator)
    found = read(v3_file(tmp_path / "depth_3_epoch_7.bin"))
    assert found["config"]["size"] == 8
    part = built(found, "generator", Generator)
    assert np.array_equal(images_of(part), images_of(whole, resolution=8))
    seen = torch.from_numpy(smooth_image("cti", 4, 3, 8, -1, 1))
    whole_d = built(read(tmp_path / "model.bin"), "discriminator", Discriminator)
    part_d = built(found, "discriminator", Discriminator)
    assert torch.equal(part_d(seen)[0], whole_d(seen)[0])


@pytest.mark.parametrize(
    ("layout", "option", "value"),
    [(V3_EARLY_D, "activate_rgb", False), (V3_CONDITIONAL_D, "projection", True)],
)
def test_akanimax_variants(layout, option, value, tmp_path):
    found = read(v3_file(tmp_path / "model.bin", discriminator=layout))
    assert found["arguments"]["discriminator"][option] is value
    discriminator = built(found, "discriminator", Discriminator)
    seen = torch.from_numpy(smooth_image("cti", 4, 3, 16, -1, 1))
    labels = torch.eye(5)[:4]
    assert discriminator(seen, labels)[0].shape == (4,)
    if value:
        with pytest.raises(ValueError, match="needs labels"):
            discriminator(seen)


def test_genforce_files(tmp_path):
    """Both of genforce's layouts of the same generator draw the same pictures."""
    newer, older = {}, {}
    for level in range(3):
        first = (8, 16, 4, 4) if level == 0 else (8, 8, 3, 3)
        shapes = {2 * level: first, 2 * level + 1: (8, 8, 3, 3)}
        for number, shape in shapes.items():
            weight = torch.from_numpy(noise(f"w{number}", shape))
            bias = torch.from_numpy(noise(f"b{number}", shape[:1]))
            newer |= {f"layer{number}.weight": weight, f"layer{number}.bias": bias}
            older[f"layer{number + 1}.conv.weight"] = weight
            older[f"layer{number + 1}.wscale.bias"] = bias
        newer[f"output{level}.weight"] = torch.from_numpy(noise(f"o{level}", (3, 8, 1, 1)))
        newer[f"output{level}.bias"] = torch.zeros(3)
    older["output_16x16.conv.weight"] = newer["output2.weight"]
    older["output_16x16.wscale.bias"] = newer["output2.bias"]
    pictures = []
    for name, state in (("new.bin", newer | {"lod": torch.tensor(0.0)}), ("old.pth", older)):
        torch.save(state, tmp_path / name)
        pictures.append(images_of(built(read(tmp_path / name), "generator", Generator)))
    assert np.array_equal(*pictures)
    torch.save(newer | {"lod": torch.tensor(0.5)}, tmp_path / "fading.bin")
    assert read(tmp_path / "fading.bin")["config"]["size"] == 8


def sefa_state(levels=3, width=8, latent=16, seed=""):
    """A state dict of genforce's generator."""
    shapes = {}
    for level in range(levels):
        shapes[f"layer{2 * level}"] = (
            width,
            latent if level == 0 else width,
            *[4 - (level > 0)] * 2,
        )
        shapes[f"layer{2 * level + 1}"] = (width, width, 3, 3)
        shapes[f"output{level}"] = (3, width, 1, 1)
    state = {"lod": torch.tensor(0.0)}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.from_numpy(noise(f"{seed}{name}", shape))
        state[f"{name}.bias"] = torch.from_numpy(noise(f"{seed}{name}b", shape[:1]))
    return state


GENFORCE_D = {"input0.weight": torch.zeros(8, 3, 1, 1), "input0.bias": torch.zeros(8)}


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize(
    "nest",
    [
        lambda networks: networks,
        lambda networks: {"models": networks, "optimizers": {}, "running_metadata": {"iter": 3}},
        lambda networks: {"a": {"b": {"c": networks}}, "discriminator": GENFORCE_D},
        lambda networks: {name: {"state_dict": state} for name, state in networks.items()},
        lambda networks: {name: {"model": {"x": state}} for name, state in networks.items()},
    ],
)
def test_genforce_dict_of_networks(nest, averaged, tmp_path, caplog):
    """The average is imported, if there is one; the discriminator is of no known layout."""
    networks = {"generator": sefa_state(), "discriminator": GENFORCE_D}
    if averaged:
        networks["generator_smooth"] = sefa_state(seed="smooth")
    torch.save(nest(networks), tmp_path / "zoo.pth")
    found = read(tmp_path / "zoo.pth")
    assert list(found["networks"]) == ["generator"] and found["config"]["size"] == 16
    expected = networks["generator_smooth" if averaged else "generator"]["output2.weight"]
    assert torch.equal(found["networks"]["generator"]["to_rgb.2.weight"], expected)


@pytest.mark.parametrize(
    "value",
    [
        *(np.dtype(code).type(1) for code in "?bBhHiIlLqQefdgFD"),
        np.str_("text"), np.str_(""), np.bytes_(b"text"), np.datetime64("2020-01-01"),
        np.timedelta64(3, "s"), np.void(b"12"), np.array([(1, 2.0)], "i4,f8")[0],
        np.arange(5), np.arange(6, dtype=">u4").reshape(2, 3).T, np.array(["text"]), np.array(3.0),
        np.zeros((0, 3)), np.array(["2020-01-01"], "M8[D]"), [np.float64(1), {"x": np.int8(2)}],
        np.random.RandomState(0).get_state(),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)  # fmt: skip
@pytest.mark.parametrize("module", ["numpy._core", "numpy.core"])
def test_numbers_of_numpy_beside_the_tensors(value, module, tmp_path):
    """torch writes them as numpy does, whose module has two names."""
    file = v3_file(tmp_path / "model.bin", epoch=value, gen_optim={"state": {0: {"step": value}}})
    here = "numpy._core" if np.__version__ >= "2" else "numpy.core"
    edit_pickle(file, f"{here}.multiarray".encode(), f"{module}.multiarray".encode())
    plain = read(v3_file(tmp_path / "plain.bin"))
    assert read(file)["arguments"] == plain["arguments"]
    with open(tmp_path / "model.pkl", "wb") as plain_pickle:
        pickle.dump({"epoch": value}, plain_pickle, protocol=5)
    with pytest.raises(UserError, match="none of the known layouts"):
        read(tmp_path / "model.pkl")


def edit_pickle(file, old, new):
    """Replace bytes in the pickle inside a file of torch.save."""
    with zipfile.ZipFile(file) as archive:
        content = {item.filename: archive.read(item) for item in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data.replace(old, new) if name.endswith(".pkl") else data)


def test_settings_may_be_numbers_of_numpy(tmp_path):
    conf = {"depth": np.int64(4), "use_eql": np.bool_(False)}
    part = {"conf": conf, "state_dict": v3_state(V3_G)}
    found = read(v3_file(tmp_path / "model.bin", generator=part, shadow_generator=part))
    assert found["arguments"]["generator"]["equalized"] is False


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], dtype=object),
        np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")]),
        np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")])[0],
    ],
    ids=["array", "record array", "record"],
)
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_arrays_of_objects_are_refused(value, kind, tmp_path):
    file = v3_file(tmp_path / "model.bin", epoch=value)
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"epoch": value}))
    with pytest.raises(UserError, match=r"model\.bin was not opened.*holds an array of objects"):
        read(file)


def wrap(state, *prefixes):
    """Names with prefixes, which change from one to the next; "{}" is where the name goes on."""
    return {
        prefixes[number % len(prefixes)].format(*name.rsplit(".", 1)): value
        for number, (name, value) in enumerate(state.items())
    }


@pytest.mark.parametrize(
    "prefixes",
    [
        ["_orig_mod.{}.{}"],
        ["module.{}.{}"],
        ["module._orig_mod.{}.{}"],
        ["_orig_mod.module._orig_mod.module.{}.{}"],
        ["{}._orig_mod.{}"],
        ["_orig_mod.{}.module.{}", "{}.{}", "module.{}.{}"],
    ],
)
def test_names_of_wrapped_networks(prefixes, tmp_path):
    """torch.compile and multi-GPU training, of the whole network or of its parts, or of some."""
    plain = read(v3_file(tmp_path / "plain.bin"))
    parts = {
        name: {"conf": {}, "state_dict": wrap(v3_state(layout), *prefixes)}
        for name, layout in (("shadow_generator", V3_G), ("discriminator", V3_D))
    }
    for key in parts["shadow_generator"]["state_dict"]:
        parts["shadow_generator"]["state_dict"][key] /= 2
    wrapped = read(v3_file(tmp_path / "wrapped.bin", **parts))
    for name, state in plain["networks"].items():
        assert all(torch.equal(wrapped["networks"][name][key], state[key]) for key in state)
    state = sefa_state()
    lod = {f"_orig_mod.module.{name}": state.pop(name) for name in ["lod"]}
    beside = {"epoch": np.int64(3), "loss": 0.5, "name": "x"}
    torch.save(wrap(state, *prefixes) | lod | beside, tmp_path / "bare.pth")
    assert read(tmp_path / "bare.pth")["config"]["size"] == 16


def zoo_content(labels=0):
    """A small GAN zoo network pair in the names of its oldest files, which lack "module"."""
    recipe = json.loads((PARITY / "progan" / "zoo_pgan_16_step.json").read_text())["networks"]
    small = {128: 8, 64: 8, 2048: 128, 129: 9}
    content = {}
    for name, network in recipe.items():
        shapes = {
            key.replace(".module.", "."): [small.get(number, number) for number in shape]
            for key, shape in network["tensors"].items()
        }
        content[name] = shapes
    content["netG"]["formatLayer.weight"] = (128, 8 + labels)
    content["netD"]["decisionLayer.weight"] = (1 + labels, 8)
    content["netD"]["decisionLayer.bias"] = (1 + labels,)
    return {name: filled(shapes) for name, shapes in content.items()}


class BaseConfig:
    """As pytorch_GAN_zoo's: attributes only. Pickled under the name of the original."""


def save_zoo(path, monkeypatch, config, labels=0):
    module = types.ModuleType("models.utils.config")
    module.BaseConfig = BaseConfig
    monkeypatch.setattr(BaseConfig, "__module__", "models.utils.config")
    monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    monkeypatch.setitem(sys.modules, "models.utils", types.ModuleType("models.utils"))
    monkeypatch.setitem(sys.modules, "models.utils.config", module)
    saved = BaseConfig()
    vars(saved).update(config)
    torch.save({"config": saved, **zoo_content(labels)}, path)
    return path


def test_zoo_labels_and_old_names(tmp_path, monkeypatch):
    """Names without "module", no average, and classes of two attributes."""
    config = {
        "categoryVectorDim": 3,
        "attribKeysOrder": {
            "colour": {"order": 1, "values": ["red"]},
            "kind": {"order": 0, "values": ["cat", "dog"]},
        },
    }
    found = read(save_zoo(tmp_path / "a.pth", monkeypatch, config, labels=3))
    assert found["config"]["classes"] == ["cat", "dog", "red"]
    assert found["arguments"]["generator"]["latent_size"] == 8
    assert found["arguments"]["generator"]["label_size"] == 3
    assert built(found, "discriminator", Discriminator)(torch.zeros(2, 3, 16, 16))[1].shape == (
        2,
        3,
    )


def test_zoo_fading_and_unsupported(tmp_path, monkeypatch):
    found = read(save_zoo(tmp_path / "a.pth", monkeypatch, {"alpha": 0.25}))
    assert found["config"]["size"] == 8
    save_zoo(tmp_path / "b.pth", monkeypatch, {"leakyReluLeak": 0.1})
    with pytest.raises(UserError, match=r"b\.pth .* leakyReluLeak 0\.1"):
        read(tmp_path / "b.pth")
    save_zoo(tmp_path / "c.pth", monkeypatch, {"attribKeysOrder": {"kind": 3}})
    with pytest.raises(UserError, match="attribKeysOrder is damaged"):
        read(tmp_path / "c.pth")


class Network:
    """As the official tfutil.Network: a state dict is all that a pickle of it holds."""


def tensorflow_file(path, monkeypatch, change=lambda fields: None, protocol=4):
    """The recorded official pickle once more, with changed fields."""
    module = types.ModuleType("tfutil")
    module.Network = Network
    monkeypatch.setattr(Network, "__module__", "tfutil")
    monkeypatch.setitem(sys.modules, "tfutil", module)
    networks = pickle.loads((CONTAINERS / "official_layout_tiny.pkl").read_bytes())
    for network in networks:
        change(vars(network))
    path.write_bytes(pickle.dumps(networks, protocol=protocol))
    return path


def set_variable(name, value):
    def change(fields):
        fields["variables"] = [(key, value if key == name else v) for key, v in fields["variables"]]

    return change


def test_tensorflow_settings(tmp_path, monkeypatch):
    def change(fields):
        fields["static_kwargs"] |= {
            "mbstd_group_size": 16,
            "label_size": 6,
            "normalize_latents": False,
            "pixelnorm_epsilon": 1e-4,
            "use_wscale": False,
        }

    found = read(tensorflow_file(tmp_path / "a.pkl", monkeypatch, change, protocol=2))
    generator = found["arguments"]["generator"]
    assert (generator["latent_size"], generator["label_size"]) == (10, 6)
    assert generator["normalize_latents"] is False and generator["equalized"] is False
    assert generator["pixel_norm_epsilon"] == 1e-4
    assert found["arguments"]["discriminator"]["stddev_group"] == 16
    assert found["config"]["classes"] == ["0", "1", "2", "3", "4", "5"]


def test_tensorflow_snapshot_of_a_lower_level(tmp_path, monkeypatch):
    file = tensorflow_file(tmp_path / "a.pkl", monkeypatch, set_variable("lod", np.float32(0.3)))
    assert read(file)["config"]["size"] == 8


# ---------------------------------------------------------------- what must not be imported


class Runs:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("how", ["pickle", "torch", "state", "nested"])
@pytest.mark.parametrize("function", [os.system, eval, exec, __import__, getattr, Path])
def test_nothing_runs(how, function, tmp_path):
    """A checkpoint that calls a function is refused by name, and the function is not called."""
    mark = tmp_path / "ran"
    argument = f"touch {mark}" if function is os.system else f"open({str(mark)!r}, 'w')"
    bad = Runs(function, argument)
    file = tmp_path / "checkpoint.pkl"
    if how == "torch":
        torch.save({"generator": bad}, file)
    else:
        wrapped = {"pickle": bad, "state": ({"variables": bad},) * 3, "nested": [{"a": (bad,)}]}
        file.write_bytes(pickle.dumps(wrapped[how], protocol=4))
    with pytest.raises(UserError, match=r"checkpoint\.pkl was not opened"):
        read(file)
    assert not mark.exists()


def test_stored_source_text_is_not_executed(tmp_path, monkeypatch):
    mark = tmp_path / "ran"

    def change(fields):
        fields["build_module_src"] = f"open({str(mark)!r}, 'w')"
        fields["build_func_name"] = "os.system"

    read(tensorflow_file(tmp_path / "a.pkl", monkeypatch, change))
    assert not mark.exists()


@pytest.mark.parametrize("keep", [0, 1, 20, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("file", sorted(CONTAINERS.glob("*.p*")), ids=lambda path: path.name)
def test_truncated(file, keep, tmp_path):
    content = file.read_bytes()
    broken = tmp_path / file.name
    broken.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(UserError, match=file.name):
        read(broken)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_variable("4x4/Dense/weight", "text"), "damaged"),
        (set_variable("4x4/Dense/weight", np.zeros((3, 3, 3), np.float32)), "do not make"),
        (
            set_variable("4x4/Dense/weight", np.zeros((16, 128), np.float32)),
            "is .* in the file and",
        ),
        (set_variable("4x4/Dense/weight", np.array(["text"])), "no numbers"),
        (set_variable("lod", np.float32("nan")), "level of detail"),
        (set_variable("lod", np.float32(-3)), "level of detail"),
        (lambda fields: fields.update(variables=3), "damaged"),
        (lambda fields: fields["variables"].pop(), None),
        (lambda fields: fields["static_kwargs"].update(label_size="ten"), "label_size"),
        (lambda fields: fields["static_kwargs"].update(label_size=99), "do not make"),
        (lambda fields: fields["static_kwargs"].update(use_pixelnorm=False), "use_pixelnorm"),
    ],
)
def test_unsuitable_tensorflow_file(change, reason, tmp_path, monkeypatch):
    file = tensorflow_file(tmp_path / "a.pkl", monkeypatch, change)
    with pytest.raises(UserError, match=reason or "none of the known layouts"):
        read(file)


def test_unsuitable_files(tmp_path):
    with pytest.raises(UserError, match="is not a file"):
        read(tmp_path / "absent.pkl")
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html>")
    with pytest.raises(UserError, match=r"page\.pkl is neither a torch file nor a pickle"):
        read(tmp_path / "page.pkl")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth has none of the known layouts"):
        read(tmp_path / "other.pth")
    huge = torch.zeros(1).expand(10**7, 10**7)
    torch.save({"layer0.weight": huge}, tmp_path / "huge.pth")
    with pytest.raises(UserError, match="larger than the file"):
        read(tmp_path / "huge.pth")
    mixed = v3_state(V3_G)
    mixed["rgb_converters.1.weight"] = torch.zeros(3, 9, 1, 1)
    torch.save(mixed, tmp_path / "mixed.pth")
    with pytest.raises(UserError, match=r"mixed\.pth cannot be imported: .*to_rgb\.1\.weight is"):
        read(tmp_path / "mixed.pth")
