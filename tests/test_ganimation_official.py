"""The checkpoints of three projects become weights folders with the networks that were in them."""

import re

import numpy as np
import pytest
import torch
from tiny_ganimation import settled

from gan_models import checkpoints
from gan_models.errors import UserError
from gan_models.ganimation import CODES, Critic, GANimationPipeline, Generator
from gan_models.weights import build_network, load_weights

NAMES = {  # of each project: patterns of ours to theirs, then the names of its two files
    "official": (
        {r"^color": "img_reg.0", r"^attention": "attetion_reg.0"},
        {r"^patches": "conv1", r"^action_units": "conv2"},
        ("net_epoch_30_id_G.pth", "net_epoch_30_id_D.pth"),
    ),
    "replicate": (
        {
            r"^color": "color_top.0", r"^attention": "au_top.0",
            r"^main\.(\d+)\.main": r"model.\1.conv_block", r"^main": "model",
        },
        {r"^patches": "dis_top", r"^action_units": "aus_top", r"^main": "model"},
        ("30_net_gen.pth", "30_net_dis.pth"),
    ),
    "vipermu": (
        {r"^color": "im_reg.0", r"^attention": "im_att.0"},
        {r"^patches": "conv1", r"^action_units": "conv2"},
        ("7001-37-G.ckpt", "7001-37-D.ckpt"),
    ),
}  # fmt: skip


def theirs(network, project):
    """A state dict as that project saves it, with all that it has and we have not."""
    names = NAMES[project][isinstance(network, Critic)]
    state = {}
    for key, tensor in network.state_dict().items():
        layer, _, leaf = key.rpartition(".")
        norm = isinstance(network.get_submodule(layer), torch.nn.InstanceNorm2d)
        for pattern, new in names.items():
            key = re.sub(pattern, new, key, count=1)
        if norm and project == "replicate":  # norms without numbers, behind convolutions with bias
            if leaf == "bias":
                key = re.sub(r"\d+\.bias$", lambda x: f"{int(x[0][:-5]) - 1}.bias", key)
                state[key] = torch.randn(tensor.shape)
            continue
        if norm and leaf == "weight":
            state[key.replace("weight", "running_mean")] = torch.randn(tensor.shape)
            state[key.replace("weight", "running_var")] = torch.rand(tensor.shape)
        state[key] = tensor.clone()
    if project == "vipermu" and isinstance(network, Generator):
        trunk = [key for key in state if key.startswith("main")]
        state |= {
            key.replace("main", f"debug{i}", 1): state[key] for i in range(1, 5) for key in trunk
        }
    prefix = "module." if project == "official" else ""
    return {prefix + key: tensor for key, tensor in state.items()}


def networks(project, action_units=17):
    made = (
        settled(Generator(channels=3, action_units=action_units, blocks=2), seed=1),
        settled(Critic(48, channels=2, action_units=action_units, layers=4), seed=2),
    )
    if project == "replicate":
        for layer in made[0].modules():
            if isinstance(layer, torch.nn.InstanceNorm2d):
                layer.weight.fill_(1), layer.bias.zero_()
    return made


@pytest.mark.parametrize("project", NAMES)
@pytest.mark.parametrize("asked", [0, 1])
def test_both_networks_are_imported_from_either_file(project, asked, tmp_path):
    generator, critic = networks(project)
    files = [tmp_path / name for name in NAMES[project][2]]
    for network, file in zip((generator, critic), files, strict=True):
        torch.save(theirs(network, project), file, _use_new_zipfile_serialization=False)
    checkpoints.main(["import", str(files[asked]), "--out", str(tmp_path / "weights")])
    weights = load_weights(tmp_path / "weights", system="ganimation")
    config = weights.config
    assert config["networks"]["generator"] == {"channels": 3, "action_units": 17, "blocks": 2}
    assert config["networks"]["critic"] == {
        "image_size": 48, "channels": 2, "action_units": 17, "layers": 4,
    }  # fmt: skip
    assert (config["size"], config["framing"]["kind"]) == (48, "face")
    assert (config["action_units"], config["saturate"]) == (list(CODES), False)
    assert ("CelebA" in config["data"]) == (project != "official")
    source = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 48, 48, generator=source) * 2 - 1
    action_units = torch.rand(2, 17, generator=source)
    for name, network, given in (
        ("generator", generator, (images, action_units)),
        ("critic", critic, (images,)),
    ):
        found = build_network(type(network), weights, name)(*given)
        for one, other in zip(found, network(*given), strict=True):
            assert torch.equal(one, other)


def test_a_generator_alone_edits_but_measures_nothing(tmp_path):
    file, folder = tmp_path / "renamed.pth", tmp_path / "weights"
    torch.save(theirs(networks("replicate")[0], "replicate"), file)
    checkpoints.main(["import", str(file), "--out", str(folder)])
    pipeline = GANimationPipeline.from_weights(folder, device="cpu")
    assert pipeline.size == 128  # which the generator does not tell
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    squares, notice = pipeline.squares(picture, whole=True)
    assert notice.endswith("measures nothing: every face counts as one at rest.")
    measured = pipeline.measure(picture, squares)
    assert measured.shape == (1, 17) and not measured.any()
    edited = pipeline.edit(picture, squares, pipeline.wanted(measured, {12: 0.6})).picture
    assert (edited != picture).any()


def refused(state, file, match):
    torch.save(state, file)
    with pytest.raises(UserError, match=match):
        checkpoints.read(file)


def test_what_makes_no_network_is_refused_in_a_sentence(tmp_path):
    file, state = tmp_path / "net_epoch_9_id_G.pth", theirs(networks("official")[0], "official")
    missing = {key: x for key, x in state.items() if "main.10.main.3" not in key}
    refused(missing, file, r"main\.10\.main\.3\.weight is absent in the file")
    refused(theirs(networks("official", 5)[0], "official"), file, "knows 5 action units")
    state = theirs(networks("replicate")[0], "replicate")
    refused(state | {"model.1.running_mean": torch.zeros(3)}, file, "batch norm")
    refused({"main.0.weight": torch.zeros(1)}, file, "none of the known layouts")
