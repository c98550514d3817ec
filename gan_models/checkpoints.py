"""Checkpoints that others published: read as plain data, recognised, stored as a weights folder.

    python -m gan_models.checkpoints import FILE --out FOLDER    convert a published checkpoint
    python -m gan_models.checkpoints show NAME                   print description and sizes

A pickle names functions to be called when it is read. Here the few names that checkpoints need mean
stand-ins of this file, which keep what they are given and do nothing; every other name is refused.
"""

import json
import math
import pickle
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from gan_models.commands import ended_by_a_sentence
from gan_models.errors import UserError
from gan_models.fomm import official as fomm
from gan_models.ganimation import official as ganimation
from gan_models.names import find_weights
from gan_models.progan import official as progan
from gan_models.spade import official as spade
from gan_models.stargan_v2 import official as stargan_v2
from gan_models.weights import dicts, is_state, load_weights, parse_description, save_weights

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # magic number of torch files to 1.5
NUMBERS = re.compile(r"[<>=|]?[biufcSU][1-9]\d*")  # codes of numpy's types of numbers and text

# What reading damaged or hostile bytes raises.
DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, TypeError,
    ValueError, ArithmeticError, MemoryError, RuntimeError, AssertionError, OSError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


# ---------------------------------------------------------------- stand-ins


class Object(dict):
    """An object of another project's class: its attributes."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        self.update(state if isinstance(state, dict) else {})


class Dtype:
    """numpy.dtype: a code such as "f4", and the byte order that BUILD adds."""

    def __init__(self, code, *_):
        if code.lstrip("<>=|").startswith("O"):
            raise pickle.UnpicklingError("it holds an array of objects")
        self.code, self.order = code, "="

    def __setstate__(self, state):
        self.order = state[1]

    def read(self, data, shape=(), order="C"):
        """The array that these bytes are, None for types that are no numbers and no text."""
        if not NUMBERS.fullmatch(self.code):
            return None
        data = data.encode("latin1") if isinstance(data, str) else data  # Python 2's bytes
        return np.ndarray(shape, np.dtype(self.code).newbyteorder(self.order), data, order=order)

    def scalar(self, data=None):
        """A Python number or text."""
        number = self.read(data)
        return None if number is None else number.item()

    def tensor(self, data, shape, order, *_):
        """float32, None for what holds no real numbers."""
        array = self.read(data, shape, order)
        if array is not None and array.dtype.kind in "biuf":
            return torch.from_numpy(array.astype(np.float32))


class Array:
    """numpy.ndarray, made empty; BUILD brings (version, shape, dtype, is column-major, bytes)."""

    tensor = None

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        _, shape, dtype, column_major, data = state
        self.tensor = dtype.tensor(data, shape, "F" if column_major else "C")


def stand_ins():
    """By name. Made anew for each reading, as a pickle could set attributes on them."""
    array, dtype, other = (type(kind.__name__, (kind,), {}) for kind in (Array, Dtype, Object))
    names = {
        "numpy.ndarray": array,
        "numpy.dtype": dtype,
        "_codecs.encode": lambda text, encoding: text.encode("latin1"),  # how bytes are stored
        "builtins.bytes": lambda *_: b"",  # how no bytes are stored
        "__builtin__.bytes": lambda *_: b"",
        "tfutil.Network": other,  # tkarras/progressive_growing_of_gans
        "models.utils.config.BaseConfig": other,  # facebookresearch/pytorch_GAN_zoo
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray._reconstruct"] = array
        names[f"{core}.multiarray.scalar"] = lambda dtype, *data: dtype.scalar(*data)
        names[f"{core}.numeric._frombuffer"] = lambda data, dtype, *rest: dtype.tensor(data, *rest)
    return names


class DataUnpickler(pickle.Unpickler):
    """Knows the stand-ins only."""

    def __init__(self, file):
        super().__init__(file, encoding="latin1")
        self.known = stand_ins()

    def find_class(self, module, name):
        if f"{module}.{name}" not in self.known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.known[f"{module}.{name}"]


# ---------------------------------------------------------------- reading


def load(path):
    """The content of a checkpoint file (torch.save or pickle): dicts, lists, tuples, numbers, text
    and tensors; state dicts without what wrappers put into their names. UserError for one that is
    missing, damaged, neither kind of file, or asks to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file: give a checkpoint that the project published.")
    try:
        with open(path, "rb") as file:
            start = file.read(len(LEGACY_TORCH))
            file.seek(0)
            if start.startswith((b"PK", LEGACY_TORCH)):
                # torch's own restricted reader, to which the stand-ins are named
                known = [(kind, name) for name, kind in stand_ins().items()]
                with torch.serialization.safe_globals(known):
                    content = torch.load(file, map_location="cpu", weights_only=True)
                return plain(content, path.stat().st_size, {})
            if start.startswith(b"\x80"):
                return plain(DataUnpickler(file).load(), math.inf, {})
    except DAMAGE as error:
        reason = str(error).split("WeightsUnpickler error: ")[-1].strip() or type(error).__name__
        name = re.search(r"GLOBAL (\S+)", reason)
        reason = f"it asks for {name[1]}" if name else reason.split("\n")[0]
        raise UserError(
            f"{path} was not opened, because it is damaged or not plain data ({reason:.200}): "
            "get the original file again."
        ) from error
    raise UserError(
        f"{path} is neither a torch file nor a pickle: give the checkpoint itself, unpacked."
    )


def plain(content: Any, size: float, done: dict) -> Any:
    """`content` without stand-ins. `size`: of the file; `done`: what was met, by id."""
    if isinstance(content, Array):
        content = content.tensor
    if isinstance(content, torch.Tensor):
        if content.numel() * content.element_size() > size:  # a view with stride 0 can claim any
            raise ValueError(f"a tensor of shape {tuple(content.shape)} is larger than the file")
    if not isinstance(content, dict | list | tuple):
        return content
    if id(content) in done:
        return done[id(content)]
    if isinstance(content, dict):
        new = {key: plain(value, size, done) for key, value in content.items()}
        tensors = {key: x for key, x in new.items() if isinstance(x, torch.Tensor)}
        nested = any(isinstance(value, dict | list | tuple) for value in new.values())
        if is_state(tensors) and not nested:  # without numbers beside it, as the epoch
            new = unwrapped(tensors)
    else:
        new = [plain(part, size, done) for part in content]
        new = tuple(new) if isinstance(content, tuple) else new
    done[id(content)] = new
    return new


def unwrapped(state):
    """A state dict without the "module" and "_orig_mod" that multi-GPU training, torch.compile and
    the GAN zoo's layers add to names."""
    wrappers = {"module", "_orig_mod"}
    names = {key: [part for part in key.split(".") if part not in wrappers] for key in state}
    found = {".".join(parts): state[key] for key, parts in names.items()}
    return found if len(found) == len(state) else state


def read(path):
    """The networks of a published checkpoint, whose layout is recognised.

    A weights folder is read too, with the description in its config.json: so one of an earlier
    version, or one whose config.json was changed by hand, is stored anew.

    Returns a dict, as `save_weights` takes it:
        system     "progan", "fomm", "spade", "ganimation" or "stargan_v2"
        networks   state dict (float32, this project's names) by network: of ProGAN the averaged
                   "generator" where the file has one, and the "discriminator"; of FOMM "detector",
                   "generator" and, where the file has one, "discriminator"; of SPADE
                   "generator", "encoder" and "discriminator", of GANimation "generator" and
                   "critic": those whose files lie side by side; of StarGAN v2 "generator",
                   "mapping_network", "style_encoder" and, where there, "discriminator" and "fan"
        arguments  constructor arguments by network
        config     further fields of the description: size (pixels), classes, licence, ...

    UserError for a file that is missing, damaged, of an unknown layout, made with settings that
    this project's networks lack, or asks to run code.
    """
    path = Path(path).expanduser()
    if (path / "config.json").is_file():
        config = parse_description((path / "config.json").read_bytes(), path / "config.json")
        networks = load_weights(path, networks=config["networks"]).states
        system, arguments = config.pop("system"), config.pop("networks")
        return {"system": system, "networks": networks, "arguments": arguments, "config": config}
    gathered = (system.gather(path, load) for system in (spade, ganimation, stargan_v2))
    content = next(filter(None, gathered), None) or load(path)
    try:
        for part in dicts(content):
            for system in (progan, fomm, spade, ganimation, stargan_v2):
                found = system.convert(part, path.name)
                # A discriminator alone counts as the whole file only.
                if found and (part is content or "generator" in found["networks"]):
                    return found
    except UserError as error:
        raise UserError(f"{path} cannot be imported: {error}.") from error
    raise UserError(
        f"{path} has none of the known layouts (ProGAN: official TensorFlow pickle, akanimax .bin "
        "or .pth, pytorch_GAN_zoo, genforce; first-order-model: .pth.tar; SPADE: "
        "latest_net_G.pth; GANimation: net_epoch_30_id_G.pth, ganimation_replicate's "
        "30_net_gen.pth, vipermu's .ckpt; StarGAN v2: 100000_nets_ema.ckpt): import the file that "
        "its project published."
    )


def landmark_network(path):
    """StarGAN v2's landmark network (`landmarks.FAN`) of wing.ckpt, or of a checkpoint with one.
    UserError as `read`.
    """
    path = Path(path).expanduser()
    content = load(path)
    fan = content.get("fan") if isinstance(content, dict) else None
    state = stargan_v2.state_of_landmarks(fan or content)
    if state is None:
        raise UserError(f"{path} holds no landmark network: give the official wing.ckpt.")
    network = stargan_v2.FAN()
    network.load_state_dict(stargan_v2.import_network("fan", {"fan": state})[0])
    return network.eval().requires_grad_(False)


# ---------------------------------------------------------------- command line


def import_file(file: Annotated[Path, tyro.conf.Positional], out: Path, half: bool = False) -> None:
    """Convert an official checkpoint; its layout is recognised. Nothing in it is executed.

    Args:
        file: The checkpoint. Or a weights folder, to take over what was changed in its config.json.
        out: The weights folder to write.
        half: Store float16.
    """
    store(read(file), file, out, half=half)
    show(str(out))


def store(found: dict, file: Path, out: Path, half: bool = False, origin: str = "") -> None:
    """Write what `read` found in `file` as the weights folder `out`, with a card. UserError as
    `save_weights`.

    origin: more for the card, as Markdown.
    """
    defaults = {
        "value_range": [-1, 1],
        "framing": {"kind": "centre", "margin": 0.0},
        "data": "not recorded in the checkpoint",
        "licence": "see the original release",
        "imported_from": file.name,
    }
    config = defaults | found["config"]
    name = out.parent.name if out.name == "weights" else out.name
    card = (
        f"# {name}\n\nImported from `{file.name}` ({found['system']}, {config['size']} px).\n\n"
        f"Training data: {config['data']}.\n\nLicence: {config['licence']}.\n{origin}"
    )
    if (file / "README.md").is_file():  # of a weights folder
        card = (file / "README.md").read_text(encoding="utf-8")
    save_weights(out, card=card, half=half, **(found | {"config": config}))


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Print the description and the sizes of weights.

    Args:
        name: A folder, a shipped name, a run's name, or org/repo@revision.
    """
    folder = find_weights(name)
    loaded = load_weights(folder)
    print(f"{folder}\n{json.dumps(loaded.config, indent=2)}")
    for network, state in loaded.states.items():
        print(f"{network}: {sum(tensor.numel() for tensor in state.values()):,} numbers")
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    print(f"{size / 1e6:.2f} MB")


def main(args: list[str] | None = None) -> None:
    commands, prog = {"import": import_file, "show": show}, "python -m gan_models.checkpoints"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args)


if __name__ == "__main__":
    main()
