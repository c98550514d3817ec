"""Weights folders: the format, and nothing else.

A weights folder is one `model.safetensors`: the tensors of all networks under the names
`network.parameter`, and in its metadata the description as JSON (system, constructor arguments,
size, value range, framing, data, licence). This file alone is read, and one rename replaces it
whole. `config.json`, the description once more, and `README.md`, the model card, lie beside it for
people and for the Hugging Face Hub. JSON and safetensors hold data only: nothing is ever executed.

Folders of earlier versions (a config.json, and `<network>.safetensors` for each) are read as well.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gan_models.errors import UserError

FORMAT_VERSION = 2  # 1: one file for each network
FILE = "model.safetensors"
METADATA = "gan_atelier"  # key of the description in the file's metadata
NETWORK_NAME = re.compile(r"[a-z][a-z0-9_]*")  # has no dot, and cannot leave its folder

FIELDS = {  # of the description: what each must be, and whether it is
    "system": ("a word", lambda x: type(x) is str),
    "name": ("text", lambda x: type(x) is str),
    "networks": (
        "constructor arguments by lower-case names",
        lambda x: type(x) is dict and x and all(map(NETWORK_NAME.fullmatch, x))
        and all(type(arguments) is dict for arguments in x.values()),
    ),
    "size": ("from 1 to 16384 pixels", lambda x: type(x) is int and 1 <= x <= 16384),
    "value_range": (
        "[low, high]",
        lambda x: type(x) is list and len(x) == 2 and {*map(type, x)} <= {int, float}
        and -1e6 < x[0] < x[1] < 1e6,
    ),
    "framing": (
        '{"kind": "face" or "centre", "margin": a number}',
        lambda x: type(x) is dict and x.get("kind") in ("face", "centre")
        and type(x.get("margin")) in (int, float),
    ),
    "classes": ("names", lambda x: type(x) is list and all(type(name) is str for name in x)),
    "data": ("text", lambda x: type(x) is str),
    "licence": ("text", lambda x: type(x) is str),
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """What `load_weights` read: float32 tensors on the CPU, by network and parameter name."""

    folder: Path
    config: dict
    states: dict[str, dict[str, Tensor]]


# ---------------------------------------------------------------- save


def save_weights(
    folder: str | Path,
    *,
    system: str,
    networks: dict[str, nn.Module | dict[str, Tensor]],
    arguments: dict[str, dict],
    config: dict,
    card: str,
    half: bool = False,
) -> None:
    """Write a weights folder so that, whenever the process dies, the old or the new one is whole.

    Args:
        folder: Where to write; earlier weights there are replaced.
        networks: Modules or state dicts by name; names are lower-case words.
        arguments: Constructor arguments by the same names, as plain JSON values.
        config: The other fields of the description: size (pixels), value_range [low, high],
            framing {"kind": "face" | "centre", "margin": float}, data, licence; `classes` and
            `name` have defaults, further fields are kept.
        card: Text of README.md.
        half: Store floating-point tensors as float16.

    UserError for a field that is missing or wrong, a weight that does not fit float16, a `folder`
    that holds something else, and when writing fails (earlier weights are then untouched).
    """
    folder = Path(folder).expanduser().resolve()
    fixed = {"format_version": FORMAT_VERSION, "system": system}
    name = folder.parent.name if folder.name == "weights" else folder.name
    document = fixed | {"name": name, "networks": arguments, "classes": []} | config | fixed
    text = json.dumps(document, indent=2, allow_nan=False)
    parse_description(text, f"The description of {folder}")
    if sorted(networks) != sorted(document["networks"]):
        raise UserError(
            f"Cannot save {folder}: networks {sorted(networks)} do not match "
            f"arguments {sorted(document['networks'])}."
        )
    tensors = {}
    for name, network in networks.items():
        state = network.state_dict() if isinstance(network, nn.Module) else network
        tensors |= {f"{name}.{key}": _storable(tensor, key, half) for key, tensor in state.items()}
    _refuse_to_replace_other_files(folder)
    earlier = (folder / "config.json").exists() and not (folder / FILE).exists()  # version
    _write(folder, {
        FILE: safetensors.torch.save(tensors, {METADATA: text}),
        "config.json": text.encode() + b"\n",
        "README.md": card.encode(),
    })  # fmt: skip
    for network in networks if earlier else ():
        (folder / f"{network}.safetensors").unlink(missing_ok=True)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files of the folder under other names, then rename them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with open(folder / f".{name}.new", "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # the rename must not overtake the content
        for name in files:
            os.replace(folder / f".{name}.new", folder / name)
    except OSError as error:
        raise UserError(
            f"Could not write {folder} ({error}): free some space or choose another folder; "
            "earlier weights there are untouched."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            for name in files:
                (folder / f".{name}.new").unlink(missing_ok=True)


def _storable(tensor: Tensor, key: str, half: bool) -> Tensor:
    """A contiguous CPU copy (safetensors refuses tensors that share memory), float16 if `half`."""
    copy = tensor.detach().to("cpu", copy=True).contiguous()
    if not (half and copy.is_floating_point()):
        return copy
    if not torch.equal(copy.half().isfinite(), copy.isfinite()):
        raise UserError(f"{key} does not fit float16 (above 65,504); save without half.")
    return copy.half()


def _refuse_to_replace_other_files(folder: Path) -> None:
    """Of a folder that holds one of our file names, one file must tell that it is ours."""
    remedy = "choose another folder for the weights"
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is a file: {remedy}.")
    there = [name for name in (FILE, "config.json", "README.md") if os.path.lexists(folder / name)]
    for name, mark in ((FILE, METADATA.encode()), ("config.json", b'"format_version"')):
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                if mark in file.read(2**20):
                    return
    if there:
        raise UserError(f"{folder} holds another project's {there[0]}: {remedy}.")


# ---------------------------------------------------------------- load


def load_weights(
    folder: str | Path, system: str | None = None, networks: Iterable[str] | None = None
) -> Weights:
    """Read a weights folder; stored float16 comes back as float32.

    Args:
        folder: A weights folder (`gan_models.names.find_weights` finds one by name).
        system: If given, refuse weights of another system.
        networks: Names that must be there; only these are read. Default: all.

    UserError for anything that is missing, damaged, foreign, or of a newer format.
    """
    folder = Path(folder).expanduser()
    config, files = _open(folder, system)
    states = {name: {} for name in (config["networks"] if networks is None else networks)}
    for name in states:
        if name not in config["networks"]:
            raise UserError(
                f"{folder} has no network called {name}, only {', '.join(config['networks'])}: "
                "choose weights that have it."
            )
    for prefix, file in files.items():
        for key in file.keys():
            network, _, parameter = (prefix + key).partition(".")
            if network in states:  # as a copy: no memory stays mapped to a file that may change
                tensor = file.get_tensor(key)
                dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
                states[network][parameter] = tensor.to(dtype, copy=True)
    return Weights(folder, config, states)


def read_config(folder: str | Path, system: str | None = None) -> dict:
    """The checked description in a weights folder, whose files are opened, but no tensor is read.

    UserError as `load_weights`.
    """
    return _open(Path(folder).expanduser(), system)[0]


def build_network(constructor: Callable[..., nn.Module], weights: Weights, name: str) -> nn.Module:
    """Construct network `name` from its stored arguments and load it: eval mode, no gradients.

    UserError if arguments, parameter names or shapes do not fit the constructor.
    """
    arguments = weights.config["networks"][name]
    try:
        state = fit(constructor, arguments, weights.states[name])
    except UserError as error:
        raise UserError(
            f"{weights.folder}: {name} does not fit its description ({error}): fetch or save it "
            "again, or use weights that this version can read."
        ) from error
    network = constructor(**arguments)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def fit(
    constructor: Callable[..., nn.Module], arguments: dict, state: dict[str, Tensor]
) -> dict[str, Tensor]:
    """`state` in the order and the types of `constructor(**arguments)`, contiguous. UserError for
    what does not fit, in words to put into a sentence.

    That network is made on the meta device, so that one of any size allocates nothing.
    """
    try:
        with torch.device("meta"):
            expected = constructor(**arguments).state_dict()
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError, OverflowError) as error:
        raise UserError(f"the arguments do not fit {constructor.__name__}: {error}") from error
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    state = {key: torch.zeros((), dtype=torch.int64) for key in counters} | state  # torch < 0.4.1
    for key in sorted(expected.keys() | state.keys()):
        here = tuple(state[key].shape) if key in state else "absent"
        there = tuple(expected[key].shape) if key in expected else "absent"
        if here != there:
            raise UserError(f"{key} is {here} in the file and {there} in the network")
    return {key: state[key].to(tensor.dtype).contiguous() for key, tensor in expected.items()}


def is_state(content: Any) -> bool:
    """Whether this is a state dict: names to dense tensors."""
    if not isinstance(content, dict) or not content:
        return False
    dense = (isinstance(x, Tensor) and x.layout == torch.strided for x in content.values())
    return all(dense) and all(isinstance(key, str) for key in content)


def dicts(content: Any) -> Iterator:
    """The content and each dict within its dicts, outer ones first."""
    found, seen = [content], set()
    for part in found:
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            if isinstance(part, dict):
                found += [value for value in part.values() if isinstance(value, dict)]


def _open(folder: Path, system: str | None) -> tuple[dict, dict]:
    """The checked description, and the open files by what goes before the names in them."""
    if not (folder / FILE).is_file() and (folder / "config.json").is_file():
        path = folder / "config.json"
        config = parse_description(path.read_bytes(), path)
        files = {key: _open_file(folder / name) for key, name in files_of(config).items()}
    else:
        files = {"": _open_file(folder / FILE)}
        text = (files[""].metadata() or {}).get(METADATA, "null")
        config = parse_description(text, folder / FILE)
    if system is not None and config["system"] != system:
        raise UserError(
            f"{folder} holds weights of {config['system']}, not of {system}: choose others."
        )
    return config, files


def _open_file(path: Path):
    """Open a safetensors file, which checks its header and length. It stays readable if replaced.

    UserError for one that is missing, truncated, or of another format.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is missing: {path.parent} is not a whole weights folder. Fetch or save it "
            "again; convert a published checkpoint with: python -m gan_models.checkpoints import"
        )
    try:
        with open(path, "rb") as first:
            try:
                file, failed = safetensors.safe_open(path, framework="pt", device="cpu"), None
            except (safetensors.SafetensorError, RuntimeError) as error:
                failed = error
            if not os.path.samestat(os.fstat(first.fileno()), os.stat(path)):
                return _open_file(path)  # replaced meanwhile: safe_open opens it twice
    except OSError as error:
        failed = error
    if failed:
        raise UserError(
            f"{path} is truncated or not a safetensors file ({failed}): fetch or save it again. A "
            "pickle is never opened here: use python -m gan_models.checkpoints import."
        ) from failed
    return file


# ---------------------------------------------------------------- description


def files_of(config: dict) -> dict[str, str]:
    """Names of the safetensors files, by what goes before the names in them."""
    if config["format_version"] > 1:
        return {"": FILE}
    return {f"{name}.": f"{name}.safetensors" for name in config["networks"]}


def parse_description(text: str | bytes, where: str | Path) -> dict:
    """The checked description that this text is. UserError (`where` it stood, and what is wrong)
    for no JSON, a newer format, and the first field that is missing or wrong.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not sound JSON ({error}): fetch or save it again.") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if type(version) is not int:
        raise UserError(f"{where} does not describe weights of this project.")
    if version > FORMAT_VERSION:
        raise UserError(
            f"{where} has format version {version}, and this program reads up to "
            f"{FORMAT_VERSION}: update the program."
        )
    for field, (kind, fits) in FIELDS.items():
        if not fits(config.get(field)):
            found = f"is {config[field]!r:.60}" if field in config else "is missing"
            raise UserError(f"{where}: {field} {found}, but must be {kind}.")
    return config
