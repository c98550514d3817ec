"""Weights folders: round trips, kills inside a save, bad and hostile files, names."""

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from safetensors import safe_open
from torch import nn

from gan_models import checkpoints, hub, names
from gan_models.errors import UserError
from gan_models.names import find_weights, known_weights
from gan_models.weights import build_network, load_weights, read_config, save_weights

ROOT = Path(__file__).resolve().parent.parent
CONFIG = {
    "size": 16,
    "value_range": [-1, 1],
    "framing": {"kind": "face", "margin": 0.1},
    "classes": ["cat"],
    "data": "puppets",
    "licence": "Apache-2.0",
}


class Network(nn.Module):
    """A weight, a tensor tied to it, a buffer of another type."""

    def __init__(self, width=3):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.tensor(7))


def save(folder, value=0.5, config=CONFIG, **options):
    networks = {"generator": Network(), "discriminator": Network(2)}
    for network in networks.values():
        nn.init.constant_(network.first.bias, value)
    arguments = {"generator": {"width": 3}, "discriminator": {"width": 2}}
    save_weights(
        folder,
        system="progan",
        networks=networks,
        arguments=arguments,
        config=config | {"images_seen": value},
        card="# Card\n",
        **options,
    )
    return networks


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "mine")
    return tmp_path / "mine"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tensors(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def describe(folder, text):
    """Replace the description in the file."""
    metadata = {"gan_atelier": text} if text is not None else None
    safetensors.torch.save_file(tensors(folder), folder / "model.safetensors", metadata)


def change_config(folder, **changes):
    describe(folder, json.dumps(read_config(folder) | changes))


def save_old(folder, **options):
    """As versions before saved: a file for each network, the description in config.json alone."""
    save(folder, **options)
    config = read_config(folder)
    for name in config["networks"]:
        prefix = f"{name}."
        state = {k.removeprefix(prefix): t for k, t in tensors(folder).items() if prefix in k}
        safetensors.torch.save_file(state, folder / f"{name}.safetensors")
    (folder / "config.json").write_text(json.dumps(config | {"format_version": 1}))
    (folder / "model.safetensors").unlink()
    return folder


# ---------------------------------------------------------------- save and load


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path, half):
    networks = save(tmp_path / "mine", half=half)
    loaded = load_weights(tmp_path / "mine", "progan", ["generator", "discriminator"])
    assert loaded.config["name"] == "mine"
    assert loaded.config["networks"]["discriminator"] == {"width": 2}
    assert (tmp_path / "mine" / "README.md").read_text() == "# Card\n"
    for name, network in networks.items():
        for key, tensor in network.state_dict().items():
            found = loaded.states[name][key]
            expected = tensor.half().float() if half and tensor.is_floating_point() else tensor
            assert found.dtype == expected.dtype and torch.equal(found, expected)
        assert (tensors(tmp_path / "mine")["generator.first.bias"].dtype == torch.float16) == half
    assert json.loads((tmp_path / "mine" / "config.json").read_text()) == loaded.config
    built = build_network(Network, loaded, "generator")
    assert built.first.bias[0] == 0.5 and not built.training
    assert not built.first.weight.requires_grad


def test_half_is_smaller_and_refuses_what_does_not_fit(tmp_path):
    state = {"weight": torch.full((1000,), 2.0)}
    options = {"system": "s", "arguments": {"net": {}}, "config": CONFIG, "card": ""}
    save_weights(tmp_path / "a", networks={"net": state}, half=True, **options)
    assert (tmp_path / "a" / "model.safetensors").stat().st_size < 2800
    with pytest.raises(UserError, match="weight does not fit float16"):
        state = {"weight": torch.tensor([1e5])}
        save_weights(tmp_path / "a", networks={"net": state}, half=True, **options)
    assert load_weights(tmp_path / "a").states["net"]["weight"][0] == 2


def test_loading_reads_only_the_named_networks(folder):
    assert list(load_weights(folder, networks=["generator"]).states) == ["generator"]


def test_the_one_file_is_all_that_is_read(folder):
    (folder / "config.json").write_text("{")
    (folder / "README.md").unlink()
    assert load_weights(folder).config["name"] == "mine"
    assert find_weights(folder) == folder
    save(folder, 0.25)
    assert sorted(contents(folder)) == ["README.md", "config.json", "model.safetensors"]


def test_folders_of_earlier_versions_are_read_and_replaced(tmp_path):
    folder = save_old(tmp_path / "mine", half=True)
    assert find_weights(folder) == folder
    loaded = load_weights(folder, "progan", ["generator"])
    assert list(loaded.states) == ["generator"] and loaded.config["size"] == 16
    assert build_network(Network, loaded, "generator").first.bias[0] == 0.5
    (folder / "discriminator.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"discriminator\.safetensors is truncated"):
        read_config(folder)
    save(folder, 0.25)
    assert load_weights(folder).states["generator"]["first.bias"][0] == 0.25
    assert sorted(contents(folder)) == ["README.md", "config.json", "model.safetensors"]


def test_loaded_tensors_survive_a_change_of_the_file(folder):
    loaded = load_weights(folder)
    (folder / "model.safetensors").write_bytes(b"")
    assert loaded.states["generator"]["first.bias"][0] == 0.5


def test_saving_replaces_weights_and_nothing_else(folder):
    save(folder, 0.25)
    assert load_weights(folder).states["generator"]["first.bias"][0] == 0.25
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    (folder / "notes.txt").write_text("precious")
    save(folder, 0.5)
    assert (folder / "notes.txt").read_text() == "precious"
    with pytest.raises(UserError, match="is a file"):
        save(folder / "config.json")


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_saving_replaces_no_other_project(tmp_path, name):
    (tmp_path / name).write_text('{"architectures": ["Bert"]}')
    with pytest.raises(UserError, match=f"another project's {name}"):
        save(tmp_path)
    assert contents(tmp_path) == {name: b'{"architectures": ["Bert"]}'}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": "16"}, "size is '16', but must be from 1 to 16384 pixels"),
        ({"framing": {"kind": "round", "margin": 0}}, "framing is .*round.*but must be"),
        ({"networks": {}}, "networks is {}, but must be"),
    ],
)
def test_saving_refuses_a_config_that_would_not_load(tmp_path, change, sentence):
    with pytest.raises(UserError, match=sentence):
        save(tmp_path / "mine", config=CONFIG | change)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_weights(folder):
    before = contents(folder)
    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, size[1]))
    try:
        with pytest.raises(UserError, match="Could not write .*free some space"):
            save_weights(
                folder, system="progan", networks={"net": {"weight": torch.zeros(1000)}},
                arguments={"net": {}}, config=CONFIG, card="",
            )  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


# ---------------------------------------------------------------- kills

KILLS = """
    import os, random, shutil, signal, sys, time
    from pathlib import Path
    sys.path[:0] = [{root!r}, {tests!r}]
    import torch
    torch.set_num_threads(1)
    from test_weights import check_whole, load_weights, save
    folder = Path(sys.argv[1])
    save(folder, 0.0)

    def die_at(step):  # the step-th file operation of the save is the last
        def trap(*_):
            nonlocal step
            step -= 1
            if step < 0:
                os._exit(0)
        def wrap(function):
            return lambda *a, **k: (trap(), function(*a, **k), trap())[1]
        os.replace, os.fsync, shutil.rmtree = map(wrap, (os.replace, os.fsync, shutil.rmtree))

    def in_child(work):
        child = os.fork()
        if child == 0:
            work()
            os._exit(1)
        return child

    died = 0
    for step in range(100):  # at every point of a save
        child = in_child(lambda: (die_at(step), save(folder, float(step % 2))))
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        check_whole(folder)
        died += not finished
        if finished:
            break
    assert 10 < died < 99, died

    def save_often():
        for value in range(200):
            save(folder, float(value))

    for _ in range(20):  # at random moments
        child = in_child(save_often)
        time.sleep(random.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check_whole(folder)

    child = in_child(save_often)  # reading while another process saves
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        check_whole(folder)
    save(folder, 9.0)  # heals whatever the kills left
    assert load_weights(folder).config["images_seen"] == 9
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
"""


def check_whole(folder):
    """The folder loads, and all its files come from the same save."""
    loaded = load_weights(folder, "progan")
    for state in loaded.states.values():
        assert state["first.bias"][0] == loaded.config["images_seen"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_kills_inside_a_save_leave_whole_weights(tmp_path):
    script = textwrap.dedent(KILLS).format(root=str(ROOT), tests=str(ROOT / "tests"))
    command = [sys.executable, "-c", script, str(tmp_path / "run" / "weights")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


# ---------------------------------------------------------------- bad and hostile files


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not sound JSON"),
        ("[" * 200_000, "is not sound JSON"),
        (None, "does not describe weights of this project"),
        ("[]", "does not describe weights of this project"),
        ('{"format_version": true}', "does not describe weights of this project"),
        ('{"architectures": ["Bert"]}', "does not describe weights of this project"),
        ('{"format_version": 3}', "format version 3.*update"),
        ('{"format_version": 2}', "system is missing"),
    ],
)
def test_bad_descriptions(folder, text, sentence):
    describe(folder, text)
    with pytest.raises(UserError, match=rf"model\.safetensors.*{sentence}"):
        load_weights(folder)
    if text is not None:
        (folder / "model.safetensors").unlink()
        (folder / "config.json").write_text(text)
        with pytest.raises(UserError, match=rf"config\.json.*{sentence}"):
            load_weights(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": True}, "size is True"),
        ({"size": 0}, "size is 0, but must be from 1 to 16384"),
        ({"size": 10**9}, "size is 1000000000"),
        ({"value_range": [1, -1]}, "value_range is .*but must be .low, high."),
        ({"value_range": [float("nan"), 1]}, "value_range is .*but must be .low, high."),
        ({"value_range": ["a", "b"]}, "value_range is .*but must be .low, high."),
        ({"framing": {"kind": "face"}}, "framing is .*margin"),
        ({"framing": []}, "framing is"),
        ({"classes": [1]}, "classes is .*names"),
        ({"licence": None}, "licence is None"),
        ({"networks": []}, "networks is"),
        ({"networks": {"generator": []}}, "networks is .*constructor arguments"),
        ({"networks": {"../../secret": {}}}, "networks is .*'../../secret'"),
        ({"networks": {"/etc/passwd": {}}}, "networks is .*'/etc/passwd'"),
        ({"networks": {"": {}}}, "networks is .*''"),
    ],
)
def test_bad_config_fields(folder, changes, sentence):
    change_config(folder, **changes)
    with pytest.raises(UserError, match=rf"model\.safetensors: .*{sentence}"):
        load_weights(folder)


def test_missing_or_wrong_folder_and_network(folder):
    with pytest.raises(UserError, match="model.safetensors is missing.*checkpoints import"):
        load_weights(folder.parent)
    with pytest.raises(UserError, match="holds weights of progan, not of fomm"):
        load_weights(folder, "fomm")
    with pytest.raises(UserError, match="no network called encoder"):
        load_weights(folder, "progan", ["encoder"])


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


FOUR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        struct.pack("<Q", 2**63) + b"{}",
        header({"a": FOUR}, b"0" * 15),
        header({"a": FOUR}, b"0" * 17),
        header({"a": FOUR | {"shape": [2**40]}}, b"0" * 16),
        header({"a": FOUR | {"shape": [-4]}}, b"0" * 16),
        header({"a": FOUR | {"dtype": "PICKLE"}}, b"0" * 16),
        header({"a": FOUR, "b": FOUR}, b"0" * 16),
        header([]),
    ],
)
def test_damaged_safetensors(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors is truncated or not"):
        load_weights(folder)


def test_every_truncation_is_refused(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model\.safetensors"):
            load_weights(folder)


class Hostile:
    """Unpickling an instance creates the file `marker`."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def write_pickle(path, marker):
    path.write_bytes(pickle.dumps(Hostile(marker)))


def write_torch_file(path, marker):
    torch.save({"weight": Hostile(marker)}, path)


@pytest.mark.parametrize("write", [write_pickle, write_torch_file])
def test_a_pickle_is_refused_and_not_run(folder, write):
    marker = folder.parent / "marker"
    write(folder / "model.safetensors", marker)
    with pytest.raises(
        UserError,
        match=r"model\.safetensors is truncated or .*pickle is never opened.*checkpoints import",
    ):
        load_weights(folder)
    assert not marker.exists()
    with open(folder / "model.safetensors", "rb") as file:  # it would have run
        pickle.load(file) if write is write_pickle else torch.load(file, weights_only=False)
    assert marker.exists()


def test_a_folder_or_pipe_under_a_file_name(folder):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        load_weights(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"depth": 3}, r"generator does not fit.*arguments do not fit Network.*depth"),
        ({"width": "x"}, r"generator does not fit.*arguments do not fit Network"),
        ({"width": 4}, r"generator does not fit.*first.bias is \(3,\) in the file"),
        ({"width": 2**30}, r"generator does not fit.*\(1073741824,\)"),
    ],
)
def test_building_names_what_does_not_fit(folder, arguments, sentence):
    change_config(folder, networks={"generator": arguments})
    with pytest.raises(UserError, match=sentence):
        build_network(Network, load_weights(folder), "generator")


# ---------------------------------------------------------------- names


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty checkout as the working directory; no Hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(names, "SHIPPED", tmp_path / "assets" / "weights")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_names_of_folders_shipped_weights_and_runs(places):
    save(places / "assets/weights/puppets")
    save(places / "runs/a/weights")
    (places / "progan").mkdir()
    assert find_weights("puppets") == places / "assets/weights/puppets"
    assert find_weights("a") == Path("runs/a/weights")
    assert find_weights("runs/a") == Path("runs/a/weights")
    assert find_weights(Path("runs/a/weights")) == Path("runs/a/weights")
    assert find_weights(str(places / "runs/a/weights")) == places / "runs/a/weights"
    assert read_config(find_weights("a"))["name"] == "a"
    with pytest.raises(UserError, match="progan has no model.safetensors"):
        find_weights("progan")


@pytest.mark.parametrize(
    "name", ["", "nothing", "..", "../x", "runs/typo", "a\0b", "x" * 5000, "a/b/c", "~nobody/x",
             "org/repo@../../x", "org/..", "org/repo:../x", "C:\\x", "https://host/a/b"],
)  # fmt: skip
def test_names_that_mean_nothing_ask_no_server(places, monkeypatch, name):
    monkeypatch.setattr(hub, "find", lambda *_: pytest.fail("asked the Hub"))
    with pytest.raises(UserError):
        find_weights(name)


def test_unknown_names_list_the_known_ones(places):
    save(places / "assets/weights/puppets")
    with pytest.raises(UserError, match=r"no weights called 'x'.*puppets \(16 px\).*org/repo"):
        find_weights("x")


def test_known_weights(places):
    assert known_weights("progan") == []
    save(places / "assets/weights/puppets")
    save(places / "runs/old/weights")
    save(places / "runs/new/weights")
    os.utime(places / "runs/old/weights", (1, 1))
    save(places / "runs/damaged/weights")
    (places / "runs/damaged/weights/model.safetensors").write_text("{")
    change_config(places / "runs/new/weights", size=64)
    (places / "runs/started").mkdir()
    (places / "runs/notes.txt").touch()
    found = known_weights("progan")
    assert found == [
        ("puppets (16 px)", "puppets"),
        ("new (run, 64 px)", os.path.join("runs", "new")),
        ("old (run, 16 px)", os.path.join("runs", "old")),
    ]
    for _, name in found:
        load_weights(find_weights(name), "progan")
    assert known_weights("fomm") == []


# ---------------------------------------------------------------- command line


def test_import_command(places, monkeypatch, capsys):
    found = {
        "system": "progan",
        "networks": {"generator": Network().state_dict()},
        "arguments": {"generator": {"width": 3}},
        "config": {"size": 16},
    }
    monkeypatch.setattr(checkpoints, "read", lambda path: found)
    checkpoints.main(["import", "old.pth", "--out", "new", "--half"])
    assert "generator: 25 numbers" in capsys.readouterr().out
    loaded = load_weights(find_weights("new"), "progan")
    assert loaded.config["imported_from"] == "old.pth"
    assert "old.pth" in Path("new/README.md").read_text()
    assert torch.equal(
        loaded.states["generator"]["first.weight"],
        found["networks"]["generator"]["first.weight"].half().float(),
    )


def test_importing_a_folder_takes_over_its_config(places, capsys):
    """Of an earlier version, or changed by hand."""
    old = save_old(places / "old", half=True)
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"classes": ["dog"]}))
    for name in ("old", "new"):
        checkpoints.main(["import", name, "--out", "new", "--half"])
    with safe_open("new/model.safetensors", "pt") as file:
        assert file.get_tensor("generator.first.bias").dtype == torch.float16
    assert load_weights("new").config["classes"] == ["dog"]
    assert load_weights("new").config["images_seen"] == 0.5
    assert Path("new/README.md").read_text() == "# Card\n"


def test_show_command(folder, capsys):
    checkpoints.main(["show", str(folder)])
    shown = capsys.readouterr().out
    assert '"system": "progan"' in shown and "generator: 25 numbers" in shown


def test_an_error_on_the_command_line_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "gan_models.checkpoints", "show", "org/repo"]
    options = {"cwd": ROOT, "capture_output": True, "text": True}
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    refused = subprocess.run(command, env=offline, **options)
    assert refused.returncode == 1 and refused.stderr.startswith("error: Could not get org/repo")
    assert refused.stderr.count("\n") == 1
