"""Published weights in the weights menu: handlers called as the page calls them, a local server."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from file_server import FileServer

import app
from gan_models import checkpoints, fetching, published
from tabs import latent, motion
from tabs.kit import jobs, offers, systems
from tabs.kit import texts as words

FILE = Path(__file__).parent / "parity" / "progan" / "containers" / "zoo_layout_tiny.pth"
NAME = "published:zoo-celeba"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Has zoo-celeba and the huggan's repository, both tiny."""
    monkeypatch.chdir(tmp_path)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with FileServer(FILE.read_bytes()) as stand_in:
        monkeypatch.setattr(published, "HUB", f"{stand_in.url}")
        hub = f"{stand_in.url}/huggan/pggan-celebahq-1024/resolve/main/pytorch_model.bin"
        for name, place in (("zoo-celeba", f"{stand_in.url}/a"), ("pggan-celebahq-1024", hub)):
            entry = replace(published.TABLE[name], places=(place,), sha256="")
            monkeypatch.setitem(published.TABLE, name, entry)
        monkeypatch.setattr(published, "ALL", tuple(published.TABLE.values()))
        yield stand_in


@pytest.fixture
def system():
    return latent.system(jobs.Settings(device="cpu"))


@pytest.fixture
def visit():
    request = SimpleNamespace(session_hash="wants it")
    yield request
    jobs.end_visit(request)


def last(answers):
    return list(answers)[-1]


def test_it_is_chosen_fetched_and_chosen_at_once(server, system, visit):
    label = next(label for label, name in system.menu() if name == NAME)
    assert label == "zoo-celeba (277 MB to fetch): celebrities' faces"
    assert last(systems.choose(system, "progan-puppets"))["offer"]["visible"] is False
    answer = last(systems.choose(system, NAME))
    assert answer["offer"]["visible"] and answer["offer_row"]["visible"]
    assert "BSD-3-Clause" in answer["about"] and "footer" not in answer
    offers.begin(system, visit)
    answers = list(offers.fetch(system, NAME, visit))
    menu = answers[-1]["weights"]
    assert menu.value == "runs/zoo-celeba" and answers[-1]["offer_progress"] == ""
    assert ("zoo-celeba (published, 16 px)", "runs/zoo-celeba") in menu.choices
    assert NAME not in [name for _, name in menu.choices]
    answer = last(systems.choose(system, menu.value))
    assert fetching.sha256_of(FILE) in answer["about"] and not answer["offer"]["visible"]
    assert system.open(menu.value).size == 16


def test_what_is_done_is_told_and_stop_keeps_it(server, system, visit, monkeypatch):
    server.content = b"\x80" * 2**20
    server.pause, told = 0.1, []
    offers.begin(system, visit)
    for answer in offers.fetch(system, NAME, visit):
        told.append(answer)
        if " of 1.0 MB, " in answer["offer_progress"] and len(told) > 4:
            offers.stop(system, visit)
    assert "MB/s, " in told[-2]["offer_progress"] and "left" in told[-2]["offer_progress"]
    assert 'aria-valuenow="' in told[-2]["offer_progress"]
    stopped = told[-1]["offer_notice"]
    assert "Stopped at 0." in stopped and "goes on from there" in stopped
    assert "weights" not in told[-1] and told[-1]["offer_progress"] == ""


def test_what_goes_wrong_is_a_sentence(server, system, visit):
    server.page = b"<html>"
    offers.begin(system, visit)
    answer = last(offers.fetch(system, NAME, visit))
    assert "sent a web page instead" in answer["offer_notice"] and answer["offer_progress"] == ""
    shown = last(systems.choose(system, "published:nothing"))
    assert "not on this computer" in shown["weights_notice"]
    for name in ("published:vox", "published:nothing", "progan-puppets", None):  # other systems'
        assert words.PUBLIC in last(offers.fetch(system, name, visit))["offer_notice"]


def test_a_file_that_was_got_by_hand_is_taken(server, system):
    name = "published:pggan-official"
    assert "(by hand)" in dict(map(reversed, system.menu()))[name]
    answer = last(systems.choose(system, name))
    assert answer["offer"]["visible"] and not answer["offer_row"]["visible"]
    assert "drive.google.com" in answer["about"]
    answer = last(offers.take(system, name, str(FILE)))
    assert answer["weights"].value == "runs/pggan-official" and FILE.is_file()
    other = FILE.with_name("containers.json")
    assert "neither a torch file" in last(offers.take(system, NAME, str(other)))["offer_notice"]


def test_the_hub_box_takes_a_repository_as_its_project_left_it(server, system, visit):
    systems.begin_fetch(system, visit)
    answer = last(systems.fetch(system, "huggan/pggan-celebahq-1024", visit))
    assert answer["weights"].value == "runs/pggan-celebahq-1024"
    assert answer["fetch_progress"] == answer["hub_notice"] == ""


def test_the_face_finder_is_offered_where_weights_see_faces(server, visit, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(Path.cwd()))
    for name in ("face-finder", "face-landmarks"):
        entry = replace(published.TABLE[name], places=(f"{server.url}/a",), sha256="")
        monkeypatch.setitem(published.TABLE, name, entry)
    monkeypatch.setattr(published, "ALL", tuple(published.TABLE.values()))
    system = motion.system(jobs.Settings(device="cpu"))
    offers.begin(system, visit)
    answer = last(offers.fetch_finder(system, visit))
    assert fetching.sha256_of(FILE) in answer["finder_notice"]
    assert all(entry.is_here() for entry in published.ALL if entry.system == "faces")
    assert system.sees_faces and not latent.system(jobs.Settings()).sees_faces


def test_a_public_page_fetches_nothing(server, system, visit, monkeypatch):
    public = replace(system, settings=app.settings_of(app.parse(["--public"])))
    assert not any(name.startswith("published:") for _, name in public.menu())
    answers = [
        last(offers.fetch(public, NAME, visit)), last(offers.take(public, NAME, str(FILE))),
    ]  # fmt: skip
    assert all(words.PUBLIC in answer["offer_notice"] for answer in answers)
    faces = replace(motion.system(public.settings))
    assert words.PUBLIC in last(offers.fetch_finder(faces, visit))["finder_notice"]
    assert not server.requests and not Path("runs").exists()
    page = app.build(public.settings)
    names = {one["api_name"].rstrip("_0123456789") for one in page.config["dependencies"]}
    assert names & {"choose"} and not names & {"fetch", "begin_fetch", "fetch_finder"}
    limits = []
    monkeypatch.setattr(page, "launch", lambda **given: limits.append(given["max_file_size"]))
    for given in ([], ["--public"]):
        app.launch(page, app.parse(given))
    assert limits == ["1gb", "20mb"]


def test_what_was_fetched_is_read_as_a_local_run_by_the_command_line(server, system, visit, capsys):
    offers.begin(system, visit)
    list(offers.fetch(system, NAME, visit))
    checkpoints.main(["show", "zoo-celeba"])
    assert '"published": "zoo-celeba"' in capsys.readouterr().out
