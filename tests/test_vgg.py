"""VGG19 for the perceptual loss: which files it takes, and what it says without one. Its features
are compared with recorded ones in test_fomm_parity.py."""

import hashlib

import pytest
import safetensors.torch
import torch
from file_server import FileServer

from gan_models.errors import UserError
from trainers import vgg
from trainers.vgg import VGG19


@pytest.fixture(scope="module")
def state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VGG19().state_dict()


def test_shapes_and_frozen(state):
    network = VGG19.with_weights(state)
    assert not any(p.requires_grad for p in network.parameters()) and not network.training
    images = torch.rand(1, 3, 32, 48, requires_grad=True)
    found = network(images)
    assert [tuple(features.shape[1:]) for features in found] == [
        (64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3),
    ]  # fmt: skip
    sum(features.mean() for features in found).backward()
    assert images.grad.abs().sum() > 0, "the generator's picture must get a gradient"


def test_torchvision_has_the_same_layers(state):
    """Names and shapes are torchvision's, and so is what comes out."""
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs = models.vgg19(weights=None).features[:30].state_dict()
    assert {f"features.{key}": value.shape for key, value in theirs.items()} == {
        key: value.shape for key, value in state.items()
    }


def test_files(state, tmp_path):
    """A .pth with more than is needed, as torchvision's, and a .safetensors."""
    more = state | {"classifier.0.weight": torch.zeros(2, 2), "features.30.bias": torch.zeros(512)}
    torch.save(more, tmp_path / "vgg.pth")
    safetensors.torch.save_file(state, tmp_path / "vgg.safetensors")
    for name in ("vgg.pth", "vgg.safetensors"):
        found = VGG19.open(str(tmp_path / name)).state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


class Runs:
    def __reduce__(self):
        return print, ("must not run",)


def test_wrong_files(state, tmp_path, capsys):
    with pytest.raises(UserError, match=r"--vgg .*absent\.pth: there is no such file.*puppets"):
        VGG19.open(str(tmp_path / "absent.pth"))
    torch.save({"a": Runs()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"--vgg .*bad\.pth: not read"):
        VGG19.open(str(tmp_path / "bad.pth"))
    assert "must not run" not in capsys.readouterr().out
    for name in ("page.pth", "page.safetensors"):
        (tmp_path / name).write_text("<!DOCTYPE html>")
        with pytest.raises(UserError, match=r"--vgg .*page.*: not read"):
            VGG19.open(str(tmp_path / name))
    other = {"features.0.weight": torch.zeros(64, 3, 11, 11)}
    torch.save(other, tmp_path / "alexnet.pth")
    with pytest.raises(UserError, match=r"alexnet\.pth: this is no VGG19.*features\.0\.weight"):
        VGG19.open(str(tmp_path / "alexnet.pth"))
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(UserError, match="holds no tensors by name"):
        VGG19.open(str(tmp_path / "tensor.pth"))


def test_torchvisions_file_is_downloaded_once_and_checked(state, tmp_path, monkeypatch):
    """Without a connection: a sentence with the option and the preset that needs none."""
    torch.save(state, tmp_path / "state.pth")
    content = (tmp_path / "state.pth").read_bytes()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    with FileServer(content) as server:
        name = f"vgg19-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        monkeypatch.setattr(vgg, "URL", f"{server.url}/{name}")
        found = VGG19.open().state_dict()
        assert torch.equal(found["features.28.weight"], state["features.28.weight"])
        VGG19.open()
        assert len(server.requests) == 1 and (tmp_path / "checkpoints" / name).is_file()
        monkeypatch.setattr(vgg, "URL", f"{server.url}/vgg19-00000000.pth")
        with pytest.raises(UserError, match=r"needs VGG19.*is not the file.*--vgg FILE.*puppets"):
            VGG19.open()
    with pytest.raises(UserError, match=r"needs VGG19.*cannot be reached.*--vgg FILE.*puppets"):
        VGG19.open()
