"""Weights from the Hugging Face Hub: its real client against stand-ins on this machine."""

import pickle
import socket
import threading
import time
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import constants
from test_weights import Hostile, contents, save, save_old

from gan_models import hub
from gan_models.errors import UserError
from gan_models.names import find_weights
from gan_models.weights import load_weights

OLD, NEW = "a" * 40, "b" * 40


def use_hub(monkeypatch, url):
    """What HF_ENDPOINT does, which the library reads only at import."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub with progan weights in org/repo at OLD (its main), and an empty cache."""
    monkeypatch.chdir(tmp_path)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with HubServer() as stand_in:
        use_hub(monkeypatch, stand_in.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        publish(stand_in, OLD, 0.5)
        yield stand_in


def publish(stand_in, commit, value, subfolder="", **replaced):
    """Make weights the newest commit of org/repo; `replaced` sets files' contents."""
    save(Path("upload"), value)
    files = contents(Path("upload"))
    files |= {f"{name}.safetensors": content for name, content in replaced.items()}
    files |= {"evil.py": b"import os", "other.safetensors": b"x" * 100, "pytorch_model.bin": b"x"}
    stand_in.files |= {("org/repo", commit, subfolder + name): files[name] for name in files}
    stand_in.branches["org/repo", "main"] = commit


def value_of(folder):
    return load_weights(folder, "progan").states["generator"]["first.bias"][0]


def no_network(monkeypatch):
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    use_hub(monkeypatch, f"http://127.0.0.1:{address[1]}")


def test_hub_download_then_cache(server, monkeypatch, caplog):
    folder = find_weights("org/repo")
    assert folder.name == OLD and value_of(folder) == 0.5
    assert f"org/repo is at commit {OLD}; pin it as org/repo@{OLD}" in caplog.text
    fetched = {path.rsplit("/", 1)[1] for method, path, _ in server.requests if method == "GET"}
    ours = {"config.json", "README.md", "model.safetensors"}
    assert fetched == ours == {path.name for path in folder.iterdir()}
    assert all(path.startswith("/org/repo/resolve/") for _, path, _ in server.requests)
    assert not any("torch" in agent or "agent/" in agent for *_, agent in server.requests)
    server.requests.clear()
    publish(server, NEW, 0.75)
    assert find_weights("org/repo") == find_weights(f"org/repo@{OLD}") == folder
    assert not server.requests
    no_network(monkeypatch)
    assert find_weights("org/repo") == folder


def test_hub_folders_of_earlier_versions(server):
    files = contents(save_old(Path("old"), value=0.25))
    server.files |= {("org/old", OLD, name): content for name, content in files.items()}
    server.branches["org/old", "main"] = OLD
    assert value_of(find_weights("org/old")) == 0.25


def test_of_other_projects_only_the_config_is_fetched(server):
    server.files["org/bert", OLD, "config.json"] = b'{"architectures": ["Bert"]}'
    server.files["org/bert", OLD, "model.safetensors"] = b"x" * 100
    server.branches["org/bert", "main"] = OLD
    with pytest.raises(UserError, match=r"config\.json does not describe weights of this project"):
        find_weights("org/bert")
    assert not any("model.safetensors" in path for _, path, _ in server.requests)


def test_hub_revisions_and_subfolders(server, monkeypatch):
    publish(server, NEW, 0.75, subfolder="progan/small/")
    server.branches["org/repo", "v1"] = OLD
    assert value_of(find_weights(f"org/repo@{OLD}")) == 0.5
    assert find_weights("org/repo@v1").name == OLD
    nested = find_weights("org/repo:progan/small@main")
    assert nested.parts[-3:] == (NEW, "progan", "small") and value_of(nested) == 0.75
    no_network(monkeypatch)
    for name in ("org/repo", "org/repo@v1", "org/repo:progan/small", "org/repo:progan/small@main"):
        find_weights(name)
    with pytest.raises(UserError, match="no connection"):
        find_weights("org/repo@v2")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("org/none", "org/none@main.*no such repository, or it is private"),
        ("org/repo@v9", "org/repo@v9.*no such revision"),
        (f"org/repo@{NEW}", "no such revision"),
        ("org/repo:elsewhere", "a file is not there, so it is not a weights folder"),
        ("a--b/c", "Could not get a--b/c@main"),
    ],
)
def test_hub_names_that_are_not_there(server, name, sentence):
    with pytest.raises(UserError, match=sentence):
        find_weights(name)


def test_hub_without_a_model_card(server):
    del server.files["org/repo", OLD, "README.md"]
    assert value_of(find_weights("org/repo")) == 0.5


def test_bad_remote_files_are_refused_and_the_cached_copy_stays(server, monkeypatch):
    good = find_weights("org/repo")
    before = contents(good)
    marker = Path("marker")
    bad = {
        "truncated": server.files["org/repo", OLD, "model.safetensors"][:-3],
        "pickle is never opened": pickle.dumps(Hostile(marker)),
    }
    for number, (sentence, content) in enumerate(bad.items()):
        commit = f"{number:040x}"
        publish(server, commit, 0.75, model=content)
        server.branches["org/repo", "next"] = commit
        with pytest.raises(UserError, match=rf"model\.safetensors.*{sentence}"):
            find_weights(f"org/repo@{commit}")
        with pytest.raises(UserError, match=rf"model\.safetensors.*{sentence}"):
            find_weights("org/repo@next")
    server.files["org/repo", NEW, "config.json"] = b'{"format_version": 1, "auto_map": "evil.py"}'
    with pytest.raises(UserError, match=r"config\.json: system is missing"):
        find_weights(f"org/repo@{NEW}")
    no_network(monkeypatch)
    assert find_weights("org/repo") == find_weights(f"org/repo@{OLD}") == good
    assert contents(good) == before and not marker.exists()


def test_a_download_that_breaks_off_is_refused_and_works_later(server):
    server.short.add("model.safetensors")
    with pytest.raises(UserError, match="Could not get org/repo@main.*should be of size"):
        find_weights("org/repo")
    server.short.clear()
    assert value_of(find_weights("org/repo")) == 0.5


def test_a_damaged_cached_copy_is_fetched_anew(server, monkeypatch):
    folder = find_weights("org/repo")
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    assert value_of(find_weights(f"org/repo@{OLD}")) == 0.5
    blob.write_bytes(b"")
    no_network(monkeypatch)
    with pytest.raises(UserError, match="no connection"):
        find_weights("org/repo")


def test_sizes_from_the_hub_are_limited(server, monkeypatch):
    monkeypatch.setitem(hub.MAX_BYTES, ".safetensors", 10)
    with pytest.raises(UserError, match=r"model\.safetensors is larger than 10 bytes"):
        find_weights("org/repo")


def refusal(name="org/repo"):
    """(sentence, seconds) of a refused name."""
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        find_weights(name)
    return str(caught.value), time.monotonic() - start


def test_no_network_is_said_within_2_seconds(server, monkeypatch):
    no_network(monkeypatch)
    sentence, seconds = refusal()
    assert "org/repo@main" in sentence and "no connection" in sentence and seconds < 2


def test_a_network_that_swallows_packets_is_said_within_2_seconds(server, monkeypatch):
    with socket.socket() as full:  # Linux drops connections that its queue cannot hold
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        use_hub(monkeypatch, f"http://127.0.0.1:{full.getsockname()[1]}")
        sentence, seconds = refusal()
        for client in waiting:
            client.close()
    assert "no connection" in sentence and seconds < 2


def test_a_name_service_that_hangs_is_said_within_2_seconds(server, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    use_hub(monkeypatch, "http://hub.invalid")
    sentence, seconds = refusal()
    released.set()
    assert "no connection" in sentence and seconds < 2


def test_a_server_that_never_answers_is_said_within_8_seconds(server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_hub(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        sentence, seconds = refusal(f"org/repo@{OLD}")
    assert "did not answer within" in sentence and seconds < 8


def test_a_proxy_is_what_must_answer(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    hub._connect("http://hub.invalid")  # reaches the proxy, and no name is looked up
    monkeypatch.setenv("no_proxy", "hub.invalid")
    with pytest.raises(OSError):
        hub._connect("http://hub.invalid")


def test_offline_mode_asks_nothing(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        find_weights("org/repo")
    assert not server.requests
