"""Weights folders: save, load, find (folder, shipped, run, Hugging Face Hub) and import.

A weights folder describes itself: `config.json` (system, constructor arguments, size, value range,
framing, data, licence), one `<network>.safetensors` per network, and `README.md`, the model card.
Nothing in it is ever executed: JSON and safetensors hold data only.

    python -m gan_models.weights import CHECKPOINT --out FOLDER    convert an official checkpoint
    python -m gan_models.weights show NAME                         print config and sizes
"""

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import safetensors
import safetensors.torch
import torch
import tyro
from torch import Tensor, nn

from gan_models.errors import UserError

FORMAT_VERSION = 1
SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "weights"
RUNS = Path("runs")  # where trainers write, below the working directory

NETWORK_NAME = re.compile(r"[a-z][a-z0-9_]*")  # so that a file name cannot leave its folder
HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w./-]+))?(?:@([\w./-]+))?", re.ASCII)
MAX_TEXT_BYTES = 2**20  # config.json and README.md

CONFIG_TYPES = {
    "system": str, "name": str, "networks": dict, "size": int, "value_range": list,
    "framing": dict, "classes": list, "data": str, "licence": str,
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
        folder: Where to write; an earlier weights folder there is replaced.
        networks: Modules or state dicts by name; names are lower-case words.
        arguments: Constructor arguments by the same names, as plain JSON values.
        config: The other fields of config.json: size (pixels), value_range [low, high],
            framing {"kind": "face" | "centre", "margin": float}, data, licence; `classes` and
            `name` have defaults, further fields are kept.
        card: Text of README.md.
        half: Store floating-point tensors as float16.

    Raises:
        UserError: A field is missing or wrong, a weight does not fit float16, `folder` holds
            something else, or writing failed (the earlier folder is then untouched).
    """
    folder = Path(folder).expanduser().resolve()
    fixed = {"format_version": FORMAT_VERSION, "system": system}
    name = folder.parent.name if folder.name == "weights" else folder.name
    document = fixed | {"name": name, "networks": arguments, "classes": []} | config | fixed
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    _check_config(json.loads(text), f"The config for {folder}")
    if sorted(networks) != sorted(document["networks"]):
        raise UserError(
            f"Cannot save {folder}: networks {sorted(networks)} do not match "
            f"arguments {sorted(document['networks'])}."
        )
    states = {name: _storable(network, name, half) for name, network in networks.items()}
    _refuse_to_replace_other_files(folder)
    files = {"config.json": text.encode(), "README.md": card.encode()}
    try:
        _replace_folder(folder, files, states)
    except OSError as error:
        raise UserError(
            f"Could not write {folder} ({error}): free some space or choose another folder; "
            "earlier weights there are untouched."
        ) from error


def _storable(network: nn.Module | dict[str, Tensor], name: str, half: bool) -> dict[str, Tensor]:
    """Contiguous CPU copies (safetensors refuses tensors that share memory), float16 if `half`."""
    state = network.state_dict() if isinstance(network, nn.Module) else network
    copies = {}
    for key, tensor in state.items():
        copy = tensor.detach().to("cpu", copy=True).contiguous()
        if half and copy.is_floating_point():
            copy, full = copy.half(), copy
            if not torch.equal(copy.isfinite(), full.isfinite()):
                raise UserError(
                    f"{name}: {key} does not fit float16 (above 65,504); save without half."
                )
        copies[key] = copy
    return copies


def _replace_folder(folder: Path, files: dict[str, bytes], states: dict[str, dict]) -> None:
    """Write beside `folder`, then rename twice. Between the renames readers use `.<name>.old`."""
    new, old = _beside(folder, "new"), _beside(folder, "old")
    try:
        if old.exists() and not folder.exists():  # an earlier save died between its renames
            os.replace(old, folder)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
        for name, content in files.items():
            _write_file(new / name, content)
        for name, state in states.items():
            _write_file(new / f"{name}.safetensors", safetensors.torch.save(state))
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(new, ignore_errors=True)
        raise


def _write_file(path: Path, content: bytes) -> None:
    """Write through to the disk: the rename that follows must not overtake the content."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _beside(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{role}")


def _refuse_to_replace_other_files(folder: Path) -> None:
    """Saving deletes what was there, so it must be a weights folder and nothing more."""
    if not os.path.lexists(folder):
        return
    remedy = "choose another folder for the weights"
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: {remedy}.")
    entries = sorted(entry.name for entry in folder.iterdir())
    ours = re.compile(r"config\.json|README\.md|[^.].*\.safetensors")
    foreign = [name for name in entries if not ours.fullmatch(name)]
    if foreign:
        raise UserError(f"{folder} holds other files ({foreign[0]}): {remedy}.")
    config = folder / "config.json"
    if entries and not (config.is_file() and b'"format_version"' in config.read_bytes()):
        raise UserError(f"{folder} holds another project's files: {remedy}.")


# ---------------------------------------------------------------- load


def load_weights(
    folder: str | Path, system: str | None = None, networks: Iterable[str] | None = None
) -> Weights:
    """Read a weights folder; stored float16 comes back as float32.

    Args:
        folder: A weights folder (use `find_weights` for names).
        system: If given, refuse weights of another system.
        networks: Names that must be there; only these are read. Default: all.

    Raises:
        UserError: Anything is missing, damaged, foreign, or of a newer format.
    """
    folder = Path(folder).expanduser()
    wanted = None if networks is None else tuple(networks)
    while True:  # a trainer may replace the folder meanwhile: then open the new one
        before = place, _ = _standing(folder), _mark(folder)
        try:
            config = read_config(place, system)
            files = {name: _open_network(place, name) for name in _names(config, place, wanted)}
        except UserError:
            if (_standing(folder), _mark(folder)) == before:
                raise
        else:
            if (_standing(folder), _mark(folder)) == before:
                break
    return Weights(folder, config, {name: _read_network(file) for name, file in files.items()})


def read_config(folder: str | Path, system: str | None = None) -> dict:
    """The checked config.json of a weights folder, without reading a tensor.

    Raises:
        UserError: It is missing, not ours, of a newer format, or not of `system`.
    """
    path = _standing(Path(folder).expanduser()) / "config.json"
    if not path.is_file():
        raise UserError(
            f"{path} is missing: {path.parent} is not a weights folder. Convert an official "
            "checkpoint with: python -m gan_models.weights import FILE --out FOLDER"
        )
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError("larger than 1 MB")
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}): fetch or save it again."
        ) from error
    _check_config(config, str(path))
    if system is not None and config["system"] != system:
        raise UserError(
            f"{path} holds weights of {config['system']}, not of {system}: choose others."
        )
    return config


def build_network(constructor: Callable[..., nn.Module], weights: Weights, name: str) -> nn.Module:
    """Construct network `name` from its stored arguments and load it: eval mode, no gradients.

    Shapes are compared on the meta device first, so that a config asking for a huge network
    allocates nothing.

    Raises:
        UserError: Arguments, parameter names or shapes do not fit the constructor.
    """
    path = weights.folder / f"{name}.safetensors"
    arguments, state = weights.config["networks"][name], weights.states[name]
    try:
        with torch.device("meta"):
            expected = constructor(**arguments).state_dict()
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError, OverflowError) as error:
        raise UserError(
            f"{weights.folder / 'config.json'}: the arguments of {name} do not fit "
            f"{constructor.__name__} ({error}): use weights that this version can read."
        ) from error
    for key in sorted(expected.keys() | state.keys()):
        here = tuple(state[key].shape) if key in state else "absent"
        there = tuple(expected[key].shape) if key in expected else "absent"
        if here != there:
            raise UserError(
                f"{path} does not fit its config.json: {key} is {here} in the file and {there} in "
                "the network; fetch or save the folder again."
            )
    network = constructor(**arguments)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _names(config: dict, folder: Path, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The networks to read."""
    for name in wanted or ():
        if name not in config["networks"]:
            raise UserError(
                f"{folder} has no network called {name}, only {', '.join(config['networks'])}: "
                "choose weights that have it."
            )
    return tuple(config["networks"]) if wanted is None else wanted


def check_files(folder: Path) -> None:
    """Check config.json, and each network file's header and length, without reading a tensor.

    Raises:
        UserError: As `load_weights`.
    """
    for name in read_config(folder)["networks"]:
        with _open_network(folder, name):
            pass


def _open_network(folder: Path, name: str):
    """Open a safetensors file, which checks its header and length. It stays readable if replaced.

    Raises:
        UserError: It is missing, truncated, or another format.
    """
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise UserError(f"{path} is missing: fetch or save the weights folder again.")
    start = b""
    try:
        with open(path, "rb") as file:
            start = file.read(2)
        return safetensors.safe_open(path, framework="pt", device="cpu")
    except (safetensors.SafetensorError, OSError, RuntimeError) as error:
        if start == b"PK" or start[:1] == b"\x80":  # zip or pickle protocol mark
            raise UserError(
                f"{path} is a pickle under a safetensors name and was not opened, because pickles "
                "can run code: get the original and use python -m gan_models.weights import."
            ) from error
        raise UserError(
            f"{path} is truncated or not a safetensors file ({error}): fetch or save it again."
        ) from error


def _read_network(file) -> dict[str, Tensor]:
    """All tensors as float32 copies: no memory stays mapped to a file that may change."""
    state = {}
    with file:
        for key in file.keys():
            tensor = file.get_tensor(key)
            dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
            state[key] = tensor.to(dtype, copy=True)
    return state


def _standing(folder: Path) -> Path:
    """`folder`, or its predecessor while (or after a kill, until the next save) it is replaced."""
    folder = Path(os.path.abspath(folder))
    old = _beside(folder, "old")
    return old if not os.path.exists(folder) and os.path.exists(old) else folder


def _mark(folder: Path) -> tuple | None:
    """Changes when the folder is replaced."""
    try:
        status = os.stat(_standing(folder) / "config.json")
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _check_config(config: Any, where: str) -> None:
    """Check version, fields and types.

    Raises:
        UserError: The first thing that is wrong, beginning with `where`.
    """
    version = config.get("format_version") if isinstance(config, dict) else None
    if type(version) is not int:
        raise UserError(f"{where} has no format_version: it is not a config of this project.")
    if version > FORMAT_VERSION:
        raise UserError(
            f"{where} has format version {version}, and this program reads up to "
            f"{FORMAT_VERSION}: update the program."
        )
    for field, kind in CONFIG_TYPES.items():
        if type(config.get(field)) is not kind:
            found = f"is {config[field]!r:.60}" if field in config else "is missing"
            raise UserError(f"{where}: {field} {found}, but must be a {kind.__name__}.")
    for name, arguments in config["networks"].items():
        if not NETWORK_NAME.fullmatch(name):
            raise UserError(f"{where}: network name {name!r:.60} must be a lower-case word.")
        if type(arguments) is not dict:
            raise UserError(f"{where}: the arguments of network {name} must be a dict.")
    framing = config["framing"]
    checks = {
        "networks is empty": not config["networks"],
        "size must be from 1 to 16384 pixels": not 1 <= config["size"] <= 16384,
        "value_range must be [low, high]": not _is_range(config["value_range"]),
        "framing.kind must be face or centre": framing.get("kind") not in ("face", "centre"),
        "framing.margin must be a number": type(framing.get("margin")) not in (int, float),
        "classes must be names": any(type(name) is not str for name in config["classes"]),
    }
    for sentence, wrong in checks.items():
        if wrong:
            raise UserError(f"{where}: {sentence}.")


def _is_range(value: list) -> bool:
    numbers = len(value) == 2 and all(type(number) in (int, float) for number in value)
    return numbers and -1e6 < value[0] < value[1] < 1e6


# ---------------------------------------------------------------- find


def find_weights(name: str | Path) -> Path:
    """The weights folder that `name` means, downloaded if need be.

    In this order: a folder (a run's folder means its `weights`); a shipped name
    (`assets/weights/<name>`); a run's name (`runs/<name>/weights`); a Hugging Face name
    `org/repo`, `org/repo@revision`, `org/repo:subfolder@revision`. The Hub's cached copy comes
    first, then one online try. Without a revision the newest cached commit is used, else the
    Hub's newest; the commit is logged, so that it can be pinned.

    Raises:
        UserError: Nothing is found, or what the Hub holds is not sound. Without a network
            within 2 s, from a server that does not answer within 8 s.
    """
    name = str(name)
    path = Path(os.path.expanduser(name))
    places = [path / "weights", path]  # a run has a config.json of its own
    if path.name == name:
        places += [SHIPPED / name, RUNS / name / "weights"]
    for place in places:
        if os.path.isfile(_standing(place) / "config.json"):
            return place
    if os.path.isdir(path):
        raise UserError(f"{path} has no config.json: it is not a weights folder.")
    match = HUB_NAME.fullmatch(name)
    if match is None or ".." in re.split(r"[/:@]", name) or os.path.isdir(path.parts[0]):
        shipped = ", ".join(label for label, _ in list_weights(None)) or "none yet"
        raise UserError(
            f"There are no weights called {name!r:.200}: give a folder, one of the known names "
            f"({shipped}), or a Hugging Face name like org/repo@revision."
        )
    from gan_models import hub

    repo, subfolder, revision = match.groups()
    return hub.find(repo, (subfolder or "").strip("/"), revision)


def list_weights(system: str | None) -> list[tuple[str, str]]:
    """(label, name for `find_weights`) of shipped weights, then of local runs, newest first.

    Folders whose config cannot be read are left out, as are other systems' (None: all systems).
    """
    runs = [run for run in RUNS.glob("*") if run.is_dir()]
    runs.sort(key=os.path.getmtime, reverse=True)  # saving renames inside a run's folder
    found = []
    places = [(folder, folder.name, "") for folder in sorted(SHIPPED.glob("*"))]
    places += [(run / "weights", str(run), "run, ") for run in runs]
    for folder, name, kind in places:
        try:
            size = read_config(folder, system)["size"]
        except UserError:
            continue
        found.append((f"{Path(name).name} ({kind}{size} px)", name))
    return found


# ---------------------------------------------------------------- command line


def import_file(file: Annotated[Path, tyro.conf.Positional], out: Path, half: bool = False) -> None:
    """Convert an official checkpoint; its layout is recognised. Nothing in it is executed.

    Args:
        file: The checkpoint.
        out: The weights folder to write.
        half: Store float16.
    """
    from gan_models import official

    found = official.read(file)
    defaults = {
        "value_range": [-1, 1],
        "framing": {"kind": "centre", "margin": 0.0},
        "data": "not recorded in the checkpoint",
        "licence": "see the original release",
        "imported_from": file.name,
    }
    config = defaults | found["config"]
    card = (
        f"# {out.name}\n\nImported from `{file.name}` ({found['system']}, {config['size']} px).\n\n"
        f"Training data: {config['data']}.\n\nLicence: {config['licence']}.\n"
    )
    save_weights(out, card=card, half=half, **(found | {"config": config}))
    show(str(out))


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Print the config and the sizes of a weights folder.

    Args:
        name: A folder, a shipped name, a run's name, or org/repo@revision.
    """
    folder = _standing(find_weights(name))
    config = read_config(folder)
    print(f"{folder}\n{json.dumps(config, indent=2)}")
    for network in config["networks"]:
        with _open_network(folder, network) as file:
            count = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
        size = (folder / f"{network}.safetensors").stat().st_size
        print(f"{network}.safetensors: {count:,} numbers, {size / 1e6:.2f} MB")


def main(args: list[str] | None = None) -> None:
    commands, prog = {"import": import_file, "show": show}, "python -m gan_models.weights"
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    # This file now runs under the name __main__; errors raised elsewhere are of the imported one.
    from gan_models.weights import main as imported_main

    imported_main()
