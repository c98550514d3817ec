"""What a visitor uploaded and made goes when he does."""

import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
from PIL import Image

from tabs.kit import layout, visits
from tests.served import upload

WAIT = 30  # seconds until a hanging test fails


@pytest.fixture
def page(tmp_path, monkeypatch):
    """(its Blocks, a client): it shows a picture of its own and gives back what it is given."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    monkeypatch.setattr(visits, "GRACE", 0.2)
    write(tmp_path / "own.png", 0)
    finish = threading.Event()

    def slowly(path):
        finish.wait(WAIT)
        return path

    with visits.Page(analytics_enabled=False) as blocks:
        given = layout.PictureFile(str(tmp_path / "own.png"), type="filepath")
        given.input(slowly, given, gr.Image(type="filepath"), api_name="make")
        given.change(lambda path: path, given, gr.Image(type="filepath"), api_name="show")
        blocks.unload(blocks.leave)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True,
        allowed_paths=[str(tmp_path)],
    )  # fmt: skip
    with httpx.Client(base_url=f"{url}gradio_api", timeout=WAIT, trust_env=False) as client:
        yield SimpleNamespace(blocks=blocks, client=client, finish=finish)
    blocks.close()


def write(path, level):
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    return path


@contextmanager
def visit(page):
    """Somebody who is there; (shows a file, ends the visit)."""
    session, gone, there = uuid.uuid4().hex, threading.Event(), threading.Event()

    def stay():
        with page.client.stream("GET", f"/heartbeat/{session}") as lines:
            for _ in lines.iter_bytes():
                there.set()
                gone.wait(WAIT)
                return

    thread = threading.Thread(target=stay, daemon=True)
    thread.start()
    assert there.wait(WAIT)

    def show(file, how="show"):
        body = {"data": [file], "session_hash": session}
        return page.client.post(f"/run/{how}", json=body).json()["data"][0]["path"]

    yield show
    gone.set()
    thread.join(WAIT)


def files(page):
    return {one.name for one in Path(page.blocks.GRADIO_CACHE).glob("*/*")}


def until(true):
    deadline = time.monotonic() + WAIT
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_files_go_with_the_last_who_has_them(page, tmp_path):
    mine, ours = (upload(page, write(tmp_path / f"{n}.png", n)) for n in (10, 20))
    with visit(page) as he:
        with visit(page) as she:
            she(mine), she(ours), he(ours)
            assert len(page.blocks.state_holder.session_data) == 2
            assert files(page) == {"own.png", "10.png", "20.png"}
        assert until(lambda: files(page) == {"own.png", "20.png"})
        assert len(page.blocks.state_holder.session_data) == 1
    assert until(lambda: files(page) == {"own.png"})  # the page itself shows it
    assert page.blocks.held == {}


def test_what_is_still_being_made_when_he_leaves_goes_too(page, tmp_path, monkeypatch):
    monkeypatch.setattr(visits, "GRACE", 1000)  # the test ends it
    mine = upload(page, write(tmp_path / "10.png", 10))
    with visit(page) as he:
        making = threading.Thread(target=he, args=(mine, "make"))
        making.start()
        assert until(lambda: page.blocks.held)
    assert until(lambda: not page.blocks.held)
    page.finish.set()
    making.join(WAIT)
    assert page.blocks.held and files(page) == {"own.png", "10.png"}
    (session,) = page.blocks.gone
    monkeypatch.setattr(visits, "GRACE", 0)
    page.blocks.end(SimpleNamespace(session_hash=session), set())
    assert until(lambda: files(page) == {"own.png"})
    assert not page.blocks.held and not page.blocks.state_holder.session_data
    assert not page.blocks.gone


def test_what_waits_for_its_turn_stays_when_others_leave(page, tmp_path):
    waits, mine = (upload(page, write(tmp_path / f"{n}.png", n)) for n in (10, 20))
    with visit(page) as she:
        with visit(page) as he:
            he(mine)
            time.sleep(0.3)  # longer than GRACE
        assert until(lambda: files(page) == {"own.png", "10.png"})
        assert she(waits)
    assert until(lambda: files(page) == {"own.png"})


def test_what_somebody_is_about_to_use_stays(page, tmp_path, monkeypatch):
    monkeypatch.setattr(visits, "GRACE", 1000)
    used = upload(page, write(tmp_path / "10.png", 10))
    page.blocks.sweep({used["path"]})
    assert files(page) == {"own.png", "10.png"}
    (tmp_path / "outside.png").touch()
    named = [str(tmp_path / "outside.png"), f"{page.blocks.GRADIO_CACHE}/../outside.png", None, 3]
    assert list(visits.files_in([{"path": one, "value": [b"x", "y"]} for one in named])) == []
