"""VGG19's features for perceptual losses (Johnson et al. 2016; Simonyan and Zisserman 2015)."""

from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from gan_models import fetching
from gan_models.errors import UserError

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"  # torchvision's, 548 MB
TAPS = (1, 6, 11, 20, 29)  # torchvision's numbers of relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
REMEDY = (
    f"Fetch {URL} on a machine with a connection and name the copy with --vgg FILE, or train with "
    "the preset puppets, which needs no VGG19."
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pictures


class VGG19(nn.Module):
    """relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of pictures, frozen.

    Layers and names are torchvision's, `features.N.weight`, up to relu5_1.
    """

    def __init__(self):
        super().__init__()
        self.features = make_layers(cfgs["E"])[: TAPS[-1] + 1]
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images):
        """images (N, 3, H, W) in [0, 1], at least 16 pixels; returns 5 feature maps, finest first:
        (N, 64, H, W), (N, 128, H/2, W/2), (N, 256, ..), (N, 512, ..), (N, 512, H/16, W/16).
        """
        x, found = (images - self.mean) / self.std, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in TAPS:
                found.append(x)
        return found

    @classmethod
    def open(cls, file=""):
        """The network with trained weights, on the CPU.

        file: .pth or .safetensors with torchvision's names; default: torchvision's own weights from
            torch.hub's folder, downloaded into it if they are not there.

        Raises:
            UserError: The file is missing or is no VGG19; nothing can be downloaded.
        """
        path = Path(file).expanduser() if file else downloaded()
        return cls.with_weights(read(path), path)

    @classmethod
    def with_weights(cls, state, name="The file"):
        """The network with a state dict of torchvision's names; UserError if it is another's."""
        network = cls()
        for key, tensor in network.state_dict().items():
            shape = tuple(getattr(state.get(key), "shape", ()))
            if shape != tuple(tensor.shape):
                raise UserError(
                    f"--vgg {name}: this is no VGG19 of torchvision ({key} is {shape or 'absent'}, "
                    f"not {tuple(tensor.shape)}); give {Path(URL).name} or a file of its layout."
                )
        network.load_state_dict({key: state[key] for key in network.state_dict()})
        return network


def read(path):
    """The tensors of a .pth or .safetensors file, by name; nothing in it is executed."""
    if not path.is_file():
        raise UserError(f"--vgg {path}: there is no such file. {REMEDY}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both raise half a dozen unrelated types for a damaged file
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"--vgg {path}: not read, because it is damaged or not plain tensors ({reason:.200}). "
            f"{REMEDY}"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise UserError(f"--vgg {path}: this holds no tensors by name. {REMEDY}")
    return {str(key).removeprefix("module."): value for key, value in found.items()}


def downloaded():
    """torchvision's file in torch.hub's folder; downloaded if it is not there yet."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
    if not path.is_file():
        try:
            pieces = fetching.download((URL,), path, sha256=path.stem.partition("-")[2])
            fetching.with_bar(pieces, path.name)
        except UserError as error:
            reason = f"The perceptual loss needs VGG19's weights. {error} {REMEDY}"
            raise UserError(reason) from error
    return path
