"""The official code's files become weights folders that paint as the networks in them did."""

import re

import numpy as np
import pytest
import torch
from tiny_spade import settled

from gan_models import checkpoints
from gan_models.errors import UserError
from gan_models.spade import SPADEPipeline, official
from gan_models.spade.networks import Discriminator, Encoder, Generator, GlobalGenerator

LAYOUTS = {  # semantic channels to (kind, size, upsampling, edges) of the three published ones
    184: ("coco", (256, 256), "normal", True),
    151: ("ade20k", (256, 256), "normal", False),
    36: ("cityscapes", (256, 512), "more", True),
}


def theirs(network, second_way=False):
    """A state dict as the official code saves it; or with torch's newer names of spectral norm."""
    state, spectral = {}, {key[:-2] for key in network.state_dict() if key.endswith(".u")}
    for key, tensor in network.state_dict().items():
        layer, _, leaf = key.rpartition(".")
        if layer in spectral and leaf != "bias":
            old = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}
            new = {"weight": "original", "u": "0._u", "v": "0._v"}
            leaf = f"parametrizations.weight.{new[leaf]}" if second_way else old[leaf]
        state[f"{layer}.{leaf}"] = tensor.clone()
    return state


@pytest.mark.parametrize("semantics", LAYOUTS)
def test_published_layouts_are_known_by_their_channels_alone(semantics, tmp_path):
    kind, size, upsampling, edges = LAYOUTS[semantics]
    plain = settled(Generator(semantics, size, channels=1, upsampling=upsampling, hidden=4))
    file = tmp_path / "latest_net_G.pth"
    torch.save(theirs(plain), file, _use_new_zipfile_serialization=False)
    checkpoints.main(["import", str(file), "--out", str(tmp_path / "weights")])
    pipeline = SPADEPipeline.from_weights(tmp_path / "weights", device="cpu")
    assert (pipeline.labels.kind, pipeline.size) == (kind, size)
    assert pipeline.labels.edges == edges
    label_map = np.zeros(size, np.int64)
    label_map[100:, 30:] = semantics - edges - 1
    with torch.inference_mode():
        expected = plain(pipeline.semantics(label_map, label_map))[0].permute(1, 2, 0)
    found = pipeline.paint(label_map).astype(float) / 127.5 - 1
    assert np.abs(found - expected.numpy()).max() < 0.01


def test_networks_that_lie_side_by_side_are_imported_together_by_their_options(tmp_path):
    networks = {
        "G": Generator(
            8, (128, 192), channels=2, upsampling="more", latent_size=5, norm="instance"
        ),
        "E": Encoder(channels=2, latent_size=5),
        "D": Discriminator(8, channels=4, scales=3, layers=3, norm="batch"),
    }
    for letter, network in networks.items():
        torch.save(theirs(settled(network), letter == "E"), tmp_path / f"9_net_{letter}.pth")
    (tmp_path / "opt.txt").write_text(
        "----------------- Options ---------------\n"
        "             aspect_ratio: 1.5                           \t[default: 1.0]\n"
        "  contain_dontcare_label: True                          \t[default: False]\n"
        "                crop_size: 192                           \t[default: 256]\n"
        "             dataset_mode: custom\n"
        "              no_instance: False\n"
        "    num_upsampling_layers: more\n"
    )
    found = checkpoints.read(tmp_path / "9_net_D.pth")
    assert sorted(found["networks"]) == ["discriminator", "encoder", "generator"]
    config, generator = found["config"], found["arguments"]["generator"]
    assert config["classes"] == ["0", "1", "2", "3", "4", "5", "unknown"]
    assert config["labels"] == {"kind": "custom", "dont_care": True, "edges": True}
    assert generator == {
        "semantics": 8, "size": [128, 192], "channels": 2, "upsampling": "more", "latent_size": 5,
        "norm": "instance", "kernel": 3, "hidden": 128, "spectral": True,
    }  # fmt: skip
    assert found["arguments"]["encoder"]["size"] == 256
    discriminator = {"semantics": 8, "channels": 4, "scales": 3, "layers": 3, "norm": "batch"}
    assert found["arguments"]["discriminator"] == discriminator
    for name, letter in official.FILES.items():
        for key, tensor in networks[letter].state_dict().items():
            assert torch.equal(found["networks"][name][key], tensor), key


def test_files_of_torch_before_1_lack_a_singular_vector(tmp_path, caplog):
    plain = settled(GlobalGenerator(7, channels=2, downsamples=2, blocks=3, first_kernel=5))
    state = theirs(plain)
    for key in [key for key in state if key.endswith("weight_v")]:
        del state[key]
    torch.save(state, tmp_path / "latest_net_G.pth")
    found = checkpoints.read(tmp_path / "latest_net_G.pth")
    assert found["arguments"]["generator"] == {
        "semantics": 7, "channels": 2, "downsamples": 2, "blocks": 3, "kernel": 3,
        "first_kernel": 5, "norm": "instance",
    }  # fmt: skip
    for key, tensor in plain.state_dict().items():
        off = (found["networks"]["generator"][key] - tensor).abs().max()
        assert off < (0.1 if key.endswith(".v") else 1e-9), key
    assert "256 x 256 pixels and 7 classes were assumed" in caplog.text


def test_tensors_that_make_no_network_are_refused_in_a_sentence(tmp_path):
    state = theirs(Generator(151, (256, 256), channels=1, hidden=4))
    del state["up_1.conv_0.bias"]
    torch.save(state, tmp_path / "latest_net_G.pth")
    with pytest.raises(UserError, match=re.escape("up_1.conv_0.bias is absent in the file")):
        checkpoints.read(tmp_path / "latest_net_G.pth")
    (tmp_path / "opt.txt").write_text("crop_size: 2x6 [default: None]\n")
    with pytest.raises(UserError, match="opt.txt beside it is damaged"):
        checkpoints.read(tmp_path / "latest_net_G.pth")
    (tmp_path / "opt.txt").unlink()
    torch.save({"model.1.weight": torch.zeros(1)}, tmp_path / "pix2pixHD_net_G.pth")
    with pytest.raises(UserError, match="none of the known layouts"):
        checkpoints.read(tmp_path / "pix2pixHD_net_G.pth")
